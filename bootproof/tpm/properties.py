# SPDX-License-Identifier: GPL-3.0-or-later
"""The properties of TPM_GetCapability (Part 2, 21.2): how large the tables are, and what is free in them
now.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from bootproof.tpm import limits
from bootproof.tpm.codes import Rc, TpmError
from bootproof.tpm.structures.counters import NO_COUNTER, RELEASED_COUNTER

if TYPE_CHECKING:
    from bootproof.tpm.machine import Tpm

MANUFACTURER, TIS_TIMEOUT, DURATION = 0x103, 0x115, 0x120


def _number(value: int) -> bytes:
    return value.to_bytes(4)


def _fixed(value: bytes) -> Callable[[Tpm], bytes]:
    return lambda _tpm: value


def _size(value: int) -> Callable[[Tpm], bytes]:
    return _fixed(_number(value))


def _live(count: Callable[[Tpm], int]) -> Callable[[Tpm], bytes]:
    return lambda tpm: _number(count(tpm))


def _active_counter(tpm: Tpm) -> int:
    return NO_COUNTER if tpm.active_counter == RELEASED_COUNTER else tpm.active_counter


_PROPERTIES: Final[dict[int, Callable[[Tpm], bytes]]] = {
    0x101: _size(limits.PCR_COUNT),
    0x102: _size(limits.DIR_COUNT),
    MANUFACTURER: _fixed(limits.MANUFACTURER),
    0x104: _live(lambda tpm: tpm.keys.free),
    0x107: _size(0),  # MIN_COUNTER, in tenths of a second
    0x10A: _live(lambda tpm: tpm.sessions.free),
    0x10B: _live(lambda tpm: tpm.transports.free),
    0x10C: _live(lambda tpm: tpm.permanent.counters.free),
    0x10D: _size(limits.AUTH_SESSIONS),
    0x10E: _size(limits.TRANSPORT_SESSIONS),
    0x10F: _size(limits.COUNTERS),
    0x110: _size(limits.KEY_SLOTS),
    0x111: lambda tpm: bytes([tpm.permanent.owner is not None]),
    0x112: _live(lambda tpm: limits.CONTEXTS - len(tpm.contexts.out)),
    0x113: _size(limits.CONTEXTS),
    0x114: _size(limits.FAMILY_ROWS),
    TIS_TIMEOUT: _fixed(b"".join(map(_number, limits.TIS_TIMEOUTS))),
    0x116: _size(limits.STARTUP_EFFECT),
    0x117: _size(limits.DELEGATE_ROWS),
    0x119: _size(0),  # MAX_DAASESS: no DAA
    0x11A: _size(0),  # DAASESS
    0x11B: _size(limits.CONTEXT_DISTANCE),
    0x11C: _fixed(b"\0"),  # DAA_INTERRUPT
    0x11D: _live(lambda tpm: tpm.sessions.free + tpm.transports.free),
    0x11E: _size(limits.AUTH_SESSIONS + limits.TRANSPORT_SESSIONS),
    0x11F: _live(lambda tpm: tpm.permanent.restrictions.delegable),
    DURATION: _fixed(b"".join(map(_number, limits.DURATIONS))),
    0x122: _live(_active_counter),
    0x123: _live(lambda tpm: tpm.permanent.nv.available),
    0x124: _size(limits.BUFFER_SIZE),
}


def answer(tpm: Tpm, number: int) -> bytes:
    """Return what TPM_GetCapability says of that property; BAD_MODE for one that does not exist."""
    found = _PROPERTIES.get(number)
    if found is None:
        raise TpmError(Rc.BAD_MODE)
    return found(tpm)
