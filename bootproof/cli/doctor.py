# SPDX-License-Identifier: GPL-3.0-or-later
"""`doctor`: what this machine has and lacks for building, running and testing."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, get_args

import typer

from bootproof import console
from bootproof.errors import ExitCode, HostError

if TYPE_CHECKING:
    from bootproof.host.doctor import Finding

BUILD_BYTES = 4 << 30
CACHE_BYTES = 1 << 30
_MARKS = {"ok": "[green]ok[/]", "note": "[yellow]note[/]", "missing": "[red]missing[/]"}


def doctor(
    as_json: bool = typer.Option(False, "--json", help="for programs: everything, as JSON"),
    offline: bool = typer.Option(
        False, "--offline", help="do not ask the Debian archive whether it answers"
    ),
) -> None:
    """List what this machine has and lacks; status 10 if something is missing."""
    findings = _findings(offline)
    if as_json:
        typer.echo(json.dumps([vars(finding) for finding in findings], indent=2))
    else:
        _show(findings)
    if any(finding.state == "missing" for finding in findings):
        raise typer.Exit(ExitCode.HOST)


def _findings(offline: bool) -> list[Finding]:
    from bootproof.build.settings import cache_folder
    from bootproof.host import doctor as looks
    from bootproof.host.tools import PROJECT

    rooms = [
        looks.Room("out", PROJECT / "out", BUILD_BYTES),
        looks.Room("cache", cache_folder(), CACHE_BYTES),
    ]
    setup = PROJECT / "setup"
    return [
        *looks.tool_findings(),
        *looks.python_findings(setup / "requirements.lock", setup / "requirements.in"),
        *looks.kernel_findings(),
        *looks.room_findings(rooms),
        *_archives(offline),
    ]


def _archives(offline: bool) -> list[Finding]:
    """Return the archive that builds would use, and whether it has our suites."""
    from bootproof.build import archives
    from bootproof.host import doctor as looks
    from bootproof.recipe.model import Suite

    try:
        base = archives.from_host().bases[archives.MAIN]
        proxies = {} if offline else archives.proxy()
    except HostError as error:
        return [looks.Finding("archive", "mirror", "missing", error.message, error.hint)]
    found = looks.Finding("archive", "mirror", "ok", f"{base}  from this machine's apt configuration")
    return [found, *([] if offline else looks.archive_findings(base, get_args(Suite), proxies))]


def _show(findings: list[Finding]) -> None:
    from rich.markup import escape
    from rich.table import Table

    table = Table(box=None, pad_edge=False)
    for heading in ("", "", "", ""):
        table.add_column(heading, overflow="fold")
    area = ""
    for finding in findings:
        shown = "" if finding.area == area else finding.area
        area = finding.area
        detail = escape(finding.detail) + (
            f"\n[yellow]{escape(finding.remedy)}[/]" if finding.remedy else ""
        )
        table.add_row(f"[bold]{shown}[/]", escape(finding.name), _MARKS[finding.state], detail)
    table.show_header = False
    console.out().print(table)
    missing = [finding.name for finding in findings if finding.state == "missing"]
    console.out().print(
        f"missing: {', '.join(missing)}" if missing else "This machine has all that is needed.", markup=False
    )
