# SPDX-License-Identifier: GPL-3.0-or-later
"""Tables on standard output: fitted to a terminal, or as whole plain lines for files and pipes."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass

from bootproof import console


@dataclass(frozen=True, slots=True)
class Column:
    """A column; `keep` is one that a narrow terminal must not break into several lines."""

    title: str
    right: bool = False
    keep: bool = False


@dataclass(frozen=True, slots=True)
class Row:
    """A row of cells, one a column; `style` is rich's, shown on terminals only."""

    cells: tuple[str, ...]
    style: str = ""


def show(title: str, columns: Sequence[Column], rows: Sequence[Row]) -> None:
    """Print a table; on a terminal long cells go on in the next line, elsewhere every row is one line."""
    if console.out().is_terminal:
        _show_fitted(title, columns, rows)
    else:
        _show_plain(title, columns, rows)


def mark(ok: bool) -> str:
    """Return the sign of a verdict; the font of the Linux text console has no better ones than ASCII."""
    if os.environ.get("TERM") == "linux":
        return "=" if ok else "!"
    return "✓" if ok else "✗"


def count(number: int, noun: str) -> str:
    """Return "1 entry", "2 entries", "3 events"."""
    if number == 1:
        return f"1 {noun}"
    return f"{number} {noun[:-1]}ies" if noun.endswith("y") else f"{number} {noun}s"


def say(text: str, style: str = "") -> None:
    """Print one line of a result."""
    console.out().print(text, style=style or None, markup=False, soft_wrap=not console.out().is_terminal)


def _show_fitted(title: str, columns: Sequence[Column], rows: Sequence[Row]) -> None:
    from rich.table import Table
    from rich.text import Text

    table = Table(
        box=None, pad_edge=False, title=title, title_justify="left", title_style="bold", header_style="dim"
    )
    for column in columns:
        justify = "right" if column.right else "left"
        table.add_column(column.title, justify=justify, no_wrap=column.keep, overflow="fold")  # type: ignore[arg-type]
    for row in rows:
        table.add_row(*(Text(cell) for cell in row.cells), style=row.style)
    console.out().print(table)


def _show_plain(title: str, columns: Sequence[Column], rows: Sequence[Row]) -> None:
    lines = [tuple(column.title for column in columns), *(row.cells for row in rows)]
    widths = [max(len(line[place]) for line in lines) for place in range(len(columns))]
    say(title)
    for line in lines:
        cells = zip(line, columns, widths, strict=True)
        say(
            "  ".join(
                cell.rjust(width) if c.right else cell.ljust(width) for cell, c, width in cells
            ).rstrip()
        )
