# SPDX-License-Identifier: GPL-3.0-or-later
"""A command that makes a key does not hold up the control channel and the monitor, and can be cancelled."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

from bootproof.tpm.commands.table import COMMANDS
from bootproof.tpm.crypto.rsa import PrivateKey
from bootproof.tpm.machine import Tpm
from bootproof.tpm.service.server import Server
from tests.tpm.conftest import PATIENCE, READY, STARTUP_CLEAR, STATE, MemoryStore, Start, exchange, request

if TYPE_CHECKING:
    from collections.abc import Callable

CREATE_EK = request(0x78, "00" * 20 + "00000001 0003 0001 0000000c 00000800 00000002 00000000")
SELF_TEST = request(0x50)
OK, FAIL = bytes(4), bytes.fromhex("00000009")
CANCEL = bytes.fromhex("00000009")
GET_ESTABLISHED = bytes.fromhex("00000004")
STOP = bytes.fromhex("0000000e")
NOT_ESTABLISHED = bytes(8)


class Running:
    """A server in a thread, whose keys take until `finish` is set."""

    def __init__(self, *, terminate: bool = False) -> None:
        self.begun, self.finish = threading.Event(), threading.Event()
        self.tpm = Tpm(COMMANDS, MemoryStore())
        self.tpm.make_key = self._make_key
        self.tpm.power_on()
        assert self.tpm.execute(STARTUP_CLEAR)[6:10] == OK
        self.work: Callable[[], PrivateKey] = lambda: PrivateKey.generate(2048)
        server = Server(self.tpm, terminate)
        pairs = [socket.socketpair() for _ in range(4)]
        self.data, self.control, self.monitor, self.waker = (ours for ours, _ in pairs)
        for serve, (ours, theirs) in zip(
            (server.serve_data, server.serve_control, server.serve_monitor), pairs, strict=False
        ):
            ours.settimeout(PATIENCE)
            serve(theirs)
        self._wake_up = pairs[3][1]
        self.thread = threading.Thread(target=server.run, args=(self._wake_up,))
        self.thread.start()

    def _make_key(self, _bits: int, _exponent: int) -> PrivateKey:
        self.begun.set()
        assert self.finish.wait(PATIENCE)
        return self.work()

    def begin(self) -> None:
        """Send the command and wait until its key is being made."""
        self.data.sendall(CREATE_EK)
        assert self.begun.wait(PATIENCE)
        self.begun.clear()

    def is_silent(self, peer: socket.socket) -> bool:
        peer.settimeout(0.2)
        try:
            peer.recv(100)
        except TimeoutError:
            return True
        finally:
            peer.settimeout(PATIENCE)
        return False

    def end(self) -> None:
        self.finish.set()
        if self.thread.is_alive():
            self.waker.send(b"\0")
            self.thread.join(PATIENCE)
        for peer in (self.data, self.control, self.monitor, self.waker, self._wake_up):
            peer.close()
        assert not self.thread.is_alive()


@pytest.fixture
def running() -> Iterator[Running]:
    made = Running()
    yield made
    made.end()


def test_cancel_ends_the_command_and_nothing_has_changed(running: Running) -> None:
    running.begin()
    before = running.tpm.permanent
    assert exchange(running.control, CANCEL) == OK
    assert running.data.recv(100)[6:10] == FAIL
    assert running.tpm.permanent == before
    assert exchange(running.data, SELF_TEST)[6:10] == OK
    running.finish.set()
    assert exchange(running.data, CREATE_EK)[6:10] == OK, "the next one is not cancelled"
    assert running.tpm.permanent.ek is not None


def test_cancel_without_a_command_has_no_effect(running: Running) -> None:
    assert exchange(running.control, CANCEL) == OK
    running.finish.set()
    assert exchange(running.data, CREATE_EK)[6:10] == OK


def test_the_monitor_goes_on_and_other_requests_wait(running: Running) -> None:
    running.begin()
    assert json.loads(exchange(running.monitor, b"info\n"))["commands"] == 2
    running.control.sendall(GET_ESTABLISHED + STOP)
    assert running.is_silent(running.control)
    assert running.is_silent(running.data)
    assert running.tpm.running
    running.finish.set()
    assert running.data.recv(4096)[6:10] == OK
    answer = b""
    while len(answer) < len(NOT_ESTABLISHED + OK):
        answer += running.control.recv(100)
    assert answer == NOT_ESTABLISHED + OK
    assert not running.tpm.running


def test_cancel_waits_for_the_requests_before_it(running: Running) -> None:
    running.begin()
    running.control.sendall(GET_ESTABLISHED + CANCEL)
    assert running.is_silent(running.control)
    running.finish.set()
    assert running.data.recv(4096)[6:10] == OK


def test_more_requests_than_anybody_needs_end_the_connection(running: Running) -> None:
    running.begin()
    with pytest.raises(ConnectionError):
        for _ in range(3 << 20):
            running.control.sendall(GET_ESTABLISHED * 256)
    running.finish.set()
    assert running.data.recv(4096)[6:10] == OK


def test_the_end_of_the_program_does_not_wait_for_the_key(running: Running) -> None:
    running.begin()
    running.waker.send(b"\0")
    assert running.data.recv(100)[6:10] == FAIL
    running.thread.join(PATIENCE)
    assert not running.thread.is_alive()
    assert not running.finish.is_set()


def test_who_is_left_alone_ends() -> None:
    running = Running(terminate=True)
    running.begin()
    running.control.close()
    running.thread.join(PATIENCE)
    assert not running.thread.is_alive()
    running.end()


def test_a_key_that_cannot_be_made_is_an_error_of_its_command(running: Running) -> None:
    def broken() -> PrivateKey:
        raise RuntimeError("no entropy")

    running.work = broken
    running.finish.set()
    assert exchange(running.data, CREATE_EK)[6:10] == FAIL
    running.work = lambda: PrivateKey.generate(2048)
    assert exchange(running.data, CREATE_EK)[6:10] == OK


def test_a_real_key_is_cancelled(start: Start) -> None:
    """It may be finished before the request comes: then another try."""
    for _ in range(5):
        emulator = start(
            *(*STATE, *READY, "--server", "type=unixio,path={}/data"),
            *("--ctrl", "type=unixio,path={}/ctrl", "--monitor", "type=unixio,path={}/mon"),
        )
        with (
            emulator.connect("ctrl") as control,
            emulator.connect("data") as data,
            emulator.connect("mon") as watch,
        ):
            data.sendall(CREATE_EK)
            while json.loads(exchange(watch, b"info\n"))["commands"] < 2:
                pass
            assert exchange(control, CANCEL) == OK
            answer = data.recv(4096)
            assert exchange(data, SELF_TEST)[6:10] == OK
        emulator.stop()
        assert emulator.process.returncode == 0
        if answer[6:10] == FAIL:
            return
    raise AssertionError("never in time")
