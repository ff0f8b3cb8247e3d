# SPDX-License-Identifier: GPL-3.0-or-later
"""Power-on to login under TCG: our images beside the bare kernel with busybox, all with our TPM attached."""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from bootproof import console
from bootproof.bench.bare import READY, bare_iso
from bootproof.bench.usage import Usage, cpu_of
from bootproof.build.settings import Settings
from bootproof.errors import BootproofError, ExitCode
from bootproof.launch.machine import Machine
from bootproof.launch.session import Places, Session, running_machine

ROUNDS = 3
_LIMIT = 300.0  # seconds
_MARK = b"is up"
_MEMORY = {"bare": 256, "minimal": 256, "demo": 1024}
LIMITS = {"minimal": 1.4, "demo": 3.0}


@dataclass(frozen=True)
class Boots:
    """Medians over the rounds by image name."""

    usage: Mapping[str, Usage]

    def ratio(self, name: str) -> float:
        return self.usage[name].wall / self.usage["bare"].wall


def run(settings: Settings, work: Path) -> Boots:
    """Boot each image several times in turn and return the medians."""
    images = {
        "bare": bare_iso(settings, work),
        "minimal": settings.image_folder("minimal") / "minimal.iso",
        "demo": settings.image_folder("demo") / "demo.iso",
    }
    taken: dict[str, list[Usage]] = {name: [] for name in images}
    for number in range(1, ROUNDS + 1):
        for name, iso in images.items():
            with console.step(f"boot {name}, round {number} of {ROUNDS}"):
                taken[name].append(boot(iso, name))
    return Boots({name: _median(usages) for name, usages in taken.items()})


def boot(iso: Path, name: str) -> Usage:
    """Boot an ISO until it says that it is up; wall time from QEMU's start, and QEMU's own CPU time."""
    with tempfile.TemporaryDirectory(prefix="bootproof-bench-") as folder:
        places = Places(Path(folder) / "vtpm", Path(folder) / "qemu.log", Path(folder) / "vtpm.log")
        machine = Machine(iso=iso, name=name, memory=_MEMORY[name])
        started = time.monotonic()
        with running_machine(machine, places, watched=("serial",)) as session:
            _wait(session, started + _LIMIT)
            return Usage(time.monotonic() - started, cpu_of(session.qemu.pid))


def _wait(session: Session, deadline: float) -> None:
    """Read the serial console until the banner's mark."""
    serial, seen = session.channels["serial"], b""
    while _MARK not in seen:
        serial.settimeout(max(deadline - time.monotonic(), 0.01))
        try:
            piece = serial.recv(4096)
        except TimeoutError:
            raise BootproofError(
                f"{session.machine.name} did not come up in {_LIMIT:.0f} s",
                "smoke tells why",
                ExitCode.GUEST_TIMEOUT,
            ) from None
        if not piece:
            raise session.failure()
        seen = (seen + piece)[-4096 - len(READY) :]


def _median(usages: list[Usage]) -> Usage:
    return Usage(
        statistics.median(usage.wall for usage in usages), statistics.median(usage.cpu for usage in usages)
    )
