# SPDX-License-Identifier: GPL-3.0-or-later
"""Monotonic counters (Part 2, 7.6; Part 3, 25)."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from bootproof.tpm.codes import Rc, TpmError
from bootproof.tpm.limits import COUNTERS
from bootproof.tpm.wire import Structure, digest, listed, raw, structure, structure_tag, uint32

LABEL_SIZE: Final = 4
NO_COUNTER: Final = 0xFFFFFFFF  # TPM_STCLEAR_DATA -> countID: none was incremented yet
RELEASED_COUNTER: Final = 0xFFFFFFFE  # ... the one that was incremented is gone, and no other may be
_HIGHEST: Final = 0xFFFFFFFF


@structure
class CounterValue(Structure):
    """TPM_COUNTER_VALUE (Part 2, 7.6.1)."""

    tag: int = structure_tag(default=0x000E)
    label: bytes = raw(LABEL_SIZE)
    count: int = uint32()


@structure
class Counter(Structure):
    """A counter that somebody has created."""

    handle: int = uint32()
    auth: bytes = digest()
    label: bytes = raw(LABEL_SIZE)
    count: int = uint32()

    @property
    def value(self) -> CounterValue:
        """What is told about it."""
        return CounterValue(self.label, self.count)


@structure
class Counters(Structure):
    """All counters, and the highest value that any ever had: a new one starts above it."""

    created: tuple[Counter, ...] = listed(Counter, default=())
    highest: int = uint32(default=0)

    @property
    def free(self) -> int:
        """How many more can be created."""
        return COUNTERS - len(self.created)

    def get(self, handle: int) -> Counter:
        """BAD_COUNTER for one that does not exist."""
        found = next((counter for counter in self.created if counter.handle == handle), None)
        if found is None:
            raise TpmError(Rc.BAD_COUNTER)
        return found

    def new(self, auth: bytes, label: bytes) -> Counter:
        """Return one with the lowest free handle; RESOURCES."""
        taken = {counter.handle for counter in self.created}
        handle = next((handle for handle in range(COUNTERS) if handle not in taken), None)
        if handle is None:
            raise TpmError(Rc.RESOURCES)
        return Counter(handle, auth, label, _next(self.highest))

    def put(self, counter: Counter) -> Counters:
        """Return all counters with this one in the place of that of the same handle."""
        others = [old for old in self.created if old.handle != counter.handle]
        return Counters((*others, counter), max(self.highest, counter.count))

    def drop(self, handle: int) -> Counters:
        """Return all counters without that one."""
        kept = tuple(counter for counter in self.created if counter.handle != handle)
        return replace(self, created=kept)

    def owner_cleared(self) -> Counters:
        """Return what is left when the owner goes (Part 3, 6.2): no counter, but their highest value."""
        return replace(self, created=())


def incremented(counter: Counter) -> Counter:
    """Return the counter one further."""
    return replace(counter, count=_next(counter.count))


def _next(count: int) -> int:
    """RESOURCES where the number has no successor."""
    if count >= _HIGHEST:
        raise TpmError(Rc.RESOURCES)
    return count + 1
