# SPDX-License-Identifier: GPL-3.0-or-later
"""The lock: every package of an image by name, version and sha256, so that the image can be made again.

No mirror is named in it: `archive` says which archive a path belongs to ("debian" or "debian-security"), and
the build host knows where it gets those from.
"""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from bootproof.build.files import canonical, write_atomically
from bootproof.errors import BootproofError, HostError

_FORMAT = 2
_MAX_EPOCH = 2**32 - 1  # squashfs counts seconds in 32 bits
GROUPS = ("root", "kernel", "boot", "initrd", "compiler")
BOOT_PACKAGES = ("grub-pc-bin",)
INITRD_PACKAGES = ("busybox-static",)
# with everything that they need; they compile what we ship, and are not shipped
COMPILER_PACKAGES = ("cpp", "binutils", "grub-common", "linux-libc-dev")
# Source: Debian Policy 5.6.1, 5.6.8 and 5.6.12
_RULES = {
    "name": r"[a-z0-9][a-z0-9+.-]+",
    "version": r"[A-Za-z0-9.+:~-]+",
    "architecture": r"[a-z0-9-]+",
    "archive": r"debian|debian-security",
    "filename": r"(?!/)(?!(?:.*/)?\.\.?(?:/|$))[!-~]+",
    "sha256": r"[0-9a-f]{64}",
}


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
    """The packages of an image by what they are used for, and the epoch (seconds) that all its time stamps
    get.

    `inputs` is the digest of the recipe settings that were resolved: another value means that the lock is
    out of date.
    """

    suite: str
    inputs: str
    epoch: int
    root: tuple[Package, ...]
    kernel: tuple[Package, ...]
    boot: tuple[Package, ...]
    initrd: tuple[Package, ...]
    compiler: tuple[Package, ...]

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


@dataclass(frozen=True)
class Wanted:
    """What a recipe asks of the archive."""

    suite: str
    variant: str
    install: tuple[str, ...]
    kernel: str

    @property
    def digest(self) -> str:
        """What a lock remembers of the request it answers."""
        request = [asdict(self), BOOT_PACKAGES, INITRD_PACKAGES, COMPILER_PACKAGES]
        return hashlib.sha256(canonical(request).encode()).hexdigest()


class OldLockError(BootproofError):
    """The lock was written by an older version."""


def load(path: Path) -> Lock:
    """Read a lock file; a file that is none is an error that says so, an old one an `OldLockError`."""
    try:
        return parse(path.read_bytes())
    except FileNotFoundError:
        raise BootproofError(
            f"there is no lock file {path}", "build once without --locked to write one"
        ) from None
    except OSError as error:
        raise HostError(f"cannot read {path}: {error.strerror}", "make it readable") from None
    except ValueError as error:
        raise BootproofError(
            f"{path} is not a lock file: {error}", "remove it, and build without --locked to write a new one"
        ) from None


def parse(raw: bytes) -> Lock:
    """Return the lock that `raw` holds as JSON; anything else is a ValueError of one line."""
    try:
        body = json.loads(raw)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None
    _require(isinstance(body, dict), f"it does not have lock format {_FORMAT}")
    if body.get("format") in range(1, _FORMAT):
        raise OldLockError(
            f"the lock has format {body['format']}, which was that of an older version",
            "build without --locked to make a new lock",
        )
    _require(body.get("format") == _FORMAT, f"it does not have lock format {_FORMAT}")
    epoch, suite, inputs = body.get("epoch"), body.get("suite"), body.get("inputs")
    _require(type(epoch) is int and 0 <= epoch <= _MAX_EPOCH, "epoch is not a number of seconds")
    _require(_is_text(suite, r"[a-z]+"), "suite is not the name of a suite")
    _require(_is_text(inputs, r"\w+"), "inputs is not a digest")
    groups = {group: _packages(group, body.get(group)) for group in GROUPS}
    return Lock(suite, inputs, epoch, **groups)


def _packages(group: str, rows: Any) -> tuple[Package, ...]:
    _require(isinstance(rows, list) and rows, f"{group} is not a list of packages")
    return tuple(_package(f"{group}[{index}]", row) for index, row in enumerate(rows))


def _package(where: str, row: Any) -> Package:
    _require(isinstance(row, dict) and row.keys() == {*_RULES, "size"}, f"{where} is not a package")
    for key, rule in _RULES.items():
        _require(_is_text(row[key], rule), f"{where}.{key} is not valid")
    _require(type(row["size"]) is int and row["size"] > 0, f"{where}.size is not a number of bytes")
    return Package(**row)


def _is_text(value: Any, rule: str) -> bool:
    return isinstance(value, str) and re.fullmatch(rule, value) is not None


def _require(right: object, fault: str) -> None:
    if not right:
        raise ValueError(fault)
