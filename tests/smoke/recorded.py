# SPDX-License-Identifier: GPL-3.0-or-later
"""Evidence of a machine that is all right, from a recorded boot; tests break it in one place each."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from bootproof.appliance.frames import Frame
from bootproof.measure import bootlog, imalog
from bootproof.measure.expected import Expected, Forecast, digests
from bootproof.smoke.evidence import BOOT_LOG, IMA_LOG, Evidence, evidence

BOOT = Path(__file__).resolve().parents[1] / "data" / "boot-6.1-tpm12"
TPM_VERSION = """  TPM 1.2 Version Info:
  Chip Version:        1.2.2.158
  Spec Level:          2
  Errata Revision:     3
  TPM Vendor ID:       BTPF
  TPM Version:         01010000
  Manufacturer Info:   42545046
"""


def layer(name: str, **changes: Any) -> dict[str, Any]:
    return {
        "name": name, "device": "dm-0", "status": "verity V",
        "table": "0 8 verity 1 7:0 7:0 4096 4096 1 1 sha256 00 -",
        "fault": None, "size": 4096, "read": 4096, "error": None, "bad_offset": None,
    } | changes  # fmt: skip


def recorded_pcrs() -> dict[str, str]:
    pcrs: dict[str, str] = json.loads((BOOT / "pcrs.json").read_text())["sha1"]
    return pcrs


def without_violations() -> tuple[bytes, bytes]:
    """Return the recorded IMA log up to its first violation, and the PCR 10 that it makes."""
    from bootproof.measure import pcr

    log = (BOOT / IMA_LOG).read_bytes()
    entries = imalog.parse(log)
    good = [entry for entry in entries if not entry.is_violation]
    first = next((entry.number for entry in entries if entry.is_violation), len(entries) + 1)
    good = good[: first - 1]
    size = sum(_size(entry) for entry in good)
    return log[:size], pcr.replay_ima(good, "sha1")


def _size(entry: imalog.ImaEntry) -> int:
    return 4 + 20 + 4 + len(entry.template) + 4 + sum(4 + len(field) for field in entry.fields)


def report() -> Frame:
    log, _ = without_violations()
    pcrs = good_pcrs()
    facts = {
        "machine": {"kernel": "6.1.0", "command_line": "quiet", "uptime": 12.0, "python": "3.11"},
        "failed_units": [],
        "tcsd": {"pid": 345, "unit": "active"},
        "tpm_version": {"status": 0, "output": TPM_VERSION},
        "verity": [layer("bootproof-base"), layer("bootproof-product")],
        "pcrs": {"sysfs": {"sha1": pcrs}, "trousers": dict(pcrs), "trousers_fault": None},
        "ima": {"count": len(imalog.parse(log)), "violations": 0, "steady": True},
    }
    return Frame("report", "n", facts, {BOOT_LOG: (BOOT / BOOT_LOG).read_bytes(), IMA_LOG: log})


def good_pcrs() -> dict[str, str]:
    return recorded_pcrs() | {"10": without_violations()[1].hex()}


def forecast() -> Forecast:
    """Return the recorded events as if they had been predicted; PCR 2 holds what is the platform's own."""
    log = bootlog.parse((BOOT / BOOT_LOG).read_bytes())
    events = []
    for event in log.events:
        kind, known = event.type_name.removeprefix("EV_"), {**digests(b""), **event.digests}
        text = event.data.rstrip(b"\0").decode() if kind == "ACTION" else event.text
        events.append(Expected(event.pcr, kind, text, {} if kind == "EVENT_TAG" else known))
    return Forecast(tuple(events), "a record")


def good(vtpm: str = "python") -> Evidence:
    return evidence(vtpm, report(), {"algorithm": "sha1", "pcrs": good_pcrs()}, forecast())
