# SPDX-License-Identifier: GPL-3.0-or-later
"""Signals that end the program become readable bytes, so that one that comes early is not lost."""

from __future__ import annotations

import signal
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Final

_ENDING: Final = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)


@contextmanager
def ending_signals() -> Iterator[socket.socket]:
    """Yield a socket that becomes readable when the program is to end; the signals do nothing else."""
    wake_up, waker = socket.socketpair()
    with wake_up, waker:
        waker.setblocking(False)
        old_waker = signal.set_wakeup_fd(waker.fileno(), warn_on_full_buffer=False)
        old_handlers = {number: signal.signal(number, _noted) for number in _ENDING}
        try:
            yield wake_up
        finally:
            signal.set_wakeup_fd(old_waker)
            for number, handler in old_handlers.items():
                signal.signal(number, handler)


def _noted(_number: int, _frame: FrameType | None) -> None:
    """The signal's number is in the socket by now; a handler must exist for it to get there."""
