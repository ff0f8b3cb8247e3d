# SPDX-License-Identifier: GPL-3.0-or-later
"""`bootproof`, the command line inside the appliance.

`vtpm` and `report` are found before anything else is imported: a machine that is measured and emulated
should not load what it does not need.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from bootproof.cli import vtpm
from bootproof.errors import BootproofError, ExitCode

if TYPE_CHECKING:
    import typer

_REPORT_USAGE = "usage: bootproof report PORT | --find"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line (default: this process's) and return the exit status."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    quick = _QUICK.get(words[0]) if words else None
    try:
        if quick is not None:
            return quick(words[1:])
        application()(words, prog_name="bootproof")
    except BootproofError as error:
        print(f"bootproof: {error}", file=sys.stderr)  # noqa: T201
        return int(error.code)
    return int(ExitCode.PASS)


def application() -> typer.Typer:
    """Return the typer application with every verb."""
    import typer

    from bootproof.cli.log import log
    from bootproof.cli.pcr import pcr

    app = typer.Typer(
        no_args_is_help=True, add_completion=False, help="What this machine has booted, and proof of it."
    )
    app.command()(log)
    app.command()(pcr)
    for name, function in (("vtpm", vtpm.listed), ("report", _report_verb)):
        app.command(name, context_settings=vtpm.PASSED_ON)(function)
    return app


def _report_verb() -> None:
    """Answer a smoke test: PORT, or --find to look for it."""


def _report(words: list[str]) -> int:
    from bootproof.appliance.port import REPORT_PORT, find_port
    from bootproof.appliance.report import report

    if len(words) != 1 or (words[0].startswith("-") and words[0] != "--find"):
        raise BootproofError(_REPORT_USAGE)
    port = find_port() if words[0] == "--find" else Path(words[0])
    if port is None:
        raise BootproofError(
            f"no port {REPORT_PORT} on this machine", "it is there in a smoke test", ExitCode.HOST
        )
    report(port)
    return int(ExitCode.PASS)


_QUICK: dict[str, Callable[[list[str]], int]] = {"vtpm": vtpm.vtpm, "report": _report}
