# SPDX-License-Identifier: GPL-3.0-or-later
"""The command line of the host: registers the verbs, and turns errors into one line and an exit code."""

from __future__ import annotations

import signal
import sys
from collections.abc import Sequence
from importlib import import_module
from types import FrameType

import typer

from bootproof.cli import vtpm
from bootproof.errors import BootproofError, ExitCode

_INTERRUPTED = 130


# verb: module of this package, and the function in it
_VERBS = {
    "list": ("build", "list_recipes"),
    "verify-reproducible": ("reproduce", "verify_reproducible"),
    "build": ("build", "build"),
    "run": ("run", "run"),
    "smoke": ("smoke", "smoke"),
    "predict": ("predict", "predict"),
    "doctor": ("doctor", "doctor"),
    "log": ("log", "log"),
    "pcr": ("pcr", "pcr"),
    "vtpm": ("vtpm", "listed"),
}


def application(words: Sequence[str]) -> typer.Typer:
    """Return the typer application with every verb, or, to start faster, only with the one that `words`
    begin with.
    """
    app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False)
    app.callback()(_bootproof)
    for verb in words[:1] if words and words[0] in _VERBS else _VERBS:
        module, function = _VERBS[verb]
        settings = vtpm.PASSED_ON if verb == "vtpm" else None
        app.command(verb, context_settings=settings)(
            getattr(import_module(f"bootproof.cli.{module}"), function)
        )
    return app


def _bootproof() -> None:
    """Builds a live ISO that can prove what it booted, and boots it."""


def main() -> int:
    """Run the command line and return the exit status."""
    from bootproof.recipe.faults import RecipeError

    words = sys.argv[1:]
    if words[:1] == ["vtpm"]:
        return vtpm.vtpm(words[1:])
    signal.signal(signal.SIGTERM, _terminated)
    try:
        application(words)(prog_name="builder.py", standalone_mode=True)
    except RecipeError as error:
        return _say(str(error), ExitCode.USAGE)
    except BootproofError as error:
        return _say(str(error), error.code)
    except (KeyboardInterrupt, SystemExit) as ended:  # typer makes an exit of Ctrl-C
        if isinstance(ended, SystemExit) and ended.code != _INTERRUPTED:
            raise
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
