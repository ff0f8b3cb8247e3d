# SPDX-License-Identifier: GPL-3.0-or-later
"""Work that takes long, in a thread, so that the program can attend to others meanwhile. Here that is the
generation of RSA keys, during which the library lets other threads run.
"""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Generic, TypeVar

T = TypeVar("T")


class Job(Generic[T]):
    """Something that is being done; `done` becomes readable when it is finished.

    One that nobody waits for any more goes on to its end, and the process ends only after it.
    """

    def __init__(self, work: Callable[[], T]) -> None:
        self._work = work
        self._result: list[T] = []
        self._error: BaseException | None = None
        self.done, self._waker = socket.socketpair()
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self) -> None:
        try:
            self._result.append(self._work())
        except BaseException as error:
            self._error = error
        with suppress(OSError), self._waker:
            self._waker.send(b"\0")

    def result(self) -> T:
        """Wait for the end, and return or raise what the work did."""
        self._thread.join()
        if self._error is not None:
            raise self._error
        return self._result[0]
