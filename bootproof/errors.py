# SPDX-License-Identifier: GPL-3.0-or-later
"""Exit codes, and the errors that end a command with one line instead of a traceback."""

from __future__ import annotations

from enum import IntEnum


class ExitCode(IntEnum):
    """What `builder.py` tells its caller; every way a boot can fail has a number of its own."""

    PASS = 0
    USAGE = 2
    HOST = 10
    QEMU = 11
    FIRMWARE = 12
    GUEST_TIMEOUT = 13
    GUEST_CHECK = 14
    MEASUREMENT = 15


class BootproofError(Exception):
    """Something the user can act on: `message` says what is wrong, `hint` what to do about it."""

    def __init__(self, message: str, hint: str = "", code: ExitCode = ExitCode.USAGE) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.code = code

    def __str__(self) -> str:
        return f"{self.message} ({self.hint})" if self.hint else self.message


class HostError(BootproofError):
    """The machine we run on lacks something: a tool, disk space, the network, a kernel feature."""

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message, hint, ExitCode.HOST)
