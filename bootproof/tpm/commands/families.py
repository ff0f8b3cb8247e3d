# SPDX-License-Identifier: GPL-3.0-or-later
"""Families and the rows of the delegate table (Part 3, 19.1, 19.4 and 19.5)."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from bootproof.tpm import delegations
from bootproof.tpm.codes import Rc, TpmError
from bootproof.tpm.command import Command
from bootproof.tpm.limits import DELEGATE_ROWS, OWNERLESS_NV_WRITES
from bootproof.tpm.ordinals import Ord
from bootproof.tpm.structures.delegation import (
    DelegateRow,
    DelegateSensitive,
    DelegateTables,
    Family,
    OwnerBlob,
)
from bootproof.tpm.wire import Nothing, Structure, sized32, structure, uint32

if TYPE_CHECKING:
    from bootproof.tpm.call import Call
    from bootproof.tpm.machine import Tpm

_CREATE, _ENABLE, _ADMIN, _INVALIDATE = 1, 2, 3, 4  # TPM_FAMILY_OPERATION (Part 2, 20.14)


@structure
class ManageIn(Structure):
    """TPM_Delegate_Manage: family, TPM_FAMILY_OPERATION, and a label or a BOOL."""

    family: int = uint32()
    operation: int = uint32()
    data: bytes = sized32()


@structure
class ManageOut(Structure):
    """TPM_Delegate_Manage: the number of a new family, or nothing."""

    data: bytes = sized32()


@structure
class LoadDelegationIn(Structure):
    """TPM_Delegate_LoadOwnerDelegation: row of the delegate table, TPM_DELEGATE_OWNER_BLOB."""

    index: int = uint32()
    blob: bytes = sized32()


@structure
class TablesOut(Structure):
    """TPM_Delegate_ReadTable: entries of the family table; indices and public parts of delegate rows."""

    families: bytes = sized32()
    rows: bytes = sized32()


def manage(call: Call, args: ManageIn) -> ManageOut:
    """Create, enable, lock or remove a family.

    BADINDEX; AUTHFAIL; DELEGATE_FAMILY for a delegate of another one; without an owner DELEGATE_LOCK for a
    locked one and MAXNVWRITES; NOSPACE; BAD_PARAM_SIZE, BAD_PARAMETER.
    """
    tables = call.tpm.permanent.delegations
    family = None if args.operation == _CREATE else tables.family(args.family)
    _need_right(call, family)
    if family is None:
        tables.need_room()
        changed = tables.with_new_family(_byte(args.data))
        delegations.commit(call.tpm, changed)
        return ManageOut(changed.last_family.to_bytes(4))
    operation = _OPERATIONS.get(args.operation)
    if operation is None:
        raise TpmError(Rc.BAD_PARAMETER)
    delegations.commit(call.tpm, operation(tables, family, args.data))
    return ManageOut(b"")


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
        delegations.need_same_family(call, family)
        return
    if permanent.owner is not None:
        raise TpmError(Rc.AUTHFAIL)
    if family is not None and family.has(Family.ADMIN_LOCK):
        raise TpmError(Rc.DELEGATE_LOCK)
    if permanent.nv.ownerless_writes >= OWNERLESS_NV_WRITES:
        raise TpmError(Rc.MAXNVWRITES)


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
    delegations.commit(tpm, tables.with_row(DelegateRow(args.index, blob.public, auth)))


def read_table(tpm: Tpm, _args: Nothing) -> TablesOut:
    """Show both tables without their secrets."""
    tables = tpm.permanent.delegations
    rows = [row.index.to_bytes(4) + row.public.encode() for row in tables.rows]
    return TablesOut(b"".join(family.encode() for family in tables.families), b"".join(rows))


ROWS: Final = (
    Command(
        Ord.DELEGATE_MANAGE, "TPM_Delegate_Manage", "19.1", manage, ManageIn, auths=(0, 1), owner_right=2
    ),
    Command(
        Ord.DELEGATE_LOAD_OWNER_DELEGATION,
        "TPM_Delegate_LoadOwnerDelegation",
        "19.4",
        load_owner_delegation,
        LoadDelegationIn,
        auths=(0, 1),
        owner_right=24,
    ),
    Command(Ord.DELEGATE_READ_TABLE, "TPM_Delegate_ReadTable", "19.5", read_table, Nothing),
)
