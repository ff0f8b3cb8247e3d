# SPDX-License-Identifier: GPL-3.0-or-later
"""A virtual machine with its TPM emulator for the length of a `with` block; nothing outlives the block."""

from __future__ import annotations

import os
import socket
import subprocess
from collections.abc import Collection, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

from bootproof.errors import BootproofError, ExitCode, HostError
from bootproof.launch.machine import Machine
from bootproof.launch.qemu import Channels, qemu_command
from bootproof.launch.vtpm import EMULATED, emulator_command, emulator_environment
from bootproof.process import end, paste, spawn

WATCHED = ("qmp", "serial", "firmware", "report")
_QUOTED_LINES = 6
# it ends when QEMU closes its channel; more than a moment is not needed
_EMULATOR_SECONDS = 2.0
# the variables a window of QEMU's needs; process.environment keeps the environment small
_DISPLAY_VARIABLES = (
    "DISPLAY",
    "WAYLAND_DISPLAY",
    "XAUTHORITY",
    "XDG_SESSION_TYPE",
    "DBUS_SESSION_BUS_ADDRESS",
)


@dataclass(frozen=True)
class Places:
    """Where a session keeps things: the TPM's state (a folder), QEMU's own messages, the emulator's log.

    `lease` (see `leftovers.PrivateFolder`) is inherited by both programs when they write into a private
    folder.
    """

    state: Path
    qemu_log: Path
    vtpm_log: Path
    lease: int | None = None

    def leases(self) -> list[int]:
        return [] if self.lease is None else [self.lease]


@dataclass
class Session:
    """Our ends of a running machine's channels. `monitor` is the emulator's, None when it has none."""

    machine: Machine
    places: Places
    argv: list[str]
    qemu: subprocess.Popen[bytes]
    emulator: subprocess.Popen[bytes] | None = None
    channels: dict[str, socket.socket] = field(default_factory=dict)

    @property
    def monitor(self) -> socket.socket | None:
        return self.channels.get("monitor")

    def failure(self) -> BootproofError:
        """Return the error for a QEMU that ended by itself: the emulator's if that failed, else QEMU's."""
        fault = self._emulator_fault()
        if fault:
            return HostError(f"the TPM emulator failed: {fault}")
        said = "".join(f"\n    {line}" for line in _last_lines(self.places.qemu_log))
        status = self.qemu.poll()
        what = "does not answer on its monitor" if status is None else f"ended with status {status}"
        return BootproofError(
            f"QEMU {what}{said}",
            f"the command: {paste(self.argv)}",
            ExitCode.QEMU,
        )

    def _emulator_fault(self) -> str:
        if self.emulator is None:
            return ""
        try:
            status = self.emulator.wait(_EMULATOR_SECONDS)
        except subprocess.TimeoutExpired:
            return ""
        if status == 0:
            return ""
        lines = _last_lines(self.places.vtpm_log)
        return lines[-1] if lines else f"it ended with status {status}"


def _last_lines(log: Path) -> list[str]:
    try:
        return log.read_text(errors="replace").strip().splitlines()[-_QUOTED_LINES:]
    except OSError:
        return []


@contextmanager
def running_machine(machine: Machine, places: Places, *, watched: Collection[str] = ()) -> Iterator[Session]:
    """Start the TPM emulator, if one is wished for, and QEMU; end both with the block.

    `watched` names the channels that the session gets (of `WATCHED`); the caller has to read them all, for a
    full channel stops the machine. Without any QEMU has our terminal. A program that cannot be started is a
    `HostError`; a QEMU that ends early is for the caller to see and to report with `Session.failure`.
    """
    with ExitStack() as stack:
        ours: dict[str, socket.socket] = {}
        theirs: dict[str, socket.socket] = {}
        for name in watched:
            ours[name], theirs[name] = _pair(stack)
        emulator = None
        if machine.vtpm in EMULATED:
            theirs["tpm"], emulator, monitor = _start_emulator(stack, machine, places)
            if monitor is not None:
                ours["monitor"] = monitor
        channels = Channels(**{name: end.fileno() for name, end in theirs.items()})
        argv = qemu_command(machine, channels)
        qemu = _start_qemu(stack, argv, channels, places, watched=bool(watched))
        for end_of_theirs in theirs.values():
            end_of_theirs.close()
        yield Session(machine, places, argv, qemu, emulator, ours)


def _pair(stack: ExitStack) -> tuple[socket.socket, socket.socket]:
    ours, theirs = socket.socketpair()
    stack.enter_context(ours)
    stack.enter_context(theirs)
    return ours, theirs


def _start_emulator(
    stack: ExitStack, machine: Machine, places: Places
) -> tuple[socket.socket, subprocess.Popen[bytes], socket.socket | None]:
    """Start the emulator; return QEMU's end of its channel, the child, and our end of its monitor."""
    try:
        places.state.mkdir(mode=0o700, parents=True, exist_ok=True)
        places.vtpm_log.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise HostError(
            f"cannot make {error.filename}: {error.strerror}", "the TPM keeps its state there"
        ) from None
    qemu_end, emulator_end = _pair(stack)
    monitor = monitor_end = None
    if machine.vtpm == "python":
        monitor, monitor_end = _pair(stack)
    told = None if monitor_end is None else monitor_end.fileno()
    argv = emulator_command(
        machine.vtpm,
        machine.tpm,
        state=places.state,
        control=emulator_end.fileno(),
        monitor=told,
        log=places.vtpm_log,
    )
    inherited = [emulator_end.fileno(), *([] if told is None else [told]), *places.leases()]
    log = stack.enter_context(places.vtpm_log.open("ab"))
    child = spawn(argv, env=emulator_environment(), stdout=log, stderr=log, pass_fds=inherited)
    stack.callback(end, child)
    emulator_end.close()
    if monitor_end is not None:
        monitor_end.close()
    return qemu_end, child, monitor


def _start_qemu(
    stack: ExitStack, argv: list[str], channels: Channels, places: Places, *, watched: bool
) -> subprocess.Popen[bytes]:
    places.qemu_log.parent.mkdir(parents=True, exist_ok=True)
    log: IO[bytes] = stack.enter_context(places.qemu_log.open("wb"))
    window = {name: os.environ[name] for name in _DISPLAY_VARIABLES if name in os.environ}
    child = spawn(
        argv, env=window,
        stdin=subprocess.DEVNULL if watched else 0, stdout=log if watched else None, stderr=log,
        pass_fds=[*channels.fds(), *places.leases()],
    )  # fmt: skip
    stack.callback(end, child)
    return child
