# SPDX-License-Identifier: GPL-3.0-or-later
"""Where a build reads and writes; frozen, made once from the command line and the environment."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[2]


def cache_folder() -> Path:
    """Return the folder for downloads that all builds of this user share."""
    chosen = os.environ.get("BOOTPROOF_CACHE")
    if chosen:
        return Path(chosen).absolute()
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache").absolute() / "bootproof"


def work_folder() -> Path:
    """Return the folder in which trees are unpacked; like /tmp, but on a disk."""
    return Path(os.environ.get("TMPDIR") or "/var/tmp").absolute()  # noqa: S108 - only private names are made in it


@dataclass(frozen=True)
class Settings:
    """The folders of a build, and how strictly the lock is taken.

    `locked`: the lock must be there and fit the recipe. `update`: make a new lock. `epoch`: instead of the
    lock's own.
    """

    output: Path
    cache: Path
    project: Path = PROJECT
    mirror: str | None = None
    locked: bool = False
    update: bool = False
    epoch: int | None = None

    @property
    def steps(self) -> Path:
        return self.output / ".steps"

    def image_folder(self, recipe: str) -> Path:
        return self.output / recipe
