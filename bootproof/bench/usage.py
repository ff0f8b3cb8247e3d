# SPDX-License-Identifier: GPL-3.0-or-later
"""What a program costs: wall time, CPU time with all its descendants, its own peak memory."""

from __future__ import annotations

import os
import platform
import resource
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from bootproof import process


@dataclass(frozen=True)
class Usage:
    """`wall` and `cpu` (user and system) in seconds."""

    wall: float
    cpu: float


def measured(
    argv: Sequence[str | os.PathLike[str]],
    *,
    log: Path,
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
) -> Usage:
    """Run a program to its end and return its cost; its output goes to `log`. A failure is a `HostError`."""
    with log.open("wb") as stream:
        started, before = time.monotonic(), resource.getrusage(resource.RUSAGE_CHILDREN)
        child = process.spawn(argv, env=env, cwd=cwd, stdout=stream, stderr=subprocess.STDOUT)
        try:
            status = child.wait()
        finally:
            process.end(child)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        wall = time.monotonic() - started
    if status != 0:
        raise process.failure(argv, status, log.read_text(errors="replace"), log)
    return Usage(wall, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)


def peak_memory(argv: Sequence[str | os.PathLike[str]], log: Path) -> float:
    """Run a program and return the peak of its own resident memory, without its children, in MiB."""
    with log.open("wb") as stream, process.running(argv, stdout=stream, stderr=subprocess.STDOUT) as child:
        status = Path(f"/proc/{child.pid}/status")
        peak = 0
        while child.poll() is None:
            peak = max(peak, _high_water_mark(status))
            time.sleep(0.05)
        if child.returncode != 0:
            raise process.failure(argv, child.returncode, log.read_text(errors="replace"), log)
    return peak / 1024


def _high_water_mark(status: Path) -> int:
    """Return VmHWM in kB; 0 for a process that has just ended."""
    try:
        lines = status.read_text().splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) for line in lines if line.startswith("VmHWM:")), 0)


def cpu_of(pid: int) -> float:
    """Return the CPU seconds that a running process has used (proc(5), /proc/PID/stat fields 14 and 15)."""
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def machine() -> str:
    """Return one line on the machine that measures."""
    model = "unknown processor"
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            model = line.split(":", 1)[1].strip()
            break
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return f"{os.cpu_count()} x {model}, {memory:.0f} GiB, Linux {platform.release()}"
