# SPDX-License-Identifier: GPL-3.0-or-later
"""A TPM in this process, and the emulator as a process of its own."""

from __future__ import annotations

import os
import signal
import socket
import struct
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from bootproof.tpm.commands.table import COMMANDS
from bootproof.tpm.machine import Tpm
from bootproof.tpm.persistence.store import Kind

ROOT = Path(__file__).parents[2]
STARTUP_CLEAR = bytes.fromhex("00c10000000c000000990001")
PATIENCE = 20.0


class MemoryStore:
    """A Store without a disk; `failing` makes every write fail."""

    def __init__(self) -> None:
        self.content: dict[Kind, bytes] = {}
        self.writes = 0
        self.failing = False

    def load(self, kind: Kind) -> bytes | None:
        return self.content.get(kind)

    def save(self, kind: Kind, payload: bytes) -> None:
        if self.failing:
            raise OSError(28, "No space left on device")
        self.writes += 1
        self.content[kind] = payload

    def remove(self, kind: Kind) -> None:
        self.content.pop(kind, None)


def request(ordinal: int, body: bytes | str = b"", tag: int = 0x00C1) -> bytes:
    """Return the bytes of a command; a body given as text is hexadecimal."""
    raw = bytes.fromhex(body) if isinstance(body, str) else body
    return struct.pack(">HII", tag, 10 + len(raw), ordinal) + raw


class Bench:
    """A TPM and short ways to ask it."""

    def __init__(self, store: MemoryStore | None = None) -> None:
        self.store = store or MemoryStore()
        self.tpm = Tpm(COMMANDS, self.store)

    def ask(self, ordinal: int, body: bytes | str = b"", tag: int = 0x00C1) -> tuple[int, bytes]:
        """Return result code and parameters, after checking the response's header."""
        answer = self.tpm.execute(request(ordinal, body, tag))
        response_tag, size, code = struct.unpack_from(">HII", answer)
        assert (response_tag, size) == (0x00C4, len(answer))
        assert code == 0 or size == 10
        return code, answer[10:]

    def code(self, ordinal: int, body: bytes | str = b"", tag: int = 0x00C1) -> int:
        return self.ask(ordinal, body, tag)[0]

    def start(self, kind: int = 1) -> int:
        """Power cycle and TPM_Startup."""
        self.tpm.power_off()
        self.tpm.power_on()
        return self.code(0x99, struct.pack(">H", kind))

    def pcr(self, index: int) -> bytes:
        code, value = self.ask(0x15, struct.pack(">I", index))
        assert code == 0
        return value


@pytest.fixture
def bench() -> Bench:
    """A TPM after TPM_Startup(ST_CLEAR)."""
    made = Bench()
    assert made.start() == 0
    return made


class Emulator:
    """The program, started with the given arguments; `at` is a directory of its own with short paths."""

    def __init__(self, at: Path, *arguments: str, pass_fds: tuple[int, ...] = ()) -> None:
        self.at = at
        command = [sys.executable, "-m", "bootproof.tpm", "socket", *arguments]
        self.process = subprocess.Popen(
            command, cwd=ROOT, pass_fds=pass_fds, stderr=subprocess.PIPE, text=True
        )

    def connect(self, name: str) -> socket.socket:
        """Return a connection to the Unix socket of that name, as soon as it is there."""
        deadline = time.monotonic() + PATIENCE
        while True:
            peer = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            peer.settimeout(PATIENCE)
            try:
                peer.connect(os.fspath(self.at / name))
            except OSError:
                peer.close()
                assert self.process.poll() is None, self.errors()
                assert time.monotonic() < deadline
                time.sleep(0.01)
            else:
                return peer

    def wait(self) -> int:
        return self.process.wait(PATIENCE)

    def errors(self) -> str:
        assert self.process.stderr is not None
        return self.process.stderr.read()

    def stop(self) -> None:
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        self.process.wait(PATIENCE)
        assert self.process.stderr is not None
        self.process.stderr.close()


Start = Callable[..., Emulator]


@pytest.fixture
def start(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Start]:
    """Start emulators that are stopped when the test ends; `{}` in an argument becomes their directory."""
    running: list[Emulator] = []

    def begin(*arguments: str, at: Path | None = None, pass_fds: tuple[int, ...] = ()) -> Emulator:
        where = at or tmp_path_factory.mktemp("e")
        made = Emulator(
            where, *(word.replace("{}", os.fspath(where)) for word in arguments), pass_fds=pass_fds
        )
        running.append(made)
        return made

    yield begin
    for emulator in running:
        emulator.stop()


STATE = ("--tpmstate", "dir={}/state")
DATA = ("--server", "type=unixio,path={}/data")
CONTROL = ("--ctrl", "type=unixio,path={}/ctrl")
READY = ("--flags", "not-need-init,startup-clear")


def exchange(peer: socket.socket, data: bytes) -> bytes:
    """Send and return what comes back in one piece."""
    peer.sendall(data)
    return peer.recv(65536)
