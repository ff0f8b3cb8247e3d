# SPDX-License-Identifier: GPL-3.0-or-later
"""Boot menu and kernel command lines."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from bootproof.build.templates import render
from bootproof.build.verity import Verity

_TITLES = {
    "live": "start from the medium",
    "toram": "copy to memory, then start",
    "rescue": "rescue shell",
    "checker": "check this machine's TCG BIOS",
    "next": "start from the next device",
}
# Entries that start the kernel, and what they add to its command line
_EXTRA = {"live": (), "toram": ("bootproof.toram",), "rescue": ("bootproof.rescue",)}
MENU_PATH = "/boot/grub/grub.cfg"


@dataclass(frozen=True)
class CommandLine:
    """What decides the kernel's command line."""

    label: str
    base: Verity
    product: Verity
    init: str
    ima_hash: str
    words: tuple[str, ...]

    def text(self, entry: str) -> str:
        """Return the command line of a menu entry that starts the kernel."""
        own = (
            f"bootproof.label={self.label}",
            f"bootproof.base={self.base.blocks}:{self.base.root_hash}",
            f"bootproof.product={self.product.blocks}:{self.product.root_hash}",
            f"init={self.init}",
            f"ima_hash={self.ima_hash}",
        )
        return " ".join((*own, *_EXTRA[entry], *self.words))


def starting(entries: Sequence[str]) -> list[str]:
    """Return those entries that start the kernel."""
    return [entry for entry in entries if entry in _EXTRA]


def menu(
    template: Path,
    *,
    name: str,
    title: str,
    entries: Sequence[str],
    default: str,
    timeout: int,
    line: CommandLine,
) -> str:
    """Render the boot menu."""
    rows = [
        {
            "id": entry,
            "title": f"{name}: {_TITLES[entry]}",
            "command_line": line.text(entry) if starting([entry]) else None,
        }
        for entry in entries
    ]
    values = {"name": name, "title": title, "entries": rows, "default": default, "timeout": timeout}
    return render(template, values)
