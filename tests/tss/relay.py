# SPDX-License-Identifier: GPL-3.0-or-later
"""A relay between tcsd and a TPM emulator that notes every command and its response."""

from __future__ import annotations

import socket
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from tests.tss.ordinals import NAMES

_PATIENCE = 60.0
_HEADER = struct.Struct(">HII")
_FIRST_TAG = 0x00C1
GET_CAPABILITY = 0x65
FLUSH_SPECIFIC = 0xBA


@dataclass(frozen=True)
class Exchange:
    """One command and its response, as they went over the wire."""

    request: bytes
    response: bytes

    @property
    def ordinal(self) -> int:
        return int.from_bytes(self.request[6:10], "big")

    @property
    def auths(self) -> int:
        """How many authorisation sessions the command has, by its tag."""
        return int.from_bytes(self.request[:2], "big") - _FIRST_TAG

    @property
    def code(self) -> int:
        return int.from_bytes(self.response[6:10], "big")

    @property
    def subject(self) -> bytes:
        """What GetCapability asks for or FlushSpecific flushes; it must be the same on both sides."""
        if self.ordinal == GET_CAPABILITY:
            return self.request[10:]
        return self.request[14:18] if self.ordinal == FLUSH_SPECIFIC else b""

    def __str__(self) -> str:
        name = NAMES.get(self.ordinal, f"{self.ordinal:#x}")
        subject = f"[{self.subject.hex()}]" if self.subject else ""
        auths = f"+a{self.auths}" if self.auths else ""
        code = f"!{self.code:x}" if self.code else ""
        return f"{name}{subject}{auths}{code} {len(self.response)} bytes"


def _read_message(peer: socket.socket) -> bytes:
    """Return one TPM command or response, b"" when the peer has closed."""
    data = b""
    wanted = _HEADER.size
    while len(data) < wanted:
        part = peer.recv(wanted - len(data))
        if not part:
            return b""
        data += part
        if len(data) == _HEADER.size:
            wanted = _HEADER.unpack(data)[1]
    return data


class Relay:
    """Connects whoever connects to `port` with the emulator at `upstream`, one after the other.

    Every connection gets one of its own to the emulator, so the emulator sees tcsd's quick reconnects.
    """

    def __init__(self, upstream: int) -> None:
        self.log: list[Exchange] = []
        self._upstream = upstream
        self._server = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._server.getsockname()[1]
        self._tpm: socket.socket | None = None
        self._client: socket.socket | None = None
        self._lock = threading.Lock()
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def command(self, request: bytes) -> bytes:
        """Send a command of the test's own, between two of the client's; it is not noted."""
        with self._lock:
            if self._tpm is not None:
                return self._ask(self._tpm, request)
            with self._connect() as tpm:
                return self._ask(tpm, request)

    def close(self) -> None:
        """Close all connections, and wait for the thread."""
        for one in (self._server, self._client):
            if one is not None:
                try:
                    one.shutdown(socket.SHUT_RDWR)
                except OSError:  # it was closed from the other side
                    continue
        self._thread.join(_PATIENCE)
        self._server.close()

    def _connect(self) -> socket.socket:
        return socket.create_connection(("127.0.0.1", self._upstream), _PATIENCE)

    @staticmethod
    def _ask(tpm: socket.socket, request: bytes) -> bytes:
        tpm.sendall(request)
        return _read_message(tpm)

    def _serve(self) -> None:
        while True:
            try:
                self._client, _ = self._server.accept()
            except OSError:  # close() was called
                return
            with self._client, self._connection() as tpm:
                try:
                    self._pass_on(self._client, tpm)
                except OSError:  # tcsd or the emulator went away: so does the other one's connection
                    continue

    @contextmanager
    def _connection(self) -> Iterator[socket.socket]:
        with self._lock:
            self._tpm = self._connect()
        try:
            yield self._tpm
        finally:
            with self._lock:
                self._tpm.close()
                self._tpm = None

    def _pass_on(self, client: socket.socket, tpm: socket.socket) -> None:
        while request := _read_message(client):
            with self._lock:
                response = self._ask(tpm, request)
                self.log.append(Exchange(request, response))
            client.sendall(response)
