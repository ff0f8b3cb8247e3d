# SPDX-License-Identifier: GPL-3.0-or-later
"""`verify-reproducible`: builds a recipe twice and tells whether, or where, the images differ."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from bootproof import console
from bootproof.build.settings import PROJECT, Settings, cache_folder
from bootproof.cli.build import source_date_epoch
from bootproof.errors import BootproofError, ExitCode

if TYPE_CHECKING:
    from bootproof.reproduce.verify import Verdict

_SHOWN = 40


def verify_reproducible(
    recipe: str = typer.Argument(..., help="a recipe's name, or the path of a recipe file"),
    output: Path = typer.Option(
        PROJECT / "out", "--output", help="folder of the lock and the result", show_default="out"
    ),
    mirror: str = typer.Option("", "--mirror", help="Debian mirror, as for build"),
    keep: bool = typer.Option(False, "--keep", help="keep both builds and say where they are"),
    as_json: bool = typer.Option(False, "--json", help="print reproducible.json on standard output"),
) -> None:
    """Build twice from scratch in different surroundings; name what differs (status 15), if anything."""
    from bootproof import recipe as recipes
    from bootproof.launch.leftovers import ended_politely
    from bootproof.reproduce.verify import verify

    source = str(Path(recipe).absolute()) if "/" in recipe or recipe.endswith(".toml") else recipe
    chosen = recipes.load(source, PROJECT / "recipes", PROJECT / "overlays")
    settings = Settings(
        output=output.absolute(),
        cache=cache_folder().absolute(),
        mirror=mirror or None,
        epoch=source_date_epoch(),
    )
    with ended_politely():
        verdict = verify(chosen, source, settings, keep=keep)
    _tell(verdict)
    if as_json:
        typer.echo(json.dumps(verdict.described(), indent=1))
    if not verdict.identical:
        report = settings.image_folder(chosen.name) / "reproducible.json"
        count = len(verdict.differences)
        raise BootproofError(
            f"two builds of {chosen.name} differ in {count} points", f"all: {report}", ExitCode.MEASUREMENT
        )


def _tell(verdict: Verdict) -> None:
    for text in verdict.not_varied:
        console.warn(f"not varied: {text}")
    for difference in verdict.differences[:_SHOWN]:
        console.say(str(difference))
    if verdict.kept:
        console.say(f"both builds: {verdict.kept}")
    if verdict.identical:
        console.say(f"{verdict.recipe}: two builds are identical, sha256 {verdict.builds[0].sha256}")
