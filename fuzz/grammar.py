# SPDX-License-Identifier: GPL-3.0-or-later
"""From the emulator's table of commands to generators of their parameters.

Each action grows from one number: hypothesis draws lists of numbers and shrinks those, which is ten times as
fast as drawing every field.
"""

from __future__ import annotations

import inspect
import struct
from collections.abc import Callable
from dataclasses import fields
from random import Random

from hypothesis import strategies as st

from bootproof.tpm.commands.table import COMMANDS
from bootproof.tpm.persistence.container import Kind
from bootproof.tpm.wire import Codec, Structure
from fuzz.target import Action, Authorised, Control, Locality, Power, Raw
from tests.tpm.client.catalogue import requests
from tests.tpm.client.constants import HANDLES
from tests.tpm.client.wire import sized, u32

Make = Callable[[Random], bytes]
_USUAL = (*range(0x28), 0x101, 0x103, 0x10D, 0xFFFF, 0x40000000, 0x40000001, 0xFFFFFFFF)
_LENGTHS = (0, 1, 4, 20, 20, 60, 256)
_REQUESTS = tuple(requests())
_ORDINALS = tuple(sorted(COMMANDS))
_MOST = 12  # actions in a script


def _number(size: int) -> Make:
    """Return numbers of the specification's kind, sometimes any."""

    def make(chance: Random) -> bytes:
        if chance.random() < 0.2:
            return chance.randbytes(size)
        usual: int = chance.choice(_USUAL)
        return (usual & ((1 << 8 * size) - 1)).to_bytes(size)

    return make


def _fixed(layout: str) -> Make:
    size = struct.calcsize(">" + layout)
    if layout == "?":
        return lambda chance: chance.choice([b"\0", b"\1"])
    if size <= 8:
        return _number(size)
    return lambda chance: chance.choice([bytes(size), chance.randbytes(size)])


def _blob(chance: Random) -> bytes:
    return chance.randbytes(chance.choice(_LENGTHS))


def _codec(codec: Codec) -> Make:
    """Return what a field can be: a structure where it declares one, else bytes behind their length."""
    if codec.fixed:
        return _fixed(codec.fixed)
    owner = getattr(codec.read, "__self__", None)
    if isinstance(owner, type) and issubclass(owner, Structure):
        return lambda chance: encoding(owner, chance)
    inside = inspect.getclosurevars(codec.read).nonlocals
    if "kind" in inside:
        kind = inside["kind"]
        return lambda chance: chance.choice([bytes(4), sized(encoding(kind, chance)), sized(_blob(chance))])
    if "length" in inside:
        return lambda chance: _behind_length(_blob(chance), inside["length"].size)
    return _blob


def _behind_length(data: bytes, width: int) -> bytes:
    return len(data).to_bytes(width) + data


_FIELDS: dict[type[Structure], list[Make]] = {}


def encoding(kind: type[Structure], chance: Random) -> bytes:
    """Return an encoding of a structure, field by field as it declares them."""
    if kind not in _FIELDS:
        _FIELDS[kind] = [
            _constant(codec.write(part.default)) if not part.init else _codec(codec)
            for part, (_, codec) in zip(fields(kind), kind.CODECS, strict=True)  # type: ignore[arg-type]
        ]
    return b"".join([make(chance) for make in _FIELDS[kind]])


def _constant(data: bytes) -> Make:
    return lambda _: data


def _spoiled(data: bytes, chance: Random) -> bytes:
    """Return the bytes as they are, shorter, longer, or with some of them others."""
    way = chance.choice(["right", "right", "right", "short", "long", "changed"])
    if way == "right" or not data:
        return data
    at, extra = chance.randrange(len(data)), chance.randbytes(chance.choice([1, 1, 2, 4]))
    if way == "short":
        return data[:at]
    return data + extra if way == "long" else data[:at] + extra + data[at + len(extra) :]


def _command(chance: Random) -> Action:
    ordinal = chance.choice(_ORDINALS)
    row = COMMANDS[ordinal]
    body = encoding(row.parameters, chance)[4 * HANDLES.get(ordinal, (0, 0))[0] :]
    auths = tuple((chance.randrange(4), chance.random() < 0.5) for _ in range(chance.choice(row.auths)))
    handles = chance.randrange(10), chance.randrange(10)
    return Authorised(ordinal, _spoiled(body, chance), handles, auths)


def _control(chance: Random) -> Action:
    """Return a request of the control channel, whole or not."""
    kind = u32(chance.choice([*Kind, 0, 9]))
    bodies = (
        b"",
        chance.randbytes(chance.randrange(40)),
        u32(chance.randrange(3)),
        u32(0) + kind + sized(_blob(chance)),
        u32(1) + kind + u32(0),
    )
    return Control(u32(chance.randrange(0x15)) + chance.choice(bodies))


def action(number: int) -> Action:
    """Return the action that grows from a number."""
    chance = Random(number)  # noqa: S311 - repeatable
    kind = chance.randrange(12)
    if kind < 7:
        return _command(chance)
    if kind < 9:
        return Raw(_spoiled(chance.choice(_REQUESTS), chance))
    if kind < 10:
        return chance.choice([_control(chance), Locality(chance.randrange(5))])
    if kind < 11:
        return Raw(chance.randbytes(chance.randrange(1, 80)))
    return Power(chance.choice([1, 1, 1, 2, 3, 0]))


def scripts() -> st.SearchStrategy[list[Action]]:
    """Return lists of actions."""
    return st.lists(st.integers(0, 1 << 32).map(action), min_size=1, max_size=_MOST)
