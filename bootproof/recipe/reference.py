# SPDX-License-Identifier: GPL-3.0-or-later
"""The reference table of docs/recipes.md, made from the model."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel

from bootproof.recipe.model import Recipe
from bootproof.recipe.parse import allowed_values

BEGIN = "<!-- settings: made by `python -m bootproof.recipe docs/recipes.md` -->"
END = "<!-- end of settings -->"


@dataclass(frozen=True)
class Row:
    """One setting: dotted key, allowed values, default as TOML writes it (empty: unset), meaning."""

    key: str
    allowed: str
    default: str
    meaning: str


def schema_table() -> list[Row]:
    """Return a row for each setting of a recipe file, in the order of the model."""
    return [row for row in _rows(Recipe, "") if row.key != "name"]


def _rows(table: type[BaseModel], prefix: str) -> list[Row]:
    rows = []
    for key, info in table.model_fields.items():
        annotation = info.annotation
        if isinstance(annotation, type) and issubclass(annotation, BaseModel):
            rows += _rows(annotation, f"{prefix}{key}.")
        else:
            default = "required" if info.is_required() else _toml(info.default)
            rows.append(Row(f"{prefix}{key}", allowed_values(info), default, info.description or ""))
    return rows


def _toml(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, tuple):
        return f"[{', '.join(map(_toml, value))}]"
    return f'"{value}"' if isinstance(value, str) else str(value)


def markdown() -> str:
    """Return the table in Markdown, with a line at each end that marks it."""
    lines = [BEGIN, "", "| setting | allowed | default | meaning |", "|---|---|---|---|"]
    for row in schema_table():
        cells = (f"`{row.key}`", row.allowed, f"`{row.default}`" if row.default else "", row.meaning)
        lines.append(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |")
    return "\n".join([*lines, "", END])


def refresh(document: str) -> str:
    """Return the document with the table between its marks made anew."""
    before, _, rest = document.partition(BEGIN)
    _, _, after = rest.partition(END)
    return before + markdown() + after
