# SPDX-License-Identifier: GPL-3.0-or-later
"""What the TPM remembers: for ever (Permanent), over a suspend (SavedState), and in a machine's snapshot
(Volatile).

Version 2 of each layout; the number is in the container (see store.py), so that a later layout can be told
from it.
"""

from __future__ import annotations

from typing import Final

from bootproof.tpm.codes import DIGEST_SIZE
from bootproof.tpm.pcrs import BANK_SIZE
from bootproof.tpm.structures.audit import Audit
from bootproof.tpm.structures.context import Contexts
from bootproof.tpm.structures.counters import NO_COUNTER, Counters
from bootproof.tpm.structures.defence import Guesses
from bootproof.tpm.structures.delegation import DelegateTables
from bootproof.tpm.structures.keys import Key, StoreAsymKey
from bootproof.tpm.structures.migration import Restrictions
from bootproof.tpm.structures.nv import NvLocks, NvStorage
from bootproof.tpm.structures.stclear import StClearData
from bootproof.tpm.structures.transport import Transports
from bootproof.tpm.wire import (
    Structure,
    boolean,
    digest,
    listed,
    nested,
    optional,
    raw,
    sized32,
    structure,
    structure_tag,
    uint8,
    uint16,
    uint32,
    uint64,
)

LAYOUT_VERSION: Final = 2


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
class StoredKey(Structure):
    """A key with its private part, as it lies in the TPM.

    `parent_pcr`: its use depends on PCRs of an ancestor (parentPCRStatus of TPM_CERTIFY_INFO).
    """

    handle: int = uint32()
    key: Key = nested(Key)
    secret: StoreAsymKey = nested(StoreAsymKey)
    parent_pcr: bool = boolean(default=False)


@structure
class Session(Structure):
    """An authorisation session (Part 1, 13); `delegation` is of DSAP: an encoded TPM_DELEGATE_PUBLIC."""

    handle: int = uint32()
    protocol: int = uint16()
    nonce_even: bytes = digest()
    entity: int = uint16(default=0)
    identity: bytes = digest(default=bytes(DIGEST_SIZE))
    adip: int = uint8(default=0)
    shared_secret: bytes = digest(default=bytes(DIGEST_SIZE))
    delegation: bytes = sized32(default=b"")


@structure
class Owner(Structure):
    """What TPM_TakeOwnership installs and TPM_OwnerClear removes."""

    auth: bytes = digest()
    srk: StoredKey = nested(StoredKey)
    evict: tuple[StoredKey, ...] = listed(StoredKey, default=())


@structure
class SavedState(Structure):
    """What TPM_SaveState keeps for TPM_Startup(ST_STATE) (Part 3, 3.3)."""

    stclear: StClearFlags = nested(StClearFlags)
    pcrs: bytes = raw(BANK_SIZE)
    nv_locks: NvLocks = nested(NvLocks, default_factory=NvLocks)
    active_counter: int = uint32(default=NO_COUNTER)
    stclear_data: StClearData = nested(StClearData, default_factory=StClearData)
    keys: tuple[StoredKey, ...] = listed(StoredKey, default=())
    sessions: tuple[Session, ...] = listed(Session, default=())
    contexts: Contexts = nested(Contexts, default_factory=Contexts)
    transports: Transports = nested(Transports, default_factory=Transports)
    audit_digest: bytes = digest(default=bytes(DIGEST_SIZE))


@structure
class Permanent(Structure):
    """Everything that outlives the power. `saved` is an encoded SavedState, or empty."""

    flags: PermanentFlags = nested(PermanentFlags, default_factory=PermanentFlags)
    saved: bytes = sized32(default=b"")
    ek: StoredKey | None = optional(StoredKey, default=None)
    ek_reset: bytes = digest(default=bytes(DIGEST_SIZE))
    tpm_proof: bytes = digest(default=bytes(DIGEST_SIZE))
    owner: Owner | None = optional(Owner, default=None)
    operator_auth: bytes = digest(default=bytes(DIGEST_SIZE))
    nv: NvStorage = nested(NvStorage, default_factory=NvStorage)
    counters: Counters = nested(Counters, default_factory=Counters)
    guesses: Guesses = nested(Guesses, default_factory=Guesses)
    restrictions: Restrictions = nested(Restrictions, default_factory=Restrictions)
    delegations: DelegateTables = nested(DelegateTables, default_factory=DelegateTables)
    audit: Audit = nested(Audit, default_factory=Audit)


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
    nv_locks: NvLocks = nested(NvLocks, default_factory=NvLocks)
    active_counter: int = uint32(default=NO_COUNTER)
    keys: tuple[StoredKey, ...] = listed(StoredKey, default=())
    sessions: tuple[Session, ...] = listed(Session, default=())
    stclear_data: StClearData = nested(StClearData, default_factory=StClearData)
    contexts: Contexts = nested(Contexts, default_factory=Contexts)
    transports: Transports = nested(Transports, default_factory=Transports)
    audit_digest: bytes = digest(default=bytes(DIGEST_SIZE))
