# SPDX-License-Identifier: GPL-3.0-or-later
"""From what the user names, a recipe or an ISO file, to the image and the folder of its results."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from bootproof.errors import BootproofError

ROOT = Path(__file__).resolve().parents[2]
OUT = ROOT / "out"


@dataclass(frozen=True)
class Image:
    """An ISO file, the name of its recipe (None if it is not known), and the folder `out/NAME`."""

    iso: Path
    recipe: str | None
    folder: Path

    @property
    def name(self) -> str:
        """What to call a machine that boots it."""
        return self.recipe or self.iso.stem


def find_image(target: str, out: Path = OUT) -> Image:
    """Return the image that `target` names: an ISO file by its path, or a recipe built into `out`."""
    if target.endswith(".iso") or "/" in target:
        iso = Path(target)
        if not iso.is_file():
            raise BootproofError(f"{target}: there is no such file", "name an ISO file or a recipe")
        recipe = _recipe_beside(iso)
        return Image(iso.resolve(), recipe, out / (recipe or iso.stem))
    iso = out / target / f"{target}.iso"
    if not iso.is_file():
        raise BootproofError(
            f"{target} has not been built: there is no {iso}", f"./builder.py build {target}"
        )
    return Image(iso.resolve(), target, out / target)


def _recipe_beside(iso: Path) -> str | None:
    """Return the recipe's name from the manifest in the ISO's folder, if there is one."""
    try:
        name = json.loads((iso.parent / "manifest.json").read_text())["recipe"]
    except (OSError, ValueError, KeyError, TypeError):
        return None
    if isinstance(name, dict):
        name = name.get("name")
    return name if isinstance(name, str) else None
