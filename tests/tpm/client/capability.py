# SPDX-License-Identifier: GPL-3.0-or-later
"""Reading and setting what the TPM says of itself (Part 3, 7; Part 2, 21)."""

from __future__ import annotations

from enum import IntEnum

from tests.tpm.client.constants import Ord
from tests.tpm.client.nv import NvPublic
from tests.tpm.client.tpm import Auth, Tpm
from tests.tpm.client.wire import Reader, Struct, encoded, flag, sized, u32


class Cap(IntEnum):
    """TPM_CAPABILITY_AREA (Part 2, 21.1)."""

    ORD = 0x01
    ALG = 0x02
    PID = 0x03
    FLAG = 0x04
    PROPERTY = 0x05
    VERSION = 0x06
    KEY_HANDLE = 0x07
    CHECK_LOADED = 0x08
    SYM_MODE = 0x09
    KEY_STATUS = 0x0C
    NV_LIST = 0x0D
    MFR = 0x10
    NV_INDEX = 0x11
    TRANS_ALG = 0x12
    HANDLE = 0x14
    TRANS_ES = 0x15
    AUTH_ENCRYPT = 0x17
    SELECT_SIZE = 0x18
    DA_LOGIC = 0x19
    VERSION_VAL = 0x1A


class Prop(IntEnum):
    """Properties (Part 2, 21.2)."""

    PCR = 0x101
    DIR = 0x102
    MANUFACTURER = 0x103
    KEYS = 0x104
    MIN_COUNTER = 0x107
    AUTHSESS = 0x10A
    TRANSESS = 0x10B
    COUNTERS = 0x10C
    MAX_AUTHSESS = 0x10D
    MAX_TRANSESS = 0x10E
    MAX_COUNTERS = 0x10F
    MAX_KEYS = 0x110
    OWNER = 0x111
    CONTEXT = 0x112
    MAX_CONTEXT = 0x113
    FAMILYROWS = 0x114
    TIS_TIMEOUT = 0x115
    STARTUP_EFFECT = 0x116
    DELEGATE_ROW = 0x117
    MAX_DAASESS = 0x119
    DAASESS = 0x11A
    CONTEXT_DIST = 0x11B
    DAA_INTERRUPT = 0x11C
    SESSIONS = 0x11D
    MAX_SESSIONS = 0x11E
    CMK_RESTRICTION = 0x11F
    DURATION = 0x120
    ACTIVE_COUNTER = 0x122
    NV_AVAILABLE = 0x123
    INPUT_BUFFER = 0x124


class SetCap(IntEnum):
    """Areas of TPM_SetCapability (Part 2, 21.4)."""

    PERM_FLAGS = 1
    PERM_DATA = 2
    STCLEAR_FLAGS = 3
    STCLEAR_DATA = 4
    STANY_FLAGS = 5
    STANY_DATA = 6
    VENDOR = 7


def get_capability(tpm: Tpm, area: int, sub: bytes = b"") -> bytes:
    """TPM_GetCapability (7.1)."""
    answer = tpm.call(Ord.GET_CAPABILITY, u32(area) + sized(sub))
    found = answer.sized()
    answer.end()
    return found


def set_capability(tpm: Tpm, owner: Auth, area: int, sub: bytes, value: bytes) -> None:
    """TPM_SetCapability (7.2); `owner` is None where presence or locality is enough."""
    tpm.call(Ord.SET_CAPABILITY, u32(area) + sized(sub) + sized(value), owner).end()


def set_flag(tpm: Tpm, owner: Auth, area: int, number: int, value: bool) -> None:
    """Set one flag with TPM_SetCapability."""
    set_capability(tpm, owner, area, u32(number), flag(value))


def get_capability_signed(
    tpm: Tpm, auth: Auth, key: int, replay: bytes, area: int, sub: bytes = b""
) -> tuple[bytes, bytes, bytes]:
    """TPM_GetCapabilitySigned (7.3, optional); return version, answer and signature."""
    parameters = replay + u32(area) + sized(sub)
    answer = tpm.call(Ord.GET_CAPABILITY_SIGNED, parameters, auth, handles=[key])
    found = answer.take(4), answer.sized(), answer.sized()
    answer.end()
    return found


def supported(tpm: Tpm, ordinal: int) -> bool:
    """Tell whether an ordinal is implemented."""
    return get_capability(tpm, Cap.ORD, u32(ordinal)) == b"\1"


def number(tpm: Tpm, what: int) -> int:
    """Return a property that is a number."""
    return int.from_bytes(get_capability(tpm, Cap.PROPERTY, u32(what)))


def handles(tpm: Tpm, resource: int | None = None) -> list[int]:
    """Return loaded handles: keys' (KEY_HANDLE) if no resource type is given (HANDLE)."""
    if resource is None:
        source = Reader(get_capability(tpm, Cap.KEY_HANDLE))
    else:
        source = Reader(get_capability(tpm, Cap.HANDLE, u32(resource)))
    found = [source.u32() for _ in range(source.u16())]
    source.end()
    return found


def nv_index(tpm: Tpm, index: int) -> NvPublic:
    """Return the public area of an NV index."""
    return NvPublic.decode(get_capability(tpm, Cap.NV_INDEX, u32(index)))


def nv_list(tpm: Tpm) -> list[int]:
    """Return the defined NV indices."""
    found = get_capability(tpm, Cap.NV_LIST)
    return [int.from_bytes(found[at : at + 4]) for at in range(0, len(found), 4)]


def check_loaded(tpm: Tpm, parms: Struct | bytes) -> bool:
    """Tell whether a key of that kind could be loaded."""
    return get_capability(tpm, Cap.CHECK_LOADED, encoded(parms)) == b"\1"
