# SPDX-License-Identifier: GPL-3.0-or-later
"""`builder.py build` and `builder.py list`."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path

import typer

from bootproof import console
from bootproof.build.settings import PROJECT, Settings, cache_folder
from bootproof.errors import BootproofError

_LAST_SECOND = 2**32 - 1  # squashfs counts them in 32 bits


def source_date_epoch() -> int | None:
    """Return SOURCE_DATE_EPOCH from the environment: whole seconds since 1970, or None where it is unset."""
    text = os.environ.get("SOURCE_DATE_EPOCH")
    if not text:
        return None
    if not re.fullmatch(r"[0-9]{1,10}", text) or int(text) > _LAST_SECOND:
        raise BootproofError(
            f"SOURCE_DATE_EPOCH is {text!r}",
            "it is a whole number of seconds since 1970, below 2**32, or unset",
        )
    return int(text)


def build(
    *,
    recipe: str = typer.Argument(..., help="a recipe's name, or the path of a recipe file"),
    output: Path = typer.Option(
        PROJECT / "out", "--output", help="folder of the images", show_default="out"
    ),
    mirror: str = typer.Option(
        "", "--mirror", help="Debian mirror (default: the recipe's, else this host's apt configuration)"
    ),
    locked: bool = typer.Option(
        False, "--locked", help="use exactly the packages of out/RECIPE/packages.lock"
    ),
    update: bool = typer.Option(
        False, "--update", help="ask the archive for newer packages and make a new lock"
    ),
    as_json: bool = typer.Option(False, "--json", help="print the result as JSON"),
) -> None:
    """Build the ISO of a recipe; what has not changed is not made again."""
    from bootproof import recipe as recipes
    from bootproof.build.needs import require_host
    from bootproof.build.pipeline import Builder

    if locked and update:
        raise BootproofError("--locked and --update contradict each other", "choose one")
    chosen = recipes.load(recipe, PROJECT / "recipes", PROJECT / "overlays")
    settings = Settings(
        output=output.absolute(),
        cache=cache_folder(),
        mirror=mirror or None,
        locked=locked,
        update=update,
        epoch=source_date_epoch(),
    )
    require_host(settings)
    built = Builder(chosen, settings).build()
    size = built.iso.stat().st_size
    if as_json:
        typer.echo(json.dumps({"iso": str(built.iso), "bytes": size, "steps": list(built.ran)}))
    else:
        how = "built" if built.ran else "up to date"
        console.say(f"{built.iso}: {size / 1e6:.1f} MB, {how}")


def list_recipes(as_json: bool = typer.Option(False, "--json", help="print as JSON")) -> None:
    """List the recipes."""
    from bootproof import recipe as recipes

    rows = recipes.available(PROJECT / "recipes")
    if as_json:
        typer.echo(
            json.dumps(
                [{"name": row.name, "extends": row.extends, "description": row.description} for row in rows]
            )
        )
        return
    for row in rows:
        typer.echo(
            f"{row.name:<12} {row.description}" + (f" (extends {row.extends})" if row.extends else "")
        )
