# SPDX-License-Identifier: GPL-3.0-or-later
"""Folders that vanish with us, however we end, and a polite way to be ended."""

from __future__ import annotations

import os
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import NoReturn

from bootproof.errors import HostError
from bootproof.process import spawn

# Waits until nobody holds the other end of its standard input, then removes the folder. It must outlive us,
# so it ignores the SIGTERM that every child of ours gets when we die, and a Ctrl-C meant for us; it says
# when it does.
_SWEEPER = 'trap "" TERM INT HUP; echo; read -r _; rm -rf -- "$1"'


@dataclass(frozen=True)
class PrivateFolder:
    """A folder only we can enter. `lease` is a descriptor; the folder stays while any process holds it."""

    path: Path
    lease: int


@contextmanager
def private_folder(parent: Path | None = None, prefix: str = ".bootproof-") -> Iterator[PrivateFolder]:
    """Make a folder (mode 0700) that is removed when the block ends, or, if we are killed, when all its
    users are gone.

    Processes that write into it have to inherit `lease`: then it is not swept away under them.
    """
    try:
        path = Path(tempfile.mkdtemp(prefix=prefix, dir=parent))
    except OSError as error:
        where = parent or tempfile.gettempdir()
        raise HostError(
            f"cannot make a folder in {where}: {error.strerror}", "make room there, or set TMPDIR"
        ) from None
    read_end, lease = os.pipe()
    with os.fdopen(read_end, "rb") as stream:
        sweeper = spawn(["sh", "-c", _SWEEPER, "sh", path], stdin=stream, stdout=subprocess.PIPE)
    try:
        assert sweeper.stdout is not None
        with sweeper.stdout as ready:
            ready.readline()
        yield PrivateFolder(path, lease)
    finally:
        os.close(lease)
        sweeper.wait()


@contextmanager
def ended_politely() -> Iterator[None]:
    """Within the block SIGTERM and SIGHUP unwind the stack like Ctrl-C does, so everything is put away."""

    def leave(number: int, _frame: FrameType | None) -> NoReturn:
        raise SystemExit(128 + number)

    before = {number: signal.signal(number, leave) for number in (signal.SIGTERM, signal.SIGHUP)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
