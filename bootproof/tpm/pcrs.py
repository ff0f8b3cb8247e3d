# SPDX-License-Identifier: GPL-3.0-or-later
"""The 24 PCRs of a PC and who may reset or extend which (PC Client TPM Interface Specification 1.3, section
8).
"""

from __future__ import annotations

import hashlib
from typing import Final

from bootproof.tpm.codes import DIGEST_SIZE, Rc, TpmError
from bootproof.tpm.limits import PCR_COUNT

ZEROS: Final = bytes(DIGEST_SIZE)
ONES: Final = b"\xff" * DIGEST_SIZE
BANK_SIZE: Final = PCR_COUNT * DIGEST_SIZE
LAUNCH_PCR: Final = 17  # of what a dynamic launch has measured
LAUNCH_LOCALITY: Final = 4
DYNAMIC: Final = range(17, 23)  # those of the dynamic root of trust
_ANY: Final = frozenset(range(5))
_SHA1: Final = hashlib.sha1(usedforsecurity=False)  # to copy it is faster than to make a new one

_RESET_BY: Final[dict[int, frozenset[int]]] = {
    16: _ANY,
    17: frozenset({4}),
    18: frozenset({4}),
    19: frozenset({4}),
    20: frozenset({2, 4}),
    21: frozenset({2}),
    22: frozenset({2}),
    23: _ANY,
}
_EXTEND_BY: Final[dict[int, frozenset[int]]] = {
    17: frozenset({2, 3, 4}),
    18: frozenset({2, 3, 4}),
    19: frozenset({2, 3}),
    20: frozenset({1, 2, 3}),
    21: frozenset({2}),
    22: frozenset({2}),
}


class PcrBank:
    """The values, 20 bytes each. All methods that take an index expect it checked by `check_index`."""

    def __init__(self) -> None:
        self.values = [ONES if index in DYNAMIC else ZEROS for index in range(PCR_COUNT)]

    @staticmethod
    def check_index(index: int) -> None:
        """BADINDEX for a PCR that does not exist."""
        if index >= PCR_COUNT:
            raise TpmError(Rc.BADINDEX)

    def extend(self, index: int, digest: bytes, locality: int) -> bytes:
        """Set the PCR to SHA-1(old value || digest) and return it; BAD_LOCALITY if this locality may not."""
        if index in _EXTEND_BY and locality not in self._extended_by(index):
            raise TpmError(Rc.BAD_LOCALITY)
        extended = _SHA1.copy()
        extended.update(self.values[index] + digest)
        self.values[index] = value = extended.digest()
        return value

    def _extended_by(self, index: int) -> frozenset[int]:
        """Return the localities that may extend a dynamic PCR; only a dynamic launch begins with PCR 17
        (section 7.2).
        """
        if index == LAUNCH_PCR and self.values[index] == ZEROS:
            return frozenset({LAUNCH_LOCALITY})
        return _EXTEND_BY[index]

    def reset(self, indices: list[int], locality: int, os_present: bool) -> None:
        """Reset all of them or, with NOTRESETABLE or NOTLOCAL, none.

        `os_present` is TOSPresent: without it the dynamic PCRs go back to all ones (Part 3, 16.4).
        """
        if any(index not in _RESET_BY for index in indices):
            raise TpmError(Rc.NOTRESETABLE)
        if any(locality not in _RESET_BY[index] for index in indices):
            raise TpmError(Rc.NOTLOCAL)
        for index in indices:
            self.values[index] = ONES if index in DYNAMIC and not os_present else ZEROS

    def start_dynamic_launch(self) -> None:
        """Clear PCR 17 to 22, as TPM_HASH_START does (PC Client TIS 1.3, section 11.3)."""
        for index in DYNAMIC:
            self.values[index] = ZEROS

    def static_values(self) -> bytes:
        """Return the bank as SaveState keeps it: PCRs that can be reset take their start value (Part 2,
        7.4).
        """
        fresh = PcrBank().values
        kept = [fresh[index] if index in _RESET_BY else value for index, value in enumerate(self.values)]
        return b"".join(kept)

    def encode(self) -> bytes:
        """Return all values, PCR 0 first."""
        return b"".join(self.values)

    def load(self, data: bytes) -> None:
        """Take all values from what `encode` or `static_values` returned."""
        self.values = [data[at : at + DIGEST_SIZE] for at in range(0, BANK_SIZE, DIGEST_SIZE)]
