# SPDX-License-Identifier: GPL-3.0-or-later
"""Small file operations that never leave a half-written file under its final name."""

from __future__ import annotations

import errno
import fcntl
import hashlib
import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from bootproof.errors import HostError


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
    with locked(_beside(path, "lock")), _aside(path) as aside:
        with aside.open("wb") as stream:
            stream.write(raw)
            stream.flush()
            os.fsync(stream.fileno())
        aside.chmod(0o644)
        aside.rename(path)


def place(source: Path, target: Path) -> None:
    """Give a finished file a second name; a copy where the file system cannot link."""
    target.parent.mkdir(parents=True, exist_ok=True)
    with locked(_beside(target, "lock")), _aside(target) as aside:
        try:
            os.link(source, aside)
        except OSError as error:
            if error.errno not in (errno.EXDEV, errno.EPERM, errno.EMLINK, errno.EOPNOTSUPP):
                raise
            shutil.copyfile(source, aside)
            sync(aside)
        aside.rename(target)  # one link of a file renamed over another leaves both: _aside removes it


def sync(path: Path) -> None:
    """Make sure that a file's content, or a folder's names, are on the disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold an exclusive lock on `path`, a file made for it and removed afterwards; a second holder waits."""
    path.parent.mkdir(parents=True, exist_ok=True)
    while True:
        with path.open("a") as stream:
            fcntl.flock(stream, fcntl.LOCK_EX)
            if not _is(stream.fileno(), path):
                continue  # the holder before us has removed the file that we waited for
            try:
                yield
            finally:
                path.unlink(missing_ok=True)
            return


def remove_unlocked(path: Path, lock: Path) -> None:
    """Remove what a killed process has left at `path`, unless somebody holds `lock` and is at work on it."""
    with lock.open("a") as stream:
        try:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return
        if _is(stream.fileno(), lock):
            shutil.rmtree(path, ignore_errors=True)
            lock.unlink(missing_ok=True)


def _is(handle: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(handle), path.stat())
    except FileNotFoundError:
        return False


def _beside(path: Path, kind: str) -> Path:
    return path.with_name(f".{path.name}.{kind}")


@contextmanager
def _aside(path: Path) -> Iterator[Path]:
    """Yield the name under which a file is made that will be `path`; what is still there afterwards is
    removed.

    The name is always the same, so that a killed process leaves at most one such file, and only to the next
    one.
    """
    aside = _beside(path, "new")
    aside.unlink(missing_ok=True)
    try:
        yield aside
    finally:
        aside.unlink(missing_ok=True)


@contextmanager
def disk_errors(where: Path) -> Iterator[None]:
    """Turn a full disk, an unwritable folder or a broken disk into an error that says what to do."""
    try:
        yield
    except OSError as error:
        target = error.filename or where
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise HostError(
                f"no space left on the disk of {target}", "free some space, then run the same command again"
            ) from None
        if error.errno in (errno.EACCES, errno.EROFS, errno.EPERM):
            raise HostError(
                f"cannot use {target}: {error.strerror}",
                "make it readable and writable, or choose another --output",
            ) from None
        raise HostError(
            f"{target}: {error.strerror or error}", "mend that, then run the same command again"
        ) from None
