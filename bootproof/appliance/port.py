# SPDX-License-Identifier: GPL-3.0-or-later
"""Finds the virtio-serial port on which a smoke test listens, with or without udev."""

from __future__ import annotations

from pathlib import Path

REPORT_PORT = "org.bootproof.report"


def find_port(sysfs: Path = Path("/sys/class/virtio-ports"), dev: Path = Path("/dev")) -> Path | None:
    """Return the device of the report port, for instance /dev/vport1p1; None if this machine has none."""
    for entry in sorted(sysfs.glob("vport*")):
        try:
            name = (entry / "name").read_text().strip()
        except OSError:
            continue
        if name == REPORT_PORT:
            return dev / entry.name
    return None
