# SPDX-License-Identifier: GPL-3.0-or-later
"""dm-verity hash trees, as the kernel and veritysetup(8) make them (hash type 1, no salt, no superblock).

The data is cut into blocks of 4096 bytes; each level of the tree is the sha256 sums of the level below, 128
to a block, the last block filled with zeros. Levels are stored from the root's children downwards, behind
the data. Source: the kernel's Documentation/admin-guide/device-mapper/verity.rst, section "On-disk format".
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import BinaryIO

BLOCK = 4096
_DIGEST = 32
_READ_BLOCKS = 256


@dataclass(frozen=True)
class Verity:
    """What the kernel needs to open a layer: how many data blocks, and the root hash (hex)."""

    blocks: int
    root_hash: str

    def save(self, path: Path) -> None:
        path.write_text(json.dumps(asdict(self)))


def load(path: Path) -> Verity:
    """Read what `save` has written."""
    return Verity(**json.loads(path.read_text()))


def append(path: Path) -> Verity:
    """Pad an image to whole blocks, append its hash tree, and return what opens it."""
    with path.open("r+b") as image:
        size = image.seek(0, 2)
        image.write(bytes(-size % BLOCK))
        blocks = image.tell() // BLOCK
        image.seek(0)
        levels = [_hash_blocks(image)]
        while len(levels[-1]) > _DIGEST:
            levels.append(_hash_level(levels[-1]))
        image.seek(blocks * BLOCK)
        for level in reversed(levels[:-1]):
            image.write(_padded(level))
        return Verity(blocks, levels[-1].hex())


def _hash_blocks(image: BinaryIO) -> bytes:
    digests = []
    while piece := image.read(BLOCK * _READ_BLOCKS):
        digests += [hashlib.sha256(piece[at : at + BLOCK]).digest() for at in range(0, len(piece), BLOCK)]
    return b"".join(digests)


def _hash_level(below: bytes) -> bytes:
    padded = _padded(below)
    return b"".join(hashlib.sha256(padded[at : at + BLOCK]).digest() for at in range(0, len(padded), BLOCK))


def _padded(level: bytes) -> bytes:
    return level + bytes(-len(level) % BLOCK)
