# SPDX-License-Identifier: GPL-3.0-or-later
"""A TPM emulator, a recording relay, tcsd, and programs that use them: all private, no machine needed."""

from __future__ import annotations

import grp
import os
import shutil
import struct
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

from bootproof import process
from tests.ports import free_port, free_ports
from tests.tss.relay import Exchange, Relay
from tests.tss.terminal import answer

ROOT = Path(__file__).parents[2]
PATIENCE = 60.0
_PRESENCE = "00c10000000c4000000a{:04x}"
_CMD_ENABLE, _PRESENT, _NOT_PRESENT = 0x20, 0x08, 0x10


class Emulator(Enum):
    """Whose TPM it is; the value is how the program is called."""

    SWTPM = ("swtpm",)
    OURS = (sys.executable, "-m", "bootproof.tpm")

    def argv(self, state: Path, port: int, control: int) -> list[str]:
        """Return the command line: the same options for either program."""
        return [
            *self.value, "socket", "--tpmstate", f"dir={state}",
            "--server", f"type=tcp,port={port},bindaddr=127.0.0.1",
            "--ctrl", f"type=tcp,port={control},bindaddr=127.0.0.1",
            "--flags", "not-need-init,startup-clear",
        ]  # fmt: skip


@dataclass(frozen=True)
class Done:
    """How a program ended, what it wrote, and what the TPM had to do for it."""

    status: int
    output: str
    errors: str
    exchanges: tuple[Exchange, ...]


class Stack:
    """One TPM with everything around it, below the folder `place`.

    `place/state` is the TPM's, `place/ps` tcsd's key store, `place/home` the user's; programs run in
    `place/work`.
    """

    def __init__(self, emulator: Emulator, place: Path) -> None:
        self.emulator = emulator
        self.place = place
        self.work = place / "work"
        self.wrapper: tuple[str, ...] = ()
        for part in ("state", "home", "work", "ps"):
            (place / part).mkdir(exist_ok=True)
        shutil.chown(place / "ps", "tss", "tss")
        self._running = ExitStack()
        self._relay: Relay | None = None

    def start(self) -> None:
        """Switch the TPM on, and tcsd with it."""
        with ExitStack() as running:
            port, control = free_ports(2)
            argv = self.emulator.argv(self.place / "state", port, control)
            log = running.enter_context((self.place / "emulator.log").open("ab"))
            tpm = running.enter_context(process.running(argv, cwd=ROOT, stdout=log, stderr=log))
            _wait_for(
                tpm, lambda: _listens(port), "the emulator does not listen", self.place / "emulator.log"
            )
            self._relay = Relay(port)
            running.callback(self._relay.close)
            self._daemon, self._port = self._start_tcsd(running, self._relay.port)
            self._threads = self._tcsd_threads()
            self._running = running.pop_all()

    def stop(self) -> None:
        """Switch everything off; the files stay."""
        self._running.close()

    def restart(self) -> None:
        self.stop()
        self.start()

    def command(self, request: bytes) -> bytes:
        """Send a TPM command past tcsd and return the response."""
        assert self._relay is not None
        return self._relay.command(request)

    def presence(self, asserted: bool) -> None:
        """Assert physical presence, or take it back."""
        for bits in (_CMD_ENABLE, _PRESENT if asserted else _NOT_PRESENT):
            response = self.command(bytes.fromhex(_PRESENCE.format(bits)))
            assert response.hex() == "00c40000000a00000000"

    def extend(self, index: int) -> None:
        """Extend a PCR with a digest of no meaning."""
        response = self.command(struct.pack(">HIII20s", 0x00C1, 34, 0x14, index, b"a digest of no use.."))
        assert response[:10].hex() == "00c40000001e00000000"

    def run(self, argv: Sequence[str], answers: Sequence[str] = ()) -> Done:
        """Run a program in `place/work`; `answers` are typed at its terminal, one a prompt."""
        assert self._relay is not None
        before = len(self._relay.log)
        env = {
            "TSS_TCSD_PORT": str(self._port),
            "HOME": os.fspath(self.place / "home"),
            "TSS_USER_PS_FILE": os.fspath(self.place / "home" / "keys"),
            "PYTHONPATH": os.fspath(ROOT),
        }
        status, output, errors = answer([*self.wrapper, *argv], answers, env=env, cwd=self.work)
        # tcsd frees what a client left behind only after the client has ended
        _wait_for(self._daemon, lambda: self._tcsd_threads() == self._threads, "tcsd has not finished")
        return Done(status, output, errors, tuple(self._relay.log[before:]))

    def _start_tcsd(self, running: ExitStack, tpm_port: int) -> tuple[subprocess.Popen[bytes], int]:
        port = free_port()
        configuration = self.place / "tcsd.conf"
        settings = {"port": port, "num_threads": 4, "system_ps_file": self.place / "ps" / "system.data"}
        configuration.write_text("".join(f"{name} = {value}\n" for name, value in settings.items()))
        configuration.chmod(0o640)
        os.chown(configuration, 0, grp.getgrnam("tss").gr_gid)
        env = {"TCSD_TCP_DEVICE_HOSTNAME": "127.0.0.1", "TCSD_TCP_DEVICE_PORT": str(tpm_port)}
        log = running.enter_context((self.place / "tcsd.log").open("ab"))
        argv = ["tcsd", "-e", "-f", "-c", os.fspath(configuration)]
        daemon = running.enter_context(process.running(argv, env=env, stdout=log, stderr=log))
        _wait_for(daemon, lambda: _listens(port), "tcsd does not listen", self.place / "tcsd.log")
        _wait_for(daemon, lambda: self._tcsd_threads(daemon) == 1, "tcsd has not finished")
        return daemon, port

    def _tcsd_threads(self, daemon: subprocess.Popen[bytes] | None = None) -> int:
        return len(os.listdir(f"/proc/{(daemon or self._daemon).pid}/task"))  # noqa: PTH208


@contextmanager
def folder() -> Iterator[Path]:
    """Make a folder with a short path that tcsd, which becomes the user tss, can reach."""
    path = Path(tempfile.mkdtemp(prefix="tss"))
    path.chmod(0o755)
    try:
        yield path
    finally:
        shutil.rmtree(path)


@contextmanager
def stack(emulator: Emulator, beginning: Path | None = None) -> Iterator[Stack]:
    """Run a stack for the length of a `with` block; it begins with a copy of the folder `beginning`."""
    with folder() as place:
        if beginning is not None:
            shutil.copytree(beginning, place, dirs_exist_ok=True, ignore=shutil.ignore_patterns(".lock"))
            shutil.chown(place / "ps" / "system.data", "tss", "tss")
        made = Stack(emulator, place)
        made.start()
        try:
            yield made
        finally:
            made.stop()


def _listens(port: int) -> bool:
    """Look without connecting: swtpm would serve the connection, and nobody else meanwhile."""
    rows = (line.split() for line in Path("/proc/net/tcp").read_text().splitlines())
    return any(row[1].endswith(f":{port:04X}") and row[3] == "0A" for row in rows)


def _wait_for(
    child: subprocess.Popen[bytes], condition: Callable[[], bool], complaint: str, log: Path | None = None
) -> None:
    deadline = time.monotonic() + PATIENCE
    while not condition():
        said = log.read_text() if log else ""
        assert child.poll() is None, f"{child.args!r} ended with status {child.returncode}: {said}"
        assert time.monotonic() < deadline, f"{complaint}: {said}"
        time.sleep(0.01)
