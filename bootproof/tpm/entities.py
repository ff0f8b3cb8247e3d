# SPDX-License-Identifier: GPL-3.0-or-later
"""What has authorisation data: keys, the owner, NV areas, counters (Part 2, 4.3)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from bootproof.tpm import numbers
from bootproof.tpm.codes import Rc, TpmError
from bootproof.tpm.keys import LoadedKey
from bootproof.tpm.numbers import Handle
from bootproof.tpm.structures.counters import Counter
from bootproof.tpm.structures.keys import sha1
from bootproof.tpm.structures.nv import NvArea

if TYPE_CHECKING:
    from bootproof.tpm.machine import Tpm


@dataclass(frozen=True, slots=True)
class Entity:
    """What a session can be tied to: its kind, 20 bytes that tell it from others, and its secret."""

    kind: numbers.Entity
    identity: bytes
    secret: bytes


def of_key(loaded: LoadedKey) -> Entity:
    """Return a loaded key's."""
    kind = numbers.Entity.SRK if loaded.handle == Handle.SRK else numbers.Entity.KEYHANDLE
    return Entity(kind, loaded.identity, loaded.secret.usage_auth)


def of_owner(tpm: Tpm) -> Entity:
    """NOSRK without an owner."""
    owner = tpm.permanent.owner
    if owner is None:
        raise TpmError(Rc.NOSRK)
    return Entity(numbers.Entity.OWNER, sha1(b"owner", owner.auth), owner.auth)


def of_nv(area: NvArea) -> Entity:
    """Return an NV area's."""
    return Entity(numbers.Entity.NV, sha1(b"nv", area.index.to_bytes(4), area.auth), area.auth)


def of_counter(counter: Counter) -> Entity:
    """Return a monotonic counter's."""
    identity = sha1(b"counter", counter.handle.to_bytes(4), counter.label, counter.auth)
    return Entity(numbers.Entity.COUNTER, identity, counter.auth)


_RESOLVERS: Final[dict[int, Callable[[Tpm, int], Entity]]] = {
    numbers.Entity.KEYHANDLE: lambda tpm, handle: of_key(tpm.keys.get(handle)),
    numbers.Entity.OWNER: lambda tpm, _handle: of_owner(tpm),
    numbers.Entity.SRK: lambda tpm, _handle: of_key(tpm.keys.srk()),
    numbers.Entity.COUNTER: lambda tpm, handle: of_counter(tpm.permanent.counters.get(handle)),
    numbers.Entity.NV: lambda tpm, index: of_nv(tpm.permanent.nv.get(index)),
}


def resolve(tpm: Tpm, kind: int, value: int) -> Entity:
    """Return what an OSAP session is asked for; BAD_PARAMETER for a kind that has no authorisation data."""
    resolver = _RESOLVERS.get(kind)
    if resolver is None:
        raise TpmError(Rc.BAD_PARAMETER)
    return resolver(tpm, value)
