# SPDX-License-Identifier: GPL-3.0-or-later
"""The initial file system's archive, read back by a reader of our own and by bsdtar or cpio where there is
one.
"""

from __future__ import annotations

import shutil
import stat
from dataclasses import dataclass
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bootproof import process
from bootproof.build import cpio
from bootproof.build.cpio import Node


@dataclass(frozen=True)
class Read:
    inode: int
    mode: int
    owner: tuple[int, int]
    links: int
    mtime: int
    device: tuple[int, int]
    data: bytes


def read(raw: bytes) -> dict[str, Read]:
    """Read a newc archive as the kernel does: 13 fields of 8 hex digits, name and data padded to 4 bytes."""
    found: dict[str, Read] = {}
    at = 0
    while True:
        assert at % 4 == 0 and raw[at : at + 6] == b"070701"
        fields = [int(raw[at + 6 + 8 * number : at + 14 + 8 * number], 16) for number in range(13)]
        inode, mode, uid, gid, links, mtime, size, _, _, major, minor, name_size, check = fields
        name_end = at + 110 + name_size
        assert raw[name_end - 1] == 0 and check == 0
        name = raw[at + 110 : name_end - 1].decode()
        start = name_end + -name_end % 4
        at = start + size + -size % 4
        if name == "TRAILER!!!":
            assert at == len(raw)
            return found
        assert name not in found
        found[name] = Read(inode, mode, (uid, gid), links, mtime, (major, minor), raw[start : start + size])


NODES = {
    "init": cpio.regular(b"#!/bin/sh\n", 0o755),
    "bin/busybox": cpio.regular(b"12345", 0o755),
    "bin/sh": cpio.symlink("busybox"),
    "dev/console": cpio.character_device(5, 1),
    "proc": cpio.directory(),
}


def test_what_is_in_it() -> None:
    found = read(cpio.archive(NODES))
    assert list(found) == ["bin", "bin/busybox", "bin/sh", "dev", "dev/console", "init", "proc"]
    assert found["init"].mode == stat.S_IFREG | 0o755 and found["init"].data == b"#!/bin/sh\n"
    assert found["bin/sh"].mode == stat.S_IFLNK | 0o777 and found["bin/sh"].data == b"busybox"
    assert found["dev/console"].device == (5, 1) and stat.S_ISCHR(found["dev/console"].mode)
    assert found["bin"].mode == stat.S_IFDIR | 0o755 and found["bin"].links == 2
    assert all(each.owner == (0, 0) and each.mtime == 0 for each in found.values())
    assert [each.inode for each in found.values()] == list(range(1, 8))


def test_the_order_of_the_nodes_does_not_matter() -> None:
    assert cpio.archive(NODES) == cpio.archive(dict(reversed(NODES.items())))


PATHS = st.lists(
    st.text("abc.é", min_size=1, max_size=3).filter(lambda part: part not in (".", "..")),
    min_size=1,
    max_size=4,
)


@given(st.dictionaries(PATHS.map("/".join), st.binary(max_size=20), max_size=8))
def test_round_trip(files: dict[str, bytes]) -> None:
    files = {
        path: data
        for path, data in files.items()
        if not any(other.startswith(f"{path}/") for other in files)
    }
    found = read(cpio.archive({path: Node(stat.S_IFREG | 0o644, data) for path, data in files.items()}))
    assert {path: each.data for path, each in found.items() if stat.S_ISREG(each.mode)} == files
    assert all(path.rpartition("/")[0] in ("", *found) for path in found)
    assert list(found) == sorted(found)


READER = next((name for name in ("bsdtar", "cpio") if shutil.which(name)), None)


@pytest.mark.skipif(READER is None, reason="neither bsdtar nor cpio is installed")
def test_another_reader_agrees(tmp_path: Path) -> None:
    archive = tmp_path / "x.cpio"
    archive.write_bytes(cpio.archive(NODES))
    if READER == "bsdtar":
        listing = process.run(["bsdtar", "-tf", archive]).stdout
    else:
        listing = process.run(["cpio", "-t", "--quiet"], data=archive.read_bytes()).stdout
    assert listing.decode().split() == list(read(archive.read_bytes()))
