# SPDX-License-Identifier: GPL-3.0-or-later
"""Ways to make a command wrong. All of them depend on chance only, so that two TPMs get the same fault."""

from __future__ import annotations

from collections.abc import Callable
from random import Random

from tests.tpm.client.constants import Ord, Tag
from tests.tpm.client.tpm import Tpm
from tests.tpm.client.wire import u16, u32

_SPARED = {Ord.OIAP, Ord.FLUSH_SPECIFIC, Ord.GET_CAPABILITY}
_HEADER = 10


def sized_anew(request: bytes) -> bytes:
    """Return the request with a paramSize that is right."""
    return request[:2] + u32(len(request)) + request[6:]


def shortened(request: bytes, chance: Random) -> bytes:
    """Cut bytes off the end, but not of the header."""
    end = max(_HEADER, len(request) - chance.choice([1, 2, 4, 20, 45, 60]))
    return sized_anew(request[:end])


def lengthened(request: bytes, chance: Random) -> bytes:
    return sized_anew(request + bytes(chance.choice([1, 4, 45])))


def retagged(request: bytes, chance: Random) -> bytes:
    others = [tag for tag in (*Tag, 0, 0xFFFF) if u16(tag) != request[:2]]
    return u16(chance.choice(others)) + request[2:]


def rehandled(request: bytes, chance: Random) -> bytes:
    """Put another number where the first handle or field is."""
    other = chance.choice([0, 0x40000000, 0x40000001, 0x40000006, 0xFFFFFFFF])
    return sized_anew(request[:_HEADER] + u32(other) + request[_HEADER + 4 :])


def forged(request: bytes, chance: Random) -> bytes:
    """Change the last byte: that of an HMAC if there is one."""
    return request[:-1] + bytes([request[-1] ^ 1 << chance.randrange(8)])


_REQUESTS: tuple[Callable[[bytes, Random], bytes], ...] = (
    shortened,
    lengthened,
    retagged,
    rehandled,
    forged,
)


def _flipped(parameters: bytes, chance: Random) -> bytes:
    """Flip one bit near the front, where the fields are, or anywhere."""
    if not parameters:
        return parameters
    reach = chance.choice([4, 16, 64, len(parameters)])
    at = chance.randrange(min(reach, len(parameters)))
    return parameters[:at] + bytes([parameters[at] ^ 1 << chance.randrange(8)]) + parameters[at + 1 :]


def _cut(parameters: bytes, chance: Random) -> bytes:
    return parameters[: chance.randrange(len(parameters))] if parameters else parameters


def _grown(parameters: bytes, chance: Random) -> bytes:
    return parameters + bytes(chance.choice([1, 4, 20]))


_PARAMETERS: tuple[Callable[[bytes, Random], bytes], ...] = (_flipped, _flipped, _cut, _grown)


def inject(tpm: Tpm, seed: str) -> Callable[[], None]:
    """Make one of the next commands wrong, properly authorised or not; call the result to stop that."""
    chance = Random(seed)
    skipped = chance.choice([0, 0, 0, 1])
    left = [skipped + 1]

    def now(ordinal: int) -> bool:
        if ordinal in _SPARED:
            return False
        left[0] -= 1
        return left[0] == 0

    if chance.random() < 0.5:
        spoil = chance.choice(_PARAMETERS)
        tpm.alter = lambda ordinal, body: spoil(body, chance) if now(ordinal) else body
    else:
        break_it = chance.choice(_REQUESTS)
        tpm.tamper = lambda sent: break_it(sent, chance) if now(int.from_bytes(sent[6:10])) else sent

    def stop() -> None:
        tpm.alter = tpm.tamper = None

    return stop
