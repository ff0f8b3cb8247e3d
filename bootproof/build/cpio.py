# SPDX-License-Identifier: GPL-3.0-or-later
"""Archives in cpio's newc format, as the kernel unpacks them for its initial file system.

Source: the kernel's Documentation/driver-api/early-userspace/buffer-format.rst. Everything belongs to root,
inode numbers count up from 1 and time stamps are 0, so that equal content gives equal bytes.
"""

from __future__ import annotations

import stat
from collections.abc import Mapping
from dataclasses import dataclass

_MAGIC = "070701"
_TRAILER = "TRAILER!!!"


@dataclass(frozen=True)
class Node:
    """A file of the archive: its type and permissions as in st_mode, its content, and for devices (major,
    minor).
    """

    mode: int
    data: bytes = b""
    device: tuple[int, int] = (0, 0)


def directory(permissions: int = 0o755) -> Node:
    return Node(stat.S_IFDIR | permissions)


def regular(data: bytes, permissions: int = 0o644) -> Node:
    return Node(stat.S_IFREG | permissions, data)


def symlink(target: str) -> Node:
    return Node(stat.S_IFLNK | 0o777, target.encode())


def character_device(major: int, minor: int, permissions: int = 0o600) -> Node:
    return Node(stat.S_IFCHR | permissions, device=(major, minor))


def archive(nodes: Mapping[str, Node]) -> bytes:
    """Return the archive of `nodes` by path (no leading slash); missing parent folders are added, paths are
    sorted.
    """
    complete = dict(nodes)
    for path in nodes:
        parts = path.split("/")[:-1]
        for depth in range(1, len(parts) + 1):
            complete.setdefault("/".join(parts[:depth]), directory())
    pieces = [_record(number, path, complete[path]) for number, path in enumerate(sorted(complete), 1)]
    return b"".join(pieces) + _record(0, _TRAILER, Node(0))


def _record(inode: int, path: str, node: Node) -> bytes:
    name = path.encode() + b"\0"
    links = 2 if stat.S_ISDIR(node.mode) else 1
    fields = (inode, node.mode, 0, 0, links, 0, len(node.data), 0, 0, *node.device, len(name), 0)
    header = (_MAGIC + "".join(f"{value:08x}" for value in fields)).encode()
    return _aligned(header + name) + _aligned(node.data)


def _aligned(data: bytes) -> bytes:
    return data + bytes(-len(data) % 4)
