# SPDX-License-Identifier: GPL-3.0-or-later
"""What the agent finds out about its machine, as JSON-able data. Nothing here passes a judgement."""

from __future__ import annotations

import contextlib
import mmap
import os
import platform
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

from bootproof.appliance import devicemapper
from bootproof.errors import HostError
from bootproof.process import run

LAYER_PREFIX = "bootproof-"
_PIECE = 1 << 20
_BLOCK = 4096
_PROGRESS_EVERY = 16 << 20
_SYSTEMD_RUNS = Path("/run/systemd/system")

Tell = Callable[[str], None]


def machine_facts() -> dict[str, Any]:
    """Return kernel release, its command line, seconds since the kernel started, and Python's version."""
    return {
        "kernel": platform.release(),
        "command_line": Path("/proc/cmdline").read_text().strip(),
        "uptime": float(Path("/proc/uptime").read_text().split()[0]),
        "python": platform.python_version(),
    }


def tcsd_facts(proc: Path = Path("/proc")) -> dict[str, Any]:
    """Return `pid` of the running TrouSerS daemon (None: there is none) and `unit`, systemd's word on it."""
    pids = (
        int(entry.name)
        for entry in proc.iterdir()
        if entry.name.isdigit() and _command_name(entry) == "tcsd"
    )
    return {"pid": min(pids, default=None), "unit": _unit_state("tcsd.service")}


def _command_name(process: Path) -> str:
    try:
        return (process / "comm").read_text().strip()
    except OSError:  # it has ended since it was listed
        return ""


def _unit_state(unit: str) -> str | None:
    if not _SYSTEMD_RUNS.is_dir():
        return None
    return run(["systemctl", "is-active", unit], check=False).stdout.decode(errors="replace").strip()


def failed_units() -> list[str] | None:
    """Return the names of systemd's failed units; None where systemd is not in charge."""
    if not _SYSTEMD_RUNS.is_dir():
        return None
    listed = run(["systemctl", "list-units", "--failed", "--plain", "--no-legend", "--no-pager"]).stdout
    return [line.split()[0] for line in listed.decode(errors="replace").splitlines() if line.strip()]


def tpm_version_facts() -> dict[str, Any]:
    """Return exit status and output of `tpm_version`; status None and a reason if it is not there."""
    try:
        done = run(["tpm_version"], check=False)
    except HostError as error:
        return {"status": None, "output": error.message}
    # the tool also prints what happens to follow the version in its memory
    text = (done.stdout + done.stderr).decode(errors="ignore")
    text = "".join(char for char in text if char.isprintable() or char == "\n")
    return {"status": done.returncode, "output": text.strip()}


def verity_facts(
    tell: Tell, sysfs: Path = Path("/sys/block"), dev: Path = Path("/dev")
) -> list[dict[str, Any]]:
    """Describe every device-mapper device of ours, and read each of its blocks once.

    Keys: `name`, `device`, `table` and `status` (the kernel's words; None with `fault` if it would not say),
    and the keys of `read_all`.
    """
    layers = []
    for entry in sorted(sysfs.glob("dm-*")):
        name = (entry / "dm" / "name").read_text().strip()
        if name.startswith(LAYER_PREFIX):
            read = read_all(dev / entry.name, lambda text, name=name: tell(f"{name}: {text}"))  # type: ignore[misc]
            # asked after the reading, because a bad block turns the status from V to C
            layers.append({"name": name, "device": entry.name, **_mapping(name), **read})
    return layers


def _mapping(name: str) -> dict[str, Any]:
    try:
        table = devicemapper.query(name, table=True)
        status = devicemapper.query(name, table=False)
    except OSError as error:
        return {"table": None, "status": None, "fault": str(error)}
    return {
        "table": "; ".join(f"{line.start} {line.length} {line.kind} {line.text}" for line in table),
        "status": "; ".join(f"{line.kind} {line.text}" for line in status),
        "fault": None,
    }


def read_all(device: Path, tell: Tell) -> dict[str, Any]:
    """Read a device from first byte to last without filling the page cache.

    Keys: `size` and `read` in bytes; `error` None, or what went wrong; `bad_offset` None, or the byte offset
    of the first block of 4096 bytes that could not be read.
    """
    try:
        descriptor = os.open(device, os.O_RDONLY | os.O_CLOEXEC)
    except OSError as error:
        return {"size": 0, "read": 0, "error": str(error), "bad_offset": None}
    try:
        if stat.S_ISBLK(os.fstat(descriptor).st_mode):
            # around the page cache: every block comes from the medium, through the check, now
            os.close(descriptor)
            descriptor = os.open(device, os.O_RDONLY | os.O_DIRECT | os.O_CLOEXEC)
        size = os.lseek(descriptor, 0, os.SEEK_END)
        with contextlib.closing(mmap.mmap(-1, _PIECE)) as buffer:
            return _read_pieces(descriptor, size, buffer, tell)
    finally:
        os.close(descriptor)


def _read_pieces(descriptor: int, size: int, buffer: mmap.mmap, tell: Tell) -> dict[str, Any]:
    offset = 0
    while offset < size:
        try:
            got = os.preadv(descriptor, [buffer], offset)
        except OSError as error:
            bad = _first_bad_block(descriptor, offset, size)
            return {"size": size, "read": bad, "error": error.strerror, "bad_offset": bad}
        if got <= 0:
            return {"size": size, "read": offset, "error": "the device ended early", "bad_offset": offset}
        if offset // _PROGRESS_EVERY != (offset + got) // _PROGRESS_EVERY:
            tell(f"{(offset + got) >> 20} of {size >> 20} MiB read")
        offset += got
    return {"size": size, "read": offset, "error": None, "bad_offset": None}


def _first_bad_block(descriptor: int, start: int, size: int) -> int:
    """Return the offset of the first unreadable block from `start` on, which lies within the next piece."""
    with contextlib.closing(mmap.mmap(-1, _BLOCK)) as block:
        for offset in range(start, min(start + _PIECE, size), _BLOCK):
            try:
                os.preadv(descriptor, [block], offset)
            except OSError:
                return offset
    return start
