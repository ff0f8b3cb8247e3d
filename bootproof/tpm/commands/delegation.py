# SPDX-License-Identifier: GPL-3.0-or-later
"""Delegations in blobs (Part 3, 19.2, 19.3, 19.6 and 19.7)."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

from bootproof.tpm import delegations
from bootproof.tpm.codes import DIGEST_SIZE, Rc, TpmError
from bootproof.tpm.command import Command
from bootproof.tpm.numbers import Protocol
from bootproof.tpm.ordinals import Ord
from bootproof.tpm.structures.delegation import (
    KEY_BITS,
    KEY_BLOB_TAG,
    OWNER_BITS,
    OWNER_BLOB_TAG,
    DelegatePublic,
    KeyBlob,
    OwnerBlob,
)
from bootproof.tpm.structures.keys import StorePubkey, sha1
from bootproof.tpm.structures.pcrinfo import check_locality_bits
from bootproof.tpm.wire import Structure, boolean, digest, nested, sized32, structure, uint32

if TYPE_CHECKING:
    from bootproof.tpm.call import Call
    from bootproof.tpm.machine import Tpm

_INDEX_SIZE: Final = 4
_TAG_SIZE: Final = 2


@structure
class BlobOut(Structure):
    """A blob; nothing where a row was changed."""

    blob: bytes = sized32()


@structure
class KeyDelegationIn(Structure):
    """TPM_Delegate_CreateKeyDelegation: key, what is allowed, the delegate's secret, encrypted."""

    handle: int = uint32()
    public: DelegatePublic = nested(DelegatePublic)
    auth: bytes = digest()


@structure
class OwnerDelegationIn(Structure):
    """TPM_Delegate_CreateOwnerDelegation: whether all earlier delegations of the family become void, what is
    allowed, the delegate's secret, encrypted.
    """

    increment: bool = boolean()
    public: DelegatePublic = nested(DelegatePublic)
    auth: bytes = digest()


@structure
class DelegationIn(Structure):
    """A delegation blob or, for TPM_Delegate_UpdateVerification, the index of a row."""

    data: bytes = sized32()


def create_key_delegation(call: Call, args: KeyDelegationIn) -> BlobOut:
    """INVALID_KEYHANDLE, WRONGPCRVAL, BAD_LOCALITY, AUTHFAIL, BADINDEX; for a delegate DELEGATE_FAMILY,
    DISABLED_CMD, AUTHFAIL for rights that he has not; BAD_PARAMETER, INVALID_PCR_INFO for rights that are
    none of a key; INVALID_AUTHHANDLE for a session that is neither OSAP nor DSAP.
    """
    tpm = call.tpm
    key = call.use_key(args.handle)
    auth, public = _new_delegation(call, args.public, KEY_BITS, args.auth)
    family = tpm.permanent.delegations.family(public.family)
    digest_of_key = sha1(StorePubkey(key.key.public).encode())
    counted = replace(public, verification=family.verification)
    secret = delegations.seal_secret(tpm, auth)
    blob = KeyBlob(counted, bytes(DIGEST_SIZE), digest_of_key, *secret)
    return BlobOut(delegations.signed(tpm, blob).encode())


def create_owner_delegation(call: Call, args: OwnerDelegationIn) -> BlobOut:
    """As TPM_Delegate_CreateKeyDelegation, for rights of the owner."""
    tpm = call.tpm
    call.owner()
    auth, public = _new_delegation(call, args.public, OWNER_BITS, args.auth)
    tables = tpm.permanent.delegations
    family = tables.family(public.family)
    if args.increment:
        family = replace(family, verification=family.verification + 1)
        delegations.commit(tpm, tables.with_family(family))
    counted = replace(public, verification=family.verification)
    blob = OwnerBlob(counted, bytes(DIGEST_SIZE), *delegations.seal_secret(tpm, auth))
    return BlobOut(delegations.signed(tpm, blob).encode())


def _new_delegation(
    call: Call, public: DelegatePublic, kind: int, auth: bytes
) -> tuple[bytes, DelegatePublic]:
    """Check what is to be delegated by an authorised caller, and return the delegate's secret with it."""
    family = call.tpm.permanent.delegations.family(public.family)
    delegate = call.delegation()
    if delegate is not None:
        delegations.need_same_family(call, family)
        family.need_enabled()
        if not delegate.permissions.cover(public.permissions):
            raise TpmError(Rc.AUTHFAIL)
    delegations.check_rights(call.tpm, public.permissions, kind)
    check_locality_bits(public.pcr_info.locality_at_release)
    if call.session().protocol == Protocol.OIAP:
        raise TpmError(Rc.INVALID_AUTHHANDLE)
    call.end_session()
    return call.decrypt_auth(auth), public


def update_verification(call: Call, args: DelegationIn) -> BlobOut:
    """Bring a delegation up to its family's count, which makes it valid again.

    AUTHFAIL, also for a blob that this TPM has not made; BADINDEX; BAD_PARAMETER, INVALID_STRUCTURE,
    BAD_PARAM_SIZE for what is no delegation; for a delegate DELEGATE_FAMILY and DISABLED_CMD.
    """
    tpm = call.tpm
    call.owner()
    tables = tpm.permanent.delegations
    if len(args.data) == _INDEX_SIZE:
        row = tables.row(int.from_bytes(args.data))
        tpm.commit(
            replace(
                tpm.permanent,
                delegations=tables.with_row(replace(row, public=_counted(call, row.public))),
            )
        )
        return BlobOut(b"")
    blob = _decode_blob(args.data)
    delegations.check_integrity(tpm, blob)
    renewed = replace(blob, public=_counted(call, blob.public))
    return BlobOut(delegations.signed(tpm, renewed).encode())


def _counted(call: Call, public: DelegatePublic) -> DelegatePublic:
    family = call.tpm.permanent.delegations.family(public.family)
    if call.delegation() is not None:
        delegations.need_same_family(call, family)
        family.need_enabled()
    return replace(public, verification=family.verification)


def _decode_blob(data: bytes) -> OwnerBlob | KeyBlob:
    if len(data) < _TAG_SIZE:
        raise TpmError(Rc.BAD_PARAM_SIZE)
    kind = _BLOBS.get(int.from_bytes(data[:_TAG_SIZE]))
    if kind is None:
        raise TpmError(Rc.BAD_PARAMETER)
    return kind.decode(data)


_BLOBS: Final[dict[int, type[OwnerBlob] | type[KeyBlob]]] = {
    OWNER_BLOB_TAG: OwnerBlob,
    KEY_BLOB_TAG: KeyBlob,
}


def verify_delegation(tpm: Tpm, args: DelegationIn) -> None:
    """INVALID_STRUCTURE, BAD_PARAM_SIZE, BAD_PARAMETER for what is no blob, or has a malformed secret;
    BADINDEX, DISABLED_CMD, FAMILYCOUNT for its family; AUTHFAIL for a blob that this TPM has not made.
    """
    blob = _decode_blob(args.data)
    delegations.check_family(tpm, blob.public)
    delegations.check_integrity(tpm, blob)
    try:
        delegations.open_secret(tpm, blob)
    except TpmError as error:
        raise TpmError(Rc.BAD_PARAMETER) from error


ROWS: Final = (
    Command(
        Ord.DELEGATE_CREATE_KEY_DELEGATION,
        "TPM_Delegate_CreateKeyDelegation",
        "19.2",
        create_key_delegation,
        KeyDelegationIn,
        auths=(1,),
        handles=1,
        needs_owner=True,
        key_right=7,
    ),
    Command(
        Ord.DELEGATE_CREATE_OWNER_DELEGATION,
        "TPM_Delegate_CreateOwnerDelegation",
        "19.3",
        create_owner_delegation,
        OwnerDelegationIn,
        auths=(1,),
        needs_owner=True,
        owner_right=1,
    ),
    Command(
        Ord.DELEGATE_UPDATE_VERIFICATION,
        "TPM_Delegate_UpdateVerification",
        "19.6",
        update_verification,
        DelegationIn,
        auths=(1,),
        needs_owner=True,
        owner_right=5,
    ),
    Command(
        Ord.DELEGATE_VERIFY_DELEGATION,
        "TPM_Delegate_VerifyDelegation",
        "19.7",
        verify_delegation,
        DelegationIn,
        needs_owner=True,
    ),
)
