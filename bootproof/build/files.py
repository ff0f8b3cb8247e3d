# SPDX-License-Identifier: GPL-3.0-or-later
"""Small file operations that never leave a half-written file under its final name."""

from __future__ import annotations

import errno
import fcntl
import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from bootproof.errors import HostError

_PIECE = 1 << 20


def sha256_of(path: Path) -> str:
    """Return the sha256 of a file in hex, read in pieces."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def canonical(value: Any) -> str:
    """Return JSON with one spelling for equal values: sorted keys, no spaces."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def write_atomically(path: Path, data: str | bytes) -> None:
    """Replace `path` by `data` as a whole: written aside, synced, renamed."""
    raw = data.encode() if isinstance(data, str) else data
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    aside = Path(name)
    try:
        with os.fdopen(handle, "wb") as stream:
            stream.write(raw)
            stream.flush()
            os.fsync(stream.fileno())
        aside.chmod(0o644)
        aside.rename(path)
    except BaseException:
        aside.unlink(missing_ok=True)
        raise


def place(source: Path, target: Path) -> None:
    """Give a finished file a second name; a copy where the file system cannot link."""
    target.parent.mkdir(parents=True, exist_ok=True)
    aside = target.with_name(f".{target.name}.{os.getpid()}")
    aside.unlink(missing_ok=True)
    try:
        os.link(source, aside)
    except OSError as error:
        if error.errno not in (errno.EXDEV, errno.EPERM, errno.EMLINK, errno.EOPNOTSUPP):
            raise
        shutil.copyfile(source, aside)
    aside.rename(target)
    aside.unlink(missing_ok=True)  # renaming one link of a file over another leaves both


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold an exclusive lock on `path` (a file made for it); a second process waits."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a") as stream:
        fcntl.flock(stream, fcntl.LOCK_EX)
        yield


@contextmanager
def disk_errors(where: Path) -> Iterator[None]:
    """Turn a full disk or an unwritable folder into an error that says which, and what to do."""
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise HostError(
                f"no space left on the disk of {where}", "free some space, then run the same command again"
            ) from None
        if error.errno in (errno.EACCES, errno.EROFS, errno.EPERM):
            target = error.filename or where
            raise HostError(
                f"cannot write {target}: {error.strerror}", "make it writable, or choose another --output"
            ) from None
        raise
