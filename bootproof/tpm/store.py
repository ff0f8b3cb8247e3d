# SPDX-License-Identifier: GPL-3.0-or-later
"""The state directory: checksummed files that are replaced as a whole, and a lock that keeps a second
emulator out.

A file (and a state blob handed to QEMU) is one container, all numbers big endian:

    8   magic "BTPFTPM\\0"
    2   layout version (state.LAYOUT_VERSION)
    2   kind: 1 permanent, 2 volatile, 3 saved
    4   length of the payload in bytes
    32  SHA-256 over the 16 bytes above and the payload
    n   payload: a structure of state.py
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import struct
from contextlib import suppress
from enum import IntEnum
from pathlib import Path
from typing import Final

from bootproof.tpm.state import LAYOUT_VERSION

_MAGIC: Final = b"BTPFTPM\0"
_HEAD: Final = struct.Struct(">8sHHI")
_DIGEST: Final = hashlib.sha256().digest_size
_LONGEST_FILE: Final = 1 << 20


class Kind(IntEnum):
    """What a container holds; the numbers are those of the control channel's state blobs."""

    PERMANENT = 1
    VOLATILE = 2
    SAVED = 3


class StateError(Exception):
    """The state cannot be used; the message is one line that says what to do."""


def pack(kind: Kind, payload: bytes) -> bytes:
    """Put a payload into a container."""
    head = _HEAD.pack(_MAGIC, LAYOUT_VERSION, kind, len(payload))
    return head + hashlib.sha256(head + payload).digest() + payload


def unpack(kind: Kind, data: bytes) -> bytes:
    """Return the payload; StateError says why this is not a sound container of that kind."""
    if len(data) < _HEAD.size + _DIGEST or data[:8] != _MAGIC:
        raise StateError("is not a state of this emulator")
    _, version, found, length = _HEAD.unpack_from(data)
    head, digest, payload = (
        data[: _HEAD.size],
        data[_HEAD.size : _HEAD.size + _DIGEST],
        data[_HEAD.size + _DIGEST :],
    )
    if len(payload) != length or hashlib.sha256(head + payload).digest() != digest:
        raise StateError("is damaged (length or checksum wrong)")
    if version != LAYOUT_VERSION:
        raise StateError(f"has layout version {version}; this program knows version {LAYOUT_VERSION}")
    if found != kind:
        raise StateError(f"holds state of kind {found} where {kind.name.lower()} state is expected")
    return payload


class StateDirectory:
    """`permanent` and `volatile` state in one directory, locked for as long as this object is open."""

    def __init__(self, path: Path, mode: int = 0o600) -> None:
        """Create the directory if needed (0700) and lock it; StateError if it is in use or cannot be
        written.
        """
        self.path = path
        self._mode = mode
        try:
            path.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._lock = os.open(path / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            self._directory = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        except OSError as error:
            raise StateError(
                f"state directory {path}: {error.strerror}; choose one that you can write"
            ) from error
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            holder = os.pread(self._lock, 20, 0).decode("ascii", "replace").strip() or "unknown"
            self.close()
            raise StateError(
                f"state directory {path} is in use by process {holder}; stop it or choose another directory"
            ) from error
        self.write_holder()

    def write_holder(self) -> None:
        """Note the process id in the lock file, for the error message of whoever comes second."""
        os.ftruncate(self._lock, 0)
        os.pwrite(self._lock, f"{os.getpid()}\n".encode(), 0)

    def close(self) -> None:
        """Give the directory free."""
        os.close(self._directory)
        os.close(self._lock)

    def load(self, kind: Kind) -> bytes | None:
        """Return the stored payload, None if there never was one; StateError if it is damaged or went
        missing.
        """
        path = self._file(kind)
        previous = self._previous(kind)
        try:
            with path.open("rb") as file:
                data = file.read(_LONGEST_FILE)
        except FileNotFoundError:
            if previous.exists():
                raise StateError(
                    f"{path} is missing but {previous.name} is there; "
                    f"copy that to {path.name} to go back to it, or remove it to start with a new TPM"
                ) from None
            return None
        except OSError as error:
            raise StateError(f"{path}: {error.strerror}") from error
        try:
            return unpack(kind, data)
        except StateError as error:
            raise StateError(
                f"{path} {error}; copy {previous.name} over it to go back one step, "
                "or move both away to start with a new TPM"
            ) from None

    def save(self, kind: Kind, payload: bytes) -> None:
        """Replace the stored payload; it is on disk when this returns. OSError leaves the old or the new."""
        path, previous = self._file(kind), self._previous(kind)
        fresh, link = path.with_suffix(path.suffix + ".new"), path.with_suffix(path.suffix + ".link")
        with suppress(FileNotFoundError):
            link.unlink()
        _write_through(fresh, pack(kind, payload), self._mode)
        with suppress(FileNotFoundError):
            os.link(path, link)
            link.replace(previous)
        fresh.replace(path)
        os.fsync(self._directory)

    def remove(self, kind: Kind) -> None:
        """Forget the stored payload and its previous generation."""
        for path in (self._previous(kind), self._file(kind)):
            path.unlink(missing_ok=True)
        os.fsync(self._directory)

    def _file(self, kind: Kind) -> Path:
        return self.path / f"tpm12.{kind.name.lower()}"

    def _previous(self, kind: Kind) -> Path:
        return self.path / f"tpm12.{kind.name.lower()}.previous"


def _write_through(path: Path, data: bytes, mode: int) -> None:
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, mode)
    try:
        os.fchmod(handle, mode)
        view = memoryview(data)
        while view:
            view = view[os.write(handle, view) :]
        os.fsync(handle)
    finally:
        os.close(handle)
