# SPDX-License-Identifier: GPL-3.0-or-later
"""The audit digest: a hash over what audited commands were given and have answered (Part 3, 8.1)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from bootproof.tpm.codes import DIGEST_SIZE, Rc, TpmError
from bootproof.tpm.command import Auditing, Command
from bootproof.tpm.structures.audit import Audit, AuditEventIn, AuditEventOut, pack_ordinals
from bootproof.tpm.structures.keys import sha1
from bootproof.tpm.structures.transport import Attribute

if TYPE_CHECKING:
    from bootproof.tpm.machine import Tpm
    from bootproof.tpm.state import Permanent

NO_EVENTS: Final = bytes(DIGEST_SIZE)
_SUCCESS: Final = bytes(4)


def initial(commands: Mapping[int, Command], count: int = 0) -> Audit:
    """Return what a TPM with these commands audits as long as no owner has said otherwise."""
    audited = frozenset(row.ordinal for row in commands.values() if row.audit is Auditing.ON)
    return Audit(count, pack_ordinals(audited))


def counted(permanent: Permanent) -> Permanent:
    """Return the state after another audit digest has begun."""
    audit = permanent.audit
    return replace(permanent, audit=replace(audit, count=audit.count + 1 & 0xFFFFFFFF))


def record_in(tpm: Tpm, ordinal: int, parameters: bytes) -> None:
    """Extend the digest by the input of a command; `parameters` is what its HMAC covers, or would.

    A new digest is counted in the first commit of the command, here if it made none.
    AUDITFAIL_UNSUCCESSFUL, and the TPM fails until TPM_Init, if the counter of a new digest cannot be kept.
    """
    if tpm.audit_digest == NO_EVENTS and not tpm.audit_counted:
        tpm.begins_audit = True
        try:
            tpm.commit(tpm.permanent)
        except TpmError as error:
            tpm.failed = True
            raise TpmError(Rc.AUDITFAIL_UNSUCCESSFUL) from error
    if _hidden(tpm):
        parameters = sha1(ordinal.to_bytes(4))
    event = AuditEventIn(parameters, tpm.permanent.audit.counter)
    tpm.audit_digest = sha1(tpm.audit_digest, event.encode())


def record_out(tpm: Tpm, ordinal: int, parameters: bytes) -> None:
    """Extend the digest by the output of a command that succeeded."""
    if _hidden(tpm):
        parameters = sha1(_SUCCESS, ordinal.to_bytes(4))
    event = AuditEventOut(parameters, tpm.permanent.audit.counter)
    tpm.audit_digest = sha1(tpm.audit_digest, event.encode())


def record(tpm: Tpm, ordinal: int, into: bytes, out: bytes) -> None:
    """Extend the digest by a command that succeeded; AUDITFAIL_SUCCESSFUL where record_in fails."""
    try:
        record_in(tpm, ordinal, into)
    except TpmError as error:
        raise TpmError(Rc.AUDITFAIL_SUCCESSFUL) from error
    record_out(tpm, ordinal, out)


def _hidden(tpm: Tpm) -> bool:
    """Whether the command travels encrypted, so that its parameters must not be told by the digest."""
    return tpm.within is not None and tpm.within.public.has(Attribute.ENCRYPT)
