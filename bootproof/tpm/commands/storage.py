# SPDX-License-Identifier: GPL-3.0-or-later
"""Sealing data to this TPM and its PCRs; opening what was sealed or bound (Part 3, 10.1 to 10.3, 10.7)."""

from __future__ import annotations

import hmac
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from bootproof.tpm import numbers
from bootproof.tpm.codes import Rc, TpmError
from bootproof.tpm.command import Command
from bootproof.tpm.crypto.padding import OAEP_OVERHEAD
from bootproof.tpm.crypto.symmetric import aes_ctr, mgf1_xor
from bootproof.tpm.entities import Entity
from bootproof.tpm.numbers import (
    VERSION_1_1,
    Adip,
    EncScheme,
    KeyFlag,
    KeyUsage,
    Payload,
    Protocol,
    Tag,
)
from bootproof.tpm.ordinals import Ord
from bootproof.tpm.structures.keys import sha1
from bootproof.tpm.structures.pcrinfo import PcrInfo, PcrInfoLong, composite_hash, release_condition
from bootproof.tpm.structures.sealed import SealedData, StoredData, bound_data
from bootproof.tpm.wire import Structure, digest, nested, sized32, structure, uint32

if TYPE_CHECKING:
    from bootproof.tpm.call import Call
    from bootproof.tpm.keys import LoadedKey
    from bootproof.tpm.machine import Tpm
    from bootproof.tpm.state import Session

_AES_BLOCK: Final = 16
_HEAD12: Final = Tag.STORED_DATA12.to_bytes(2)
_NOT_ENCRYPTED: Final = 0


@structure
class SealIn(Structure):
    """TPM_Seal and TPM_Sealx: key, encrypted authorisation data, PCR binding, data."""

    handle: int = uint32()
    auth: bytes = digest()
    pcr_info: bytes = sized32()
    data: bytes = sized32()


@structure
class SealOut(Structure):
    """Sealed data."""

    sealed: StoredData = nested(StoredData)


@structure
class UnsealIn(Structure):
    """TPM_Unseal: key and sealed data."""

    handle: int = uint32()
    sealed: StoredData = nested(StoredData)


@structure
class UnbindIn(Structure):
    """TPM_UnBind: key and encrypted data."""

    handle: int = uint32()
    data: bytes = sized32()


@structure
class DataOut(Structure):
    """Data in the clear (or, after Sealx, encrypted for the session)."""

    data: bytes = sized32()


def seal(call: Call, args: SealIn) -> SealOut:
    """BAD_MODE for a session that is not OSAP, AUTHFAIL, BAD_PARAMETER for no data, INVALID_KEYUSAGE for a
    key that is no storage key or may migrate, BADINDEX for a wrong PCR binding, BAD_DATASIZE.
    """
    key = _sealing_key(call, args)
    is_long = args.pcr_info[:2] == Tag.PCR_INFO_LONG.to_bytes(2)
    head = _HEAD12 + _NOT_ENCRYPTED.to_bytes(2) if is_long else VERSION_1_1
    return _seal(call, key, args, head, args.data)


def sealx(call: Call, args: SealIn) -> SealOut:
    """As TPM_Seal, but the data come encrypted for the session and PCRs are bound by PCR_INFO_LONG only."""
    key = _sealing_key(call, args)
    if args.pcr_info and args.pcr_info[:2] != Tag.PCR_INFO_LONG.to_bytes(2):
        raise TpmError(Rc.BADINDEX)
    session = call.session()
    # TPM_ET_KEY makes XOR, whose number is 0, different from no encryption
    transport = numbers.Entity.KEY if session.adip == Adip.XOR else session.adip << 8
    data = _crypt(session, session.adip, call.slots[0].given.nonce_odd, args.data)
    return _seal(call, key, args, _HEAD12 + transport.to_bytes(2), data)


def _sealing_key(call: Call, args: SealIn) -> LoadedKey:
    key = call.use_key(args.handle, protocol=Protocol.OSAP)
    if not args.data:
        raise TpmError(Rc.BAD_PARAMETER)
    _need_sealing_key(key)
    return key


def _need_sealing_key(key: LoadedKey) -> None:
    key.need_usage(KeyUsage.STORAGE)
    if key.key.has(KeyFlag.MIGRATABLE):
        raise TpmError(Rc.INVALID_KEYUSAGE)


def _seal(call: Call, key: LoadedKey, args: SealIn, head: bytes, data: bytes) -> SealOut:
    stored = StoredData(head, _note_creation(call.tpm, args.pcr_info), b"")
    auth = call.decrypt_auth(args.auth)
    secret = SealedData(Payload.SEAL, auth, call.tpm.permanent.tpm_proof, stored.digest(), data).encode()
    if len(secret) > key.rsa.size - OAEP_OVERHEAD:
        raise TpmError(Rc.BAD_DATASIZE)
    call.end_session()
    return SealOut(replace(stored, encrypted=key.rsa.public.encrypt_oaep(secret)))


def _note_creation(tpm: Tpm, pcr_info: bytes) -> bytes:
    """Return the binding with PCRs and locality of now as those of creation; BADINDEX if it is malformed."""
    try:
        if release_condition(pcr_info) is None:
            return b""
    except TpmError as error:
        raise TpmError(Rc.BADINDEX) from error
    values = tpm.pcrs.values
    if pcr_info[:2] == Tag.PCR_INFO_LONG.to_bytes(2):
        long = PcrInfoLong.decode(pcr_info)
        now = composite_hash(long.creation_selection, values)
        return replace(long, digest_at_creation=now, locality_at_creation=1 << tpm.locality).encode()
    info = PcrInfo.decode(pcr_info)
    return replace(info, digest_at_creation=composite_hash(info.selection, values)).encode()


def _crypt(session: Session, scheme: int, nonce_odd: bytes, data: bytes) -> bytes:
    """Encrypt or decrypt sealed data on its way (10.2, 9; 10.7, 13); BAD_MODE for an unknown scheme."""
    if scheme == Adip.XOR:
        return mgf1_xor(session.nonce_even + nonce_odd + b"XOR" + session.shared_secret, data)
    if scheme == Adip.AES_CTR:
        counter = sha1(session.nonce_even, nonce_odd)[:_AES_BLOCK]
        return aes_ctr(session.shared_secret[:_AES_BLOCK], counter, data)
    raise TpmError(Rc.BAD_MODE)


def unseal(call: Call, args: UnsealIn) -> DataOut:
    """INVALID_KEYHANDLE, AUTHFAIL, INVALID_KEYUSAGE, BAD_VERSION, NOTSEALED_BLOB for what this TPM did not
    seal with this key, BAD_LOCALITY, WRONGPCRVAL, AUTH2FAIL; after Sealx AUTHFAIL for one authorisation and
    BAD_MODE for an OIAP session of the key.
    """
    tpm, stored = call.tpm, args.sealed
    with_key = call.count > 1
    key = call.use_key(args.handle, 0 if with_key else None)
    _need_sealing_key(key)
    secret = _open(tpm, key, stored)
    condition = release_condition(stored.seal_info)
    if condition is not None:
        condition.check_locality(tpm.locality)
        condition.check_values(tpm.pcrs.values)
    entity = Entity(numbers.Entity.DATA, stored.digest(), secret.auth)
    call.authorize(entity, call.count - 1, Protocol.OIAP)
    if stored.transport == _NOT_ENCRYPTED:
        return DataOut(secret.data)
    if not with_key:
        raise TpmError(Rc.AUTHFAIL)
    session = call.session(0, Protocol.OSAP)
    call.end_session(0)
    return DataOut(_crypt(session, stored.transport >> 8, call.slots[0].given.nonce_odd, secret.data))


def _open(tpm: Tpm, key: LoadedKey, stored: StoredData) -> SealedData:
    """Return the secret part after checking that it is this TPM's and belongs to the rest."""
    try:
        secret = SealedData.decode(key.rsa.decrypt_oaep(stored.encrypted))
    except TpmError as error:
        raise TpmError(Rc.NOTSEALED_BLOB) from error
    known = hmac.compare_digest(secret.tpm_proof, tpm.permanent.tpm_proof)
    ours = known and secret.payload == Payload.SEAL
    if not ours or secret.stored_digest != stored.digest():
        raise TpmError(Rc.NOTSEALED_BLOB)
    return secret


def unbind(call: Call, args: UnbindIn) -> DataOut:
    """BAD_PARAMETER for no data, INVALID_KEYHANDLE, AUTHFAIL, INVALID_KEYUSAGE for a key that is for neither
    binding nor legacy use, BAD_DATASIZE, DECRYPT_ERROR, BAD_VERSION, INVALID_STRUCTURE for what is no
    TPM_BOUND_DATA.
    """
    if not args.data:
        raise TpmError(Rc.BAD_PARAMETER)
    key = call.use_key(args.handle)
    key.need_usage(KeyUsage.BIND, KeyUsage.LEGACY)
    if key.key.parameters.encryption == EncScheme.OAEP_SHA1_MGF1:
        return DataOut(bound_data(key.rsa.decrypt_oaep(args.data)))
    decrypted = key.rsa.decrypt_pkcs1(args.data)
    return DataOut(decrypted if key.key.usage == KeyUsage.LEGACY else bound_data(decrypted))


ROWS: Final = (
    Command(
        Ord.SEAL, "TPM_Seal", "10.1", seal, SealIn, auths=(1,), handles=1, needs_owner=True, key_right=1
    ),
    Command(
        Ord.SEALX, "TPM_Sealx", "10.7", sealx, SealIn, auths=(1,), handles=1, needs_owner=True, key_right=18
    ),
    Command(
        Ord.UNSEAL,
        "TPM_Unseal",
        "10.2",
        unseal,
        UnsealIn,
        auths=(1, 2),
        handles=1,
        needs_owner=True,
        key_right=2,
    ),
    Command(
        Ord.UNBIND,
        "TPM_UnBind",
        "10.3",
        unbind,
        UnbindIn,
        auths=(0, 1),
        handles=1,
        needs_owner=True,
        key_right=4,
    ),
)
