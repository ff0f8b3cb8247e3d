# SPDX-License-Identifier: GPL-3.0-or-later
"""TPM_GetCapability and TPM_GetCapabilityOwner (Part 3, 7.1 and 7.3; the areas are in Part 2, 21)."""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from bootproof.tpm import defence, limits, properties
from bootproof.tpm.codes import Rc, TpmError
from bootproof.tpm.command import Command, In
from bootproof.tpm.numbers import Algorithm, EncScheme, Resource
from bootproof.tpm.ordinals import Ord
from bootproof.tpm.structures.keys import KeyParameters
from bootproof.tpm.wire import (
    Nothing,
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
    from bootproof.tpm.call import Call
    from bootproof.tpm.machine import Tpm

_TAG_SIZE: Final = 2
_TPM11_SELECT_SIZE: Final = 2  # 16 PCRs
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


def _truth(value: bool) -> bytes:
    return b"\1" if value else b"\0"


def _handles(*values: int) -> bytes:
    """Return a TPM_KEY_HANDLE_LIST."""
    return struct.pack(f">H{len(values)}I", len(values), *values)


_FLAGS: Final[dict[int, Callable[[Tpm], bytes]]] = {
    0x108: lambda tpm: tpm.permanent.flags.encode(),
    0x109: lambda tpm: tpm.stclear.encode(),
}


def _sub_number(sub: bytes, size: int = 4) -> int:
    if len(sub) != size:
        raise TpmError(Rc.BAD_MODE)
    return int.from_bytes(sub)


def _ordinal(tpm: Tpm, sub: bytes) -> bytes:
    return _truth(_sub_number(sub) in tpm.commands)


def _algorithm(tpm: Tpm, sub: bytes) -> bytes:
    return _truth(_sub_number(sub) == Algorithm.RSA and Ord.LOAD_KEY2 in tpm.commands)


def _protocol(tpm: Tpm, sub: bytes) -> bytes:
    return _truth(_PROTOCOLS.get(_sub_number(sub, 2)) in tpm.commands)


def _flag(tpm: Tpm, sub: bytes) -> bytes:
    answer = _FLAGS.get(_sub_number(sub))
    if answer is None:
        raise TpmError(Rc.BAD_MODE)
    return answer(tpm)


def _property(tpm: Tpm, sub: bytes) -> bytes:
    return properties.answer(tpm, _sub_number(sub))


def _check_loaded(tpm: Tpm, sub: bytes) -> bytes:
    wanted = KeyParameters.read(Reader(sub))
    return _truth(wanted.algorithm == Algorithm.RSA and tpm.keys.free > 0)


def _key_status(tpm: Tpm, sub: bytes) -> bytes:
    """Tell whether the owner keeps that key in; INVALID_KEYHANDLE."""
    handle = _sub_number(sub)
    tpm.keys.own(handle)
    return _truth(tpm.keys.kept(handle))


def _nv_list(tpm: Tpm, _sub: bytes) -> bytes:
    return b"".join(area.index.to_bytes(4) for area in tpm.permanent.nv.areas)


def _nv_index(tpm: Tpm, sub: bytes) -> bytes:
    """Return TPM_NV_DATA_PUBLIC with the locks of this start; BADINDEX."""
    public = tpm.permanent.nv.get(_sub_number(sub)).public
    lock = tpm.nv_locks.of(public.index)
    return replace(public, read_locked=lock.read_locked, write_locked=lock.write_locked).encode()


def _key_handles(tpm: Tpm, _sub: bytes = b"") -> bytes:
    return _handles(*(loaded.handle for loaded in tpm.keys))


_LISTED: Final[dict[int, Callable[[Tpm], bytes]]] = {
    Resource.KEY: _key_handles,
    Resource.AUTH: lambda tpm: _handles(*(session.handle for session in tpm.sessions)),
    Resource.TRANS: lambda tpm: _handles(*(session.handle for session in tpm.transports)),
    Resource.CONTEXT: lambda tpm: _handles(*(saved.value for saved in tpm.contexts.out)),
    Resource.COUNTER: lambda tpm: _handles(*(counter.handle for counter in tpm.permanent.counters.created)),
    Resource.DAA_TPM: lambda _tpm: _handles(),
}


def _handle_list(tpm: Tpm, sub: bytes) -> bytes:
    listed = _LISTED.get(_sub_number(sub))
    if listed is None:
        raise TpmError(Rc.BAD_PARAMETER)
    return listed(tpm)


def _select_size(_tpm: Tpm, sub: bytes) -> bytes:
    """Tell whether that version of the specification has selections of that many bytes (Part 2, 21.1)."""
    wanted = SelectSize.read(Reader(sub))
    if wanted.major != 1 or wanted.minor == 0:
        raise TpmError(Rc.BAD_PARAMETER)
    largest = _TPM11_SELECT_SIZE if wanted.minor == 1 else limits.PCR_SELECT_SIZE
    return _truth(0 < wanted.requested <= largest)


def _one_of(*known: int, size: int = 4) -> Callable[[Tpm, bytes], bytes]:
    """Return what tells whether a number of that many bytes is among those."""
    return lambda _tpm, sub: _truth(_sub_number(sub, size) in known)


def _da_logic(tpm: Tpm, _sub: bytes) -> bytes:
    """Describe the defence against guessing, which is one for all entity types."""
    return defence.information(tpm).encode()


_VERSION, _VERSION_VAL, _PROPERTY = 0x06, 0x1A, 0x05
_AREAS: Final[dict[int, Callable[[Tpm, bytes], bytes]]] = {
    0x01: _ordinal,
    0x02: _algorithm,
    0x03: _protocol,
    0x04: _flag,
    _PROPERTY: _property,
    _VERSION: lambda _tpm, _sub: b"\1\1\0\0",  # TPM_VERSION is 1.1.0.0 for every TPM 1.2
    0x07: _key_handles,
    0x08: _check_loaded,
    0x09: _one_of(),  # SYM_MODE: none for users' data
    0x0C: _key_status,
    0x0D: _nv_list,
    0x11: _nv_index,
    0x12: _one_of(Algorithm.AES128, Algorithm.MGF1),  # TRANS_ALG
    0x14: _handle_list,
    0x15: _one_of(EncScheme.SYM_CTR, EncScheme.SYM_OFB, size=2),  # TRANS_ES
    0x17: _one_of(Algorithm.XOR, Algorithm.AES128),  # AUTH_ENCRYPT
    0x18: _select_size,
    0x19: _da_logic,
    _VERSION_VAL: lambda _tpm, _sub: VersionInfo().encode(),
}
_ANSWERED_BY_A_FAILED_TPM: Final = (properties.MANUFACTURER, properties.TIS_TIMEOUT, properties.DURATION)


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


@structure
class OwnerCapabilityOut(Structure):
    """TPM_GetCapabilityOwner: TPM_VERSION, and both structures of flags, the first flag the lowest bit."""

    version: bytes = raw(4)
    permanent_flags: int = uint32()
    volatile_flags: int = uint32()


def get_capability_owner(call: Call, _args: Nothing) -> OwnerCapabilityOut:
    """AUTHFAIL."""
    call.owner()
    tpm = call.tpm
    version = bytes([1, 2, *limits.FIRMWARE_VERSION])
    return OwnerCapabilityOut(version, _bits(tpm.permanent.flags), _bits(tpm.stclear))


def _bits(flags: Structure) -> int:
    """Return a structure of flags as a number; its tag does not count."""
    values = flags.encode()[_TAG_SIZE:]
    return sum(value << bit for bit, value in enumerate(values))


ROWS: Final = (
    Command(
        Ord.GET_CAPABILITY, "TPM_GetCapability", "7.1", get_capability, GetCapabilityIn, In.OFF | In.FAILED
    ),
    Command(
        Ord.GET_CAPABILITY_OWNER,
        "TPM_GetCapabilityOwner",
        "7.3",
        get_capability_owner,
        Nothing,
        auths=(1,),
        needs_owner=True,
    ),
)
