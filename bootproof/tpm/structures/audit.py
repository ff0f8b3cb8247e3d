# SPDX-License-Identifier: GPL-3.0-or-later
"""Auditing (Part 2, 14), and what the TPM remembers for it."""

from __future__ import annotations

from typing import Final

from bootproof.tpm.structures.counters import LABEL_SIZE, CounterValue
from bootproof.tpm.wire import Structure, digest, nested, sized32, structure, structure_tag, uint32

_ORDINAL_SIZE: Final = 4


def pack_ordinals(ordinals: frozenset[int]) -> bytes:
    """Return them in order, four bytes each."""
    return b"".join(ordinal.to_bytes(_ORDINAL_SIZE) for ordinal in sorted(ordinals))


def unpack_ordinals(packed: bytes) -> frozenset[int]:
    """Return what pack_ordinals has packed."""
    starts = range(0, len(packed), _ORDINAL_SIZE)
    return frozenset(int.from_bytes(packed[at : at + _ORDINAL_SIZE]) for at in starts)


@structure
class Audit(Structure):
    """auditMonotonicCounter and ordinalAuditStatus of TPM_PERMANENT_DATA (7.4): how many audit sessions
    there were, and what is audited, packed.
    """

    count: int = uint32(default=0)
    ordinals: bytes = sized32(default=b"")

    @property
    def counter(self) -> CounterValue:
        """The counter as it is told."""
        return CounterValue(bytes(LABEL_SIZE), self.count)


@structure
class AuditEventIn(Structure):
    """TPM_AUDIT_EVENT_IN (14.1)."""

    tag: int = structure_tag(default=0x0012)
    parameters: bytes = digest()
    counter: CounterValue = nested(CounterValue)


@structure
class AuditEventOut(Structure):
    """TPM_AUDIT_EVENT_OUT (14.2)."""

    tag: int = structure_tag(default=0x0013)
    parameters: bytes = digest()
    counter: CounterValue = nested(CounterValue)
