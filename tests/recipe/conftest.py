# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from bootproof.recipe import Fault, Recipe, RecipeError, load

ROOT = """
description = "A root recipe"
overlays = ["common"]
[kernel]
command_line = ["quiet", "console=tty0", "console=ttyS0"]
initrd_modules = ["loop", "squashfs", "overlay", "dm_verity", "isofs", "sr_mod"]
[packages]
install = ["systemd-sysv", "python3", "python3-typer", "python3-rich"]
[layers]
level = 3
[smoke]
checks = ["pcrs"]
"""


class Kitchen:
    """A folder of recipes and one of overlays; `root.toml` is there and right."""

    def __init__(self, folder: Path) -> None:
        self.recipes, self.overlays = folder / "recipes", folder / "overlays"
        self.recipes.mkdir()
        (self.overlays / "common").mkdir(parents=True)
        (self.overlays / "extra").mkdir()
        self.write("root", ROOT)

    def write(self, name: str, text: str | bytes) -> Path:
        path = self.recipes / f"{name}.toml"
        path.write_bytes(text.encode() if isinstance(text, str) else text)
        return path

    def child(self, text: str, name: str = "child") -> Recipe:
        self.write(name, f'description = "A child"\nextends = "root"\n{text}')
        return self.load(name)

    def load(self, name: str) -> Recipe:
        return load(name, self.recipes, self.overlays)

    def faults(self, action: Callable[[], object]) -> tuple[Fault, ...]:
        with pytest.raises(RecipeError) as caught:
            action()
        return caught.value.faults


@pytest.fixture
def kitchen(tmp_path: Path) -> Kitchen:
    return Kitchen(tmp_path)
