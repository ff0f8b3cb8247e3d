# SPDX-License-Identifier: GPL-3.0-or-later
"""What other programs we need (setup/host-packages.toml), where they are, and one clear error if not."""

from __future__ import annotations

import os
import shutil
import tempfile
import tomllib
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from bootproof import process
from bootproof.errors import HostError

PROJECT = Path(__file__).resolve().parents[2]
LIST = PROJECT / "setup" / "host-packages.toml"


@dataclass(frozen=True)
class Tool:
    """A program, or the file that the glob `path` names; its Debian package and the verbs that need it."""

    name: str
    package: str
    purpose: str
    verbs: tuple[str, ...]
    path: str = ""


@cache
def tools() -> dict[str, Tool]:
    """Return all tools by name, in the order of the list."""
    entries = tomllib.loads(LIST.read_text())["tools"]
    return {entry["name"]: Tool(**(entry | {"verbs": tuple(entry["verbs"])})) for entry in entries}


def needed_by(*verbs: str) -> list[str]:
    """Return the names of the tools that these verbs need."""
    return [tool.name for tool in tools().values() if set(verbs) & set(tool.verbs)]


def locate(tool: Tool) -> Path | None:
    """Return where a tool is on this machine."""
    if tool.path:
        root = Path("/")
        return next(iter(sorted(root.glob(tool.path.removeprefix("/")))), None)
    found = shutil.which(tool.name, path=process.environment()["PATH"])
    return Path(found) if found else None


def require(names: Iterable[str]) -> None:
    """Raise one `HostError` naming those of the tools that are missing and what installs them."""
    missing = [tool for tool in (tools()[name] for name in names) if locate(tool) is None]
    if missing:
        listed = ", ".join(tool.name for tool in missing)
        raise HostError(f"missing on this machine: {listed}", f"to install: {install_command(missing)}")


def install_command(missing: Iterable[Tool]) -> str:
    """Return the one command that installs the packages of these tools."""
    sudo = "" if os.geteuid() == 0 else "sudo "
    packages = sorted({tool.package for tool in missing})
    return f"{sudo}apt-get install --no-install-recommends {' '.join(packages)}"


def free_bytes(path: Path) -> int:
    """Return what is free for us on the file system that `path` is on, or would be."""
    return shutil.disk_usage(_nearest(path)).free


def require_disk(path: Path, wanted: int) -> None:
    """Raise `HostError` when fewer than `wanted` bytes are free where `path` is, or would be."""
    free = free_bytes(path)
    if free < wanted:
        raise HostError(
            f"{path} has {free // 2**20} MiB of free space, {-(-wanted // 2**20)} are needed",
            "make room there",
        )


def writable(path: Path) -> bool:
    """Tell whether we can write in the folder `path`, or make it: by trying, as root passes all checks."""
    try:
        with tempfile.TemporaryFile(dir=_nearest(path)):
            return True
    except OSError:
        return False


def _nearest(path: Path) -> Path:
    path = path.absolute()
    return next(folder for folder in (path, *path.parents) if folder.is_dir())
