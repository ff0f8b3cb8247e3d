# SPDX-License-Identifier: GPL-3.0-or-later
"""Boot menu and command lines."""

from __future__ import annotations

import shlex
from pathlib import Path

import pytest

from bootproof.build import boot
from bootproof.build.boot import CommandLine
from bootproof.build.verity import Verity
from bootproof.errors import BootproofError

PROJECT = Path(__file__).parents[2]
LINE = CommandLine(
    label="BOOTPROOF_X_12345678", base=Verity(5, "ab" * 32), product=Verity(1, "cd" * 32), init="/sbin/init",
    ima_hash="sha256", words=("quiet", "console=ttyS0"),
)  # fmt: skip


def test_the_command_line_of_each_entry() -> None:
    words = LINE.text("live").split()
    assert words == [
        "bootproof.label=BOOTPROOF_X_12345678",
        f"bootproof.base=5:{'ab' * 32}",
        f"bootproof.product=1:{'cd' * 32}",
        "init=/sbin/init",
        "ima_hash=sha256",
        "quiet",
        "console=ttyS0",
    ]
    assert set(LINE.text("toram").split()) - set(words) == {"bootproof.toram"}
    assert set(LINE.text("rescue").split()) - set(words) == {"bootproof.rescue"}


def menu(template: Path, **changes: object) -> str:
    how = {
        "name": "x",
        "title": "Title",
        "entries": ("live", "rescue"),
        "default": "live",
        "timeout": 7,
        **changes,
    }
    return boot.menu(template, line=LINE, **how)  # type: ignore[arg-type]


def test_the_menu_has_its_entries_in_order_with_their_command_lines() -> None:
    text = menu(PROJECT / "grub" / "grub.cfg.j2")
    assert "toram" not in text
    assert text.index(LINE.text("live")) < text.index(LINE.text("rescue"))
    assert "timeout=7" in text and "Title" in text
    kernels = [shlex.split(line) for line in text.splitlines() if line.strip().startswith("linux")]
    assert [words[2:] for words in kernels] == [LINE.text("live").split(), LINE.text("rescue").split()]


def test_a_broken_menu_template_is_named(tmp_path: Path) -> None:
    (tmp_path / "grub.cfg.j2").write_text("x\n{% for %}")
    with pytest.raises(BootproofError, match=r"grub.cfg.j2, line 2"):
        menu(tmp_path / "grub.cfg.j2")
