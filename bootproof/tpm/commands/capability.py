# SPDX-License-Identifier: GPL-3.0-or-later
"""TPM_GetCapability (Part 3, 7.1; the areas are in Part 2, 21)."""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from bootproof.tpm import limits
from bootproof.tpm.codes import Rc, TpmError
from bootproof.tpm.command import Command, In
from bootproof.tpm.numbers import Resource
from bootproof.tpm.ordinals import Ord
from bootproof.tpm.structures.counters import NO_COUNTER, RELEASED_COUNTER
from bootproof.tpm.wire import (
    Reader,
    Structure,
    raw,
    sized16,
    sized32,
    structure,
    structure_tag,
    uint8,
    uint16,
    uint32,
)

if TYPE_CHECKING:
    from bootproof.tpm.machine import Tpm

_ALG_RSA: Final = 1
_PROTOCOLS: Final = {  # TPM_PROTOCOL_ID (Part 2, 4.7) and the command that each stands on
    1: Ord.OIAP,
    2: Ord.OSAP,
    3: Ord.CREATE_WRAP_KEY,
    4: Ord.CHANGE_AUTH,
    5: Ord.CHANGE_AUTH_OWNER,
    6: Ord.DSAP,
    7: Ord.ESTABLISH_TRANSPORT,
}


@structure
class GetCapabilityIn(Structure):
    """TPM_GetCapability."""

    area: int = uint32()
    sub: bytes = sized32()


@structure
class GetCapabilityOut(Structure):
    """The answer, whose layout depends on the area."""

    data: bytes = sized32()


@structure
class KeyParameters(Structure):
    """TPM_KEY_PARMS (Part 2, 10.1)."""

    algorithm: int = uint32()
    encryption: int = uint16()
    signature: int = uint16()
    parameters: bytes = sized32()


@structure
class SelectSize(Structure):
    """TPM_SELECT_SIZE (Part 2, 8.2)."""

    major: int = uint8()
    minor: int = uint8()
    requested: int = uint16()


@structure
class VersionInfo(Structure):
    """TPM_CAP_VERSION_INFO (Part 2, 21.6)."""

    tag: int = structure_tag(default=0x0030)
    spec_major: int = uint8(default=1)
    spec_minor: int = uint8(default=2)
    rev_major: int = uint8(default=limits.FIRMWARE_VERSION[0])
    rev_minor: int = uint8(default=limits.FIRMWARE_VERSION[1])
    level: int = uint16(default=limits.SPEC_LEVEL)
    errata: int = uint8(default=limits.SPEC_ERRATA)
    vendor: bytes = raw(4, default=limits.MANUFACTURER)
    vendor_data: bytes = sized16(default=b"")


def _number(value: int) -> bytes:
    return value.to_bytes(4)


def _truth(value: bool) -> bytes:
    return b"\1" if value else b"\0"


def _handles(*values: int) -> bytes:
    """Return a TPM_KEY_HANDLE_LIST."""
    return struct.pack(f">H{len(values)}I", len(values), *values)


_FLAGS: Final[dict[int, Callable[[Tpm], bytes]]] = {
    0x108: lambda tpm: tpm.permanent.flags.encode(),
    0x109: lambda tpm: tpm.stclear.encode(),
}

_MANUFACTURER, _TIS_TIMEOUT, _DURATION = 0x103, 0x115, 0x120
_PROPERTIES: Final[dict[int, bytes]] = {
    0x101: _number(limits.PCR_COUNT),
    0x102: _number(limits.DIR_COUNT),
    _MANUFACTURER: limits.MANUFACTURER,
    0x104: _number(limits.KEY_SLOTS),  # that can be loaded now: none is
    0x107: _number(0),  # MIN_COUNTER, in tenths of a second
    0x10A: _number(limits.AUTH_SESSIONS),  # free now
    0x10B: _number(limits.TRANSPORT_SESSIONS),  # free now
    0x10D: _number(limits.AUTH_SESSIONS),
    0x10E: _number(limits.TRANSPORT_SESSIONS),
    0x10F: _number(limits.COUNTERS),
    0x110: _number(limits.KEY_SLOTS),
    0x111: _truth(False),  # OWNER: nobody can take ownership yet
    0x112: _number(limits.CONTEXTS),  # free now
    0x113: _number(limits.CONTEXTS),
    0x114: _number(limits.FAMILY_ROWS),
    _TIS_TIMEOUT: b"".join(map(_number, limits.TIS_TIMEOUTS)),
    0x116: _number(limits.STARTUP_EFFECT),
    0x117: _number(limits.DELEGATE_ROWS),
    0x119: _number(0),  # MAX_DAASESS: no DAA
    0x11A: _number(0),  # DAASESS
    0x11B: _number(limits.CONTEXT_DISTANCE),
    0x11C: _truth(False),  # DAA_INTERRUPT
    0x11D: _number(limits.AUTH_SESSIONS + limits.TRANSPORT_SESSIONS),  # free now
    0x11E: _number(limits.AUTH_SESSIONS + limits.TRANSPORT_SESSIONS),
    0x11F: _number(0),  # CMK_RESTRICTION: none
    _DURATION: b"".join(map(_number, limits.DURATIONS)),
    0x124: _number(limits.BUFFER_SIZE),
}


def _active_counter(tpm: Tpm) -> bytes:
    """Return TPM_STCLEAR_DATA -> countID; that it was released is not told."""
    return _number(NO_COUNTER if tpm.active_counter == RELEASED_COUNTER else tpm.active_counter)


_LIVE_PROPERTIES: Final[dict[int, Callable[[Tpm], bytes]]] = {
    0x10C: lambda tpm: _number(tpm.permanent.counters.free),
    0x122: _active_counter,
    0x123: lambda tpm: _number(tpm.permanent.nv.available),
}


def _sub_number(sub: bytes, size: int = 4) -> int:
    if len(sub) != size:
        raise TpmError(Rc.BAD_MODE)
    return int.from_bytes(sub)


def _ordinal(tpm: Tpm, sub: bytes) -> bytes:
    return _truth(_sub_number(sub) in tpm.commands)


def _algorithm(tpm: Tpm, sub: bytes) -> bytes:
    return _truth(_sub_number(sub) == _ALG_RSA and Ord.LOAD_KEY2 in tpm.commands)


def _protocol(tpm: Tpm, sub: bytes) -> bytes:
    return _truth(_PROTOCOLS.get(_sub_number(sub, 2)) in tpm.commands)


def _flag(tpm: Tpm, sub: bytes) -> bytes:
    answer = _FLAGS.get(_sub_number(sub))
    if answer is None:
        raise TpmError(Rc.BAD_MODE)
    return answer(tpm)


def _property(tpm: Tpm, sub: bytes) -> bytes:
    number = _sub_number(sub)
    if number in _LIVE_PROPERTIES:
        return _LIVE_PROPERTIES[number](tpm)
    answer = _PROPERTIES.get(number)
    if answer is None:
        raise TpmError(Rc.BAD_MODE)
    return answer


def _check_loaded(tpm: Tpm, sub: bytes) -> bytes:
    reader = Reader(sub)
    wanted = KeyParameters.read(reader)
    return _truth(wanted.algorithm == _ALG_RSA and Ord.LOAD_KEY2 in tpm.commands)


def _key_status(_tpm: Tpm, sub: bytes) -> bytes:
    _sub_number(sub)
    raise TpmError(Rc.INVALID_KEYHANDLE)


def _nv_list(tpm: Tpm, _sub: bytes) -> bytes:
    return b"".join(_number(area.index) for area in tpm.permanent.nv.areas)


def _nv_index(tpm: Tpm, sub: bytes) -> bytes:
    """Return TPM_NV_DATA_PUBLIC with the locks of this start; BADINDEX."""
    public = tpm.permanent.nv.get(_sub_number(sub)).public
    lock = tpm.nv_locks.of(public.index)
    return replace(public, read_locked=lock.read_locked, write_locked=lock.write_locked).encode()


_LISTED: Final = (
    Resource.KEY,
    Resource.AUTH,
    Resource.TRANS,
    Resource.CONTEXT,
    Resource.COUNTER,
    Resource.DAA_TPM,
)


def _handle_list(_tpm: Tpm, sub: bytes) -> bytes:
    if _sub_number(sub) not in _LISTED:
        raise TpmError(Rc.BAD_PARAMETER)
    return _handles()


def _select_size(_tpm: Tpm, sub: bytes) -> bytes:
    wanted = SelectSize.read(Reader(sub))
    if wanted.major != 1 or wanted.minor == 0:
        raise TpmError(Rc.BAD_PARAMETER)
    return _truth(0 < wanted.requested <= limits.PCR_SELECT_SIZE)


def _unsupported(size: int) -> Callable[[Tpm, bytes], bytes]:
    """Answer FALSE to a well-formed question: there is no symmetric encryption and no transport in this
    tier.
    """

    def answer(_tpm: Tpm, sub: bytes) -> bytes:
        _sub_number(sub, size)
        return _truth(False)

    return answer


_VERSION, _VERSION_VAL, _PROPERTY = 0x06, 0x1A, 0x05
_AREAS: Final[dict[int, Callable[[Tpm, bytes], bytes]]] = {
    0x01: _ordinal,
    0x02: _algorithm,
    0x03: _protocol,
    0x04: _flag,
    _PROPERTY: _property,
    _VERSION: lambda _tpm, _sub: b"\1\1\0\0",  # TPM_VERSION is 1.1.0.0 for every TPM 1.2
    0x07: lambda _tpm, _sub: _handles(),  # KEY_HANDLE
    0x08: _check_loaded,
    0x09: _unsupported(4),  # SYM_MODE
    0x0C: _key_status,
    0x0D: _nv_list,
    0x11: _nv_index,
    0x12: _unsupported(4),  # TRANS_ALG
    0x14: _handle_list,
    0x15: _unsupported(2),  # TRANS_ES
    0x17: _unsupported(4),  # AUTH_ENCRYPT
    0x18: _select_size,
    _VERSION_VAL: lambda _tpm, _sub: VersionInfo().encode(),
}
_ANSWERED_BY_A_FAILED_TPM: Final = (_MANUFACTURER, _TIS_TIMEOUT, _DURATION)


def get_capability(tpm: Tpm, args: GetCapabilityIn) -> GetCapabilityOut:
    """BAD_MODE for an unknown area or sub-capability; FAILEDSELFTEST for most of them in a failed TPM."""
    if tpm.failed and args.area not in (_VERSION, _VERSION_VAL):
        identifying = args.area == _PROPERTY and int.from_bytes(args.sub) in _ANSWERED_BY_A_FAILED_TPM
        if not identifying:
            raise TpmError(Rc.FAILEDSELFTEST)
    answer = _AREAS.get(args.area)
    if answer is None:
        raise TpmError(Rc.BAD_MODE)
    return GetCapabilityOut(answer(tpm, args.sub))


ROWS: Final = (
    Command(
        Ord.GET_CAPABILITY, "TPM_GetCapability", "7.1", get_capability, GetCapabilityIn, In.OFF | In.FAILED
    ),
)
