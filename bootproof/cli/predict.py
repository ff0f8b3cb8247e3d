# SPDX-License-Identifier: GPL-3.0-or-later
"""`predict`: what an image will measure when it starts."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import typer

from bootproof.cli import machines, tables
from bootproof.cli.tables import Column, Row
from bootproof.errors import BootproofError
from bootproof.launch.image import find_image
from bootproof.measure import listed, printable
from bootproof.measure.expected import Expected, replay
from bootproof.measure.prediction import CD, MEDIA
from bootproof.measure.predictionerror import PredictionError

_SHORT = 12
_BANKS = {"1.2": "sha1", "2.0": "sha256"}


def predict(
    *,
    target: str = machines.TARGET,
    medium: str = typer.Option(CD, "--medium", help="what the image starts from: cd, or disk (also USB)"),
    entry: str = typer.Option(
        "", "--entry", metavar="ID", show_default=False, help="menu entry; default: the menu's own choice"
    ),
    tpm: str = typer.Option("1.2", "--tpm", help="log and bank of a TPM 1.2 (sha1) or 2.0 (sha256)"),
    full: bool = typer.Option(False, "--full", help="whole digests"),
    as_json: bool = typer.Option(False, "--json", help="for programs: both banks, as JSON"),
    output: Path = machines.OUTPUT,
) -> None:
    """Show what an image will measure on a BIOS, computed from the ISO alone."""
    from bootproof.build.predict import of_iso

    for name, value, known in (("--medium", medium, MEDIA), ("--tpm", tpm, tuple(_BANKS))):
        if value not in known:
            raise BootproofError(f"{name} {value} is unknown", f"one of: {', '.join(known)}")
    iso = find_image(target, output).iso
    try:
        found = of_iso(iso)
    except PredictionError as error:
        raise BootproofError(f"{iso}: {error}", "only ISOs of ours can be predicted") from None
    chosen, ways = entry or found.default, found.events[medium]
    if chosen not in ways:
        raise BootproofError(f"the menu entry {chosen} starts no kernel", f"one of: {', '.join(ways)}")
    if as_json:
        _print_json(iso, medium, chosen, ways[chosen])
    else:
        own = tables.count(sum(not event.is_platform for event in ways[chosen]), "event")
        _show(f"{iso.name} from {medium}, entry {chosen}: {own}", ways[chosen], tpm, full)


def _show(title: str, events: Sequence[Expected], tpm: str, full: bool) -> None:
    bank = _BANKS[tpm]
    columns = (
        Column("PCR", right=True, keep=True), Column("Type"), Column(bank, keep=not full), Column("What"),
    )  # fmt: skip
    tables.show(title, columns, [_row(event, tpm, full) for event in events])
    tables.say("")
    values = replay(events, bank)
    rows = [Row((str(number), value.hex())) for number, value in values.items()]
    tables.show(f"PCRs after it, bank {bank}", (columns[0], Column("Value", keep=True)), rows)
    unknown = sorted({event.pcr for event in events if event.is_platform})
    tables.say(f"     {' and '.join(map(str, unknown))} depend on the platform")


def _row(event: Expected, tpm: str, full: bool) -> Row:
    kind = event.type_name(crypto_agile=tpm == "2.0").removeprefix("EV_")
    if event.is_platform:
        return Row((str(event.pcr), kind, "platform", f"{event.text}: …"), "dim")
    digest, text = event.digests[_BANKS[tpm]].hex(), printable.data(event.text.encode())
    return Row((str(event.pcr), kind, digest if full else digest[:_SHORT], text))


def _print_json(iso: Path, medium: str, entry: str, events: Sequence[Expected]) -> None:
    document = {
        "iso": iso.name,
        "medium": medium,
        "entry": entry,
        "events": [listed.row(event) for event in events],
        "pcrs": listed.pcrs(events),
    }
    typer.echo(json.dumps(document, indent=2))
