# SPDX-License-Identifier: GPL-3.0-or-later
"""The smoke test's result files: result.json, junit.xml, pcrs.json, the binary logs and report.html."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

from bootproof.errors import ExitCode
from bootproof.launch.machine import Machine
from bootproof.measure import bootlog, imalog, pcr
from bootproof.measure.reader import LogError
from bootproof.smoke.evidence import BOOT_LOG, IMA_LOG, Evidence
from bootproof.smoke.judge import MEASUREMENT, Check
from bootproof.smoke.phases import Done, Phase
from bootproof.smoke.watch import Boot


@dataclass(frozen=True)
class Result:
    """A smoke test from beginning to end, as it goes into the result files."""

    machine: Machine
    accelerator: str
    argv: Sequence[str]
    boot: Boot
    evidence: Evidence | None
    checks: Sequence[Check]
    started: datetime

    @property
    def code(self) -> ExitCode:
        """The exit code: what failed first counts; a guest's check before a measurement."""
        if self.boot.failure is not None:
            return self.boot.failure.code
        failed = {check.kind for check in self.checks if check.ok is False}
        if not failed:
            return ExitCode.PASS
        return ExitCode.MEASUREMENT if failed == {MEASUREMENT} else ExitCode.GUEST_CHECK

    @property
    def message(self) -> str:
        """One line on the outcome."""
        if self.boot.failure is not None:
            return str(self.boot.failure)
        failed = [check for check in self.checks if check.ok is False]
        if failed:
            return f"{len(failed)} of {len(self.checks)} checks failed: {', '.join(c.name for c in failed)}"
        judged = sum(check.ok is not None for check in self.checks)
        seconds = self.boot.follower.done[-1].since_start if self.boot.follower.done else 0.0
        return f"{judged} checks passed, {seconds:.1f} s from power-on"


def write_results(result: Result, folder: Path) -> None:
    """Write every result file into `folder`, where serial.log, qemu.log and screen.png are already."""
    data = summary(result)
    _write(folder / "result.json", json.dumps(data, indent=2) + "\n")
    _write(folder / "pcrs.json", json.dumps(pcr_values(result.evidence), indent=2) + "\n")
    _write(folder / "junit.xml", junit(result))
    if result.evidence is not None:
        for name, blob in ((BOOT_LOG, result.evidence.boot_log), (IMA_LOG, result.evidence.ima_log)):
            if blob is not None:
                (folder / name).write_bytes(blob)
    from bootproof.smoke.page import page

    _write(folder / "report.html", page(data, result.evidence, folder / "screen.png"))


def _write(path: Path, text: str) -> None:
    path.write_text(text, encoding="utf-8")


def summary(result: Result) -> dict[str, Any]:
    """Return result.json: the verdict, the machine, the phases with their seconds and limits, the checks."""
    machine = result.machine
    done = {item.phase.name: item for item in result.boot.follower.done}
    phases = result.boot.follower.phases
    return {
        "verdict": "pass" if result.code is ExitCode.PASS else "fail",
        "exit_code": int(result.code),
        "message": result.message,
        "image": machine.name,
        "iso": machine.iso.name,
        "started": result.started.isoformat(timespec="seconds"),
        "accelerator": result.accelerator,
        "machine": {
            "vtpm": machine.vtpm, "tpm": machine.tpm, "firmware": machine.firmware,
            "media": machine.media, "memory": machine.memory,
        },
        "command": list(result.argv),
        "phases": [_phase_row(result.boot, phase, done.get(phase.name)) for phase in phases],
        "checks": [{"name": c.name, "ok": c.ok, "kind": c.kind, "detail": c.detail} for c in result.checks],
        "pcrs": pcr_rows(result.evidence),
        "guest": _guest(result.evidence),
    }  # fmt: skip


def _phase_row(boot: Boot, phase: Phase, done: Done | None) -> dict[str, Any]:
    """Seconds are None for a phase that did not come to its end, the limit for one that was never begun."""
    limit = boot.limits.get(phase.name)
    return {
        "name": phase.name,
        "ok": done is not None,
        "seconds": None if done is None else round(done.seconds, 2),
        "since_start": None if done is None else round(done.since_start, 2),
        "limit": None if limit is None else round(limit, 1),
    }


def _guest(evidence: Evidence | None) -> dict[str, Any]:
    if evidence is None:
        return {}
    names = ("machine", "ima", "tcsd", "tpm_version", "verity", "failed_units")
    return {name: evidence.facts[name] for name in names if name in evidence.facts}


def pcr_rows(evidence: Evidence | None) -> list[dict[str, Any]]:
    """Return a row for each PCR: what the guest's kernel, TrouSerS, the emulator and the logs say."""
    if evidence is None:
        return []
    replayed = _replayed(evidence)
    columns = {
        "kernel": evidence.inside(),
        "trousers": evidence.trousers or {},
        "emulator": evidence.outside or {},
        "replayed": replayed,
    }
    numbers = sorted(set().union(*columns.values()))
    return [
        {"pcr": number, "bank": evidence.bank}
        | {name: bank[number].hex() if number in bank else None for name, bank in columns.items()}
        for number in numbers
    ]


def pcr_values(evidence: Evidence | None) -> dict[str, dict[str, str]]:
    """Return the PCRs by bank and number, in hex, as `pcr` reads them: the emulator's own where it tells."""
    if evidence is None:
        return {}
    banks = dict(evidence.sysfs)
    if evidence.outside:
        banks[evidence.outside_bank] = evidence.outside
    return {name: {str(n): value.hex() for n, value in bank.items()} for name, bank in banks.items()}


def _replayed(evidence: Evidence) -> dict[int, bytes]:
    values: dict[int, bytes] = {}
    try:
        if evidence.boot_log:
            values = pcr.replay_boot(bootlog.parse(evidence.boot_log), evidence.bank)
        if evidence.ima_log:
            values[pcr.IMA_PCR] = pcr.replay_ima(imalog.parse(evidence.ima_log), evidence.bank)
    except (LogError, ValueError):
        return values  # the judge has said what is wrong with the log
    return values


def junit(result: Result) -> str:
    """Return the result as JUnit's XML: one test case for each phase and each check."""
    cases: list[ET.Element] = []
    done = {item.phase.name: item for item in result.boot.follower.done}
    current = result.boot.follower.current
    for phase in result.boot.follower.phases:
        case = ET.Element("testcase", classname="boot", name=phase.name)
        if phase.name in done:
            case.set("time", f"{done[phase.name].seconds:.3f}")
        elif phase is current and result.boot.failure is not None:
            ET.SubElement(case, "failure", message=_printable(result.boot.failure.message))
        else:
            ET.SubElement(case, "skipped", message="not reached")
        cases.append(case)
    for check in result.checks:
        case = ET.Element("testcase", classname=check.kind, name=check.name)
        if check.ok is None:
            ET.SubElement(case, "skipped", message=_printable(check.detail))
        elif not check.ok:
            ET.SubElement(case, "failure", message=_printable(check.detail))
        cases.append(case)
    suite = ET.Element(
        "testsuite", name=f"smoke {result.machine.name}", tests=str(len(cases)),
        failures=str(sum(case.find("failure") is not None for case in cases)),
        skipped=str(sum(case.find("skipped") is not None for case in cases)),
        timestamp=result.started.isoformat(timespec="seconds"),
    )  # fmt: skip
    suite.extend(cases)
    return ET.tostring(suite, encoding="unicode", xml_declaration=True) + "\n"


def _printable(text: str) -> str:
    """Return `text` without what XML cannot hold; guests may print anything."""
    return "".join(char if char.isprintable() or char == "\n" else "?" for char in text)
