# SPDX-License-Identifier: GPL-3.0-or-later
"""The TPMs that are tested: ours in this process, and swtpm's in another; both with power and localities."""

from __future__ import annotations

import socket
import subprocess
import sys
from pathlib import Path
from typing import Protocol

from bootproof import process
from bootproof.tpm.commands.table import COMMANDS
from bootproof.tpm.machine import Tpm as Emulator
from bootproof.tpm.persistence.store import Kind
from tests.tpm.client import admin, libtpms
from tests.tpm.client.tpm import Tpm

PATIENCE = 20.0
_ROOT = Path(__file__).parents[3]


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
    """swtpm's TPM 1.2: its library, in a process of its own at the other end of `peer`; see libtpms.py."""

    name = "swtpm"

    def __init__(self, peer: socket.socket, server: subprocess.Popen[bytes] | None = None) -> None:
        self._peer, self._server = peer, server
        self._peer.settimeout(PATIENCE)
        self.tpm = Tpm(lambda request: self._ask(libtpms.COMMAND, request))

    @classmethod
    def begin(cls) -> Swtpm:
        """Return a new TPM after TPM_Startup(ST_CLEAR)."""
        peer, theirs = _pair()
        with theirs:
            argv = [sys.executable, "-m", "tests.tpm.client.libtpms"]
            server = process.spawn(argv, cwd=_ROOT, stdin=theirs.fileno(), stderr=None)
        made = cls(peer, server)
        made.power_cycle()
        return made

    def copy(self) -> Swtpm:
        """Return another TPM, in the same state."""
        peer, theirs = _pair()
        with theirs:
            socket.send_fds(self._peer, [libtpms.COPY], [theirs.fileno()])
            assert self._peer.recv(1) == libtpms.COPY
        return Swtpm(peer)

    def _ask(self, letter: bytes, data: bytes = b"") -> bytes:
        self._peer.send(letter + data)
        return self._peer.recv(libtpms.PACKET)

    def power_cycle(self, startup: int | None = admin.Startup.CLEAR) -> None:
        code = self._ask(libtpms.INIT)
        assert code == bytes(4), code.hex()
        if startup is not None:
            admin.startup(self.tpm, startup)

    def set_locality(self, locality: int) -> None:
        self._ask(libtpms.LOCALITY, bytes([locality]))

    def close(self) -> None:
        self._peer.close()
        if self._server is not None:
            self._server.wait(PATIENCE)


def _pair() -> tuple[socket.socket, socket.socket]:
    return socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)


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
