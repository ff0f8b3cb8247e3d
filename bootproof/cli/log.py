# SPDX-License-Identifier: GPL-3.0-or-later
"""`log`: what was measured, event by event."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import typer

from bootproof.cli import logs, tables
from bootproof.cli.tables import Column, Row
from bootproof.errors import BootproofError
from bootproof.measure import described, printable

if TYPE_CHECKING:
    from bootproof.measure.bootlog import BootLog, Event
    from bootproof.measure.imalog import ImaEntry

_SHORT = 12
_CHANGED = "(this is not what was measured)"


def log(
    *,
    boot_log: str = typer.Option(
        "", "--boot-log", metavar="FILE", show_default=False, help="a binary boot log"
    ),
    ima_log: str = typer.Option(
        "", "--ima-log", metavar="FILE", show_default=False, help="a binary IMA log"
    ),
    directory: str = typer.Option(
        "", "--directory", metavar="DIR", show_default=False, help="result directory of a smoke test"
    ),
    boot: bool = typer.Option(True, "--boot/--no-boot", help="what firmware and boot loader measured"),
    ima: bool = typer.Option(True, "--ima/--no-ima", help="what the kernel measured"),
    full: bool = typer.Option(False, "--full", help="whole digests"),
    as_json: bool = typer.Option(False, "--json", help="for programs: everything, as JSON"),
) -> None:
    """Show what was measured: the firmware's and boot loader's log, and the kernel's (IMA)."""
    if not boot and not ima:
        raise BootproofError("--no-boot and --no-ima leave nothing to show", "leave one of them out")
    evidence = logs.evidence(directory, boot_log, ima_log)
    boot_data = evidence.boot_log if boot else None
    ima_data = evidence.ima_log if ima else None
    if boot_data is None and ima_data is None:
        missing = " and ".join(name for name, on in (("no boot log", boot), ("no IMA log", ima)) if on)
        raise logs.no_evidence(missing)
    events = None if boot_data is None else logs.parse_boot(boot_data)
    entries = None if ima_data is None else logs.parse_ima(ima_data)
    if as_json:
        _print_json(events, entries)
        return
    if boot:
        _show_boot(events, full)
    if ima:
        if boot:
            tables.say("")
        _show_ima(entries, full)


def _show_boot(boot: BootLog | None, full: bool) -> None:
    if boot is None:
        tables.say("Boot log: none")
        return
    algorithm = _strongest(boot.algorithms)
    layout = "crypto-agile" if boot.is_crypto_agile else "TPM 1.2"
    events = tables.count(len(boot.measured), "event")
    title = f"Boot log: {events}, {layout} format ({', '.join(boot.algorithms)})"
    columns = (Column("#", right=True, keep=True), Column("PCR", right=True, keep=True), Column("Type"))
    rows = [_boot_row(event, algorithm, full) for event in boot.events]
    tables.show(title, (*columns, Column(algorithm, keep=not full), Column("What")), rows)


def _boot_row(event: Event, algorithm: str, full: bool) -> Row:
    number, name = str(event.number), event.type_name.removeprefix("EV_")
    if not event.is_extended:
        return Row((number, "", name, "not extended", event.text), "dim")
    digest = event.digests.get(algorithm, b"").hex() or "none"
    text, style = event.text, ""
    if described.is_measured(event, algorithm) is False:
        text, style = f"{text} {_CHANGED}", "red"
    return Row((number, str(event.pcr), name, digest if full else digest[:_SHORT], text), style)


def _strongest(algorithms: Sequence[str]) -> str:
    return "sha256" if "sha256" in algorithms else algorithms[0]


def _show_ima(entries: Sequence[ImaEntry] | None, full: bool) -> None:
    if entries is None:
        tables.say("IMA log: none")
        return
    violations = tables.count(sum(entry.is_violation for entry in entries), "violation")
    title = f"IMA log: {tables.count(len(entries), 'entry')}, {violations}"
    columns = (
        Column("#", right=True, keep=True),
        Column("PCR", right=True, keep=True),
        Column("Type", keep=True),
    )
    rows = [_ima_row(entry, full) for entry in entries]
    tables.show(title, (*columns, Column("Digest", keep=not full), Column("What")), rows)


def _ima_row(entry: ImaEntry, full: bool) -> Row:
    digest = entry.digest.hex() if full else entry.digest.hex()[:_SHORT]
    text, style = printable.line(entry.path), ""
    if entry.buffer:
        text += f" = {printable.data(entry.buffer)}"
    if entry.is_violation:
        digest, style = "violation", "yellow"
    else:
        digest = f"{entry.digest_algorithm}:{digest}"
    if not entry.is_consistent:
        text, style = f"{text} {_CHANGED}", "red"
    return Row((str(entry.number), str(entry.pcr), entry.template, digest, text), style)


def _print_json(boot: BootLog | None, entries: Sequence[ImaEntry] | None) -> None:
    document: dict[str, Any] = {}
    if boot is not None:
        document["boot"] = {
            "algorithms": boot.algorithms,
            "events": [_event_json(event) for event in boot.events],
        }
    if entries is not None:
        document["ima"] = {"entries": [_entry_json(entry) for entry in entries]}
    typer.echo(json.dumps(document, indent=2))


def _event_json(event: Event) -> dict[str, Any]:
    return {
        "number": event.number,
        "pcr": event.pcr,
        "type": event.type_name,
        "digests": {name: digest.hex() for name, digest in event.digests.items()},
        "text": event.text,
        "data": event.data.hex(),
    }


def _entry_json(entry: ImaEntry) -> dict[str, Any]:
    return {
        "number": entry.number,
        "pcr": entry.pcr,
        "template": entry.template,
        "template_hash": entry.template_hash.hex(),
        "algorithm": entry.digest_algorithm,
        "digest": entry.digest.hex(),
        "path": entry.path,
        "buffer": entry.buffer.hex(),
        "violation": entry.is_violation,
    }
