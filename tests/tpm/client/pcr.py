# SPDX-License-Identifier: GPL-3.0-or-later
"""PCR selections and bindings (Part 2, 8)."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Self

from tests.tpm.client.constants import ALL_LOCALITIES, PCRS
from tests.tpm.client.wire import Reader, Struct, sha1, sized, u8, u16

NO_DIGEST = bytes(20)
ALL_ONES = bytes([255]) * 20


@dataclass(frozen=True)
class Selection(Struct):
    """TPM_PCR_SELECTION (8.1) with its bit map as it is on the wire."""

    bits: bytes = bytes(PCRS // 8)

    @classmethod
    def of(cls, *indices: int, size: int = PCRS // 8) -> Self:
        return cls(sum(1 << index for index in set(indices)).to_bytes(size, "little"))

    @property
    def indices(self) -> list[int]:
        mask = int.from_bytes(self.bits, "little")
        return [index for index in range(8 * len(self.bits)) if mask >> index & 1]

    def encode(self) -> bytes:
        return u16(len(self.bits)) + self.bits

    @classmethod
    def read(cls, source: Reader) -> Self:
        return cls(source.take(source.u16()))


@dataclass(frozen=True)
class Composite(Struct):
    """TPM_PCR_COMPOSITE (8.2)."""

    selection: Selection
    values: bytes

    @classmethod
    def of(cls, indices: Iterable[int], values: Iterable[bytes]) -> Self:
        return cls(Selection.of(*indices), b"".join(values))

    def encode(self) -> bytes:
        return self.selection.encode() + sized(self.values)

    @classmethod
    def read(cls, source: Reader) -> Self:
        return cls(Selection.read(source), source.sized())


@dataclass(frozen=True)
class PcrInfo(Struct):
    """TPM_PCR_INFO (8.3)."""

    selection: Selection
    at_release: bytes
    at_creation: bytes = NO_DIGEST

    def encode(self) -> bytes:
        return self.selection.encode() + self.at_release + self.at_creation

    @classmethod
    def read(cls, source: Reader) -> Self:
        return cls(Selection.read(source), source.digest(), source.digest())


@dataclass(frozen=True)
class PcrInfoLong(Struct):
    """TPM_PCR_INFO_LONG (8.4)."""

    release: Selection
    at_release: bytes
    creation: Selection = Selection()
    at_creation: bytes = NO_DIGEST
    locality_at_release: int = ALL_LOCALITIES
    locality_at_creation: int = ALL_LOCALITIES

    def encode(self) -> bytes:
        localities = u8(self.locality_at_creation) + u8(self.locality_at_release)
        selections = self.creation.encode() + self.release.encode()
        return u16(0x06) + localities + selections + self.at_creation + self.at_release

    @classmethod
    def read(cls, source: Reader) -> Self:
        source.tag(0x06)
        created_at, released_at = source.u8(), source.u8()
        creation, release = Selection.read(source), Selection.read(source)
        at_creation = source.digest()
        return cls(release, source.digest(), creation, at_creation, released_at, created_at)


@dataclass(frozen=True)
class PcrInfoShort(Struct):
    """TPM_PCR_INFO_SHORT (8.5)."""

    selection: Selection = Selection()
    at_release: bytes = NO_DIGEST
    localities: int = ALL_LOCALITIES

    def encode(self) -> bytes:
        return self.selection.encode() + u8(self.localities) + self.at_release

    @classmethod
    def read(cls, source: Reader) -> Self:
        selection, localities = Selection.read(source), source.u8()
        return cls(selection, source.digest(), localities)


UNBOUND = PcrInfoShort()


def composite_digest(indices: Iterable[int], values: Iterable[bytes]) -> bytes:
    """Return TPM_COMPOSITE_HASH of these PCRs (Part 2, 8.2)."""
    return sha1(Composite.of(indices, values).encode())
