# SPDX-License-Identifier: GPL-3.0-or-later
"""Saving and loading contexts: the commands of TPM 1.2 (Part 3, 21) and of TPM 1.1 (Part 3, 27.2)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from bootproof.tpm import contexts, entities, numbers
from bootproof.tpm.codes import Rc, TpmError
from bootproof.tpm.command import Command, no_keys
from bootproof.tpm.numbers import KeyFlag, Protocol, Resource
from bootproof.tpm.ordinals import Ord
from bootproof.tpm.state import Session, StoredKey
from bootproof.tpm.structures.context import LABEL_SIZE, ContextBlob, ContextSensitive
from bootproof.tpm.structures.transport import Transport
from bootproof.tpm.wire import Structure, boolean, raw, sized32, structure, uint32

if TYPE_CHECKING:
    from bootproof.tpm.handles import HandleTable
    from bootproof.tpm.machine import Tpm


@structure
class SaveContextIn(Structure):
    """TPM_SaveContext: what to save, and a label for the caller's own use."""

    handle: int = uint32()
    resource: int = uint32()
    label: bytes = raw(LABEL_SIZE)


@structure
class HandleIn(Structure):
    """The handle of a key or session."""

    handle: int = uint32()


@structure
class BlobOut(Structure):
    """A TPM_CONTEXT_BLOB."""

    blob: bytes = sized32()


@structure
class LoadContextIn(Structure):
    """TPM_LoadContext: what an OSAP or DSAP session is tied to, and whether the handle has to be the old."""

    entity: int = uint32()
    same_handle: bool = boolean()
    blob: bytes = sized32()


@structure
class BlobIn(Structure):
    """A TPM_CONTEXT_BLOB."""

    blob: bytes = sized32()


@structure
class HandleOut(Structure):
    """The handle of a key or session."""

    handle: int = uint32()


def logged_key(args: SaveContextIn) -> tuple[int, ...]:
    """Return the handle of the key that TPM_SaveContext is about, if it is one."""
    return (args.handle,) if args.resource == Resource.KEY else ()


def save_context(tpm: Tpm, args: SaveContextIn) -> BlobOut:
    """INVALID_RESOURCE for a type that cannot be saved or a handle that is not of that type, OWNER_CONTROL
    for a key that the owner keeps in; TOOMANYCONTEXTS, NOCONTEXTSPACE. A session is closed, a key stays.
    """
    if args.resource == Resource.KEY:
        return BlobOut(contexts.save_key(tpm, args.handle, _key_data(tpm, args.handle), args.label))
    tables: dict[int, HandleTable[Any]] = {Resource.AUTH: tpm.sessions, Resource.TRANS: tpm.transports}
    table = tables.get(args.resource)
    if table is None or args.handle not in table:
        raise TpmError(Rc.INVALID_RESOURCE)
    return BlobOut(_save_session(tpm, table, Resource(args.resource), args.handle, args.label))


def _save_session(
    tpm: Tpm, table: HandleTable[Any], resource: Resource, handle: int, label: bytes = bytes(LABEL_SIZE)
) -> bytes:
    """Return a session's context and close it."""
    blob = contexts.save_session(tpm, resource, handle, table.get(handle).encode(), label)
    table.close(handle)
    return blob


def _key_data(tpm: Tpm, handle: int) -> bytes:
    if tpm.keys.kept(handle):
        raise TpmError(Rc.OWNER_CONTROL)
    for loaded in tpm.keys.loaded():
        if loaded.handle == handle:
            return loaded.stored.encode()
    raise TpmError(Rc.INVALID_RESOURCE)


def load_context(tpm: Tpm, args: LoadContextIn) -> HandleOut:
    """BADCONTEXT for a blob that was changed, loaded before, flushed, or made in another life of the TPM;
    RESOURCEMISSING where what the session is tied to is gone, BAD_HANDLE where `entity` is another key or
    the old handle is taken; NOSPACE, RESOURCES.
    """
    blob, sensitive = contexts.open_context(tpm, args.blob)
    if blob.resource == Resource.KEY:
        return _load_key(tpm, sensitive, args.same_handle, this_life=False)
    if blob.resource == Resource.AUTH:
        return _load_session(tpm, blob, sensitive, args.entity, args.same_handle)
    transport = tpm.transports.insert(Transport.decode(sensitive.data), args.same_handle)
    contexts.strike_off(tpm, blob.count)
    return HandleOut(transport.handle)


def _load_key(tpm: Tpm, sensitive: ContextSensitive, same_handle: bool, this_life: bool) -> HandleOut:
    stored = StoredKey.decode(sensitive.data)
    this_life = this_life or stored.parent_pcr or stored.key.has(KeyFlag.VOLATILE)
    if this_life and sensitive.nonce != tpm.contexts.key_nonce:
        raise TpmError(Rc.BADCONTEXT)
    return HandleOut(tpm.keys.insert(stored, same_handle).handle)


def _load_session(
    tpm: Tpm, blob: ContextBlob, sensitive: ContextSensitive, entity: int | None, same_handle: bool
) -> HandleOut:
    session = Session.decode(sensitive.data)
    if session.protocol != Protocol.OIAP:
        _check_entity(tpm, session, entity)
    loaded = tpm.sessions.insert(session, same_handle)
    contexts.strike_off(tpm, blob.count)
    return HandleOut(loaded.handle)


def _check_entity(tpm: Tpm, session: Session, handle: int | None) -> None:
    """Check that what an OSAP or DSAP session is tied to is there: RESOURCEMISSING; BAD_HANDLE if it is a
    key with another handle than that.
    """
    if session.entity == numbers.Entity.KEYHANDLE:
        fitting = [loaded.handle for loaded in tpm.keys if loaded.identity == session.identity]
        if not fitting:
            raise TpmError(Rc.RESOURCEMISSING)
        if handle is not None and handle not in fitting:
            raise TpmError(Rc.BAD_HANDLE)
        return
    if handle is None and session.entity in (numbers.Entity.COUNTER, numbers.Entity.NV):
        return  # the commands of TPM 1.1 cannot say which one; it is checked when the session is used
    try:
        found = entities.resolve(tpm, session.entity, handle or 0)
    except TpmError as error:
        raise TpmError(Rc.RESOURCEMISSING) from error
    if found.identity != session.identity:
        raise TpmError(Rc.RESOURCEMISSING)


def save_key_context(tpm: Tpm, args: HandleIn) -> BlobOut:
    """INVALID_KEYHANDLE, OWNER_CONTROL for a key that the owner keeps in. The key leaves the TPM."""
    if tpm.keys.kept(args.handle):
        raise TpmError(Rc.OWNER_CONTROL)
    blob = contexts.save_key(tpm, args.handle, tpm.keys.own(args.handle).stored.encode())
    tpm.keys.set_aside(args.handle)
    return BlobOut(blob)


def load_key_context(tpm: Tpm, args: BlobIn) -> HandleOut:
    """BAD_PARAMETER for the context of a session, BADCONTEXT, RESOURCES if all slots are taken."""
    blob, sensitive = contexts.open_context(tpm, args.blob)
    if blob.resource != Resource.KEY:
        raise TpmError(Rc.BAD_PARAMETER)
    if tpm.keys.free < 1:
        raise TpmError(Rc.RESOURCES)
    return _load_key(tpm, sensitive, same_handle=False, this_life=True)


def save_auth_context(tpm: Tpm, args: HandleIn) -> BlobOut:
    """INVALID_AUTHHANDLE, TOOMANYCONTEXTS, NOCONTEXTSPACE. The session leaves the TPM."""
    return BlobOut(_save_session(tpm, tpm.sessions, Resource.AUTH, args.handle))


def load_auth_context(tpm: Tpm, args: BlobIn) -> HandleOut:
    """BAD_PARAMETER for the context of a key or transport session, BADCONTEXT, RESOURCEMISSING where what
    the session is tied to is gone; RESOURCES, and the context can still be loaded later.
    """
    blob, sensitive = contexts.open_context(tpm, args.blob)
    if blob.resource != Resource.AUTH:
        raise TpmError(Rc.BAD_PARAMETER)
    return _load_session(tpm, blob, sensitive, entity=None, same_handle=False)


ROWS: Final = (
    Command(
        Ord.SAVE_CONTEXT,
        "TPM_SaveContext",
        "21.2",
        save_context,
        SaveContextIn,
        handles=1,
        needs_owner=True,
        logged_keys=logged_key,
    ),
    Command(
        Ord.LOAD_CONTEXT,
        "TPM_LoadContext",
        "21.3",
        load_context,
        LoadContextIn,
        handles=1,
        out_handles=1,
        needs_owner=True,
        logged_keys=no_keys,
    ),
    Command(Ord.SAVE_KEY_CONTEXT, "TPM_SaveKeyContext", "27.2.1", save_key_context, HandleIn, handles=1),
    Command(Ord.LOAD_KEY_CONTEXT, "TPM_LoadKeyContext", "27.2.2", load_key_context, BlobIn, out_handles=1),
    Command(
        Ord.SAVE_AUTH_CONTEXT,
        "TPM_SaveAuthContext",
        "27.2.3",
        save_auth_context,
        HandleIn,
        handles=1,
        logged_keys=no_keys,
    ),
    Command(
        Ord.LOAD_AUTH_CONTEXT, "TPM_LoadAuthContext", "27.2.4", load_auth_context, BlobIn, out_handles=1
    ),
)
