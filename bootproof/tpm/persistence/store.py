# SPDX-License-Identifier: GPL-3.0-or-later
"""The state directory: checksummed files that are replaced as a whole, and a lock that keeps a second
emulator out. What is in a file: container.py.
"""

from __future__ import annotations

import errno
import fcntl
import logging
import os
import stat
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Final

from bootproof.tpm.codes import TpmError
from bootproof.tpm.persistence.container import (
    DamagedError,
    Kind,
    StateError,
    TakenError,
    UnreadableError,
    pack,
    unpack,
)
from bootproof.tpm.persistence.encryption import StateKey
from bootproof.tpm.state import Permanent

__all__ = ["Kind", "StateDirectory", "StateError", "stored_states"]

_LOG: Final = logging.getLogger("vtpm")
LONGEST_STATE: Final = 1 << 20  # bytes of a container
_MOMENT: Final = 0.01  # seconds between two attempts to lock
_NO_HARD_LINKS: Final = (errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS)


class StateDirectory:
    """`permanent` and `volatile` state in one directory, to be used only while it is `locked`."""

    def __init__(
        self, path: Path, mode: int = 0o600, key: StateKey | None = None, *, locked: bool = True
    ) -> None:
        """Create the directory if needed (0700) and, if `locked`, lock it; StateError if it is in use or
        cannot be written. Files get the given mode and are encrypted if there is a key.
        """
        self.path = path
        self._mode = mode
        self._key = key
        self.locked = False
        self._undo: dict[Kind, Callable[[], object]] = {}
        try:
            path.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._lock = os.open(path / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
            self._directory = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        except OSError as error:
            raise StateError(
                f"state directory {path}: {error.strerror}; choose one that you can write"
            ) from error
        if locked:
            try:
                self.lock()
            except StateError:
                self.close()
                raise
        others = stat.S_IMODE(os.fstat(self._directory).st_mode) & 0o022
        if others:
            _LOG.warning("others may write to the state directory %s; chmod 700 it", path)

    def lock(self, seconds: float = 0) -> None:
        """Keep other emulators out; TakenError if one has the directory for longer than that."""
        deadline = time.monotonic() + seconds
        while not self._is_free():
            if time.monotonic() >= deadline:
                holder = os.pread(self._lock, 20, 0).decode("ascii", "replace").strip() or "unknown"
                raise TakenError(
                    f"state directory {self.path} is in use by process {holder}; "
                    "stop it or choose another directory"
                )
            time.sleep(_MOMENT)
        self.locked = True
        try:
            self.write_holder()
        except OSError as error:
            self.unlock()
            raise StateError(
                f"state directory {self.path}: {error.strerror}; make room or choose another one"
            ) from error

    def _is_free(self) -> bool:
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True

    def unlock(self) -> None:
        """Let other emulators use the directory."""
        self.locked = False
        fcntl.flock(self._lock, fcntl.LOCK_UN)

    def write_holder(self) -> None:
        """Note the process id in the lock file, for the error message of whoever comes second."""
        if not self.locked:
            return
        os.ftruncate(self._lock, 0)
        os.pwrite(self._lock, f"{os.getpid()}\n".encode(), 0)

    def close(self) -> None:
        """Give the directory free."""
        os.close(self._directory)
        os.close(self._lock)

    def load(self, kind: Kind) -> bytes | None:
        """Return the stored payload, None if there never was one; StateError if it is damaged, went
        missing, or needs another key.
        """
        name, previous = _file(kind), _previous(kind)
        path = self.path / name
        try:
            self._settle(kind)
            data = self._read(name)
        except OSError as error:
            raise UnreadableError(f"{path}: {error.strerror}; make it readable") from error
        if data is None:
            if (self.path / previous).exists():
                raise StateError(
                    f"{path} is missing but {previous} is there; "
                    f"copy that to {name} to go back to it, or remove it to start with a new TPM"
                )
            return None
        try:
            return unpack(kind, data, self._key)
        except DamagedError as error:
            raise DamagedError(
                f"{path} {error}; copy {previous} over it to go back one step, "
                "or move both away to start with a new TPM"
            ) from None
        except StateError as error:
            raise type(error)(f"{path} {error}") from None

    def _read(self, name: str) -> bytes | None:
        try:
            handle = os.open(name, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK, dir_fd=self._directory)
        except FileNotFoundError:
            return None
        with os.fdopen(handle, "rb") as file:
            return file.read(LONGEST_STATE + 1)

    def save(self, kind: Kind, payload: bytes) -> None:
        """Replace the stored payload; it is on disk when this returns. OSError leaves the old one."""
        name, fresh = _file(kind), f"{_file(kind)}.new"
        data = pack(kind, payload, self._key)
        if len(data) > LONGEST_STATE:
            raise OSError(errno.EFBIG, "the state is too large", name)
        self._settle(kind)
        try:
            self._write_through(fresh, data)
            had_one = self._link(name, _previous(kind))
            self._rename(fresh, name)
        except OSError:
            self._drop(fresh)
            raise
        self._confirm(kind, lambda: self._go_back(kind, had_one))

    def remove(self, kind: Kind) -> None:
        """Forget the stored payload and its previous generation; OSError leaves the payload."""
        name, removed = _file(kind), f"{_file(kind)}.new"
        self._settle(kind)
        self._drop(_previous(kind))
        try:
            self._rename(name, removed)
        except FileNotFoundError:
            return
        self._confirm(kind, lambda: self._rename(removed, name))
        with suppress(OSError):
            self._drop(removed)

    def _write_through(self, name: str, data: bytes) -> None:
        """Write a new file to disk; one that an earlier attempt left gives way to it."""
        self._drop(name)
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
        handle = os.open(name, flags, self._mode, dir_fd=self._directory)
        try:
            os.fchmod(handle, self._mode)
            view = memoryview(data)
            while view:
                view = view[os.write(handle, view) :]
            os.fsync(handle)
        finally:
            os.close(handle)

    def _link(self, name: str, other: str) -> bool:
        """Make `other` a second name of the file `name`, at once; False if there is no such file."""
        link = f"{name}.link"
        self._drop(link)
        try:
            os.link(name, link, src_dir_fd=self._directory, dst_dir_fd=self._directory)
        except FileNotFoundError:
            return False
        except OSError as error:
            if error.errno not in _NO_HARD_LINKS:
                raise
            self._write_through(link, self._read(name) or b"")
        self._rename(link, other)
        return True

    def _rename(self, name: str, other: str) -> None:
        os.replace(name, other, src_dir_fd=self._directory, dst_dir_fd=self._directory)

    def _drop(self, name: str) -> None:
        with suppress(FileNotFoundError):
            os.unlink(name, dir_fd=self._directory)

    def _go_back(self, kind: Kind, had_one: bool) -> None:
        if had_one:
            self._link(_previous(kind), _file(kind))
        else:
            self._drop(_file(kind))

    def _confirm(self, kind: Kind, undo: Callable[[], object]) -> None:
        """Bring the last change of names to disk. OSError if that fails: then it is undone, at the latest
        before the state is used again.
        """
        try:
            os.fsync(self._directory)
        except OSError:
            self._undo[kind] = undo
            with suppress(OSError):
                self._settle(kind)
            raise

    def _settle(self, kind: Kind) -> None:
        """Undo a change that has failed, if there is one; OSError if that fails, too."""
        undo = self._undo.get(kind)
        if undo is not None:
            undo()
            del self._undo[kind]


def stored_states(directory: Path, key: StateKey | None) -> list[tuple[str, int]]:
    """Return swtpm's names of the states in a directory and their sizes in bytes, without locking it;
    StateError.
    """
    found: list[tuple[str, int]] = []
    for kind, name in ((Kind.PERMANENT, "permall"), (Kind.VOLATILE, "volatilestate")):
        path = directory / _file(kind)
        try:
            data = path.read_bytes()
        except FileNotFoundError:
            continue
        except OSError as error:
            raise StateError(f"{path}: {error.strerror}; make it readable") from error
        found.append((name, len(data)))
        if kind == Kind.PERMANENT:
            saved = _saved_size(path, data, key)
            found += [("savestate", saved)] if saved else []
    return found


def _saved_size(path: Path, data: bytes, key: StateKey | None) -> int:
    """Return how many bytes TPM_SaveState keeps in a permanent state; StateError."""
    try:
        return len(Permanent.decode(unpack(Kind.PERMANENT, data, key)).saved)
    except StateError as error:
        raise StateError(f"{path} {error}") from None
    except TpmError:
        raise StateError(f"{path} has a sound checksum but cannot be read; restore a copy") from None


def _file(kind: Kind) -> str:
    return f"tpm12.{kind.name.lower()}"


def _previous(kind: Kind) -> str:
    return f"tpm12.{kind.name.lower()}.previous"
