# SPDX-License-Identifier: GPL-3.0-or-later
"""NV storage (Part 3, 20). Before nvLocked is set, in manufacturing, little is checked."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

from bootproof.tpm import entities
from bootproof.tpm.call import AUTH_OUT_SIZE
from bootproof.tpm.codes import HEADER_SIZE, Rc, TpmError
from bootproof.tpm.command import Command, In
from bootproof.tpm.limits import OWNERLESS_NV_WRITES
from bootproof.tpm.numbers import Protocol
from bootproof.tpm.ordinals import Ord
from bootproof.tpm.structures.nv import (
    D_BIT,
    INDEX_GLOBAL_LOCK,
    INDEX_LOCK,
    INDEX_TRIAL,
    NvArea,
    NvFlag,
    NvLock,
    NvPublic,
    NvStorage,
    check_definition,
)
from bootproof.tpm.wire import Structure, digest, nested, sized32, structure, uint32

if TYPE_CHECKING:
    from bootproof.tpm.call import Call
    from bootproof.tpm.machine import Tpm

_SIZE_FIELD: Final = 4


@structure
class DefineSpaceIn(Structure):
    """TPM_NV_DefineSpace: the area; its authorisation data, encrypted if the owner asks."""

    public: NvPublic = nested(NvPublic)
    auth: bytes = digest()


@structure
class WriteIn(Structure):
    """TPM_NV_WriteValue, TPM_NV_WriteValueAuth."""

    index: int = uint32()
    offset: int = uint32()
    data: bytes = sized32()


@structure
class ReadIn(Structure):
    """TPM_NV_ReadValue, TPM_NV_ReadValueAuth."""

    index: int = uint32()
    offset: int = uint32()
    size: int = uint32()


@structure
class ReadOut(Structure):
    """The data."""

    data: bytes = sized32()


# 20.1 -----------------------------------------------------------------------------------------------


def define_space(call: Call, args: DefineSpaceIn) -> None:
    """Define an area, define it anew or, with size 0, remove it; index ffffffff sets nvLocked.

    BADINDEX; with nvLocked also DISABLED, DEACTIVATED, BAD_PRESENCE, OWNER_SET, BAD_DATASIZE, AREA_LOCKED;
    AUTHFAIL, BAD_MODE, MAXNVWRITES, INVALID_STRUCTURE, AUTH_CONFLICT, PER_NOWRITE, BAD_PARAM_SIZE, NOSPACE.
    """
    tpm, wanted = call.tpm, args.public
    locked = tpm.permanent.flags.nv_locked
    if locked:
        _need_on(tpm)
    if wanted.index == INDEX_LOCK and not call.count:
        _lock_storage(tpm, wanted)
        return
    if wanted.index == INDEX_GLOBAL_LOCK or (locked and wanted.index & D_BIT):
        raise TpmError(Rc.BADINDEX)
    auth = _owners_secret(call, args.auth) if call.count else _anybodys_secret(tpm, args)
    old = tpm.permanent.nv.find(wanted.index)
    if old is not None and locked:
        _check_not_locked(tpm, old.public)
    removing = old is not None and not wanted.size
    storage = tpm.permanent.nv.drop(wanted.index)
    if not removing:
        check_definition(wanted)
        storage = storage.put(storage.allocate(wanted, auth))
    if wanted.index != INDEX_TRIAL:
        _commit(call, storage)
    if old is not None:
        tpm.nv_locks = tpm.nv_locks.put(NvLock(old.index))
        tpm.sessions.close_where(entities.of_nv(old).identity)


def _lock_storage(tpm: Tpm, wanted: NvPublic) -> None:
    """Set nvLocked: from now on all rules hold."""
    if wanted.size:
        raise TpmError(Rc.BADINDEX)
    tpm.commit_flags(nv_locked=True)


def _owners_secret(call: Call, encrypted: bytes) -> bytes:
    call.owner(protocol=Protocol.OSAP)
    secret = call.decrypt_auth(encrypted)
    call.end_session()
    return secret


def _anybodys_secret(tpm: Tpm, args: DefineSpaceIn) -> bytes:
    if tpm.permanent.flags.nv_locked:
        if not tpm.present:
            raise TpmError(Rc.BAD_PRESENCE)
        if tpm.permanent.owner is not None:
            raise TpmError(Rc.OWNER_SET)
        if not args.public.size:
            raise TpmError(Rc.BAD_DATASIZE)
    _check_ownerless_writes(tpm)
    return args.auth


def _check_not_locked(tpm: Tpm, public: NvPublic) -> None:
    """AREA_LOCKED as long as a lock keeps an area from being written."""
    if public.has(NvFlag.GLOBAL_LOCK) and tpm.stclear.global_lock:
        raise TpmError(Rc.AREA_LOCKED)
    if public.has(NvFlag.WRITE_STCLEAR) and tpm.nv_locks.of(public.index).write_locked:
        raise TpmError(Rc.AREA_LOCKED)


# 20.2 and 20.3 --------------------------------------------------------------------------------------


def write_value(call: Call, args: WriteIn) -> None:
    """Write an area or the DIR; size 0 locks the area, index 0 all that have GLOBALLOCK.

    BADINDEX, AUTH_CONFLICT, AUTHFAIL, MAXNVWRITES, NOSPACE, NOT_FULLWRITE; with nvLocked also DISABLED,
    DEACTIVATED, BAD_LOCALITY, BAD_PRESENCE, AREA_LOCKED, WRONGPCRVAL.
    """
    tpm = call.tpm
    area = None if args.index == INDEX_GLOBAL_LOCK else tpm.permanent.nv.get_accessible(args.index)
    _check_writer(call, area)
    if area is None:
        _lock_globally(tpm, args)
        return
    public = area.public
    if public.has(NvFlag.AUTH_WRITE):
        raise TpmError(Rc.AUTH_CONFLICT)
    if tpm.permanent.flags.nv_locked:
        public.write_binding.check_locality(tpm.locality)
        _check_presence(tpm, public, NvFlag.PP_WRITE)
        _check_writable(tpm, public)
        public.write_binding.check_values(tpm.pcrs.values)
    _write(call, area, args)


def _check_writer(call: Call, area: NvArea | None) -> None:
    """Actions 3 to 5: owner or nobody, as the area wants it; an area of None stands for index 0."""
    tpm = call.tpm
    owners = area is not None and area.public.has(NvFlag.OWNER_WRITE)
    locked = tpm.permanent.flags.nv_locked
    if locked and owners:
        _need_on(tpm)
    if call.count:
        if area is not None and not owners:
            raise TpmError(Rc.AUTH_CONFLICT)
        call.owner()
        return
    if locked and owners:
        raise TpmError(Rc.AUTH_CONFLICT)
    _check_ownerless_writes(tpm)


def _lock_globally(tpm: Tpm, args: WriteIn) -> None:
    """Set bGlobalLock until the next TPM_Startup(ST_CLEAR)."""
    if args.data:
        raise TpmError(Rc.BADINDEX)
    tpm.stclear = replace(tpm.stclear, global_lock=True)


def write_value_auth(call: Call, args: WriteIn) -> None:
    """Write an area with its own authorisation data; size 0 locks it.

    NOSRK without an owner; BADINDEX, AUTH_CONFLICT, AUTHFAIL, BAD_LOCALITY, BAD_PRESENCE, WRONGPCRVAL,
    AREA_LOCKED, NOSPACE, NOT_FULLWRITE.
    """
    tpm = call.tpm
    area = _authorized_area(call, args.index, NvFlag.AUTH_WRITE)
    public = area.public
    public.write_binding.check_locality(tpm.locality)
    _check_presence(tpm, public, NvFlag.PP_WRITE)
    public.write_binding.check_values(tpm.pcrs.values)
    _check_writable(tpm, public)
    _write(call, area, args)


def _check_writable(tpm: Tpm, public: NvPublic) -> None:
    """AREA_LOCKED by one of the three locks."""
    if public.has(NvFlag.WRITE_DEFINE) and public.write_defined:
        raise TpmError(Rc.AREA_LOCKED)
    _check_not_locked(tpm, public)


def _write(call: Call, area: NvArea, args: WriteIn) -> None:
    """Write the data or, if there are none, lock the area; a success unlocks it for reading."""
    tpm, index = call.tpm, area.index
    if args.data:
        _commit(call, tpm.permanent.nv.put(_changed(area, args.offset, args.data)))
    else:
        definition = replace(area.public, write_defined=True).encode()
        storage = tpm.permanent.nv.put(replace(area, definition=definition))
        tpm.commit(replace(tpm.permanent, nv=storage))
    locked = tpm.nv_locks.of(index).write_locked or not args.data
    tpm.nv_locks = tpm.nv_locks.put(NvLock(index, write_locked=locked))


def _changed(area: NvArea, offset: int, data: bytes) -> NvArea:
    """NOSPACE beyond its end, NOT_FULLWRITE for a part of an area with WRITEALL."""
    end = offset + len(data)
    if end > len(area.data):
        raise TpmError(Rc.NOSPACE)
    if area.public.has(NvFlag.WRITE_ALL) and len(data) != len(area.data):
        raise TpmError(Rc.NOT_FULLWRITE)
    return replace(area, data=area.data[:offset] + data + area.data[end:])


# 20.4 and 20.5 --------------------------------------------------------------------------------------


def read_value(call: Call, args: ReadIn) -> ReadOut:
    """Read an area or the DIR; size 0 locks an area with READ_STCLEAR for reading.

    BADINDEX, AUTH_CONFLICT, AUTHFAIL, NOSPACE, SIZE for more than a response holds; with nvLocked also
    DISABLED, DEACTIVATED, BAD_LOCALITY, BAD_PRESENCE, DISABLED_CMD, WRONGPCRVAL.
    """
    tpm = call.tpm
    area = tpm.permanent.nv.get_accessible(args.index)
    public = area.public
    locked = tpm.permanent.flags.nv_locked
    owners = public.has(NvFlag.OWNER_READ)
    if locked and owners:
        _need_on(tpm)
    if call.count:
        if not owners:
            raise TpmError(Rc.AUTH_CONFLICT)
        _authorize_reader(call)
    elif public.has(NvFlag.AUTH_READ) or (locked and owners):
        raise TpmError(Rc.AUTH_CONFLICT)
    if locked:
        public.read_binding.check_locality(tpm.locality)
        _check_presence(tpm, public, NvFlag.PP_READ)
        _check_readable(tpm, public)
        public.read_binding.check_values(tpm.pcrs.values)
    return _read(call, area, args)


def read_value_auth(call: Call, args: ReadIn) -> ReadOut:
    """Read an area with its own authorisation data; size 0 locks it if it has READ_STCLEAR.

    NOSRK without an owner; BADINDEX, AUTH_CONFLICT, AUTHFAIL, BAD_PRESENCE, BAD_LOCALITY, WRONGPCRVAL,
    DISABLED_CMD, NOSPACE, SIZE.
    """
    tpm = call.tpm
    area = _authorized_area(call, args.index, NvFlag.AUTH_READ)
    public = area.public
    _check_presence(tpm, public, NvFlag.PP_READ)
    public.read_binding.check_locality(tpm.locality)
    public.read_binding.check_values(tpm.pcrs.values)
    _check_readable(tpm, public)
    return _read(call, area, args)


def _check_readable(tpm: Tpm, public: NvPublic) -> None:
    if public.has(NvFlag.READ_STCLEAR) and tpm.nv_locks.of(public.index).read_locked:
        raise TpmError(Rc.DISABLED_CMD)


def _read(call: Call, area: NvArea, args: ReadIn) -> ReadOut:
    tpm, index = call.tpm, area.index
    if not args.size:
        tpm.nv_locks = tpm.nv_locks.put(replace(tpm.nv_locks.of(index), read_locked=True))
        return ReadOut(b"")
    end = args.offset + args.size
    if end > len(area.data):
        raise TpmError(Rc.NOSPACE)
    if HEADER_SIZE + _SIZE_FIELD + args.size + call.count * AUTH_OUT_SIZE > tpm.room:
        raise TpmError(Rc.SIZE)
    return ReadOut(area.data[args.offset : end])


# common ---------------------------------------------------------------------------------------------


def _need_on(tpm: Tpm) -> None:
    if tpm.permanent.flags.disable:
        raise TpmError(Rc.DISABLED)
    if tpm.stclear.deactivated:
        raise TpmError(Rc.DEACTIVATED)


def _authorize_reader(call: Call) -> None:
    """Check that the owner wants it; before nvLocked is set everybody may read what the owner may (20.4)."""
    tpm = call.tpm
    if tpm.permanent.flags.nv_locked or tpm.permanent.owner is None:
        call.owner()
    else:
        call.accept(entities.of_owner(tpm))


def _authorized_area(call: Call, index: int, flag: NvFlag) -> NvArea:
    """Return an area after checking its own authorisation; AUTH_CONFLICT unless it has that attribute."""
    area = call.tpm.permanent.nv.get(index)
    if not area.public.has(flag):
        raise TpmError(Rc.AUTH_CONFLICT)
    call.authorize(entities.of_nv(area))
    return area


def _check_presence(tpm: Tpm, public: NvPublic, flag: NvFlag) -> None:
    if public.has(flag) and not tpm.present:
        raise TpmError(Rc.BAD_PRESENCE)


def _check_ownerless_writes(tpm: Tpm) -> None:
    """MAXNVWRITES when everything was written that may be written before there is an owner."""
    if tpm.permanent.owner is None and tpm.permanent.nv.ownerless_writes >= OWNERLESS_NV_WRITES:
        raise TpmError(Rc.MAXNVWRITES)


def _commit(call: Call, storage: NvStorage) -> None:
    """Commit a change of the storage; it counts if nobody answers for it."""
    tpm = call.tpm
    if storage == tpm.permanent.nv:
        return
    if not call.count and tpm.permanent.owner is None:
        storage = replace(storage, ownerless_writes=storage.ownerless_writes + 1)
    tpm.commit(replace(tpm.permanent, nv=storage))


_BY_OWNER_OR_NOBODY: Final = (0, 1)

ROWS: Final = (
    Command(
        Ord.NV_DEFINE_SPACE,
        "TPM_NV_DefineSpace",
        "20.1",
        define_space,
        DefineSpaceIn,
        In.OFF,
        _BY_OWNER_OR_NOBODY,
        owner_right=14,
    ),
    Command(
        Ord.NV_WRITE_VALUE,
        "TPM_NV_WriteValue",
        "20.2",
        write_value,
        WriteIn,
        In.OFF,
        _BY_OWNER_OR_NOBODY,
        owner_right=27,
    ),
    Command(
        Ord.NV_WRITE_VALUE_AUTH,
        "TPM_NV_WriteValueAuth",
        "20.3",
        write_value_auth,
        WriteIn,
        auths=(1,),
        needs_owner=True,
    ),
    Command(
        Ord.NV_READ_VALUE,
        "TPM_NV_ReadValue",
        "20.4",
        read_value,
        ReadIn,
        In.OFF,
        _BY_OWNER_OR_NOBODY,
        owner_right=25,
    ),
    Command(
        Ord.NV_READ_VALUE_AUTH,
        "TPM_NV_ReadValueAuth",
        "20.5",
        read_value_auth,
        ReadIn,
        auths=(1,),
        needs_owner=True,
    ),
)
