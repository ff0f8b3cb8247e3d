# SPDX-License-Identifier: GPL-3.0-or-later
"""Sessions of delegates (Part 3, 18.3 and 18.4)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Final, TypeVar

from bootproof.tpm import delegations, entities, numbers
from bootproof.tpm.codes import Rc, TpmError
from bootproof.tpm.command import Command, In
from bootproof.tpm.commands.sessions import OsapOut, open_shared, split_entity
from bootproof.tpm.entities import Entity
from bootproof.tpm.numbers import Handle
from bootproof.tpm.ordinals import Ord
from bootproof.tpm.structures.delegation import DelegatePublic, KeyBlob, OwnerBlob
from bootproof.tpm.structures.keys import StorePubkey, sha1
from bootproof.tpm.wire import Structure, digest, fixed_size, sized32, structure, uint16, uint32

if TYPE_CHECKING:
    from bootproof.tpm.machine import Tpm

Decoded = TypeVar("Decoded", bound=Structure)
_INDEX_SIZE: Final = 4
_CLEAR_IN: Final = 30  # a transport encrypts the delegation only


@structure
class DsapIn(Structure):
    """TPM_DSAP: kind of the delegation and how authorisation data travel, the key that it is for, a nonce,
    and the delegation: a blob, or the index of a row.
    """

    entity: int = uint16()
    key: int = uint32()
    nonce_odd: bytes = digest()
    value: bytes = sized32()


@structure
class OwnerPointerIn(Structure):
    """TPM_SetOwnerPointer."""

    entity: int = uint16()
    value: int = uint32()


def dsap(tpm: Tpm, args: DsapIn) -> OsapOut:
    """RESOURCES; INAPPROPRIATE_ENC; BAD_PARAMETER for what is no delegation, WRONG_ENTITYTYPE for a wrong
    one; BADINDEX, BAD_PARAM_SIZE, DISABLED_CMD, FAMILYCOUNT for its row or family; AUTHFAIL for
    a blob that this TPM has not made; INVALID_KEYHANDLE, KEYNOTFOUND for a blob of another key;
    BAD_DELEGATE.
    """
    tpm.sessions.need_room()
    adip, kind = split_entity(tpm, args.entity)
    opener = _OPENERS.get(kind)
    if opener is None:
        raise TpmError(Rc.BAD_PARAMETER)
    entity, public, secret = opener(tpm, args)
    delegated = Entity(entity.kind, entity.identity, secret)
    return open_shared(tpm, delegated, adip, args.nonce_odd, public)


def _open_owner_blob(tpm: Tpm, args: DsapIn) -> tuple[Entity, DelegatePublic, bytes]:
    blob = _decoded(OwnerBlob, args.value)
    delegations.check_family(tpm, blob.public)
    delegations.check_integrity(tpm, blob)
    return entities.of_owner(tpm), blob.public, delegations.open_secret(tpm, blob)


def _open_row(tpm: Tpm, args: DsapIn) -> tuple[Entity, DelegatePublic, bytes]:
    if len(args.value) != _INDEX_SIZE:
        raise TpmError(Rc.BAD_PARAM_SIZE)
    row = tpm.permanent.delegations.row(int.from_bytes(args.value))
    delegations.check_family(tpm, row.public)
    return entities.of_owner(tpm), row.public, row.auth


def _open_key_blob(tpm: Tpm, args: DsapIn) -> tuple[Entity, DelegatePublic, bytes]:
    blob = _decoded(KeyBlob, args.value)
    delegations.check_family(tpm, blob.public)
    delegations.check_integrity(tpm, blob)
    key = tpm.keys.get(args.key)
    if blob.key_digest != sha1(StorePubkey(key.key.public).encode()):
        raise TpmError(Rc.KEYNOTFOUND)
    return entities.of_key(key), blob.public, delegations.open_secret(tpm, blob)


def _decoded(kind: type[Decoded], data: bytes) -> Decoded:
    try:
        return kind.decode(data)
    except TpmError as error:
        raise TpmError(Rc.WRONG_ENTITYTYPE) from error


_OPENERS: Final[dict[int, Callable[[Tpm, DsapIn], tuple[Entity, DelegatePublic, bytes]]]] = {
    numbers.Entity.DEL_OWNER_BLOB: _open_owner_blob,
    numbers.Entity.DEL_ROW: _open_row,
    numbers.Entity.DEL_KEY_BLOB: _open_key_blob,
}


def set_owner_pointer(tpm: Tpm, args: OwnerPointerIn) -> None:
    """Let a row of the delegate table stand for the owner where OIAP or OSAP name him, or himself again.

    BADINDEX, DISABLED_CMD, FAMILYCOUNT for the row; BAD_PARAMETER for another kind of entity.
    """
    if args.entity == numbers.Entity.OWNER:
        pointer = int(Handle.OWNER)
    elif args.entity == numbers.Entity.DEL_ROW:
        delegations.check_family(tpm, tpm.permanent.delegations.row(args.value).public)
        pointer = args.value
    else:
        raise TpmError(Rc.BAD_PARAMETER)
    tpm.stclear_data = replace(tpm.stclear_data, owner_pointer=pointer)


def _logged_keys(args: DsapIn) -> tuple[int, ...]:
    return (args.key,) if args.entity & 0xFF == numbers.Entity.DEL_KEY_BLOB else ()


ROWS: Final = (
    Command(
        Ord.DSAP,
        "TPM_DSAP",
        "18.3",
        dsap,
        DsapIn,
        In.OFF,
        needs_owner=True,
        clear_in=_CLEAR_IN,
        clear_out=fixed_size(OsapOut),
        logged_keys=_logged_keys,
    ),
    Command(
        Ord.SET_OWNER_POINTER,
        "TPM_SetOwnerPointer",
        "18.4",
        set_owner_pointer,
        OwnerPointerIn,
        needs_owner=True,
    ),
)
