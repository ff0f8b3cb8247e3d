# SPDX-License-Identifier: GPL-3.0-or-later
"""What is wrong with a recipe: every fault with its file, key, problem and what would be right."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True)
class Fault:
    """One thing to correct; `key` is dotted (`kernel.modules[3]`), empty where the whole file is meant."""

    file: str
    key: str
    problem: str
    allowed: str = ""

    def __str__(self) -> str:
        where = f"{self.file}: {self.key}" if self.key else self.file
        return f"{where}: {self.problem}" + (f" (allowed: {self.allowed})" if self.allowed else "")


class RecipeError(Exception):
    """A recipe cannot be used; `faults` holds all that is wrong in the whole chain of files."""

    def __init__(self, faults: Iterable[Fault]) -> None:
        self.faults = tuple(faults)
        super().__init__("\n".join(map(str, self.faults)))


def suggestion(word: str, known: Iterable[str]) -> str:
    """Return `; did you mean "x"?` for the nearest known word, or nothing when none is near."""
    near = difflib.get_close_matches(word, list(known), n=1)
    return f'; did you mean "{near[0]}"?' if near else ""
