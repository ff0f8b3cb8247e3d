# SPDX-License-Identifier: GPL-3.0-or-later
"""What is audited, and the audit digest (Part 3, 8)."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

from bootproof.tpm import audit
from bootproof.tpm.codes import HEADER_SIZE, Rc, TpmError
from bootproof.tpm.command import Auditing, Command
from bootproof.tpm.numbers import KeyUsage, SigScheme
from bootproof.tpm.ordinals import Ord
from bootproof.tpm.structures.audit import pack_ordinals
from bootproof.tpm.structures.certify import SignInfo
from bootproof.tpm.structures.counters import CounterValue
from bootproof.tpm.structures.keys import sha1
from bootproof.tpm.wire import (
    Structure,
    boolean,
    digest,
    nested,
    sized32,
    structure,
    uint32,
)

if TYPE_CHECKING:
    from bootproof.tpm.call import Call
    from bootproof.tpm.machine import Tpm

_SIGNED: Final = b"ADIG"
_ORDINAL_SIZE: Final = 4


@structure
class AuditDigestIn(Structure):
    """TPM_GetAuditDigest: the ordinal from which on audited ones are listed."""

    start: int = uint32()


@structure
class AuditDigestOut(Structure):
    """TPM_GetAuditDigest; `more` ordinals are audited than those that are listed here."""

    counter: CounterValue = nested(CounterValue)
    value: bytes = digest()
    more: bool = boolean()
    ordinals: bytes = sized32()


@structure
class AuditDigestSignedIn(Structure):
    """TPM_GetAuditDigestSigned: the key that signs, whether to begin a new digest, the caller's nonce."""

    handle: int = uint32()
    close: bool = boolean()
    replay: bytes = digest()


@structure
class AuditDigestSignedOut(Structure):
    """TPM_GetAuditDigestSigned: the signature is over a TPM_SIGN_INFO of the rest."""

    counter: CounterValue = nested(CounterValue)
    value: bytes = digest()
    ordinals_digest: bytes = digest()
    signature: bytes = sized32()


@structure
class AuditStatusIn(Structure):
    """TPM_SetOrdinalAuditStatus."""

    ordinal: int = uint32()
    audited: bool = boolean()


def get_audit_digest(tpm: Tpm, args: AuditDigestIn) -> AuditDigestOut:
    """Return the counter, the digest, and as many of the audited ordinals as there is room for."""
    counter = tpm.permanent.audit.counter
    empty = HEADER_SIZE + len(AuditDigestOut(counter, tpm.audit_digest, False, b"").encode())
    listed = sorted(ordinal for ordinal in _audited(tpm) if ordinal >= args.start)
    fitting = listed[: (tpm.room - empty) // _ORDINAL_SIZE]
    packed = pack_ordinals(frozenset(fitting))
    return AuditDigestOut(counter, tpm.audit_digest, len(fitting) < len(listed), packed)


def _audited(tpm: Tpm) -> frozenset[int]:
    """Return the ordinals of this TPM that are audited."""
    return tpm.audited & frozenset(tpm.commands)


def get_audit_digest_signed(call: Call, args: AuditDigestSignedIn) -> AuditDigestSignedOut:
    """INVALID_KEYHANDLE, WRONGPCRVAL, BAD_LOCALITY, AUTHFAIL; INVALID_KEYUSAGE for a key that is not for
    signing, has another scheme than SHA1 or INFO, or is no identity where a new digest is to begin.
    """
    tpm = call.tpm
    key = call.use_key(args.handle)
    key.need_usage(KeyUsage.SIGNING, KeyUsage.IDENTITY, KeyUsage.LEGACY)
    if key.key.parameters.signature not in (SigScheme.PKCS1_SHA1, SigScheme.PKCS1_INFO):
        raise TpmError(Rc.INVALID_KEYUSAGE)
    if args.close:
        key.need_usage(KeyUsage.IDENTITY)
    counter, value = tpm.permanent.audit.counter, tpm.audit_digest
    ordinals = sha1(pack_ordinals(_audited(tpm)))
    info = SignInfo(_SIGNED, args.replay, value + counter.encode() + ordinals)
    signature = key.rsa.sign_sha1(sha1(info.encode()))
    if args.close:
        tpm.audit_digest = audit.NO_EVENTS
    return AuditDigestSignedOut(counter, value, ordinals, signature)


def set_ordinal_audit_status(call: Call, args: AuditStatusIn) -> None:
    """NOSRK, AUTHFAIL; BADINDEX for an ordinal that this TPM has not, BAD_PARAMETER for one that is never
    audited.
    """
    tpm = call.tpm
    call.owner()
    command = tpm.commands.get(args.ordinal)
    if command is None:
        raise TpmError(Rc.BADINDEX)
    if args.audited and command.audit is Auditing.NEVER:
        raise TpmError(Rc.BAD_PARAMETER)
    permanent = tpm.permanent
    after = tpm.audited | {args.ordinal} if args.audited else tpm.audited - {args.ordinal}
    tpm.commit(replace(permanent, audit=replace(permanent.audit, ordinals=pack_ordinals(after))))


ROWS: Final = (
    Command(
        Ord.GET_AUDIT_DIGEST,
        "TPM_GetAuditDigest",
        "8.3",
        get_audit_digest,
        AuditDigestIn,
        audit=Auditing.NEVER,
    ),
    Command(
        Ord.GET_AUDIT_DIGEST_SIGNED,
        "TPM_GetAuditDigestSigned",
        "8.4",
        get_audit_digest_signed,
        AuditDigestSignedIn,
        auths=(0, 1),
        handles=1,
        needs_owner=True,
        audit=Auditing.NEVER,
        key_right=15,
    ),
    Command(
        Ord.SET_ORDINAL_AUDIT_STATUS,
        "TPM_SetOrdinalAuditStatus",
        "8.5",
        set_ordinal_audit_status,
        AuditStatusIn,
        auths=(1,),
        needs_owner=True,
        audit=Auditing.ON,
        owner_right=30,
    ),
)
