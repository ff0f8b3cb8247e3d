# SPDX-License-Identifier: GPL-3.0-or-later
"""Making, loading, showing and letting go of keys (Part 3, 10.4 to 10.6, 21.1 and 27)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from bootproof.tpm import keygen
from bootproof.tpm.codes import Rc, TpmError
from bootproof.tpm.command import Auditing, Command, In, no_keys
from bootproof.tpm.limits import KEY_SLOTS
from bootproof.tpm.numbers import Handle, KeyFlag, KeyUsage, Protocol
from bootproof.tpm.ordinals import Ord
from bootproof.tpm.structures.keys import Key, Pubkey
from bootproof.tpm.wire import Structure, boolean, digest, nested, structure, uint32

if TYPE_CHECKING:
    from bootproof.tpm.call import Call
    from bootproof.tpm.machine import Tpm


@structure
class CreateWrapKeyIn(Structure):
    """TPM_CreateWrapKey: parent, encrypted authorisation data for use and for migration, the key wanted."""

    parent: int = uint32()
    usage_auth: bytes = digest()
    migration_auth: bytes = digest()
    key: Key = nested(Key)


@structure
class KeyOut(Structure):
    """A key."""

    key: Key = nested(Key)


@structure
class LoadKeyIn(Structure):
    """TPM_LoadKey and TPM_LoadKey2: parent and wrapped key."""

    parent: int = uint32()
    key: Key = nested(Key)


@structure
class HandleIn(Structure):
    """The handle of a key."""

    handle: int = uint32()


@structure
class HandleOut(Structure):
    """The handle of a key."""

    handle: int = uint32()


@structure
class PubkeyOut(Structure):
    """A public key."""

    key: Pubkey = nested(Pubkey)


@structure
class KeyControlIn(Structure):
    """TPM_KeyControlOwner: which key, its public part as a proof, which TPM_KEY_CONTROL bit, its value."""

    handle: int = uint32()
    public: Pubkey = nested(Pubkey)
    bit: int = uint32()
    value: bool = boolean()


def create_wrap_key(call: Call, args: CreateWrapKeyIn) -> KeyOut:
    """AUTHFAIL; BAD_MODE for a session that is not OSAP; BAD_VERSION, BAD_KEY_PROPERTY, NOTFIPS for a key
    that this TPM does not make; INVALID_KEYUSAGE for a parent that is no storage key, a key that may migrate
    less than its parent, and for identity, authchange and certified migration keys; INVALID_PCR_INFO.
    """
    tpm, wanted = call.tpm, args.key
    parent = call.use_key(args.parent, protocol=Protocol.OSAP)
    keygen.check_parameters(wanted, tpm.permanent.flags.fips)
    parent.need_usage(KeyUsage.STORAGE)
    if parent.key.has(KeyFlag.MIGRATABLE) and not wanted.has(KeyFlag.MIGRATABLE):
        raise TpmError(Rc.INVALID_KEYUSAGE)
    if wanted.usage in (KeyUsage.IDENTITY, KeyUsage.AUTHCHANGE) or wanted.has(KeyFlag.MIGRATE_AUTHORITY):
        raise TpmError(Rc.INVALID_KEYUSAGE)
    usage_auth = call.decrypt_auth(args.usage_auth)
    migration_auth = call.decrypt_auth(args.migration_auth, second=True)
    call.end_session()
    if not wanted.has(KeyFlag.MIGRATABLE):
        migration_auth = tpm.permanent.tpm_proof
    return KeyOut(keygen.create(tpm, parent, wanted, usage_auth, migration_auth).wrapped)


def load_key(call: Call, args: LoadKeyIn) -> HandleOut:
    """INVALID_KEYHANDLE, AUTHFAIL; INVALID_KEYUSAGE for a parent that is no storage key, an authchange key,
    an identity that may migrate, a key of another TPM; BAD_VERSION, BAD_KEY_PROPERTY, NOTFIPS;
    DECRYPT_ERROR, BAD_DATASIZE; AUTHFAIL for a key whose public part was changed; INVALID_STRUCTURE,
    INVALID_PCR_INFO, NOSPACE.
    """
    tpm, key = call.tpm, args.key
    parent = call.use_key(args.parent, None if call.count == 0 else 0)
    parent.need_usage(KeyUsage.STORAGE)
    keygen.check_parameters(key, tpm.permanent.flags.fips)
    secret = keygen.unwrap(tpm, parent, key)
    if key.usage == KeyUsage.AUTHCHANGE:
        raise TpmError(Rc.INVALID_KEYUSAGE)
    if key.usage == KeyUsage.IDENTITY and key.has(KeyFlag.MIGRATABLE):
        raise TpmError(Rc.INVALID_KEYUSAGE)
    keygen.check_pcr_info(key)
    loaded = tpm.keys.add(key, secret, parent.stored.parent_pcr or parent.uses_pcrs)
    return HandleOut(loaded.handle)


def get_pubkey(call: Call, args: HandleIn) -> PubkeyOut:
    """AUTHFAIL; INVALID_KEYHANDLE, also for an SRK that must not be read; WRONGPCRVAL, BAD_LOCALITY unless
    the key's flags say that PCRs do not matter here.
    """
    loaded = call.tpm.keys.get(args.handle)
    call.authorize_key(loaded, 0, reads_public=True)
    if args.handle == Handle.SRK and not call.tpm.permanent.flags.read_srk_pub:
        raise TpmError(Rc.INVALID_KEYHANDLE)
    call.check_condition(loaded, reads_public=True)
    return PubkeyOut(loaded.key.pubkey())


def evict_key(tpm: Tpm, args: HandleIn) -> None:
    """INVALID_KEYHANDLE, KEY_OWNER_CONTROL for a key that the owner keeps in."""
    tpm.keys.flush(args.handle)


def terminate_handle(tpm: Tpm, args: HandleIn) -> None:
    """Close an authorisation session; INVALID_AUTHHANDLE."""
    tpm.sessions.get(args.handle)
    tpm.sessions.close(args.handle)


def key_control_owner(call: Call, args: KeyControlIn) -> None:
    """Keep a key in the TPM for good, or no longer (bit 1, ownerEvict).

    AUTHFAIL, INVALID_KEYHANDLE; INVALID_KEYUSAGE for an authchange or migrate key; BAD_PARAMETER for another
    public key, a volatile key, one whose ancestors depend on PCRs; BAD_MODE for another bit; NOSPACE where
    fewer than two slots would remain for keys that come and go.
    """
    call.owner()
    keys = call.tpm.keys
    loaded = keys.own(args.handle)
    loaded.need_usage(*_CONTROLLED)
    if args.public != loaded.key.pubkey():
        raise TpmError(Rc.BAD_PARAMETER)
    if args.bit != _OWNER_EVICT:
        raise TpmError(Rc.BAD_MODE)
    if args.value == keys.kept(args.handle):
        return
    if not args.value:
        keys.let_go(args.handle)
        return
    if KEY_SLOTS - keys.kept_count - 1 < _FREE_SLOTS:
        raise TpmError(Rc.NOSPACE)
    if loaded.stored.parent_pcr or loaded.key.has(KeyFlag.VOLATILE):
        raise TpmError(Rc.BAD_PARAMETER)
    keys.keep(args.handle)


_OWNER_EVICT: Final = 1
_FREE_SLOTS: Final = 2
_CONTROLLED: Final = (
    KeyUsage.SIGNING,
    KeyUsage.STORAGE,
    KeyUsage.IDENTITY,
    KeyUsage.BIND,
    KeyUsage.LEGACY,
)

ROWS: Final = (
    Command(
        Ord.CREATE_WRAP_KEY,
        "TPM_CreateWrapKey",
        "10.4",
        create_wrap_key,
        CreateWrapKeyIn,
        auths=(1,),
        handles=1,
        needs_owner=True,
        audit=Auditing.ON,
        key_right=11,
    ),
    Command(
        Ord.LOAD_KEY,
        "TPM_LoadKey",
        "27.8",
        load_key,
        LoadKeyIn,
        auths=(0, 1),
        handles=1,
        needs_owner=True,
        key_right=0,
    ),
    Command(
        Ord.LOAD_KEY2,
        "TPM_LoadKey2",
        "10.5",
        load_key,
        LoadKeyIn,
        auths=(0, 1),
        handles=1,
        out_handles=1,
        needs_owner=True,
        key_right=22,
    ),
    Command(
        Ord.GET_PUBKEY,
        "TPM_GetPubKey",
        "10.6",
        get_pubkey,
        HandleIn,
        auths=(0, 1),
        handles=1,
        needs_owner=True,
        key_right=5,
    ),
    Command(
        Ord.KEY_CONTROL_OWNER,
        "TPM_KeyControlOwner",
        "21.1",
        key_control_owner,
        KeyControlIn,
        auths=(1,),
        handles=1,
        needs_owner=True,
        owner_right=31,
    ),
    Command(Ord.EVICT_KEY, "TPM_EvictKey", "27.1.1", evict_key, HandleIn, handles=1, needs_owner=True),
    Command(
        Ord.TERMINATE_HANDLE,
        "TPM_Terminate_Handle",
        "27.1.2",
        terminate_handle,
        HandleIn,
        In.OFF,
        handles=1,
        logged_keys=no_keys,
    ),
)
