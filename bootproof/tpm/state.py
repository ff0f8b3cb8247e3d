# SPDX-License-Identifier: GPL-3.0-or-later
"""What the TPM remembers: for ever (Permanent), over a suspend (SavedState), and in a machine's snapshot
(Volatile).

Version 1 of each layout; the number is in the container (see store.py), so that a later layout can be told
from it.
"""

from __future__ import annotations

from typing import Final

from bootproof.tpm.codes import DIGEST_SIZE
from bootproof.tpm.pcrs import BANK_SIZE
from bootproof.tpm.wire import (
    Structure,
    boolean,
    digest,
    nested,
    raw,
    sized32,
    structure,
    structure_tag,
    uint16,
    uint64,
)

LAYOUT_VERSION: Final = 1


@structure
class PermanentFlags(Structure):
    """TPM_PERMANENT_FLAGS (Part 2, 7.1), with the values of a new TPM in a PC."""

    tag: int = structure_tag(default=0x001F)
    disable: bool = boolean(default=False)
    ownership: bool = boolean(default=True)
    deactivated: bool = boolean(default=False)
    read_pubek: bool = boolean(default=True)
    disable_owner_clear: bool = boolean(default=False)
    allow_maintenance: bool = boolean(default=True)
    presence_lifetime_lock: bool = boolean(default=False)
    presence_hw_enable: bool = boolean(default=False)
    presence_cmd_enable: bool = boolean(default=False)
    cekp_used: bool = boolean(default=False)
    tpm_post: bool = boolean(default=False)
    tpm_post_lock: bool = boolean(default=False)
    fips: bool = boolean(default=False)
    operator: bool = boolean(default=False)
    enable_revoke_ek: bool = boolean(default=True)
    nv_locked: bool = boolean(default=False)
    read_srk_pub: bool = boolean(default=False)
    established: bool = boolean(default=False)
    maintenance_done: bool = boolean(default=False)
    disable_full_da_logic_info: bool = boolean(default=False)


@structure
class StClearFlags(Structure):
    """TPM_STCLEAR_FLAGS (Part 2, 7.2): lost at every TPM_Startup(ST_CLEAR)."""

    tag: int = structure_tag(default=0x0020)
    deactivated: bool = boolean(default=False)
    disable_force_clear: bool = boolean(default=False)
    physical_presence: bool = boolean(default=False)
    physical_presence_lock: bool = boolean(default=False)
    global_lock: bool = boolean(default=False)


@structure
class SavedState(Structure):
    """What TPM_SaveState keeps for TPM_Startup(ST_STATE) (Part 3, 3.3)."""

    stclear: StClearFlags = nested(StClearFlags)
    pcrs: bytes = raw(BANK_SIZE)


@structure
class Permanent(Structure):
    """Everything that outlives the power. `saved` is an encoded SavedState, or empty."""

    flags: PermanentFlags = nested(PermanentFlags, default_factory=PermanentFlags)
    saved: bytes = sized32(default=b"")


@structure
class Volatile(Structure):
    """Everything else, for a snapshot of the running machine.

    Not kept: a SHA-1 thread in progress, and the locality, which belongs to the one who sends the commands.
    """

    post_init: bool = boolean()
    failed: bool = boolean()
    os_present: bool = boolean()
    stclear: StClearFlags = nested(StClearFlags)
    ticks: int = uint64()
    tick_nonce: bytes = raw(DIGEST_SIZE)
    pcrs: bytes = raw(BANK_SIZE)


@structure
class CurrentTicks(Structure):
    """TPM_CURRENT_TICKS (Part 2, 15.1): microseconds since TPM_Startup."""

    tag: int = structure_tag(default=0x0014)
    ticks: int = uint64(default=0)
    rate: int = uint16(default=1)
    nonce: bytes = digest(default=bytes(DIGEST_SIZE))
