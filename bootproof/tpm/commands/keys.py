# SPDX-License-Identifier: GPL-3.0-or-later
"""Making, loading and showing keys (Part 3, 10.4 to 10.7)."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

from bootproof.tpm import keygen
from bootproof.tpm.codes import Rc, TpmError
from bootproof.tpm.command import Command
from bootproof.tpm.numbers import Handle, KeyFlag, KeyUsage, Payload
from bootproof.tpm.ordinals import Ord
from bootproof.tpm.structures.keys import Key, Pubkey, StoreAsymKey
from bootproof.tpm.wire import Structure, digest, nested, structure, uint32

if TYPE_CHECKING:
    from bootproof.tpm.call import Call


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


def create_wrap_key(call: Call, args: CreateWrapKeyIn) -> KeyOut:
    """INVALID_KEYUSAGE for a parent that is no storage key or an identity or authchange key; AUTHFAIL;
    BAD_KEY_PROPERTY, INAPPROPRIATE_ENC, INAPPROPRIATE_SIG, INVALID_PCR_INFO.
    """
    tpm = call.tpm
    parent = call.use_key(args.parent)
    usage_auth = call.decrypt_auth(args.usage_auth)
    migration_auth = call.decrypt_auth(args.migration_auth, second=True)
    call.end_session()
    wanted = args.key
    wanted.check_head()
    parent.need_usage(KeyUsage.STORAGE)
    if parent.key.has(KeyFlag.MIGRATABLE) and not wanted.has(KeyFlag.MIGRATABLE):
        raise TpmError(Rc.INVALID_KEYUSAGE)
    if wanted.usage in (KeyUsage.IDENTITY, KeyUsage.AUTHCHANGE):
        raise TpmError(Rc.INVALID_KEYUSAGE)
    if wanted.has(KeyFlag.MIGRATE_AUTHORITY):
        raise TpmError(Rc.INVALID_KEYUSAGE)
    keygen.check_parameters(wanted)
    private = keygen.generate(wanted)
    key = replace(keygen.note_creation(tpm, wanted), public=private.public.modulus, encrypted=b"")
    if not key.has(KeyFlag.MIGRATABLE):
        migration_auth = tpm.permanent.tpm_proof
    secret = StoreAsymKey(Payload.ASYM, usage_auth, migration_auth, key.public_digest(), private.prime)
    return KeyOut(keygen.wrap(parent, key, secret))


def load_key(call: Call, args: LoadKeyIn) -> HandleOut:
    """INVALID_KEYHANDLE, AUTHFAIL, INVALID_KEYUSAGE, DECRYPT_ERROR, FAIL for a changed key, NOSPACE."""
    tpm = call.tpm
    parent = call.use_key(args.parent, None if call.count == 0 else 0)
    key = args.key
    key.check_head()
    parent.need_usage(KeyUsage.STORAGE)
    keygen.check_parameters(key)
    secret = keygen.unwrap(tpm, parent, key)
    if key.usage == KeyUsage.IDENTITY and key.has(KeyFlag.MIGRATABLE):
        raise TpmError(Rc.INVALID_KEYUSAGE)
    if not keygen.payload_is_loadable(secret.payload):
        raise TpmError(Rc.BAD_KEY_PROPERTY)
    depends = parent.stored.parent_pcr or parent.condition is not None
    loaded = tpm.keys.add(key, secret, depends)
    return HandleOut(loaded.handle)


def get_pubkey(call: Call, args: HandleIn) -> PubkeyOut:
    """INVALID_KEYHANDLE, also for an SRK that must not be read; NOSRK, WRONGPCRVAL, AUTHFAIL."""
    if args.handle == Handle.SRK and not call.tpm.permanent.flags.read_srk_pub:
        raise TpmError(Rc.INVALID_KEYHANDLE)
    return PubkeyOut(call.use_key(args.handle, reads_public=True).key.pubkey())


ROWS: Final = (
    Command(
        Ord.CREATE_WRAP_KEY,
        "TPM_CreateWrapKey",
        "10.4",
        create_wrap_key,
        CreateWrapKeyIn,
        auths=(1,),
        handles=1,
    ),
    Command(Ord.LOAD_KEY, "TPM_LoadKey", "27.1.1", load_key, LoadKeyIn, auths=(0, 1), handles=1),
    Command(
        Ord.LOAD_KEY2,
        "TPM_LoadKey2",
        "10.5",
        load_key,
        LoadKeyIn,
        auths=(0, 1),
        handles=1,
        out_handles=1,
    ),
    Command(Ord.GET_PUBKEY, "TPM_GetPubKey", "10.6", get_pubkey, HandleIn, auths=(0, 1), handles=1),
)
