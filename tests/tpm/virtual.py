# SPDX-License-Identifier: GPL-3.0-or-later
"""A virtual machine whose TPM is our emulator, both joined by a socket pair as the launcher joins them."""

from __future__ import annotations

import json
import re
import socket
import struct
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.tpm.conftest import PATIENCE, STATE, Emulator, Start
from tests.tpm.test_server import monitor

ZEROS = "00" * 20
_CLUSTER = 65536


def snapshot_disk(path: Path) -> Path:
    """Write an empty qcow2 image of 10 MB (QEMU's docs/interop/qcow2.txt), a place for snapshots."""
    header = struct.pack(
        ">4sIQIIQIIQQIIQ", b"QFI\xfb", 2, 0, 0, 16, 10 << 20, 0, 1, 3 * _CLUSTER, _CLUSTER, 1, 0, 0
    )
    clusters = (header, struct.pack(">Q", 2 * _CLUSTER), struct.pack(">4H", 1, 1, 1, 1), b"")
    path.write_bytes(b"".join(cluster.ljust(_CLUSTER, b"\0") for cluster in clusters))
    return path


def until(condition: Callable[[], bool], seconds: float = 300) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.1)


class Virtual:
    """A running machine: its monitor, its first serial line, and the emulator's own view of the TPM."""

    def __init__(
        self,
        machine: subprocess.Popen[bytes],
        emulator: Emulator,
        watch: socket.socket,
        serial: socket.socket,
        control: socket.socket,
    ) -> None:
        self.machine = machine
        self.emulator = emulator
        self.serial = serial
        self._control = control.makefile("rw")
        self.ask("qmp_capabilities")
        self._watch = watch
        self._seen = ""

    def say(self, command: str) -> None:
        """Have QEMU's monitor do a command; it is done when this returns."""
        said = self.ask("human-monitor-command", **{"command-line": command})
        assert not said, said

    def ask(self, execute: str, **arguments: object) -> object:
        """Have QEMU execute a command of its machine protocol; return the answer."""
        self._control.write(json.dumps({"execute": execute, "arguments": arguments}) + "\n")
        self._control.flush()
        for line in self._control:
            answer = json.loads(line)
            assert "error" not in answer, answer
            if "return" in answer:
                return answer["return"]
        raise AssertionError("QEMU's monitor is gone")

    def info(self, name: str) -> object:
        """Return one item of the emulator's `info`."""
        return monitor(self._watch, "info")[name]

    def pcrs(self) -> list[str]:
        """Return all PCRs, hexadecimal."""
        values = monitor(self._watch, "pcrs")["pcrs"]
        assert isinstance(values, dict)
        return list(values.values())

    def firmware_is_done(self) -> bool:
        """Whether all separators are in, and nothing has come for a second."""
        before = self.pcrs()
        time.sleep(1)
        return ZEROS not in before[:8] and before == self.pcrs()

    def wait_for(self, pattern: str, seconds: float) -> re.Match[str]:
        """Read the serial line until the pattern has come; return its match in all that came before."""
        deadline = time.monotonic() + seconds
        while (found := re.search(pattern, self._seen)) is None:
            self.serial.settimeout(max(deadline - time.monotonic(), 0.01))
            try:
                piece = self.serial.recv(4096)
            except TimeoutError:
                raise AssertionError(f"{pattern!r} did not come; last: {self._seen[-800:]!r}") from None
            assert piece, f"the machine ended; last: {self._seen[-800:]!r}"
            self._seen += piece.decode(errors="replace").replace("\r", "")
        self._seen = self._seen[found.end() :]
        return found

    def shell(self, command: str, seconds: float = 300) -> tuple[int, str]:
        """Type a command at the shell; return its status and what was on the console meanwhile."""
        self.serial.sendall(f"{command}; echo sta''tus $?.\n".encode())
        found = self.wait_for(r"status (\d+)\.", seconds)
        return int(found[1]), found.string[: found.start()]

    def quit(self) -> None:
        """End machine and emulator; both have to end well."""
        self.ask("quit")
        assert self.machine.wait(PATIENCE) == 0
        assert self.emulator.wait() == 0


@contextmanager
def virtual(
    start: Start,
    *options: str,
    state: Path | None = None,
    seconds: int = 600,
    emulator_options: tuple[str, ...] = (),
) -> Iterator[Virtual]:
    """Run QEMU with our TPM 1.2 and these options for at most so many seconds."""
    control, inherited = socket.socketpair()
    watch, watched = socket.socketpair()
    serial, serial_end = socket.socketpair()
    monitor_here, monitor_there = socket.socketpair()
    numbers = inherited.fileno(), watched.fileno()
    where = STATE if state is None else ("--tpmstate", f"dir={state}")
    emulator = start(
        *where,
        *("--ctrl", f"type=unixio,clientfd={numbers[0]}", "--monitor", f"type=unixio,clientfd={numbers[1]}"),
        "--terminate",
        *emulator_options,
        pass_fds=numbers,
    )
    machine = subprocess.Popen(
        [
            *("timeout", str(seconds), "qemu-system-x86_64", "-accel", "tcg", "-cpu", "max"),
            *("-display", "none", "-chardev", f"socket,id=c,fd={control.fileno()}"),
            *("-tpmdev", "emulator,id=t,chardev=c", "-device", "tpm-tis,tpmdev=t"),
            *("-chardev", f"socket,id=s,fd={serial_end.fileno()}", "-serial", "chardev:s"),
            *("-chardev", f"socket,id=m,fd={monitor_there.fileno()}", "-mon", "chardev=m,mode=control"),
            *options,
        ],
        pass_fds=(control.fileno(), serial_end.fileno(), monitor_there.fileno()),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
    )
    for theirs in (inherited, watched, control, serial_end, monitor_there):
        theirs.close()
    try:
        yield Virtual(machine, emulator, watch, serial, monitor_here)
    finally:
        machine.terminate()  # `timeout` hands this on to QEMU, as it could not SIGKILL
        machine.wait(PATIENCE)
        for ours in (watch, serial, monitor_here):
            ours.close()
