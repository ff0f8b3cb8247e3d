# SPDX-License-Identifier: GPL-3.0-or-later
"""What a build needs of the machine, asked before the work starts."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

from bootproof.build.lock import Lock, Package
from bootproof.build.settings import Settings, work_folder
from bootproof.errors import HostError
from bootproof.host import tools

# Bytes on the disk per byte of packages, from images built, rounded up: a tree unpacks to 4.5 times its
# packages
_TREE, _LAYER_AND_ISO, _KERNEL, _UNPACKED_AND_TAR = 5, 3, 2, 10
_ONLY_WITHOUT_ROOT = ("unshare", "newuidmap")


def require_host(settings: Settings) -> None:
    """Make sure that all tools are there and that the folders of the build can be written to."""
    root = os.geteuid() == 0
    tools.require(name for name in tools.needed_by("build") if not (root and name in _ONLY_WITHOUT_ROOT))
    remedies = {
        settings.output: "make it writable, or choose another --output",
        settings.cache: "make it writable, or set BOOTPROOF_CACHE to another folder",
        work_folder(): "make it writable, or set TMPDIR to another folder",
    }
    for folder, remedy in remedies.items():
        if not tools.writable(folder):
            raise HostError(f"cannot write to {folder}", remedy)
    if not root:
        from bootproof.build.tree import require_namespace

        require_namespace()


def require_room(lock: Lock, output: Path, *, with_tree: bool) -> None:
    """Make sure that what the steps write will fit, for all that is known before they run."""
    root, kernel = _size(lock.root), _size(lock.kernel)
    tools.require_disk(output, root * (_LAYER_AND_ISO + (_TREE if with_tree else 0)) + kernel * _KERNEL)
    if with_tree:
        tools.require_disk(work_folder(), root * _UNPACKED_AND_TAR)


def _size(packages: Iterable[Package]) -> int:
    return sum(package.size for package in packages)
