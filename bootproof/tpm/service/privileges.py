# SPDX-License-Identifier: GPL-3.0-or-later
"""What the process gives up so that its secrets stay its own: dumps, swapping, and another user's rights."""

from __future__ import annotations

import os
import resource
from typing import Final

_PR_SET_DUMPABLE: Final = 4  # prctl(2)
_LOCK_FLAGS: Final = 1 | 2 | 4  # mlockall(2): MCL_CURRENT, MCL_FUTURE, MCL_ONFAULT


class UserError(Exception):
    """The user cannot be had; the message is one line that says what to do."""


def become(user: str) -> None:
    """Take on the ids and groups of a user, given by name or number; UserError."""
    import pwd

    try:
        entry = pwd.getpwuid(int(user)) if user.isdigit() else pwd.getpwnam(user)
    except (KeyError, ValueError, OverflowError):
        raise UserError(f"--runas: this machine knows no user {user}; give another one") from None
    try:
        os.initgroups(entry.pw_name, entry.pw_gid)
        os.setresgid(entry.pw_gid, entry.pw_gid, entry.pw_gid)
        os.setresuid(entry.pw_uid, entry.pw_uid, entry.pw_uid)
    except OSError as error:
        raise UserError(f"--runas: {user}: {error.strerror}; start the program as root") from None


def forbid_dumps() -> None:
    """No core dump, no debugger and no reading of /proc/PID/mem by other processes of the same user.

    To be called again after a change of user, which resets it.
    """
    import ctypes

    ctypes.CDLL(None).prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def lock_memory() -> bool:
    """Keep the memory out of swap; False where the process may not lock as much as it likes.

    With a limit nothing is locked: running into it would make the next allocation fail.
    """
    import ctypes

    unlimited = resource.RLIM_INFINITY
    if os.geteuid() == 0:
        try:
            resource.setrlimit(resource.RLIMIT_MEMLOCK, (unlimited, unlimited))
        except (OSError, ValueError):
            return False
    if resource.getrlimit(resource.RLIMIT_MEMLOCK)[0] != unlimited:
        return False
    return bool(ctypes.CDLL(None).mlockall(_LOCK_FLAGS) == 0)
