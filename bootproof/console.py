# SPDX-License-Identifier: GPL-3.0-or-later
"""What the user sees while we work: one line a step, with its time; plain lines when nobody watches."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console


@cache
def err() -> Console:
    """Return the console on standard error; standard output is kept for results that programs read."""
    from rich.console import Console

    return Console(stderr=True, highlight=False, soft_wrap=True)


@cache
def out() -> Console:
    """Return the console on standard output."""
    from rich.console import Console

    return Console(highlight=False)


@dataclass
class Step:
    """A running step; `note` adds a word on how it went to its line."""

    title: str
    started: float = field(default_factory=time.monotonic)
    notes: list[str] = field(default_factory=list)

    def note(self, text: str) -> None:
        self.notes.append(text)


def say(text: str) -> None:
    """Print one plain line for the user."""
    err().print(text, markup=False)


def warn(text: str) -> None:
    """Print one line that the user should read."""
    err().print(f"warning: {text}", markup=False, style="yellow")


@contextmanager
def step(title: str) -> Iterator[Step]:
    """Show `title` while the block runs, then one line with its time and notes."""
    current = Step(title)
    console = err()
    try:
        if console.is_terminal:
            with console.status(f"{title} …"):
                yield current
        else:
            yield current
    except BaseException:
        console.print(_line("✗", current), markup=False, style="red")
        raise
    console.print(_line("•", current), markup=False)


def _line(mark: str, current: Step) -> str:
    seconds = time.monotonic() - current.started
    notes = f"  ({'; '.join(current.notes)})" if current.notes else ""
    return f"{mark} {current.title:<44} {seconds:6.1f} s{notes}"
