# SPDX-License-Identifier: GPL-3.0-or-later
"""What libfaketime leaves behind: shared memory named by process number, which trips a later process."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_SHM = Path("/dev/shm")  # noqa: S108 - where POSIX shared memory is
_NAME = re.compile(r"(?:faketime_shm|sem\.faketime_sem)_(\d+)")


@contextmanager
def tidied(folder: Path = _SHM) -> Iterator[None]:
    """Remove what processes that are gone have left, before and after the block."""
    sweep(folder)
    try:
        yield
    finally:
        sweep(folder)


def sweep(folder: Path) -> None:
    """Remove our own user's leftovers of processes that do not run any more."""
    for path in folder.glob("*faketime_*"):
        match = _NAME.fullmatch(path.name)
        if match and path.stat().st_uid == os.getuid() and not Path(f"/proc/{match[1]}").exists():
            path.unlink(missing_ok=True)
