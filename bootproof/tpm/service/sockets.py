# SPDX-License-Identifier: GPL-3.0-or-later
"""Sockets as swtpm's options describe them: opened with clear errors, and removed again at the end."""

from __future__ import annotations

import errno
import os
import socket
import stat
import struct
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

_BACKLOG: Final = 16
_LONGEST_UNIX_PATH: Final = 107  # bytes, sun_path of unix(7)
_MOMENT: Final = struct.pack("@ll", 0, 2000)  # struct timeval: seconds, microseconds
_KEEPALIVE: Final = (  # a TCP peer whose machine is gone is found out in a minute, not in hours
    (socket.SO_KEEPALIVE, socket.SOL_SOCKET, 1),
    (socket.TCP_KEEPIDLE, socket.IPPROTO_TCP, 30),
    (socket.TCP_KEEPINTVL, socket.IPPROTO_TCP, 10),
    (socket.TCP_KEEPCNT, socket.IPPROTO_TCP, 3),
    (socket.TCP_USER_TIMEOUT, socket.IPPROTO_TCP, 60_000),
    (socket.TCP_NODELAY, socket.IPPROTO_TCP, 1),
)


class SocketError(Exception):
    """A socket cannot be had; the message is one line that says what to do."""


@dataclass(frozen=True)
class Endpoint:
    """One of: a listening TCP port, a listening Unix path, an inherited listening `fd`, an inherited
    connection.
    """

    option: str
    path: Path | None = None
    port: int | None = None
    address: str = "127.0.0.1"
    listening_fd: int | None = None
    connected_fd: int | None = None
    mode: int = 0o600
    uid: int = -1  # of the socket's file; -1: who starts the program
    gid: int = -1
    interface: str = ""  # for a link-local IPv6 address
    disconnect: bool = False


class Listener:
    """A listening socket, and the file that belongs to it."""

    def __init__(self, endpoint: Endpoint) -> None:
        """Open it; SocketError if that cannot be."""
        self.endpoint = endpoint
        self._file: tuple[int, int] | None = None
        if endpoint.listening_fd is not None:
            self.socket = _inherited(endpoint.option, endpoint.listening_fd)
            if not self.socket.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
                raise SocketError(
                    f"{endpoint.option}: descriptor {endpoint.listening_fd} does not listen; use clientfd="
                )
        elif endpoint.path is not None:
            self.socket = _listen_unix(endpoint, endpoint.path)
            found = endpoint.path.stat()
            self._file = (found.st_dev, found.st_ino)
        else:
            self.socket = _listen_tcp(endpoint)
        self.socket.setblocking(False)

    def close(self) -> None:
        """Close it and remove its file, if that is still ours."""
        self.socket.close()
        path = self.endpoint.path
        if path is not None and self._file is not None:
            with suppress(OSError):
                found = path.lstat()
                if (found.st_dev, found.st_ino) == self._file:
                    path.unlink()


def connected(endpoint: Endpoint) -> socket.socket:
    """Return the inherited connection of an endpoint that has one."""
    assert endpoint.connected_fd is not None
    return _inherited(endpoint.option, endpoint.connected_fd)


def prepare(peer: socket.socket) -> None:
    """Make a connection fit for serving: non-blocking and, if it is a TCP connection, prompt and watched."""
    peer.setblocking(False)
    if peer.family in (socket.AF_INET, socket.AF_INET6):
        for option, level, value in _KEEPALIVE:
            peer.setsockopt(level, option, value)


def wait_a_moment(peer: socket.socket) -> None:
    """Let `recv` wait two milliseconds for what may be about to arrive (BlockingIOError: it did not); to
    send without waiting needs MSG_DONTWAIT from now on.
    """
    peer.setblocking(True)
    peer.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, _MOMENT)


def is_socket(descriptor: int) -> bool:
    """Say whether an open descriptor is a socket."""
    return stat.S_ISSOCK(os.fstat(descriptor).st_mode)


def _inherited(option: str, descriptor: int) -> socket.socket:
    try:
        if not is_socket(descriptor):
            raise SocketError(f"{option}: descriptor {descriptor} is not a socket")
        return socket.socket(fileno=descriptor)
    except OSError as error:
        raise SocketError(
            f"{option}: descriptor {descriptor}: {error.strerror}; pass one that is open"
        ) from error


def _listen_unix(endpoint: Endpoint, path: Path) -> socket.socket:
    option = endpoint.option
    if len(os.fsencode(path)) > _LONGEST_UNIX_PATH:
        raise SocketError(
            f"{option}: {path} is longer than the {_LONGEST_UNIX_PATH} bytes a socket's path can have"
        )
    _remove_stale(option, path)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    old_mask = os.umask(0o177)
    try:
        listener.bind(os.fspath(path))
        if (endpoint.uid, endpoint.gid) != (-1, -1):
            os.chown(path, endpoint.uid, endpoint.gid)
        path.chmod(endpoint.mode)
        listener.listen(_BACKLOG)
    except OSError as error:
        listener.close()
        raise SocketError(f"{option}: {path}: {error.strerror}; choose another path") from error
    finally:
        os.umask(old_mask)
    return listener


def _remove_stale(option: str, path: Path) -> None:
    """Remove the socket that a dead process left; refuse to touch a live one or anything else."""
    try:
        if not stat.S_ISSOCK(path.lstat().st_mode):
            raise SocketError(f"{option}: {path} exists and is not a socket; choose another path")
    except FileNotFoundError:
        return
    except OSError as error:
        raise SocketError(f"{option}: {path}: {error.strerror}") from error
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.setblocking(False)
        refused = probe.connect_ex(os.fspath(path))
    if refused in (0, errno.EAGAIN):
        raise SocketError(f"{option}: {path} is served by a running process; stop it or choose another path")
    path.unlink(missing_ok=True)


def _listen_tcp(endpoint: Endpoint) -> socket.socket:
    where = f"{endpoint.option}: {endpoint.address}, port {endpoint.port}"
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            endpoint.address + (f"%{endpoint.interface}" if endpoint.interface else ""),
            endpoint.port,
            type=socket.SOCK_STREAM,
            flags=socket.AI_PASSIVE,
        )[0]
        listener = socket.socket(family, kind, protocol)
    except OSError as error:
        raise SocketError(f"{where}: {error.strerror}; give an address of this machine") from error
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
        listener.listen(_BACKLOG)
    except OSError as error:
        listener.close()
        raise SocketError(f"{where}: {error.strerror}; stop what uses it or choose another port") from error
    return listener
