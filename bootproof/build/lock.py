# SPDX-License-Identifier: GPL-3.0-or-later
"""The lock: every package of an image by name, version and sha256, so that the image can be made again.

No mirror is named in it: `archive` says which archive a path belongs to ("debian" or "debian-security"), and the
build host knows where it gets those from.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from bootproof.build.files import write_atomically
from bootproof.errors import BootproofError

_FORMAT = 1
GROUPS = ("root", "kernel", "boot", "initrd")


@dataclass(frozen=True, order=True)
class Package:
    """One .deb: `filename` is its path below the archive's root, `size` in bytes, `sha256` in hex."""

    name: str
    version: str
    architecture: str
    archive: str
    filename: str
    size: int
    sha256: str

    def __str__(self) -> str:
        return f"{self.name} {self.version}"


@dataclass(frozen=True)
class Lock:
    """The packages of an image by what they are used for, and the epoch (seconds) that all its time stamps get.

    `inputs` is the digest of the recipe settings that were resolved: another value means that the lock is out of date.
    """

    suite: str
    inputs: str
    epoch: int
    root: tuple[Package, ...]
    kernel: tuple[Package, ...]
    boot: tuple[Package, ...]
    initrd: tuple[Package, ...]

    @property
    def packages(self) -> tuple[Package, ...]:
        """All packages, each once, by name."""
        return tuple(sorted({package for group in GROUPS for package in getattr(self, group)}))

    def dump(self) -> str:
        body: dict[str, Any] = {
            "format": _FORMAT,
            "suite": self.suite,
            "inputs": self.inputs,
            "epoch": self.epoch,
        }
        for group in GROUPS:
            body[group] = [asdict(package) for package in getattr(self, group)]
        return json.dumps(body, indent=1) + "\n"

    def save(self, path: Path) -> None:
        write_atomically(path, self.dump())


def load(path: Path) -> Lock:
    """Read a lock file; a file that is none is an error that says so."""
    try:
        body = json.loads(path.read_text())
        if body["format"] != _FORMAT:
            raise BootproofError(
                f"{path} has lock format {body['format']}", f"this version reads format {_FORMAT}"
            )
        groups = {group: _packages(body[group]) for group in GROUPS}
        return Lock(str(body["suite"]), str(body["inputs"]), int(body["epoch"]), **groups)
    except FileNotFoundError:
        raise BootproofError(
            f"there is no lock file {path}", "build once without --locked to write one"
        ) from None
    except (ValueError, KeyError, TypeError) as error:
        raise BootproofError(
            f"{path} is not a lock file: {type(error).__name__}: {error}",
            "remove it, and build without --locked to write a new one",
        ) from None


def _packages(rows: Iterable[dict[str, Any]]) -> tuple[Package, ...]:
    packages = tuple(Package(**row) for row in rows)
    for package in packages:
        if (
            len(package.sha256) != 64
            or ".." in package.filename.split("/")
            or package.filename.startswith("/")
        ):
            raise ValueError(f"{package.name}: not a sha256 and a path in an archive")
    return packages
