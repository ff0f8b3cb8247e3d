# SPDX-License-Identifier: GPL-3.0-or-later
"""The agent: tells the smoke test, over a virtio-serial port, what its machine has booted and how it is.

The host speaks first (`hello`, with a nonce). Everything that starts programs or loads libraries comes
first, for IMA measures those; then PCRs and logs are read, and the host reads the emulator's PCRs while the
agent waits (`ready`, `seen`). If IMA's log has grown meanwhile, that is done again: what is compared was all
taken in one moment.
"""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from bootproof.appliance import collect
from bootproof.appliance.frames import Frame, FrameError, FrameReader, encode
from bootproof.attest.evidence import Evidence
from bootproof.attest.local import read_evidence
from bootproof.errors import BootproofError, HostError

BOOT_LOG = "binary_bios_measurements"
IMA_LOG = "binary_runtime_measurements"
_IMA = Path("/sys/kernel/security/ima")
_PCRS = range(24)
_MOST_TRIES = 20
_PAUSE = 0.5


class Port:
    """Frames over a byte stream to the host."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._reader = FrameReader()
        self._waiting: list[Frame] = []
        self.nonce = ""

    def hear(self, kind: str) -> Frame:
        """Wait for the host's next frame, which has to be of `kind`."""
        while not self._waiting:
            piece = os.read(self._descriptor, 65536)
            if not piece:
                raise HostError("nobody listens at the report port", "a smoke test has to run on the host")
            self._waiting += self._reader.feed(piece)
        frame = self._waiting.pop(0)
        if frame.kind != kind:
            raise FrameError(f"the host says {frame.kind!r}, not {kind!r}")
        return frame

    def say(
        self, kind: str, facts: dict[str, Any] | None = None, blobs: dict[str, bytes] | None = None
    ) -> None:
        """Send a frame; returns when all of it has been written."""
        data = memoryview(encode(Frame(kind, self.nonce, facts or {}, blobs or {})))
        while data:
            data = data[os.write(self._descriptor, data) :]


def report(port: Path) -> None:
    """Answer one smoke test at `port`, a virtio-serial device; `BootproofError` if that cannot be done."""
    try:
        with _opened(port) as line:
            _converse_or_tell(line)
    except FrameError as error:
        raise BootproofError(
            f"{port}: {error}", "the host has to run the same version of Bootproof"
        ) from None
    except OSError as error:
        raise HostError(
            f"{port}: {error.strerror}", "only root may report, and only once at a time"
        ) from None


@contextlib.contextmanager
def _opened(port: Path) -> Iterator[Port]:
    descriptor = os.open(port, os.O_RDWR | os.O_CLOEXEC)
    try:
        yield Port(descriptor)
    finally:
        os.close(descriptor)


def _converse_or_tell(line: Port) -> None:
    """Converse; if something unforeseen fails, let the host know, who would wait for the report."""
    try:
        _converse(line)
    except Exception as error:
        with contextlib.suppress(OSError):
            line.say("failed", {"error": f"{type(error).__name__}: {error}"})
        raise


def _converse(line: Port) -> None:
    hello = line.hear("hello")
    line.nonce = hello.nonce
    wanted = hello.facts.get("checks", [])

    def tell(text: str) -> None:
        line.say("progress", {"text": text})

    facts = _slow_facts(wanted, tell)
    through_trousers = "trousers-pcrs" in wanted
    tell("reading PCRs and logs")
    _snapshot(through_trousers)  # loads what the next one needs
    evidence, pcrs, steady = _steady_snapshot(line, through_trousers)
    facts["pcrs"] = pcrs
    facts["ima"] = {
        "count": _ima_number("runtime_measurements_count"),
        "violations": _ima_number("violations"),
        "steady": steady,
    }
    facts["tpm"] = {"version": evidence.tpm_version}
    blobs = {BOOT_LOG: evidence.boot_log, IMA_LOG: evidence.ima_log}
    line.say("report", facts, {name: blob for name, blob in blobs.items() if blob is not None})
    line.say("end")


def _slow_facts(wanted: list[str], tell: collect.Tell) -> dict[str, Any]:
    tell("looking at the machine")
    facts: dict[str, Any] = {
        "machine": _attempt(collect.machine_facts),
        "failed_units": _attempt(collect.failed_units),
    }
    if "tcsd" in wanted:
        tell("looking for tcsd")
        facts["tcsd"] = _attempt(collect.tcsd_facts)
    if "tpm-version" in wanted:
        tell("asking tpm_version")
        facts["tpm_version"] = _attempt(collect.tpm_version_facts)
    if "verity" in wanted:
        tell("reading the layers")
        facts["verity"] = _attempt(lambda: collect.verity_facts(tell))
    return facts


def _attempt(collector: Callable[[], Any]) -> Any:
    """Return what `collector` finds out; if it fails, a fault that goes into the report instead."""
    try:
        return collector()
    except (BootproofError, OSError, ValueError, IndexError) as error:
        return {"fault": str(error)}


def _steady_snapshot(line: Port, through_trousers: bool) -> tuple[Evidence, dict[str, Any], bool]:
    """Return a snapshot during which, and during the host's look at the emulator, IMA measured nothing."""
    for attempt in range(_MOST_TRIES):
        before = _ima_number("runtime_measurements_count")
        evidence, pcrs = _snapshot(through_trousers)
        line.say("ready", {"attempt": attempt})
        line.hear("seen")
        if _ima_number("runtime_measurements_count") == before:
            return evidence, pcrs, True
        # something is still starting; let it
        time.sleep(_PAUSE)
    return evidence, pcrs, False


def _snapshot(through_trousers: bool) -> tuple[Evidence, dict[str, Any]]:
    pcrs: dict[str, Any] = {"trousers": None, "trousers_fault": None}
    if through_trousers:
        from bootproof.attest import trousers

        try:
            pcrs["trousers"] = {number: value.hex() for number, value in trousers.read_pcrs(_PCRS).items()}
        except HostError as error:
            pcrs["trousers_fault"] = str(error)
    evidence = read_evidence()
    pcrs["sysfs"] = {
        bank: {number: value.hex() for number, value in values.items()}
        for bank, values in evidence.pcrs.items()
    }
    return evidence, pcrs


def _ima_number(name: str) -> int | None:
    """Return one of IMA's counters; None in a kernel without IMA."""
    try:
        return int((_IMA / name).read_text())
    except OSError:
        return None
