# SPDX-License-Identifier: GPL-3.0-or-later
"""A table of sessions that are known by handles which the TPM chooses."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from typing import Any, Final, Generic, Protocol, TypeVar

from bootproof.tpm.codes import Rc, TpmError

_RANDOM_BYTES: Final = 3  # of a handle; the first of its four tells what it is for


class Handled(Protocol):
    """What can be in such a table: a structure with its handle in it; it is replaced, never changed."""

    @property
    def handle(self) -> int:
        """The handle it is known by."""


H = TypeVar("H", bound=Handled)


class HandleTable(Generic[H]):
    """Up to `size` sessions whose handles begin with the byte `prefix`."""

    def __init__(self, prefix: int, size: int) -> None:
        self._prefix = prefix
        self._size = size
        self._open: dict[int, H] = {}

    def __iter__(self) -> Iterator[H]:
        """All of them, the oldest first."""
        return iter(list(self._open.values()))

    def __contains__(self, handle: int) -> bool:
        """Whether one of that handle is open."""
        return handle in self._open

    @property
    def free(self) -> int:
        """How many more can be opened."""
        return self._size - len(self._open)

    def get(self, handle: int) -> H:
        """INVALID_AUTHHANDLE for one that is not open."""
        found = self._open.get(handle)
        if found is None:
            raise TpmError(Rc.INVALID_AUTHHANDLE)
        return found

    def add(self, make: Callable[[int], H]) -> H:
        """Open what `make` returns for a new handle; RESOURCES if all are taken."""
        self.need_room()
        made = make(self._new_handle())
        self._open[made.handle] = made
        return made

    def insert(self, saved: H, same_handle: bool = False) -> H:
        """Put a saved one back, under its old handle if that is free; RESOURCES if all are taken, BAD_HANDLE
        if it is not free but has to be the same.
        """
        self.need_room()
        if saved.handle in self._open:
            if same_handle:
                raise TpmError(Rc.BAD_HANDLE)
            handled: Any = saved
            saved = replace(handled, handle=self._new_handle())
        self._open[saved.handle] = saved
        return saved

    def need_room(self) -> None:
        """RESOURCES if all are taken."""
        if self.free < 1:
            raise TpmError(Rc.RESOURCES)

    def _new_handle(self) -> int:
        while True:
            handle = self._prefix << 8 * _RANDOM_BYTES | int.from_bytes(os.urandom(_RANDOM_BYTES))
            if handle not in self._open:
                return handle

    def update(self, changed: H) -> None:
        """Replace the one of that handle."""
        self._open[changed.handle] = changed

    def close(self, handle: int) -> None:
        """Close it, if it is open."""
        self._open.pop(handle, None)

    def close_all(self) -> None:
        """Close all."""
        self._open.clear()

    def restore(self, saved: Iterable[H]) -> None:
        """Take all from a snapshot."""
        self._open = {item.handle: item for item in saved}
