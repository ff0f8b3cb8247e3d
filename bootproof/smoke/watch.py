# SPDX-License-Identifier: GPL-3.0-or-later
"""Follows a running machine through its phases and takes the guest's report."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import os
import secrets
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from qemu.qmp import QMPClient, QMPError

from bootproof.appliance.frames import Frame, FrameError, FrameReader, encode
from bootproof.console import step
from bootproof.errors import BootproofError, ExitCode
from bootproof.launch.qemu import REPORT_DEVICE
from bootproof.launch.session import Session
from bootproof.smoke.phases import FIRMWARE_LOG, PHASES, REPORT, SERIAL, Follower, Limits, Phase

_MONITOR_SECONDS = 10.0
_SCREENSHOT_SECONDS = 10.0
# the report's last bytes and the word that the port was closed reach us on different ways
_CLOSED_PORT_SECONDS = 5.0
_ENDED = "ended"
_PORT = "port"


@dataclass
class Boot:
    """What was seen of a boot. `report` and `outside` (the emulator's own PCRs: algorithm, and hex by
    number) are None where they did not come; `failure` is None when every phase came to its end."""

    follower: Follower
    report: Frame | None = None
    outside: dict[str, Any] | None = None
    failure: BootproofError | None = None
    limits: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Captures:
    """Files that are written while the machine runs."""

    serial: Path
    screen: Path


def watch(
    session: Session,
    captures: Captures,
    checks: Sequence[str],
    limits: Limits,
    phases: Sequence[Phase] = PHASES,
) -> Boot:
    """Follow `session` to its last phase or the first failure, take a picture of the screen, end QEMU."""
    # qemu.qmp logs the end of the connection, which is no news to us
    logging.getLogger("qemu.qmp").setLevel(logging.CRITICAL)
    return asyncio.run(_Watch(session, captures, checks, limits, phases).run())


class _Watch:
    def __init__(
        self,
        session: Session,
        captures: Captures,
        checks: Sequence[str],
        limits: Limits,
        phases: Sequence[Phase],
    ) -> None:
        self.session = session
        self.captures = captures
        self.checks = list(checks)
        self.limits = limits
        self.boot = Boot(Follower(phases))
        self.events: asyncio.Queue[tuple[str, bytes]] = asyncio.Queue()
        self.frames = FrameReader()
        self.nonce = secrets.token_hex(16)
        self.qmp = QMPClient("smoke")
        self.started = time.monotonic()
        self.deadline = 0.0
        self.port_opened = False
        self.port_closed = False
        self.progress = ""
        self.monitor: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None
        self.report_writer: asyncio.StreamWriter | None = None

    async def run(self) -> Boot:
        async with contextlib.AsyncExitStack() as stack:
            stack.callback(self._watch_the_end())
            pumps = [
                asyncio.create_task(self._pump(name, reader))
                for name, reader in await self._open_channels(stack)
            ]
            stack.callback(lambda: [pump.cancel() for pump in pumps])
            with self.captures.serial.open("wb", buffering=0) as self.serial_log:
                try:
                    await self._connect_monitor(stack)
                    await self._follow_phases()
                except BootproofError as error:
                    self.boot.failure = error
                await self._finish()
        return self.boot

    async def _open_channels(
        self, stack: contextlib.AsyncExitStack
    ) -> list[tuple[str, asyncio.StreamReader]]:
        channels = self.session.channels
        opened = {}
        for name in ("serial", "firmware", "report", "monitor"):
            if name in channels:
                opened[name] = await asyncio.open_connection(sock=channels[name].dup())
                stack.callback(opened[name][1].close)
        self.monitor = opened.get("monitor")
        self.report_writer = opened["report"][1]
        return [
            (SERIAL, opened["serial"][0]),
            (FIRMWARE_LOG, opened["firmware"][0]),
            (REPORT, opened["report"][0]),
        ]

    def _watch_the_end(self) -> Any:
        """Have an event when QEMU ends; return the function that stops the watching."""
        descriptor = os.pidfd_open(self.session.qemu.pid)
        loop = asyncio.get_running_loop()

        def ended() -> None:
            loop.remove_reader(descriptor)
            self.events.put_nowait((_ENDED, b""))

        def stop() -> None:
            loop.remove_reader(descriptor)
            os.close(descriptor)

        loop.add_reader(descriptor, ended)
        return stop

    async def _pump(self, name: str, reader: asyncio.StreamReader) -> None:
        with contextlib.suppress(ConnectionError):
            while piece := await reader.read(65536):
                self.events.put_nowait((name, piece))

    async def _connect_monitor(self, stack: contextlib.AsyncExitStack) -> None:
        """Speak QMP with QEMU: that it answers is the sign that it has started."""
        try:
            async with asyncio.timeout(self.limits.seconds(self.boot.follower.phases[0])):
                await self.qmp.connect(self.session.channels["qmp"].dup())
        except (QMPError, TimeoutError, OSError):
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_MONITOR_SECONDS):
                    while (await self.events.get())[0] != _ENDED:
                        continue
            raise self.session.failure() from None
        listener = asyncio.create_task(self._listen())
        stack.callback(listener.cancel)

    async def _listen(self) -> None:
        with self.qmp.listener("VSERPORT_CHANGE") as listener:
            async for event in listener:
                data = event["data"]
                if isinstance(data, dict) and data["id"] == REPORT_DEVICE:
                    self.events.put_nowait((_PORT, b"open" if data["open"] else b""))

    async def _follow_phases(self) -> None:
        follower = self.boot.follower
        for phase in follower.phases:
            with step(phase.name) as shown:
                limit = self.limits.seconds(phase)
                self.boot.limits[phase.name] = limit
                self.deadline = time.monotonic() + limit
                while follower.current is phase:
                    await self._handle(*await self._next(phase, limit))
                done = next(item for item in follower.done if item.phase is phase)
                self.limits.observe(phase, done.seconds)
                shown.note(f"{done.since_start:.1f} s since power-on")

    async def _next(self, phase: Phase, limit: float) -> tuple[str, bytes]:
        try:
            async with asyncio.timeout(max(self.deadline - time.monotonic(), 0)):
                return await self.events.get()
        except TimeoutError:
            if self.port_closed:
                message = (
                    f"checks: the agent in the guest ended before its report was complete{self._last_word()}"
                )
                raise BootproofError(message, "serial.log may say why", ExitCode.GUEST_CHECK) from None
            raise BootproofError(
                f"{phase.name}: not over after {limit:.0f} s on {self.session.machine.accel.upper()}"
                f"{self._last_word()}",
                f"waited for {phase.pattern!r} on the {phase.source}; serial.log has what came",
                phase.code,
            ) from None

    def _last_word(self) -> str:
        if self.boot.follower.current is self.boot.follower.phases[-1] and not self.port_opened:
            return "; the agent in the guest has not opened its port"
        return f"; the guest's last word: {self.progress}" if self.progress else ""

    async def _handle(self, source: str, piece: bytes) -> None:
        phase = self.boot.follower.current
        assert phase is not None
        if source == _ENDED:
            raise self._ended_early(phase)
        if source == _PORT:
            self._port_changed(is_open=bool(piece))
        elif source == REPORT:
            await self._read_report(piece)
        else:
            self._read_console(source, piece, phase)

    def _read_console(self, source: str, piece: bytes, phase: Phase) -> None:
        if source == SERIAL:
            self.serial_log.write(piece)
        self.boot.follower.feed(source, piece, time.monotonic() - self.started)
        if self.boot.follower.fatal:
            message = f"{phase.name}: the machine stopped: {self.boot.follower.fatal}"
            # whatever the consoles have shown so far: such lines come from a kernel that runs
            code = ExitCode.GUEST_CHECK if phase.source == REPORT else ExitCode.GUEST_TIMEOUT
            raise BootproofError(message, "serial.log has what led to it", code)

    def _ended_early(self, phase: Phase) -> BootproofError:
        status = self.session.qemu.wait()
        if status != 0:
            return self.session.failure()
        message = f"{phase.name}: the machine switched itself off or reset itself"
        return BootproofError(message, "serial.log has what led to it", phase.code)

    def _port_changed(self, *, is_open: bool) -> None:
        if is_open:
            self.port_opened = True
            self._say(Frame("hello", self.nonce, {"checks": self.checks}))
        else:
            self.port_closed = True
            self.deadline = min(self.deadline, time.monotonic() + _CLOSED_PORT_SECONDS)

    def _say(self, frame: Frame) -> None:
        assert self.report_writer is not None
        self.report_writer.write(encode(frame))

    async def _read_report(self, piece: bytes) -> None:
        try:
            for frame in self.frames.feed(piece):
                await self._answer(frame)
        except FrameError as error:
            message = f"checks: the guest's report cannot be read: {error}"
            raise BootproofError(message, "run the smoke test again", ExitCode.GUEST_CHECK) from None

    async def _answer(self, frame: Frame) -> None:
        if frame.nonce != self.nonce:
            raise FrameError("it answers another question than ours")
        if frame.kind == "ready":
            self.boot.outside = await self._outside_pcrs()
            self._say(Frame("seen", self.nonce))
        elif frame.kind == "report":
            self.boot.report = frame
        elif frame.kind == "progress":
            self.progress = str(frame.facts.get("text"))
        elif frame.kind == "failed":
            message = f"checks: the agent in the guest failed: {frame.facts.get('error')}"
            raise BootproofError(message, "serial.log may have more", ExitCode.GUEST_CHECK)
        elif frame.kind == "end" and self.boot.report is not None:
            self.boot.follower.feed(REPORT, b"complete\n", time.monotonic() - self.started)

    async def _outside_pcrs(self) -> dict[str, Any] | None:
        """Ask the emulator for its PCRs while the guest holds still."""
        if self.monitor is None:
            return None
        reader, writer = self.monitor
        writer.write(b"pcrs\n")
        try:
            async with asyncio.timeout(_MONITOR_SECONDS):
                answer = json.loads(await reader.readline())
        except (TimeoutError, ValueError, OSError):
            message = "checks: the TPM emulator did not tell its PCRs"
            raise BootproofError(message, "vtpm.log may say why", ExitCode.MEASUREMENT) from None
        return answer if isinstance(answer, dict) else None

    async def _finish(self) -> None:
        """Take a picture of the screen and end QEMU; neither is worth more than a few seconds."""
        request = {"filename": str(self.captures.screen.resolve()), "format": "png"}
        with contextlib.suppress(QMPError, TimeoutError, OSError):
            async with asyncio.timeout(_SCREENSHOT_SECONDS):
                await self.qmp.execute("screendump", request)
                await self.qmp.execute("quit")
        with contextlib.suppress(QMPError, EOFError, OSError):
            await self.qmp.disconnect()
