# SPDX-License-Identifier: GPL-3.0-or-later
"""The TPMs that are tested: ours in this process, and swtpm as a program; both with power and localities."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import time
from pathlib import Path
from typing import Protocol

from bootproof import process
from bootproof.tpm.commands.table import COMMANDS
from bootproof.tpm.machine import Tpm as Emulator
from bootproof.tpm.persistence.store import Kind
from tests.tpm.client import admin
from tests.tpm.client.tpm import Tpm

PATIENCE = 20.0
_CMD_INIT, _CMD_SET_LOCALITY = 2, 5


class Memory:
    """A store without a disk."""

    def __init__(self, content: dict[Kind, bytes]) -> None:
        self.content = dict(content)

    def load(self, kind: Kind) -> bytes | None:
        return self.content.get(kind)

    def save(self, kind: Kind, payload: bytes) -> None:
        self.content[kind] = payload

    def remove(self, kind: Kind) -> None:
        self.content.pop(kind, None)


class Subject(Protocol):
    """One TPM, and what is done to it from outside."""

    name: str
    tpm: Tpm

    def power_cycle(self, startup: int | None = admin.Startup.CLEAR) -> None:
        """TPM_Init, then TPM_Startup of that type (None: none)."""

    def set_locality(self, locality: int) -> None:
        """The following commands come from there."""

    def close(self) -> None:
        """Give back what it holds."""


class Ours:
    """The emulator, called directly; `content` is the state of an earlier one, as from `frozen`."""

    name = "ours"

    def __init__(self, content: dict[Kind, bytes] | None = None) -> None:
        self.store = Memory(content or {})
        self.emulator = Emulator(COMMANDS, self.store)
        self.tpm = Tpm(self.emulator.execute)
        self.power_cycle()

    def power_cycle(self, startup: int | None = admin.Startup.CLEAR) -> None:
        self.emulator.power_off()
        self.emulator.power_on()
        if startup is not None:
            admin.startup(self.tpm, startup)

    def set_locality(self, locality: int) -> None:
        self.emulator.set_locality(locality)

    def frozen(self) -> dict[Kind, bytes]:
        """Return the permanent state."""
        return dict(self.store.content)

    def close(self) -> None:
        self.emulator.power_off()


class Swtpm:
    """swtpm's TPM 1.2 over Unix sockets in `at` (a short, empty path); `state` is copied if given."""

    name = "swtpm"

    def __init__(self, at: Path, state: Path | None = None) -> None:
        self.state = at / "state"
        if state is None:
            self.state.mkdir()
        else:
            shutil.copytree(state, self.state, ignore=shutil.ignore_patterns(".lock"))
        self._process = process.spawn(
            [
                *("swtpm", "socket", "--tpmstate", f"dir={self.state}"),
                *("--server", f"type=unixio,path={at}/data"),
                *("--ctrl", f"type=unixio,path={at}/ctrl"),
            ],
            stderr=subprocess.DEVNULL,
        )
        self._data, self._control = _connected(at / "data"), _connected(at / "ctrl")
        self.tpm = Tpm(self._execute)
        self.power_cycle()

    def _execute(self, request: bytes) -> bytes:
        """Send a command; swtpm answers nothing to some that are incomplete, which is a test's fault."""
        self._data.sendall(request)
        return receive(self._data)

    def _ask(self, code: int, body: bytes, size: int) -> bytes:
        self._control.sendall(code.to_bytes(4) + body)
        answer = self._control.recv(size, socket.MSG_WAITALL)
        assert answer[:4] == bytes(4), answer.hex()
        return answer

    def power_cycle(self, startup: int | None = admin.Startup.CLEAR) -> None:
        self._ask(_CMD_INIT, bytes(4), 4)
        if startup is not None:
            admin.startup(self.tpm, startup)

    def set_locality(self, locality: int) -> None:
        self._ask(_CMD_SET_LOCALITY, bytes([locality, 0, 0, 0]), 4)

    def close(self) -> None:
        self._data.close()
        self._control.close()
        process.end(self._process)


def receive(peer: socket.socket) -> bytes:
    """Return one response from a stream."""
    head = peer.recv(10, socket.MSG_WAITALL)
    size = int.from_bytes(head[2:6])
    return head + (peer.recv(size - 10, socket.MSG_WAITALL) if size > 10 else b"")


def over(peer: socket.socket) -> Tpm:
    """Return a client for the TPM at the other end of a connection."""

    def execute(request: bytes) -> bytes:
        peer.sendall(request)
        return receive(peer)

    return Tpm(execute)


def _connected(path: Path) -> socket.socket:
    """Return a connection to a socket that is about to appear."""
    deadline = time.monotonic() + PATIENCE
    while True:
        peer = socket.socket(socket.AF_UNIX)
        peer.settimeout(PATIENCE)
        if not peer.connect_ex(os.fspath(path)):
            return peer
        peer.close()
        assert time.monotonic() < deadline, f"{path} did not appear"
        time.sleep(0.01)
