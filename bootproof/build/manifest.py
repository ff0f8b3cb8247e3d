# SPDX-License-Identifier: GPL-3.0-or-later
"""What an image consists of: manifest.json (every file by its digest) and buildinfo.json (what it was made
with).
"""

from __future__ import annotations

import json
import platform
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from bootproof import __version__, process
from bootproof.build.boot import CommandLine, starting
from bootproof.build.files import sha256_of
from bootproof.build.lock import Lock
from bootproof.recipe import Recipe, canonical

_FORMAT = 1
_TOOLS = {
    "mmdebstrap": ["mmdebstrap", "--version"],
    "squashfs-tools": ["mksquashfs", "-version"],
    "kmod": ["depmod", "--version"],
    "zstd": ["zstd", "--version"],
}  # fmt: skip


def describe(
    recipe: Recipe, line: CommandLine, content: Mapping[str, Path], listed: Mapping[str, Path]
) -> dict[str, Any]:
    """Return the manifest: files of the ISO, and of each part (layers, initrd) every regular file with its
    sha256.

    `content` are the ISO's files by path, `listed` the lists of the parts' files.
    """
    return {
        "format": _FORMAT,
        "recipe": recipe.name,
        "suite": recipe.suite,
        "label": line.label,
        "command_lines": {entry: line.text(entry) for entry in starting(recipe.menu.entries)},
        "layers": {"base": vars(line.base), "product": vars(line.product)},
        "iso": {path: sha256_of(source) for path, source in sorted(content.items())},
        "files": {name: json.loads(path.read_text()) for name, path in listed.items()},
    }


def build_info(recipe: Recipe, lock: Lock, epoch: int, steps: Mapping[str, str]) -> dict[str, Any]:
    """Return what decided the image besides the lock: settings, tool versions, and the ids of the steps."""
    return {
        "format": _FORMAT,
        "bootproof": __version__,
        "python": platform.python_version(),
        "epoch": epoch,
        "packages": len(lock.packages),
        "recipe": canonical(recipe),
        "tools": tool_versions(_TOOLS),
        "steps": dict(sorted(steps.items())),
    }


def tool_versions(names: Iterable[str]) -> dict[str, str]:
    """Return the first line that each tool says of its version."""
    found = {}
    for name in names:
        done = process.run(_TOOLS[name], check=False)
        text = (done.stdout + done.stderr).decode(errors="replace").strip()
        found[name] = text.splitlines()[0] if text else "unknown"
    return found
