# SPDX-License-Identifier: GPL-3.0-or-later
"""What two listings of files differ in: pure functions on what ISO, squashfs and cpio were found to hold."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields
from datetime import UTC, datetime
from typing import Any

_DIFF_LINES = 12


@dataclass(frozen=True)
class Item:
    """An entry of a listing: kind (a word), permissions, owner ("uid:gid"), mtime (seconds), content.

    `content` is compared as it is: size and sha256 of a file, target of a link, numbers of a device.
    """

    kind: str
    mode: int = 0
    owner: str = "0:0"
    mtime: int = 0
    content: str = ""


@dataclass(frozen=True)
class Difference:
    """`where` is the container, `name` the file in it, `what` the property, `detail` both its values."""

    where: str
    name: str
    what: str
    detail: str

    def __str__(self) -> str:
        place = f"{self.where}: {self.name}" if self.name else self.where
        return f"{place}: {self.what} ({self.detail})"


def compare(where: str, first: Mapping[str, Item], second: Mapping[str, Item]) -> list[Difference]:
    """Return what differs: missing and added files, properties of files, and if nothing else does, order."""
    found = list(_properties(where, first, second))
    if not found and list(first) != list(second):
        at = next(
            number for number, pair in enumerate(zip(first, second, strict=True)) if pair[0] != pair[1]
        )
        found.append(
            Difference(
                where, list(first)[at], "order", f"entry {at}, where the second has {list(second)[at]}"
            )
        )
    return found


def _properties(where: str, first: Mapping[str, Item], second: Mapping[str, Item]) -> Iterator[Difference]:
    for name in sorted(first.keys() | second.keys()):
        one, other = first.get(name), second.get(name)
        if one is None or other is None:
            has, item = ("second", other) if one is None else ("first", one)
            yield Difference(where, name, "presence", f"only in the {has}: {item.kind if item else ''}")
            continue
        for field in fields(Item):
            values = getattr(one, field.name), getattr(other, field.name)
            if values[0] != values[1]:
                texts = [_text(field.name, value) for value in values]
                yield Difference(where, name, field.name, f"{texts[0]}, then {texts[1]}")


def _text(field: str, value: Any) -> str:
    if field == "mode":
        return f"{value:04o}"
    if field == "mtime":
        return datetime.fromtimestamp(value, UTC).isoformat()
    return str(value)


def first_difference(first: bytes, second: bytes) -> int:
    """Return the offset of the first byte that differs; the shorter's length if it begins the longer."""
    common = min(len(first), len(second))
    low, high = 0, common
    while low < high:
        middle = (low + high + 1) // 2
        if first[low:middle] == second[low:middle]:
            low = middle
        else:
            high = middle - 1
    return low


def lines(first: str, second: str) -> str:
    """Return the lines of a small text that differ, as a diff without its heading."""
    diff = list(difflib.unified_diff(first.splitlines(), second.splitlines(), n=0, lineterm=""))[2:]
    changed = [line for line in diff if not line.startswith("@@")]
    more = f"\n… and {len(changed) - _DIFF_LINES} lines more" if len(changed) > _DIFF_LINES else ""
    return "\n".join(changed[:_DIFF_LINES]) + more if changed else "line ends"
