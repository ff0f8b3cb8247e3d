# SPDX-License-Identifier: GPL-3.0-or-later
"""A user at a bench of her own: `./builder.py build` with separate folders, and what it says."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from bootproof.build.lock import Lock

PROJECT = Path(__file__).parents[2]
BUILDER = [sys.executable, str(PROJECT / "builder.py")]


@dataclass
class Said:
    status: int
    out: str
    err: str

    @property
    def fault(self) -> str:
        """The one line of the error; an indented tail may follow it."""
        assert "Traceback" not in self.err, self.err
        first, *tail = self.err[self.err.rindex("builder.py: ") :].rstrip("\n").split("\n")
        assert self.err.count("builder.py: ") == 1
        assert all(line.startswith("    ") for line in tail), self.err
        return first


class Bench:
    """Folders for one user: an output, a cache, a place for temporary files, recipes of her own."""

    def __init__(self, folder: Path) -> None:
        self.output, self.cache, self.work = folder / "out", folder / "cache", folder / "work"
        self.recipes = folder / "recipes"
        self.work.mkdir()
        self.recipes.mkdir()
        self.env = {
            **{name: value for name, value in os.environ.items() if not name.endswith("_proxy")},
            "BOOTPROOF_CACHE": str(self.cache), "TMPDIR": str(self.work), "COLUMNS": "500",
        }  # fmt: skip

    def argv(self, recipe: str, *words: str, output: Path | None = None) -> list[str]:
        return [*BUILDER, "build", recipe, "--output", str(output or self.output), *words]

    def build(self, recipe: str, *words: str, output: Path | None = None, **env: str) -> Said:
        argv = self.argv(recipe, *words, output=output)
        done = subprocess.run(
            argv, env={**self.env, **env}, capture_output=True, text=True, timeout=500, check=False
        )
        return Said(done.returncode, done.stdout, done.stderr)

    def start(self, recipe: str, *words: str) -> subprocess.Popen[str]:
        return subprocess.Popen(self.argv(recipe, *words), env=self.env, stderr=subprocess.PIPE, text=True)

    def recipe(self, text: str, name: str = "mine") -> str:
        path = self.recipes / f"{name}.toml"
        path.write_text(f'description = "x"\nextends = "minimal"\n{text}')
        return str(path)

    def lock(self, content: Lock, recipe: str = "minimal") -> Path:
        path = self.output / recipe / "packages.lock"
        content.save(path)
        return path

    @property
    def left(self) -> list[str]:
        return sorted(path.name for path in self.work.iterdir())
