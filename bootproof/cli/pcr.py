# SPDX-License-Identifier: GPL-3.0-or-later
"""`pcr`: what the TPM holds, and whether the logs explain it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import typer

from bootproof.cli import logs, tables
from bootproof.cli.tables import Column, Row
from bootproof.errors import BootproofError, ExitCode
from bootproof.measure.pcr import IMA_PCR

if TYPE_CHECKING:
    from bootproof.measure.compare import BankCheck, ImaCheck, PcrCheck
    from bootproof.measure.pcr import PcrBank

_COLUMNS = (Column("PCR", right=True, keep=True), Column("Value"), Column("Events", keep=True))


def pcr(
    *,
    boot_log: str = typer.Option(
        "", "--boot-log", metavar="FILE", show_default=False, help="a binary boot log"
    ),
    ima_log: str = typer.Option(
        "", "--ima-log", metavar="FILE", show_default=False, help="a binary IMA log"
    ),
    pcrs: str = typer.Option("", "--pcrs", metavar="FILE", show_default=False, help="PCR values (JSON)"),
    directory: str = typer.Option(
        "", "--directory", metavar="DIR", show_default=False, help="result directory of a smoke test"
    ),
    as_json: bool = typer.Option(False, "--json", help="for programs: everything, as JSON"),
) -> None:
    """Show the TPM's PCRs and check that the logs add up to them; status 15 if they do not."""
    from bootproof.measure import compare

    evidence = logs.evidence(directory, boot_log, ima_log, pcrs)
    if not evidence.pcrs:
        raise _no_pcrs(from_files=bool(directory or boot_log or ima_log))
    if evidence.boot_log is None and evidence.ima_log is None:
        raise logs.no_evidence("PCRs, but neither a boot log nor an IMA log")
    boot = logs.parse_boot(evidence.boot_log or b"")
    entries = logs.parse_ima(evidence.ima_log or b"")
    checks = [compare.compare_bank(boot, entries, bank, name) for name, bank in evidence.pcrs.items()]
    # A bank the firmware does not log for can be explained by nobody; one that was checked is enough.
    ok = all(check.ok for check in checks if check.boot is not None) and any(check.boot for check in checks)
    if as_json:
        _print_json(evidence.tpm_version, evidence.pcrs, checks, ok)
    else:
        for check in checks:
            tables.show(f"Bank {check.algorithm}", _COLUMNS, _rows(evidence.pcrs[check.algorithm], check))
            tables.say("")
        for check in checks:
            tables.say(_summary(check), "green" if check.ok else "red")
    if not ok:
        raise typer.Exit(ExitCode.MEASUREMENT)


def _no_pcrs(from_files: bool) -> BootproofError:
    if from_files:
        return BootproofError("no PCR values to compare the logs with", "give them with --pcrs FILE")
    return logs.no_evidence("no TPM (no PCRs below /sys/class/tpm/tpm0)")


def _rows(bank: PcrBank, check: BankCheck) -> list[Row]:
    """Return a row for every PCR but those that are as they were at power-on, which share one."""
    from bootproof.measure.pcr import initial

    boot = {one.index: one for one in check.boot or ()}
    rows: list[Row] = []
    untouched: list[int] = []
    for index in sorted({*bank, *boot, IMA_PCR}):
        if index == IMA_PCR:
            rows += _ima_rows(check.ima)
        elif index in boot:
            rows += _boot_rows(boot[index])
        elif bank[index] == initial(check.algorithm, index):
            untouched.append(index)
        else:
            rows.append(Row((str(index), bank[index].hex(), "? no log"), "yellow"))
    if untouched:
        rows.append(Row(("", f"untouched since power-on: {_ranges(untouched)}", ""), "dim"))
    return rows


def _boot_rows(check: PcrCheck) -> list[Row]:
    if check.value != check.replayed:
        return _conflict(check.index, check.value, check.replayed)
    if check.misdescribed:
        return [Row((str(check.index), check.replayed.hex(), f"{tables.mark(False)} text"), "red")]
    return [Row((str(check.index), check.replayed.hex(), f"{tables.mark(True)} {check.events}"))]


def _ima_rows(check: ImaCheck) -> list[Row]:
    if check.value is None or check.matched is None:
        return _conflict(IMA_PCR, check.value, check.replayed)
    return [
        Row(
            (str(IMA_PCR), check.value.hex(), f"{tables.mark(check.ok)} {check.matched}"),
            "" if check.ok else "red",
        )
    ]


def _conflict(index: int, value: bytes | None, replayed: bytes) -> list[Row]:
    wrong = tables.mark(False)
    in_tpm = "not read" if value is None else value.hex()
    return [
        Row((str(index), in_tpm, f"{wrong} TPM has"), "red"),
        Row(("", replayed.hex(), f"{wrong} log has"), "red"),
    ]


def _ranges(numbers: list[int]) -> str:
    """Return [8, 9, 11] as "8-9, 11"."""
    words: list[str] = []
    first = previous = numbers[0]
    for number in [*numbers[1:], -1]:
        if number != previous + 1:
            words.append(str(first) if first == previous else f"{first}-{previous}")
            first = number
        previous = number
    return ", ".join(words)


def _summary(check: BankCheck) -> str:
    return f"{check.algorithm}: {_boot_summary(check)}; {_ima_summary(check.ima)}"


def _boot_summary(check: BankCheck) -> str:
    if check.boot is None:
        return "the boot log has no digests for this bank"
    conflicts = [one.index for one in check.boot if one.value != one.replayed]
    if conflicts:
        return f"PCR {_ranges(conflicts)} not explained by the boot log"
    misdescribed = [f"#{number}" for one in check.boot for number in one.misdescribed]
    if misdescribed:
        return f"text of boot event {', '.join(misdescribed)} is not what was measured"
    events = tables.count(sum(one.events for one in check.boot), "boot event")
    return f"PCR {_ranges([one.index for one in check.boot])} replay from {events}"


def _ima_summary(check: ImaCheck) -> str:
    entries = tables.count(check.entries, "IMA entry")
    if check.matched is None:
        return f"PCR 10 not explained by {entries}"
    if not check.entries:
        return "no IMA entries"
    if check.inconsistent:
        return f"IMA entries changed after they were measured: {_ranges(list(check.inconsistent))}"
    aggregate = {True: "ok", False: "WRONG", None: "is for another bank"}[check.boot_aggregate_ok]
    if check.matched < check.entries:
        entries = f"the first {check.matched} of {entries}"
    return (
        f"PCR 10 from {entries}, boot_aggregate {aggregate}, {tables.count(check.violations, 'violation')}"
    )


def _print_json(
    version: str | None, banks: Mapping[str, PcrBank], checks: list[BankCheck], ok: bool
) -> None:
    document = {
        "ok": ok,
        "tpm_version": version,
        "banks": {check.algorithm: _bank_json(banks[check.algorithm], check) for check in checks},
    }
    typer.echo(json.dumps(document, indent=2))


def _bank_json(bank: PcrBank, check: BankCheck) -> dict[str, Any]:
    ima = check.ima
    return {
        "ok": check.ok,
        "summary": _summary(check),
        "values": {str(index): value.hex() for index, value in sorted(bank.items())},
        "boot": None if check.boot is None else [_pcr_json(one) for one in check.boot],
        "ima": {
            "ok": ima.ok,
            "replayed": ima.replayed.hex(),
            "entries": ima.entries,
            "matched": ima.matched,
            "boot_aggregate_ok": ima.boot_aggregate_ok,
            "violations": ima.violations,
            "inconsistent": ima.inconsistent,
        },
    }


def _pcr_json(check: PcrCheck) -> dict[str, Any]:
    return {
        "pcr": check.index,
        "ok": check.ok,
        "replayed": check.replayed.hex(),
        "events": check.events,
        "misdescribed": check.misdescribed,
    }
