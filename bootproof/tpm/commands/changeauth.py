# SPDX-License-Identifier: GPL-3.0-or-later
"""New secrets for keys, sealed data, owner and SRK (Part 3, 17), and the deprecated way to do so that hides
the new secret from the parent's owner (27.4).
"""

from __future__ import annotations

import hmac
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from bootproof.tpm import entities, keygen
from bootproof.tpm.codes import DIGEST_SIZE, Rc, TpmError
from bootproof.tpm.command import Auditing, Command
from bootproof.tpm.numbers import (
    VERSION_1_1,
    AuthUsage,
    Entity,
    Handle,
    KeyFlag,
    KeyUsage,
    Payload,
    Protocol,
)
from bootproof.tpm.ordinals import Ord
from bootproof.tpm.sessions import hmac_sha1, new_nonce
from bootproof.tpm.structures.certify import CertifyInfo, certify_info
from bootproof.tpm.structures.keys import Key, KeyParameters, StoreAsymKey, sha1
from bootproof.tpm.structures.sealed import SealedData
from bootproof.tpm.wire import Structure, digest, nested, sized32, structure, uint16, uint32

if TYPE_CHECKING:
    from bootproof.tpm.call import Call
    from bootproof.tpm.keys import LoadedKey
    from bootproof.tpm.machine import Tpm

_CHANGEABLE: Final = (Entity.DATA, Entity.KEY)
_KEY_PAYLOADS: Final = (Payload.ASYM, Payload.MIGRATE_RESTRICTED, Payload.MIGRATE_EXTERNAL)


@structure
class ChangeAuthIn(Structure):
    """TPM_ChangeAuth: parent, encrypted new secret, what it is for, that thing's encrypted part."""

    parent: int = uint32()
    protocol: int = uint16()
    new_auth: bytes = digest()
    entity: int = uint16()
    encrypted: bytes = sized32()


@structure
class ChangeAuthOut(Structure):
    """The encrypted part, with the new secret."""

    encrypted: bytes = sized32()


@structure
class ChangeAuthOwnerIn(Structure):
    """TPM_ChangeAuthOwner: encrypted new secret, and whether it is the owner's or the SRK's."""

    protocol: int = uint16()
    new_auth: bytes = digest()
    entity: int = uint16()


@structure
class AsymStartIn(Structure):
    """TPM_ChangeAuthAsymStart: identity that vouches, nonce, what key to make."""

    identity: int = uint32()
    anti_replay: bytes = digest()
    parameters: KeyParameters = nested(KeyParameters)


@structure
class AsymStartOut(Structure):
    """The statement on the temporary key, its signature, handle and public part."""

    info: CertifyInfo = nested(CertifyInfo)
    signature: bytes = sized32()
    handle: int = uint32()
    key: Key = nested(Key)


@structure
class AsymFinishIn(Structure):
    """TPM_ChangeAuthAsymFinish; `link` is HMAC(old secret, new secret)."""

    parent: int = uint32()
    temporary: int = uint32()
    entity: int = uint16()
    link: bytes = digest()
    new_auth: bytes = sized32()
    encrypted: bytes = sized32()


@structure
class AsymFinishOut(Structure):
    """The encrypted part, with the new secret; `proof` is HMAC(new secret, salt || the caller's nonce)."""

    encrypted: bytes = sized32()
    salt: bytes = digest()
    proof: bytes = digest()


@structure
class ChangeAuthValidate(Structure):
    """TPM_CHANGEAUTH_VALIDATE (Part 2, 5.11)."""

    new_auth: bytes = digest()
    nonce: bytes = digest()


def change_auth(call: Call, args: ChangeAuthIn) -> ChangeAuthOut:
    """WRONG_ENTITYTYPE for neither a key nor data; BAD_MODE unless the sessions are OSAP (parent) and OIAP;
    BAD_PARAMETER for another protocol than ADCP; INVALID_KEYHANDLE, AUTHFAIL; INVALID_KEYUSAGE for a parent
    that is no storage key; DECRYPT_ERROR, INVALID_STRUCTURE, AUTH2FAIL. Both sessions end.
    """
    if args.entity not in _CHANGEABLE:
        raise TpmError(Rc.WRONG_ENTITYTYPE)
    call.session(0, Protocol.OSAP)
    call.session(1, Protocol.OIAP)
    if args.protocol != Protocol.ADCP:
        raise TpmError(Rc.BAD_PARAMETER)
    parent = call.use_key(args.parent)
    new_auth = call.decrypt_auth(args.new_auth)
    secret = _decrypt(call.tpm, parent, args.entity, args.encrypted)
    current = entities.Entity(Entity(args.entity), sha1(args.encrypted), _auth(secret))
    call.authorize(current, 1)
    call.end_session(0)
    call.end_session(1)
    return ChangeAuthOut(_encrypt(parent, secret, new_auth))


def _decrypt(tpm: Tpm, parent: LoadedKey, entity: int, encrypted: bytes) -> StoreAsymKey | SealedData:
    """Return what has a secret; INVALID_KEYUSAGE, DECRYPT_ERROR, INVALID_STRUCTURE."""
    parent.need_usage(KeyUsage.STORAGE)
    data = parent.rsa.decrypt_oaep(encrypted)
    kind = StoreAsymKey if entity == Entity.KEY else SealedData
    try:
        secret = kind.decode(data)
    except TpmError as error:
        raise TpmError(Rc.INVALID_STRUCTURE) from error
    if isinstance(secret, SealedData):
        ours = hmac.compare_digest(secret.tpm_proof, tpm.permanent.tpm_proof)
        known = ours and secret.payload == Payload.SEAL
    else:
        known = secret.payload in _KEY_PAYLOADS
    if not known:
        raise TpmError(Rc.INVALID_STRUCTURE)
    return secret


def _auth(secret: StoreAsymKey | SealedData) -> bytes:
    return secret.auth if isinstance(secret, SealedData) else secret.usage_auth


def _encrypt(parent: LoadedKey, secret: StoreAsymKey | SealedData, new_auth: bytes) -> bytes:
    changed: Structure
    if isinstance(secret, SealedData):
        changed = replace(secret, auth=new_auth)
    else:
        changed = replace(secret, usage_auth=new_auth)
    return parent.rsa.public.encrypt_oaep(changed.encode())


def change_auth_owner(call: Call, args: ChangeAuthOwnerIn) -> None:
    """BAD_MODE for a session that is not OSAP, AUTHFAIL, BAD_PARAMETER for another protocol than ADCP,
    WRONG_ENTITYTYPE for neither owner nor SRK. All sessions that were opened with the old secret end.
    """
    tpm = call.tpm
    call.owner(protocol=Protocol.OSAP)
    if args.protocol != Protocol.ADCP:
        raise TpmError(Rc.BAD_PARAMETER)
    if args.entity not in (Entity.OWNER, Entity.SRK):
        raise TpmError(Rc.WRONG_ENTITYTYPE)
    owner = tpm.permanent.owner
    if owner is None:
        raise TpmError(Rc.NOSRK)
    new_auth = call.decrypt_auth(args.new_auth)
    before = [entities.of_owner(tpm).identity]
    if args.entity == Entity.OWNER:
        changed = replace(owner, auth=new_auth)
    else:
        before.append(entities.of_key(tpm.keys.srk()).identity)
        secret = replace(owner.srk.secret, usage_auth=new_auth)
        changed = replace(owner, srk=replace(owner.srk, secret=secret))
    tpm.commit(replace(tpm.permanent, owner=changed))
    for identity in before:
        tpm.sessions.close_where(identity)
    call.end_session()


def change_auth_asym_start(call: Call, args: AsymStartIn) -> AsymStartOut:
    """INVALID_KEYHANDLE, AUTHFAIL, INVALID_KEYUSAGE for a key that is no identity, BAD_KEY_PROPERTY for one
    that cannot be made, NOSPACE.
    """
    tpm = call.tpm
    identity = call.use_key(args.identity)
    identity.need_usage(KeyUsage.IDENTITY)
    kind = KeyUsage.AUTHCHANGE, KeyFlag.VOLATILE, AuthUsage.NEVER
    wanted = Key(VERSION_1_1, *kind, args.parameters, b"", b"", b"")
    keygen.check_parameters(wanted)
    private = keygen.generate(tpm, wanted)
    key = replace(wanted, public=private.public.modulus)
    none = bytes(DIGEST_SIZE)
    secret = StoreAsymKey(Payload.ASYM, none, none, key.public_digest(), private.prime)
    loaded = tpm.keys.add(key, secret, parent_pcr=False)
    info = certify_info(key, args.anti_replay, parent_pcr=False, pcr_info=b"")
    return AsymStartOut(info, identity.rsa.sign_sha1(sha1(info.encode())), loaded.handle, key)


def change_auth_asym_finish(call: Call, args: AsymFinishIn) -> AsymFinishOut:
    """INVALID_KEYHANDLE; AUTHFAIL, where the owner's secret stands for the SRK's, and for a link that is not
    made with the present secret; WRONG_ENTITYTYPE, INVALID_KEYUSAGE for a parent that is no storage key,
    BAD_PARAMETER for a temporary key that is none, DECRYPT_ERROR, INVALID_STRUCTURE. The temporary key ends.
    """
    tpm = call.tpm
    if args.parent == Handle.SRK and call.count:
        call.owner()
        parent = tpm.keys.srk()
    else:
        parent = call.use_key(args.parent)
    if args.entity not in _CHANGEABLE:
        raise TpmError(Rc.WRONG_ENTITYTYPE)
    secret = _decrypt(tpm, parent, args.entity, args.encrypted)
    temporary = tpm.keys.get(args.temporary)
    if temporary.key.usage != KeyUsage.AUTHCHANGE:
        raise TpmError(Rc.BAD_PARAMETER)
    wanted = _validate(temporary.rsa.decrypt_oaep(args.new_auth))
    if not hmac.compare_digest(hmac_sha1(_auth(secret), wanted.new_auth), args.link):
        raise TpmError(Rc.AUTHFAIL)
    encrypted = _encrypt(parent, secret, wanted.new_auth)
    salt = new_nonce()
    tpm.keys.flush(args.temporary)
    return AsymFinishOut(encrypted, salt, hmac_sha1(wanted.new_auth, salt, wanted.nonce))


def _validate(decrypted: bytes) -> ChangeAuthValidate:
    try:
        return ChangeAuthValidate.decode(decrypted)
    except TpmError as error:
        raise TpmError(Rc.INVALID_STRUCTURE) from error


ROWS: Final = (
    Command(
        Ord.CHANGE_AUTH,
        "TPM_ChangeAuth",
        "17.1",
        change_auth,
        ChangeAuthIn,
        auths=(2,),
        handles=1,
        needs_owner=True,
        key_right=6,
    ),
    Command(
        Ord.CHANGE_AUTH_OWNER,
        "TPM_ChangeAuthOwner",
        "17.2",
        change_auth_owner,
        ChangeAuthOwnerIn,
        auths=(1,),
        needs_owner=True,
        audit=Auditing.ON,
    ),
    Command(
        Ord.CHANGE_AUTH_ASYM_START,
        "TPM_ChangeAuthAsymStart",
        "27.4.1",
        change_auth_asym_start,
        AsymStartIn,
        auths=(0, 1),
        handles=1,
        needs_owner=True,
        key_right=26,
    ),
    Command(
        Ord.CHANGE_AUTH_ASYM_FINISH,
        "TPM_ChangeAuthAsymFinish",
        "27.4.2",
        change_auth_asym_finish,
        AsymFinishIn,
        auths=(0, 1),
        handles=2,
        needs_owner=True,
        key_right=25,
    ),
)
