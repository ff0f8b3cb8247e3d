# SPDX-License-Identifier: GPL-3.0-or-later
"""Ticks (Part 2, 15)."""

from __future__ import annotations

from bootproof.tpm.codes import DIGEST_SIZE
from bootproof.tpm.wire import Structure, digest, structure, structure_tag, uint16, uint64


@structure
class CurrentTicks(Structure):
    """TPM_CURRENT_TICKS (Part 2, 15.1): microseconds since TPM_Startup."""

    tag: int = structure_tag(default=0x0014)
    ticks: int = uint64(default=0)
    rate: int = uint16(default=1)
    nonce: bytes = digest(default=bytes(DIGEST_SIZE))
