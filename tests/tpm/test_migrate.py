# SPDX-License-Identifier: GPL-3.0-or-later
"""A machine that runs moves from one QEMU to another, and its TPM from one emulator to another."""

from __future__ import annotations

import os
import shutil
import signal
from collections.abc import Callable
from contextlib import AbstractContextManager, ExitStack
from pathlib import Path
from typing import Any

import pytest

from bootproof.tpm.persistence.store import Kind, StateDirectory
from tests.live.machines import build
from tests.tpm.client.constants import SRK, WELL_KNOWN, Entity
from tests.tpm.client.keys import load_key2
from tests.tpm.client.pcr import PcrInfo, Selection, composite_digest
from tests.tpm.client.prepared import USAGE, Made
from tests.tpm.client.storage import StoredData, seal, unseal
from tests.tpm.client.tpm import Tpm
from tests.tpm.client.wire import u32
from tests.tpm.conftest import ROOT, Start
from tests.tpm.virtual import Virtual, until, virtual

pytest_plugins = ("tests.tpm.client.fixtures",)
pytestmark = [
    pytest.mark.qemu,
    pytest.mark.timeout(900),
    pytest.mark.skipif(shutil.which("qemu-system-x86_64") is None, reason="QEMU is not installed"),
]
PCR = 16
SECRET, DATA = b"a secret of 20 bytes", b"what only this machine may know"
SLOWLY, FAST = 1 << 20, 1 << 30  # bytes a second
# every line is a command for the guest's own TPM, every answer a line in brackets
RELAY = (
    """python3 -c 'import sys; tpm = open("/dev/tpm0", "r+b", 0); """
    """[print("<" + (tpm.write(bytes.fromhex(line)), tpm.read(4096))[1].hex() + ">", flush=True) """
    """for line in iter(sys.stdin.readline, "")]'"""
)


class Guest:
    """The TPM as a program in the guest sees it, whichever QEMU the guest is in at present."""

    def __init__(self, machine: Virtual) -> None:
        self.machine = machine
        self.tpm = Tpm(self._execute)
        machine.wait_for("is up", 120)
        machine.serial.sendall(f"{RELAY}\n".encode())

    def _execute(self, command: bytes) -> bytes:
        self.machine.serial.sendall(command.hex().encode() + b"\n")
        return bytes.fromhex(self.machine.wait_for("<([0-9a-f]+)>", 60)[1])


class Treasure:
    """A key, a session and sealed data, in a TPM with an owner."""

    def __init__(self, guest: Guest, made: Made) -> None:
        self._tpm = tpm = guest.tpm
        answer = tpm.call(0x14, u32(PCR) + bytes(20))
        value = answer.digest()
        self._key = load_key2(tpm, WELL_KNOWN, made.storage, SRK)
        info = PcrInfo(Selection.of(PCR), composite_digest([PCR], [value]))
        self._sealed: StoredData = seal(tpm, USAGE, DATA, SECRET, info, self._key)
        self._key_session = tpm.osap(Entity.KEY_HANDLE, self._key, USAGE)
        self._data_session = tpm.oiap(SECRET)

    def is_there(self) -> bool:
        """Unseal with the sessions that were opened at the beginning."""
        return unseal(self._tpm, self._key_session, self._data_session, self._sealed, self._key) == DATA


Run = Callable[..., AbstractContextManager[Virtual]]


@pytest.fixture
def run(start: Start, tmp_path: Path) -> Run:
    """Return how to start machines that are alike; each has a file with its process id."""
    iso = build("minimal", ROOT / "out")

    def begin(name: str, state: str, *options: str, migration: str) -> AbstractContextManager[Virtual]:
        return virtual(
            start,
            *("-m", "256", "-cdrom", os.fspath(iso), "-pidfile", os.fspath(tmp_path / name), *options),
            state=tmp_path / state,
            seconds=600,
            emulator_options=("--migration", migration),
        )

    return begin


def status(machine: Virtual) -> str:
    """Return how far the migration is."""
    found: Any = machine.ask("query-migrate")
    return str(found.get("status"))


def send(source: Virtual, where: Path, speed: int) -> None:
    """Begin to migrate; the machine goes on meanwhile."""
    source.ask("migrate-set-parameters", **{"max-bandwidth": speed})
    source.ask("migrate", uri=f"unix:{where}")
    until(lambda: status(source) != "setup")


def migrate(guest: Guest, target: Virtual, where: Path, treasure: Treasure) -> None:
    """Move the guest there, and let it use its TPM on the way."""
    source = guest.machine
    send(source, where, SLOWLY)
    assert treasure.is_there()
    assert status(source) == "active"
    source.ask("migrate-set-parameters", **{"max-bandwidth": FAST})
    until(lambda: status(source) == "completed", 120)
    pcrs = source.pcrs()
    guest.machine = target
    assert treasure.is_there()
    assert target.pcrs() == pcrs
    source.quit()


def test_a_machine_migrates_with_its_tpm(
    run: Run, prepared_ours: tuple[dict[Kind, bytes], Made], tmp_path: Path
) -> None:
    """To one that dies, to one with the same directory, and on to one with a directory of its own."""
    content, made = prepared_ours
    directory = StateDirectory(tmp_path / "shared")
    directory.save(Kind.PERMANENT, content[Kind.PERMANENT])
    directory.close()
    wait = [tmp_path / f"wait{number}" for number in range(3)]
    with ExitStack() as stack:
        source = stack.enter_context(run("source", "shared", migration="release-lock-outgoing"))
        guest = Guest(source)
        treasure = Treasure(guest, made)
        assert treasure.is_there()

        incoming = "incoming,release-lock-outgoing"
        with run("dies", "shared", "-incoming", f"unix:{wait[0]}", migration=incoming):
            send(source, wait[0], SLOWLY)
            assert treasure.is_there()
            os.kill(int((tmp_path / "dies").read_text()), signal.SIGKILL)
            until(lambda: status(source) == "failed")
        assert treasure.is_there()

        options = ("-incoming", f"unix:{wait[1]}")
        target = stack.enter_context(run("target", "shared", *options, migration=incoming))
        migrate(guest, target, wait[1], treasure)
        options = ("-incoming", f"unix:{wait[2]}")
        last = stack.enter_context(run("last", "own", *options, migration="incoming"))
        migrate(guest, last, wait[2], treasure)
        last.quit()
