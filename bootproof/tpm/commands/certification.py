# SPDX-License-Identifier: GPL-3.0-or-later
"""Keys that vouch for keys (Part 3, 13.8 and 13.9)."""

from __future__ import annotations

import hmac
from typing import TYPE_CHECKING, Final

from bootproof.tpm.codes import DIGEST_SIZE, Rc, TpmError
from bootproof.tpm.command import Command
from bootproof.tpm.commands.signing import need_attesting_scheme, need_attesting_use
from bootproof.tpm.numbers import LOCALITY_BITS, KeyFlag, KeyUsage, Payload
from bootproof.tpm.ordinals import Ord
from bootproof.tpm.sessions import hmac_sha1
from bootproof.tpm.structures.certify import (
    CertifyInfo,
    CertifyInfo2,
    CmkMigrationAuth,
    certify_info,
    certify_info2,
)
from bootproof.tpm.structures.keys import sha1
from bootproof.tpm.structures.pcrinfo import PcrInfo, PcrInfoShort, PcrSelection
from bootproof.tpm.wire import Structure, digest, nested, sized32, structure, uint32

if TYPE_CHECKING:
    from bootproof.tpm.call import Call
    from bootproof.tpm.keys import LoadedKey
    from bootproof.tpm.machine import Tpm

_OLD_SELECT_SIZE: Final = 2  # bytes of a selection of the 16 PCRs of TPM 1.1
_CERTIFIABLE: Final = (
    KeyUsage.SIGNING,
    KeyUsage.STORAGE,
    KeyUsage.IDENTITY,
    KeyUsage.BIND,
    KeyUsage.LEGACY,
)
_RESTRICTED: Final = (Payload.MIGRATE_RESTRICTED, Payload.MIGRATE_EXTERNAL)


@structure
class CertifyKeyIn(Structure):
    """TPM_CertifyKey: who vouches, for which key, a nonce of the caller's."""

    certifier: int = uint32()
    key: int = uint32()
    nonce: bytes = digest()


@structure
class CertifyKey2In(Structure):
    """TPM_CertifyKey2: for which key, who vouches, digest of the migration authorities, nonce."""

    key: int = uint32()
    certifier: int = uint32()
    migration_digest: bytes = digest()
    nonce: bytes = digest()


@structure
class CertifyKeyOut(Structure):
    """A statement in the layout of TPM 1.1, and the signature over its SHA-1."""

    info: CertifyInfo = nested(CertifyInfo)
    signature: bytes = sized32()


@structure
class CertifyKey2Out(Structure):
    """A statement in the layout of TPM 1.2, and the signature over its SHA-1."""

    info: CertifyInfo2 = nested(CertifyInfo2)
    signature: bytes = sized32()


def certify_key(call: Call, args: CertifyKeyIn) -> CertifyKeyOut | CertifyKey2Out:
    """INVALID_KEYHANDLE, WRONGPCRVAL, BAD_LOCALITY; BAD_KEY_PROPERTY for a certifier with the scheme DER, or
    none; AUTHFAIL, AUTH2FAIL; INVALID_KEYUSAGE for a key that is certified for migration, a certifier that
    does not sign, an authchange or migrate key; MIGRATEFAIL where an identity meets a key that may migrate.
    """
    certifier, key = _find(call, args.certifier, args.key)
    call.authorize_key(certifier, 0 if call.count == 2 else None)
    call.authorize_key(key, call.count - 1 if call.count else None, reads_public=True)
    if key.secret.payload != Payload.ASYM:
        raise TpmError(Rc.INVALID_KEYUSAGE)
    if certifier.key.usage == KeyUsage.IDENTITY and key.key.has(KeyFlag.MIGRATABLE):
        raise TpmError(Rc.MIGRATEFAIL)
    need_attesting_use(certifier)
    key.need_usage(*_CERTIFIABLE)
    call.check_condition(key, reads_public=True)
    if key.condition is not None and _needs_new_layout(key.condition):
        statement = _statement2(key, args.nonce)
        return CertifyKey2Out(statement, _signature(certifier, statement))
    pcr_info = b"" if key.condition is None else _old_pcr_info(key.condition).encode()
    info = certify_info(key.key, args.nonce, key.stored.parent_pcr, pcr_info)
    return CertifyKeyOut(info, _signature(certifier, info))


def certify_key2(call: Call, args: CertifyKey2In) -> CertifyKey2Out:
    """As TPM_CertifyKey, with the authorisations in the other order, and for certified migration keys, too;
    MA_SOURCE where `migration_digest` is not of those that may migrate it.
    """
    certifier, key = _find(call, args.certifier, args.key)
    call.authorize_key(key, 0 if call.count == 2 else None, reads_public=True)
    call.authorize_key(certifier, call.count - 1 if call.count else None)
    restricted = key.secret.payload in _RESTRICTED
    certified = restricted and key.key.has(KeyFlag.MIGRATE_AUTHORITY)
    if certifier.key.usage == KeyUsage.IDENTITY and key.key.has(KeyFlag.MIGRATABLE) and not certified:
        raise TpmError(Rc.MIGRATEFAIL)
    need_attesting_use(certifier)
    key.need_usage(*_CERTIFIABLE)
    authority = b""
    if restricted:
        _need_migration_authority(call.tpm, key, args.migration_digest)
        authority = sha1(args.migration_digest, bytes([key.secret.payload]))
    call.check_condition(key, reads_public=True)
    statement = _statement2(key, args.nonce, authority)
    return CertifyKey2Out(statement, _signature(certifier, statement))


def _find(call: Call, certifier: int, key: int) -> tuple[LoadedKey, LoadedKey]:
    """Return both keys, whose authorisations are still to be checked, and the second one's PCRs."""
    keys = call.tpm.keys
    found = keys.get(certifier), keys.get(key)
    call.check_condition(found[0])
    need_attesting_scheme(found[0], Rc.BAD_KEY_PROPERTY)
    return found


def _needs_new_layout(condition: PcrInfoShort) -> bool:
    """Whether TPM 1.1 could not have said this: PCR 16 and up, or a locality."""
    beyond = any(index >= 8 * _OLD_SELECT_SIZE for index in condition.selection.indices())
    return beyond or condition.locality_at_release != LOCALITY_BITS


def _old_pcr_info(condition: PcrInfoShort) -> PcrInfo:
    """Return the binding in 44 bytes (13.8, 9.b)."""
    bits = condition.selection.bits[:_OLD_SELECT_SIZE].ljust(_OLD_SELECT_SIZE, b"\0")
    return PcrInfo(PcrSelection(bits), condition.digest_at_release, bytes(DIGEST_SIZE))


def _statement2(key: LoadedKey, nonce: bytes, authority: bytes = b"") -> CertifyInfo2:
    pcr_info = b"" if key.condition is None else key.condition.encode()
    return certify_info2(
        key.key,
        nonce,
        payload=key.secret.payload,
        parent_pcr=key.stored.parent_pcr,
        pcr_info=pcr_info,
        authority=authority,
    )


def _need_migration_authority(tpm: Tpm, key: LoadedKey, authorities: bytes) -> None:
    bound = CmkMigrationAuth(authorities, key.key.pubkey().digest())
    wanted = hmac_sha1(tpm.permanent.tpm_proof, bound.encode())
    if not hmac.compare_digest(wanted, key.secret.migration_auth):
        raise TpmError(Rc.MA_SOURCE)


def _signature(certifier: LoadedKey, statement: CertifyInfo | CertifyInfo2) -> bytes:
    return certifier.rsa.sign_sha1(sha1(statement.encode()))


ROWS: Final = (
    Command(
        Ord.CERTIFY_KEY,
        "TPM_CertifyKey",
        "13.8",
        certify_key,
        CertifyKeyIn,
        auths=(0, 1, 2),
        handles=2,
        needs_owner=True,
        key_right=12,
    ),
    Command(
        Ord.CERTIFY_KEY2,
        "TPM_CertifyKey2",
        "13.9",
        certify_key2,
        CertifyKey2In,
        auths=(0, 1, 2),
        handles=2,
        needs_owner=True,
        key_right=13,
    ),
)
