# SPDX-License-Identifier: GPL-3.0-or-later
"""The command line of the host: registers the verbs, and turns errors into one line and an exit code."""

from __future__ import annotations

import signal
import sys
from types import FrameType

import typer

from bootproof.cli.build import build, list_recipes
from bootproof.errors import BootproofError, ExitCode

_INTERRUPTED = 130


def application() -> typer.Typer:
    """Return the typer application with every verb."""
    from bootproof.cli.doctor import doctor
    from bootproof.cli.log import log
    from bootproof.cli.pcr import pcr
    from bootproof.cli.reproduce import verify_reproducible
    from bootproof.cli.run import run
    from bootproof.cli.smoke import smoke

    app = typer.Typer(
        no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False,
        help="Builds a live ISO that can prove what it booted, and boots it.",
    )  # fmt: skip
    app.command("list")(list_recipes)
    app.command("verify-reproducible")(verify_reproducible)
    for verb in (build, run, smoke, doctor, log, pcr):
        app.command()(verb)
    return app


def main() -> int:
    """Run the command line and return the exit status."""
    from bootproof.recipe import RecipeError

    signal.signal(signal.SIGTERM, _terminated)
    try:
        application()(prog_name="builder.py", standalone_mode=True)
    except RecipeError as error:
        return _say(str(error), ExitCode.USAGE)
    except BootproofError as error:
        return _say(str(error), error.code)
    except KeyboardInterrupt:
        return _say(
            "interrupted; what is finished is kept, and the next build goes on from there", _INTERRUPTED
        )
    return ExitCode.PASS


def _say(text: str, code: int) -> int:
    print(f"builder.py: {text}", file=sys.stderr)  # noqa: T201
    return int(code)


def _terminated(_signal: int, _frame: FrameType | None) -> None:
    """Leave by an exception, so that everything open is closed and every child ended on the way."""
    raise KeyboardInterrupt
