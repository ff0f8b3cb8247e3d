# SPDX-License-Identifier: GPL-3.0-or-later
"""Families, and the delegations that belong to them (Part 3, 19)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from bootproof.tpm import delegations
from bootproof.tpm.codes import DIGEST_SIZE, Rc, TpmError
from bootproof.tpm.command import Command
from bootproof.tpm.limits import DELEGATE_ROWS, OWNERLESS_NV_WRITES
from bootproof.tpm.numbers import Protocol
from bootproof.tpm.ordinals import Ord
from bootproof.tpm.structures.delegation import (
    KEY_BITS,
    KEY_BLOB_TAG,
    OWNER_BITS,
    OWNER_BLOB_TAG,
    DelegatePublic,
    DelegateRow,
    DelegateSensitive,
    DelegateTables,
    Family,
    KeyBlob,
    OwnerBlob,
)
from bootproof.tpm.structures.keys import StorePubkey, sha1
from bootproof.tpm.structures.pcrinfo import check_locality_bits
from bootproof.tpm.wire import Nothing, Structure, boolean, digest, nested, sized32, structure, uint32

if TYPE_CHECKING:
    from bootproof.tpm.call import Call
    from bootproof.tpm.machine import Tpm

_INDEX_SIZE: Final = 4
_CREATE, _ENABLE, _ADMIN, _INVALIDATE = 1, 2, 3, 4  # TPM_FAMILY_OPERATION (Part 2, 20.14)


@structure
class ManageIn(Structure):
    """TPM_Delegate_Manage: family, TPM_FAMILY_OPERATION, and a label or a BOOL."""

    family: int = uint32()
    operation: int = uint32()
    data: bytes = sized32()


@structure
class DataOut(Structure):
    """A family's number, a blob, or nothing."""

    data: bytes = sized32()


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
class LoadDelegationIn(Structure):
    """TPM_Delegate_LoadOwnerDelegation: row of the delegate table, TPM_DELEGATE_OWNER_BLOB."""

    index: int = uint32()
    blob: bytes = sized32()


@structure
class DelegationIn(Structure):
    """A delegation blob or, for TPM_Delegate_UpdateVerification, the index of a row."""

    data: bytes = sized32()


@structure
class TablesOut(Structure):
    """TPM_Delegate_ReadTable: entries of the family table; indices and public parts of delegate rows."""

    families: bytes = sized32()
    rows: bytes = sized32()


# changing the tables ------------------------------------------------------------------------------


def manage(call: Call, args: ManageIn) -> DataOut:
    """Create, enable, lock or remove a family.

    BADINDEX; AUTHFAIL; DELEGATE_FAMILY for a delegate of another one; without an owner DELEGATE_LOCK for a
    locked one and MAXNVWRITES; NOSPACE; BAD_PARAM_SIZE, BAD_PARAMETER.
    """
    tables = call.tpm.permanent.delegations
    family = None if args.operation == _CREATE else tables.family(args.family)
    _need_right(call, family)
    if family is None:
        changed = tables.with_new_family(_byte(args.data))
        _commit(call.tpm, changed)
        return DataOut(changed.last_family.to_bytes(4))
    operation = _OPERATIONS.get(args.operation)
    if operation is None:
        raise TpmError(Rc.BAD_PARAMETER)
    _commit(call.tpm, operation(tables, family, args.data))
    return DataOut(b"")


def _enable(tables: DelegateTables, family: Family, data: bytes) -> DelegateTables:
    return tables.with_family(family.with_flag(Family.ENABLED, _truth(data)))


def _lock(tables: DelegateTables, family: Family, data: bytes) -> DelegateTables:
    return tables.with_family(family.with_flag(Family.ADMIN_LOCK, _truth(data)))


def _invalidate(tables: DelegateTables, family: Family, _data: bytes) -> DelegateTables:
    return tables.without_family(family.number)


_OPERATIONS: Final[dict[int, Callable[[DelegateTables, Family, bytes], DelegateTables]]] = {
    _ENABLE: _enable,
    _ADMIN: _lock,
    _INVALIDATE: _invalidate,
}


def _byte(data: bytes) -> int:
    if len(data) != 1:
        raise TpmError(Rc.BAD_PARAM_SIZE)
    return data[0]


def _truth(data: bytes) -> bool:
    value = _byte(data)
    if value > 1:
        raise TpmError(Rc.BAD_PARAMETER)
    return bool(value)


def _need_right(call: Call, family: Family | None) -> None:
    """Check who changes the tables: the owner, his delegate, or anybody a few times before there is one."""
    permanent = call.tpm.permanent
    if call.count:
        call.owner()
        _need_same_family(call, family)
        return
    if permanent.owner is not None:
        raise TpmError(Rc.AUTHFAIL)
    if family is not None and family.has(Family.ADMIN_LOCK):
        raise TpmError(Rc.DELEGATE_LOCK)
    if permanent.nv.ownerless_writes >= OWNERLESS_NV_WRITES:
        raise TpmError(Rc.MAXNVWRITES)


def _need_same_family(call: Call, family: Family | None) -> None:
    """DELEGATE_FAMILY for a delegate who meddles with another family than his own."""
    delegate = call.delegation()
    if delegate is not None and family is not None and delegate.family != family.number:
        raise TpmError(Rc.DELEGATE_FAMILY)


def _commit(tpm: Tpm, tables: DelegateTables) -> None:
    """Make the change lasting; no delegate's session survives it."""
    nv = tpm.permanent.nv
    if tpm.permanent.owner is None:
        nv = replace(nv, ownerless_writes=nv.ownerless_writes + 1)
    tpm.commit(replace(tpm.permanent, delegations=tables, nv=nv))
    delegations.end_all(tpm)


def load_owner_delegation(call: Call, args: LoadDelegationIn) -> None:
    """Put an owner's delegation into the table; without an owner its secret lies open in the blob.

    INVALID_STRUCTURE, BAD_PARAM_SIZE, BADINDEX, AUTHFAIL, DELEGATE_FAMILY, DELEGATE_LOCK, MAXNVWRITES,
    DISABLED_CMD, BAD_DELEGATE.
    """
    tpm = call.tpm
    blob = OwnerBlob.decode(args.blob)
    tables = tpm.permanent.delegations
    family = tables.family(blob.public.family)
    _need_right(call, family)
    family.need_enabled()
    if tpm.permanent.owner is None:
        auth = DelegateSensitive.decode(blob.sensitive).auth
    else:
        delegations.check_integrity(tpm, blob)
        auth = delegations.open_secret(tpm, blob)
    if args.index >= DELEGATE_ROWS:
        raise TpmError(Rc.BADINDEX)
    _commit(tpm, tables.with_row(DelegateRow(args.index, blob.public, auth)))


# making delegations -------------------------------------------------------------------------------


def create_key_delegation(call: Call, args: KeyDelegationIn) -> DataOut:
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
    return DataOut(delegations.signed(tpm, blob).encode())


def create_owner_delegation(call: Call, args: OwnerDelegationIn) -> DataOut:
    """As TPM_Delegate_CreateKeyDelegation, for rights of the owner."""
    tpm = call.tpm
    call.owner()
    auth, public = _new_delegation(call, args.public, OWNER_BITS, args.auth)
    tables = tpm.permanent.delegations
    family = tables.family(public.family)
    if args.increment:
        family = replace(family, verification=family.verification + 1)
        _commit(tpm, tables.with_family(family))
    counted = replace(public, verification=family.verification)
    blob = OwnerBlob(counted, bytes(DIGEST_SIZE), *delegations.seal_secret(tpm, auth))
    return DataOut(delegations.signed(tpm, blob).encode())


def _new_delegation(
    call: Call, public: DelegatePublic, kind: int, auth: bytes
) -> tuple[bytes, DelegatePublic]:
    """Check what is to be delegated by an authorised caller, and return the delegate's secret with it."""
    family = call.tpm.permanent.delegations.family(public.family)
    delegate = call.delegation()
    if delegate is not None:
        _need_same_family(call, family)
        family.need_enabled()
        if not delegate.permissions.cover(public.permissions):
            raise TpmError(Rc.AUTHFAIL)
    public.permissions.check(kind)
    public.pcr_info.selection.indices()
    check_locality_bits(public.pcr_info.locality_at_release)
    if call.session().protocol == Protocol.OIAP:
        raise TpmError(Rc.INVALID_AUTHHANDLE)
    call.end_session()
    return call.decrypt_auth(auth), public


# looking at them ----------------------------------------------------------------------------------


def read_table(tpm: Tpm, _args: Nothing) -> TablesOut:
    """Show both tables without their secrets."""
    tables = tpm.permanent.delegations
    rows = [row.index.to_bytes(4) + row.public.encode() for row in tables.rows]
    return TablesOut(b"".join(family.encode() for family in tables.families), b"".join(rows))


def update_verification(call: Call, args: DelegationIn) -> DataOut:
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
        return DataOut(b"")
    blob = _decode_blob(args.data)
    delegations.check_integrity(tpm, blob)
    renewed = replace(blob, public=_counted(call, blob.public))
    return DataOut(delegations.signed(tpm, renewed).encode())


def _counted(call: Call, public: DelegatePublic) -> DelegatePublic:
    family = call.tpm.permanent.delegations.family(public.family)
    if call.delegation() is not None:
        _need_same_family(call, family)
        family.need_enabled()
    return replace(public, verification=family.verification)


def _decode_blob(data: bytes) -> OwnerBlob | KeyBlob:
    kind = _BLOBS.get(int.from_bytes(data[:2]))
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
    Command(Ord.DELEGATE_MANAGE, "TPM_Delegate_Manage", "19.1", manage, ManageIn, auths=(0, 1)),
    Command(
        Ord.DELEGATE_CREATE_KEY_DELEGATION,
        "TPM_Delegate_CreateKeyDelegation",
        "19.2",
        create_key_delegation,
        KeyDelegationIn,
        auths=(1,),
        handles=1,
        needs_owner=True,
    ),
    Command(
        Ord.DELEGATE_CREATE_OWNER_DELEGATION,
        "TPM_Delegate_CreateOwnerDelegation",
        "19.3",
        create_owner_delegation,
        OwnerDelegationIn,
        auths=(1,),
        needs_owner=True,
    ),
    Command(
        Ord.DELEGATE_LOAD_OWNER_DELEGATION,
        "TPM_Delegate_LoadOwnerDelegation",
        "19.4",
        load_owner_delegation,
        LoadDelegationIn,
        auths=(0, 1),
    ),
    Command(Ord.DELEGATE_READ_TABLE, "TPM_Delegate_ReadTable", "19.5", read_table, Nothing),
    Command(
        Ord.DELEGATE_UPDATE_VERIFICATION,
        "TPM_Delegate_UpdateVerification",
        "19.6",
        update_verification,
        DelegationIn,
        auths=(1,),
        needs_owner=True,
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
