# SPDX-License-Identifier: GPL-3.0-or-later
"""Reads archives in cpio's newc format into a listing.

Source: the kernel's Documentation/driver-api/early-userspace/buffer-format.rst. Numbers are 8
hexadecimal digits each.
"""

from __future__ import annotations

import hashlib
import stat

from bootproof.errors import BootproofError
from bootproof.reproduce.difference import Item

_HEADER = 110
_MAGIC = b"070701"
_TRAILER = "TRAILER!!!"
_HEX = frozenset(b"0123456789abcdefABCDEF")
_KINDS = {
    stat.S_IFREG: "file", stat.S_IFDIR: "directory", stat.S_IFLNK: "symlink", stat.S_IFIFO: "fifo",
    stat.S_IFCHR: "character device", stat.S_IFBLK: "block device", stat.S_IFSOCK: "socket",
}  # fmt: skip


def listing(data: bytes) -> dict[str, Item]:
    """Return the entries of an archive by name, in its order; what is no such archive is an error."""
    items: dict[str, Item] = {}
    at = 0
    while True:
        header = data[at : at + _HEADER]
        if len(header) < _HEADER or header[:6] != _MAGIC or not _HEX.issuperset(header[6:]):
            raise BootproofError(f"no entry of a cpio archive at byte {at}", "the initrd is damaged")
        values = [int(header[start : start + 8], 16) for start in range(6, _HEADER, 8)]
        body = _aligned(at + _HEADER + values[11])
        end = body + values[6]
        if values[11] == 0 or end > len(data):
            raise BootproofError(
                f"the entry at byte {at} ends outside the cpio archive", "the initrd is damaged"
            )
        name = data[at + _HEADER : at + _HEADER + values[11] - 1].decode(errors="surrogateescape")
        if name == _TRAILER:
            return items
        if name in items:
            raise BootproofError(f"the cpio archive has {name!r} twice", "the initrd is damaged")
        items[name] = _item(values, data[body:end])
        at = _aligned(end)


def _item(values: list[int], body: bytes) -> Item:
    kind = _KINDS.get(stat.S_IFMT(values[1]), "unknown")
    if kind == "symlink":
        content = body.decode(errors="surrogateescape")
    elif kind.endswith("device"):
        content = f"{values[9]}:{values[10]}"
    else:
        content = described(len(body), hashlib.sha256(body).hexdigest()) if kind == "file" else ""
    return Item(kind, stat.S_IMODE(values[1]), f"{values[2]}:{values[3]}", values[5], content)


def described(size: int, digest: str) -> str:
    """Return how a file's content is given in a listing."""
    return f"{size} bytes, sha256 {digest}"


def _aligned(offset: int) -> int:
    return offset + -offset % 4
