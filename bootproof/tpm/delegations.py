# SPDX-License-Identifier: GPL-3.0-or-later
"""Delegations at work: whether one allows a command, and the blobs that carry them (Part 1, 28)."""

from __future__ import annotations

import hmac
import os
from dataclasses import replace
from typing import TYPE_CHECKING, Final, TypeVar

from bootproof.tpm import numbers
from bootproof.tpm.codes import DIGEST_SIZE, Rc, TpmError
from bootproof.tpm.commands.absent import ABSENT
from bootproof.tpm.numbers import Handle
from bootproof.tpm.sessions import hmac_sha1
from bootproof.tpm.structures.delegation import (
    KEY_BITS,
    OWNER_BITS,
    DelegatePublic,
    DelegateRow,
    DelegateSensitive,
    DelegateTables,
    Delegations,
    Family,
    KeyBlob,
    OwnerBlob,
)
from bootproof.tpm.structures.keys import sha1

if TYPE_CHECKING:
    from bootproof.tpm.call import Call
    from bootproof.tpm.command import Command
    from bootproof.tpm.machine import Tpm

_AES_BLOCK: Final = 16
_KINDS: Final[dict[int, int]] = {
    numbers.Entity.OWNER: OWNER_BITS,
    numbers.Entity.SRK: KEY_BITS,
    numbers.Entity.KEYHANDLE: KEY_BITS,
}
Blob = TypeVar("Blob", bound=OwnerBlob | KeyBlob)


def check_rights(tpm: Tpm, permissions: Delegations, kind: int) -> None:
    """BAD_PARAMETER unless they are of that kind, and each of their bits stands for an ordinal, be it one
    that this TPM has not.
    """
    known = 0
    for row in (*tpm.commands.values(), *ABSENT):
        known |= row.right(kind)
    if permissions.kind != kind or permissions.per2 or permissions.per1 & ~known:
        raise TpmError(Rc.BAD_PARAMETER)


def check_family(tpm: Tpm, public: DelegatePublic) -> None:
    """BADINDEX, DISABLED_CMD, FAMILYCOUNT unless its family is there, enabled, and of the same count."""
    family = tpm.permanent.delegations.family(public.family)
    family.need_enabled()
    if family.verification != public.verification:
        raise TpmError(Rc.FAMILYCOUNT)


def permit(tpm: Tpm, public: DelegatePublic, entity: int, command: Command) -> None:
    """Check that a delegate may run the command now.

    What `check_family` raises; AUTHFAIL for a command that was not delegated; WRONGPCRVAL, BAD_LOCALITY.
    """
    check_family(tpm, public)
    kind = _KINDS.get(entity)
    if kind is None or not public.permissions.allow(kind, command.right(kind)):
        raise TpmError(Rc.AUTHFAIL)
    public.pcr_info.holds(tpm.pcrs.values, tpm.locality)


def pointed_row(tpm: Tpm) -> DelegateRow | None:
    """Return the row that stands for the owner (TPM_SetOwnerPointer), None for himself; BADINDEX."""
    index = tpm.stclear_data.owner_pointer
    return None if index == Handle.OWNER else tpm.permanent.delegations.row(index)


def need_same_family(call: Call, family: Family | None) -> None:
    """DELEGATE_FAMILY for a delegate who meddles with another family than his own."""
    delegate = call.delegation()
    if delegate is not None and family is not None and delegate.family != family.number:
        raise TpmError(Rc.DELEGATE_FAMILY)


def commit(tpm: Tpm, tables: DelegateTables) -> None:
    """Make a change of the tables lasting. No delegate's session survives it, and the owner is the owner.

    IOERROR. Without an owner it is one of the few writes that there may be.
    """
    nv = tpm.permanent.nv
    if tpm.permanent.owner is None:
        nv = replace(nv, ownerless_writes=nv.ownerless_writes + 1)
    tpm.commit(replace(tpm.permanent, delegations=tables, nv=nv))
    tpm.stclear_data = replace(tpm.stclear_data, owner_pointer=int(Handle.OWNER))
    for session in tpm.sessions:
        if session.delegation:
            tpm.sessions.close(session.handle)


# blobs --------------------------------------------------------------------------------------------


def seal_secret(tpm: Tpm, auth: bytes) -> tuple[bytes, bytes]:
    """Return the `additional` and `sensitive` parts of a blob."""
    counter = os.urandom(_AES_BLOCK)
    return counter, _crypt(tpm, counter, DelegateSensitive(auth).encode())


def open_secret(tpm: Tpm, blob: OwnerBlob | KeyBlob) -> bytes:
    """Return the delegate's authorisation data; BAD_DELEGATE."""
    if len(blob.additional) != _AES_BLOCK:
        raise TpmError(Rc.BAD_DELEGATE)
    try:
        return DelegateSensitive.decode(_crypt(tpm, blob.additional, blob.sensitive)).auth
    except TpmError as error:
        raise TpmError(Rc.BAD_DELEGATE) from error


def _crypt(tpm: Tpm, counter: bytes, data: bytes) -> bytes:
    """Encrypt or decrypt with TPM_DELEGATE_KEY, which ends with the owner, as tpmProof does."""
    from bootproof.tpm.crypto.symmetric import aes_ctr

    key = sha1(b"delegate key", tpm.permanent.tpm_proof)[:_AES_BLOCK]
    return aes_ctr(key, counter, data)


def signed(tpm: Tpm, blob: Blob) -> Blob:
    """Return the blob with its integrity digest."""
    bare = replace(blob, integrity=bytes(DIGEST_SIZE))
    return replace(bare, integrity=hmac_sha1(tpm.permanent.tpm_proof, bare.encode()))


def check_integrity(tpm: Tpm, blob: OwnerBlob | KeyBlob) -> None:
    """AUTHFAIL unless this TPM has made the blob for its present owner."""
    expected = signed(tpm, blob).integrity
    if not hmac.compare_digest(expected, blob.integrity):
        raise TpmError(Rc.AUTHFAIL)
