# SPDX-License-Identifier: GPL-3.0-or-later
"""Big-endian packing and reading, and SHA-1: what the client's structures are made of."""

from __future__ import annotations

import hashlib
import hmac
from abc import ABC, abstractmethod
from typing import Any, Self


def u8(value: int) -> bytes:
    return value.to_bytes(1)


def u16(value: int) -> bytes:
    return value.to_bytes(2)


def u32(value: int) -> bytes:
    return value.to_bytes(4)


def u64(value: int) -> bytes:
    return value.to_bytes(8)


def flag(value: bool) -> bytes:
    """Return a TPM_BOOL."""
    return b"\1" if value else b"\0"


def sized(data: bytes) -> bytes:
    """Return UINT32 length and the data."""
    return u32(len(data)) + data


def sha1(*parts: bytes) -> bytes:
    return hashlib.sha1(b"".join(parts)).digest()


def hmac_sha1(key: bytes, *parts: bytes) -> bytes:
    return hmac.digest(key, b"".join(parts), "sha1")


def xor(left: bytes, right: bytes) -> bytes:
    return bytes(a ^ b for a, b in zip(left, right, strict=True))


class ShortResponseError(ValueError):
    """A response ended before its fields did, or went on after them."""


class Reader:
    """Takes fields from the front of some bytes."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.at = 0

    def take(self, count: int) -> bytes:
        end = self.at + count
        if end > len(self.data):
            raise ShortResponseError(f"{count} bytes wanted at {self.at}, there are {len(self.data)}")
        piece = self.data[self.at : end]
        self.at = end
        return piece

    def number(self, size: int) -> int:
        return int.from_bytes(self.take(size))

    def u8(self) -> int:
        return self.number(1)

    def u16(self) -> int:
        return self.number(2)

    def u32(self) -> int:
        return self.number(4)

    def u64(self) -> int:
        return self.number(8)

    def digest(self) -> bytes:
        return self.take(20)

    def sized(self) -> bytes:
        """Return what a UINT32 length announces."""
        return self.take(self.u32())

    def tag(self, wanted: int) -> None:
        """Take a structure's tag, which must be that one."""
        found = self.u16()
        assert found == wanted, f"structure tag {found:#06x}, not {wanted:#06x}"

    def rest(self) -> bytes:
        return self.take(len(self.data) - self.at)

    def end(self) -> None:
        """Nothing may be left."""
        if self.at != len(self.data):
            raise ShortResponseError(f"{len(self.data) - self.at} bytes too many: {self.data.hex()}")


class Struct(ABC):
    """A structure that encodes itself and is read from a Reader; subclasses are frozen dataclasses."""

    @abstractmethod
    def encode(self) -> bytes:
        """Return its bytes."""

    @classmethod
    @abstractmethod
    def read(cls, source: Reader) -> Self:
        """Take one from the reader."""

    @classmethod
    def decode(cls, data: bytes) -> Self:
        """Read from exactly these bytes."""
        source = Reader(data)
        made = cls.read(source)
        source.end()
        return made

    @property
    def digest(self) -> bytes:
        return sha1(self.encode())


def encoded(value: Struct | bytes | None) -> bytes:
    """Return the bytes of a structure, of bytes, or of nothing."""
    if value is None:
        return b""
    return value if isinstance(value, bytes) else value.encode()


def sized_struct(value: Any) -> bytes:
    """Return UINT32 length and structure, length 0 for None."""
    return sized(encoded(value))
