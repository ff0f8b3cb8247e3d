# SPDX-License-Identifier: GPL-3.0-or-later
"""Reads a squashfs, wherever it lies in a file, into a listing.

unsquashfs writes the file system as a pseudo file (-pf): a line for each entry with everything about it,
a mark, then the content of all files one after the other. It is read as a stream, so nothing is unpacked,
and no root is needed. Sources: mksquashfs(1), section "Pseudo file definition format"; for the superblock
the kernel's Documentation/filesystems/squashfs.rst (little endian).
"""

from __future__ import annotations

import hashlib
import re
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from bootproof import process
from bootproof.errors import BootproofError
from bootproof.reproduce.difference import Item
from bootproof.reproduce.newc import described

MAGIC = b"hsqs"
SUPERBLOCK = struct.Struct("<4sIIIIHHHHHHQQQQQQQQ")
_MARK = b"# START OF DATA - DO NOT MODIFY\n"
_ESCAPED = re.compile(rb"\\(.)", re.DOTALL)
_WORD = re.compile(rb"(?:\\.|[^\\ ])+", re.DOTALL)
_KINDS = {
    "D": "directory", "R": "file", "S": "symlink", "C": "character device", "B": "block device",
    "L": "hard link", "I": "fifo or socket",
}  # fmt: skip
_LINE_LIMIT = 1 << 16
_PIECE = 1 << 20


@dataclass(frozen=True)
class Superblock:
    """What can differ though the files are the same; `made` is in seconds, `length` where it ends."""

    inodes: int
    made: int
    block_size: int
    fragments: int
    compression: int
    flags: int
    length: int


def superblock(data: bytes) -> Superblock:
    """Read the first 96 bytes of a squashfs."""
    if len(data) < SUPERBLOCK.size or not data.startswith(MAGIC):
        raise BootproofError("there is no squashfs where one should be", "the image is damaged")
    field = SUPERBLOCK.unpack_from(data)
    return Superblock(field[1], field[2], field[3], field[4], field[5], field[7], field[12])


def pseudo_command(file: Path, offset: int) -> list[str]:
    """Return the command that writes the squashfs at `offset` (bytes) of `file` as a pseudo file."""
    return ["unsquashfs", "-quiet", "-no-progress", "-offset", str(offset), "-pf", "/dev/stdout", str(file)]


def listing(file: Path, offset: int) -> dict[str, Item]:
    """Return the entries of the squashfs at `offset` (bytes) of `file` by absolute name."""
    command = pseudo_command(file, offset)
    with process.running(command, stdout=-1, stderr=-1) as child:
        assert child.stdout is not None
        assert child.stderr is not None
        try:
            items = read_pseudo(child.stdout)
            fault = None
        except BootproofError as error:
            fault = error
        child.stdout.close()
        said = child.stderr.read().decode(errors="replace")
        if child.wait() != 0:
            raise process.failure(command, child.returncode, said)
        if fault:
            raise fault
    return items


def read_pseudo(stream: IO[bytes]) -> dict[str, Item]:
    """Read a pseudo file with its data; anything else is an error."""
    items: dict[str, Item] = {}
    spans: dict[str, tuple[int, int]] = {}
    while True:
        line = stream.readline(_LINE_LIMIT)
        if not line.endswith(b"\n"):
            raise _fault("ends before its data")
        if line == _MARK:
            break
        if line.startswith(b"#"):
            continue
        _define(line[:-1], items, spans)
    stream.readline(_LINE_LIMIT)  # the mark is followed by a line with "#"
    for name, content in _contents(stream, spans).items():
        old = items[name]
        items[name] = Item(old.kind, old.mode, old.owner, old.mtime, content)
    return items


def _define(line: bytes, items: dict[str, Item], spans: dict[str, tuple[int, int]]) -> None:
    """Take in a line: name, type; but for hard links time, mode (octal), uid, gid; what the type needs."""
    words = [_ESCAPED.sub(rb"\1", word).decode(errors="surrogateescape") for word in _WORD.findall(line)]
    kind = _KINDS.get(words[1]) if len(words) > 2 else None
    if kind is None:
        raise _fault(f"has a line that is no definition: {line[:80]!r}")
    name = f"/{words[0].strip('/')}"
    if kind == "hard link":
        items[name] = Item(kind, content=f"/{words[2]}")
        return
    try:
        mtime, mode = int(words[2]), int(words[3], 8)
        if kind == "file":
            spans[name] = int(words[7]), int(words[6])
    except (ValueError, IndexError):
        raise _fault(f"has a definition that lacks something: {line[:80]!r}") from None
    items[name] = Item(
        kind, mode, ":".join(words[4:6]), mtime, ":".join(words[6:]) if kind != "file" else ""
    )


def _contents(stream: IO[bytes], spans: Mapping[str, tuple[int, int]]) -> dict[str, str]:
    """Return the content of each file; `spans` are its offset and size in what is left of the stream."""
    found = {}
    at = 0
    for name, (offset, size) in sorted(spans.items(), key=lambda entry: entry[1]):
        if offset != at or size < 0:
            raise _fault(f"has {name} at {offset}, not at {at}")
        digest = hashlib.sha256()
        while at < offset + size:
            piece = stream.read(min(_PIECE, offset + size - at))
            if not piece:
                raise _fault(f"ends within {name}")
            digest.update(piece)
            at += len(piece)
        found[name] = described(size, digest.hexdigest())
    return found


def _fault(what: str) -> BootproofError:
    return BootproofError(f"what unsquashfs wrote {what}", "another version of squashfs-tools may be needed")
