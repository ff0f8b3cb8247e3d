# SPDX-License-Identifier: GPL-3.0-or-later
"""PCR structures (Part 2, 8): which PCRs, which values, from which locality."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

from bootproof.tpm.codes import Rc, TpmError
from bootproof.tpm.limits import PCR_COUNT, PCR_SELECT_SIZE
from bootproof.tpm.numbers import LOCALITY_BITS, Tag
from bootproof.tpm.wire import (
    Structure,
    digest,
    nested,
    sized16,
    sized32,
    structure,
    structure_tag,
    uint8,
)


@structure
class PcrSelection(Structure):
    """TPM_PCR_SELECTION (8.1): PCR 0 is the lowest bit of the first byte; INVALID_PCR_INFO for one that is
    longer than the PCRs there are.
    """

    bits: bytes = sized16(
        default=bytes(PCR_SELECT_SIZE), longest=PCR_SELECT_SIZE, too_long=Rc.INVALID_PCR_INFO
    )

    def indices(self) -> list[int]:
        """Return the selected PCRs."""
        bits = int.from_bytes(self.bits, "little")
        return [index for index in range(PCR_COUNT) if bits >> index & 1]


@structure
class PcrComposite(Structure):
    """TPM_PCR_COMPOSITE (8.2): the selected values one after the other."""

    selection: PcrSelection = nested(PcrSelection)
    values: bytes = sized32()


def composite_hash(selection: PcrSelection, values: Sequence[bytes]) -> bytes:
    """Return TPM_COMPOSITE_HASH (8.5): SHA-1 of the composite, all zero where no PCR is selected."""
    indices = selection.indices()
    if not indices:
        return bytes(20)
    composite = PcrComposite(selection, b"".join(values[index] for index in indices))
    return hashlib.sha1(composite.encode(), usedforsecurity=False).digest()


@structure
class PcrInfo(Structure):
    """TPM_PCR_INFO (8.3), the layout of TPM 1.1: release from any locality."""

    selection: PcrSelection = nested(PcrSelection)
    digest_at_release: bytes = digest()
    digest_at_creation: bytes = digest()


@structure
class PcrInfoLong(Structure):
    """TPM_PCR_INFO_LONG (8.4)."""

    tag: int = structure_tag(default=Tag.PCR_INFO_LONG)
    locality_at_creation: int = uint8()
    locality_at_release: int = uint8()
    creation_selection: PcrSelection = nested(PcrSelection)
    release_selection: PcrSelection = nested(PcrSelection)
    digest_at_creation: bytes = digest()
    digest_at_release: bytes = digest()


@structure
class PcrInfoShort(Structure):
    """TPM_PCR_INFO_SHORT (8.5)."""

    selection: PcrSelection = nested(PcrSelection, default_factory=PcrSelection)
    locality_at_release: int = uint8(default=LOCALITY_BITS)
    digest_at_release: bytes = digest(default=bytes(20))

    def holds(self, values: Sequence[bytes], locality: int) -> None:
        """Check the PCRs against the selection, and who asks: WRONGPCRVAL, BAD_LOCALITY."""
        self.check_values(values)
        self.check_locality(locality)

    def check_values(self, values: Sequence[bytes]) -> None:
        """WRONGPCRVAL unless the selected PCRs have the values wanted."""
        if self.selection.indices() and composite_hash(self.selection, values) != self.digest_at_release:
            raise TpmError(Rc.WRONGPCRVAL)

    def check_locality(self, locality: int) -> None:
        """BAD_LOCALITY for one that is not selected."""
        if not self.locality_at_release >> locality & 1:
            raise TpmError(Rc.BAD_LOCALITY)


def check_locality_bits(bits: int) -> None:
    """INVALID_PCR_INFO unless at least one locality, and none that does not exist, is selected (8.6)."""
    if not bits or bits & ~LOCALITY_BITS:
        raise TpmError(Rc.INVALID_PCR_INFO)


def release_condition(encoded: bytes) -> PcrInfoShort | None:
    """Return what PCR_INFO or PCR_INFO_LONG (told by its tag) wants at release; None for no bytes.

    INVALID_PCR_INFO where the bytes are neither, or select what does not exist.
    """
    if not encoded:
        return None
    try:
        if encoded[:2] == Tag.PCR_INFO_LONG.to_bytes(2):
            long = PcrInfoLong.decode(encoded)
            check_locality_bits(long.locality_at_release)
            short = PcrInfoShort(long.release_selection, long.locality_at_release, long.digest_at_release)
        else:
            old = PcrInfo.decode(encoded)
            short = PcrInfoShort(old.selection, LOCALITY_BITS, old.digest_at_release)
    except TpmError as error:
        raise TpmError(Rc.INVALID_PCR_INFO) from error
    return short
