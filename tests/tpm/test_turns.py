# SPDX-License-Identifier: GPL-3.0-or-later
"""Who has always the next command ready is answered first, but not all the time."""

from __future__ import annotations

import selectors
import socket
import time
from contextlib import suppress

from bootproof.tpm.commands.table import COMMANDS
from bootproof.tpm.machine import Tpm
from bootproof.tpm.service.connections import DataConnection
from bootproof.tpm.service.server import Server
from bootproof.tpm.service.stream import CommandStream
from tests.tpm.conftest import PATIENCE, MemoryStore, request

PCR_READ = request(0x15, "00000000")
ENOUGH = 1000


class EagerClient(CommandStream):
    """A client that has sent the next command before the answer to the last one is on its way."""

    def __init__(self, tpm: Tpm, client: socket.socket) -> None:
        super().__init__(tpm)
        self._client = client
        self.served = 0

    def feed(self, data: bytes) -> bytes:
        self.served += 1
        assert self.served < ENOUGH, "nobody else had a turn"
        with suppress(BlockingIOError):
            self._client.recv(100, socket.MSG_DONTWAIT)
        self._client.send(data)
        return super().feed(data)


def test_a_client_without_a_pause_leaves_time_for_others() -> None:
    server = Server(Tpm(COMMANDS, MemoryStore()))
    client, ours = socket.socketpair()
    with client:
        eager = EagerClient(server.tpm, client)
        connection = DataConnection(server, ours, eager, lambda _connection: None)
        client.send(PCR_READ)
        connection.ready(selectors.EVENT_READ)
        assert 1 < eager.served < ENOUGH
        connection.close()
        server.selector.close()


def test_an_idle_client_is_waited_for_only_for_a_moment() -> None:
    server = Server(Tpm(COMMANDS, MemoryStore()))
    client, ours = socket.socketpair()
    with client:
        client.settimeout(PATIENCE)
        connection = DataConnection(server, ours, CommandStream(server.tpm), lambda _connection: None)
        client.send(PCR_READ)
        begin = time.thread_time(), time.monotonic()
        connection.ready(selectors.EVENT_READ)
        assert client.recv(100)
        assert time.thread_time() - begin[0] < 0.05
        assert time.monotonic() - begin[1] < 1
        connection.close()
        server.selector.close()
