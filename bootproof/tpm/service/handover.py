# SPDX-License-Identifier: GPL-3.0-or-later
"""Migration on shared storage: two emulators have one state directory, and only one at a time may use it.

The destination starts without the state and locks the directory when it needs it; the source unlocks it
when the last of its state blobs was fetched. If the machine does not move after all, the source takes it
back with the next command, or with LOCK_STORAGE, unless somebody has gone on with the state meanwhile.
"""

from __future__ import annotations

import errno
import logging
from typing import Final

from bootproof.tpm.codes import Rc
from bootproof.tpm.machine import Tpm, response
from bootproof.tpm.persistence.container import Kind, StateError, TakenError
from bootproof.tpm.persistence.store import StateDirectory

_LOG: Final = logging.getLogger("vtpm")
PATIENCE: Final = 3.0  # seconds that another emulator has to let go, as long as QEMU would wait


class _Elsewhere:
    """The store of a TPM whose state another emulator may be using."""

    def load(self, kind: Kind) -> bytes | None:  # noqa: ARG002
        return None

    def save(self, kind: Kind, payload: bytes) -> None:  # noqa: ARG002
        raise OSError(errno.EBUSY, "another emulator may be using the state")

    def remove(self, kind: Kind) -> None:
        self.save(kind, b"")


ELSEWHERE: Final = _Elsewhere()


class Handover:
    """Whether this emulator holds its state; without a directory it always does."""

    def __init__(self, tpm: Tpm, directory: StateDirectory | None = None, release: bool = False) -> None:
        """`release`: let go of the state when all of it was fetched."""
        self._tpm = tpm
        self._directory = directory
        self._release = release
        self._away = directory is not None and not directory.locked
        self._was_released = False
        self._left: bytes | None = None
        self._fetched: set[Kind] = set()

    def execute(self, request: bytes) -> bytes:
        """Return the response to a command; FAIL if the state cannot be had any more."""
        if self._away and self._tpm.running:
            try:
                self.hold()
            except StateError as error:
                _LOG.error("no command can be executed: %s", error)
                return response(Rc.FAIL)
        return self._tpm.execute(request)

    def hold(self, seconds: float = PATIENCE) -> None:
        """Lock the state, if it is not locked; StateError if another emulator does not let go for so long,
        or if one has gone on with the state of this TPM, which is running.
        """
        if not self._away:
            return
        directory = self._directory
        assert directory is not None
        directory.lock(seconds)
        try:
            if self._was_released and directory.load(Kind.PERMANENT) == self._left:
                directory.remove(Kind.VOLATILE)  # of a destination that did not get to begin
            elif self._tpm.running:
                raise TakenError("the state was changed by another emulator; INIT goes on from there")
            else:
                self._tpm.store = directory
                self._tpm.reload()
        except (OSError, StateError):
            self._tpm.store = ELSEWHERE
            directory.unlock()
            raise
        self._tpm.store = directory
        self._away = False
        self._fetched.clear()

    def note_fetched(self, kind: Kind) -> None:
        """Say that a state blob goes to a client; the saved state is the last one."""
        self._fetched.add(kind)
        if kind == Kind.SAVED and self._fetched.issuperset(Kind):
            self._fetched.clear()
            if self._release and self._directory is not None:
                self._left = self._directory.load(Kind.PERMANENT)
                self._was_released = self._away = True
                self._tpm.store = ELSEWHERE
                self._directory.unlock()
