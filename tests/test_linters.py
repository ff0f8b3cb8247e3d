# SPDX-License-Identifier: GPL-3.0-or-later
"""Style and types are tests like any other."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from bootproof import process

PROJECT = Path(__file__).parents[1]
OURS = {".py", ".toml", ".c", ".h", ".S", ".sh", ".j2", ".in", ".service", ""}
NOT_TEXT_OF_OURS = {"LICENSE", ".gitignore", "__init__.py"}


@pytest.mark.parametrize("tool", [["ruff", "check"], ["mypy"]], ids=["ruff", "mypy"])
@pytest.mark.timeout(600)
def test_the_code_is_clean(tool: list[str]) -> None:
    done = process.run([sys.executable, "-m", *tool], cwd=PROJECT, check=False)
    assert done.returncode == 0, (done.stdout + done.stderr).decode()


def test_every_file_names_its_licence() -> None:
    listed = process.run(["git", "ls-files", "-z"], cwd=PROJECT).stdout.decode().split("\0")
    files = [PROJECT / name for name in listed if name and not name.startswith(("tests/data/", "overlays/"))]
    text = [
        file
        for file in files
        if file.suffix in OURS and file.name not in NOT_TEXT_OF_OURS and file.is_file()
    ]
    assert len(text) > 50
    unnamed = [str(file) for file in text if "SPDX-License-Identifier: GPL-3.0-or-later" not in _head(file)]
    assert unnamed == []


def _head(file: Path) -> str:
    return "\n".join(file.read_text().splitlines()[:3])
