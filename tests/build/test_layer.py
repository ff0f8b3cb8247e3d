# SPDX-License-Identifier: GPL-3.0-or-later
"""Trees joined into a layer, and what unsquashfs(1) says of it."""

from __future__ import annotations

import hashlib
import io
import json
import os
import random
import re
import tarfile
from collections.abc import Iterable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bootproof import process
from bootproof.build import layer, verity
from bootproof.build.layer import Entry, Exclusion
from bootproof.errors import HostError

EPOCH = 1_600_000_000
Row = tuple[str, dict[str, object], bytes]


def folder(path: str, **fields: object) -> Row:
    return f".{path}", {"type": tarfile.DIRTYPE, "mode": 0o755, **fields}, b""


def file(path: str, data: bytes = b"", **fields: object) -> Row:
    return f".{path}", {"mode": 0o644, **fields}, data


def link(path: str, target: str, kind: bytes = tarfile.LNKTYPE) -> Row:
    return f".{path}", {"type": kind, "linkname": target}, b""


def tree(path: Path, rows: Iterable[Row]) -> Path:
    with tarfile.open(path, "w", format=tarfile.PAX_FORMAT) as archive:
        for name, fields, data in rows:
            info = tarfile.TarInfo(name)
            info.size, info.mtime = len(data), EPOCH + 1000
            for key, value in fields.items():
                setattr(info, key, value)
            archive.addfile(info, io.BytesIO(data))
    return path


def join(
    trees: Iterable[Path], exclude: Iterable[str] = ()
) -> tuple[list[Entry], dict[str, tarfile.TarInfo]]:
    target = io.BytesIO()
    entries = layer.join(list(trees), target, exclude=list(exclude), epoch=EPOCH)
    target.seek(0)
    with tarfile.open(fileobj=target) as archive:
        return entries, {member.name.removeprefix("."): member for member in archive}


def test_owner_mode_and_kind_are_kept_and_times_clamped(tmp_path: Path) -> None:
    rows = [
        folder("/etc"),
        file("/etc/shadow", b"secret", mode=0o640, gid=42),
        file("/usr-bin", b"x", mode=0o4755),
        file("/old", b"", mtime=5),
        link("/link", "etc/shadow", tarfile.SYMTYPE),
        ("./node", {"type": tarfile.CHRTYPE, "devmajor": 5, "devminor": 1, "mode": 0o600}, b""),
    ]
    entries, members = join([tree(tmp_path / "a.tar", rows)])
    shadow = members["/etc/shadow"]
    assert (shadow.mode, shadow.uid, shadow.gid, shadow.mtime) == (0o640, 0, 42, EPOCH)
    assert members["/usr-bin"].mode == 0o4755
    assert members["/old"].mtime == 5
    assert (members["/link"].type, members["/link"].linkname) == (tarfile.SYMTYPE, "etc/shadow")
    assert (members["/node"].devmajor, members["/node"].devminor) == (5, 1)
    assert entries[0] == Entry("/etc/shadow", 6, hashlib.sha256(b"secret").hexdigest())
    assert [entry.path for entry in entries] == ["/etc/shadow", "/usr-bin", "/old"]


def test_what_is_excluded_goes_with_everything_below(tmp_path: Path) -> None:
    rows = [
        folder("/usr"),
        folder("/usr/doc"),
        folder("/usr/doc/x"),
        file("/usr/doc/x/y"),
        file("/usr/docs"),
    ]
    _, members = join([tree(tmp_path / "a.tar", rows)], ["/usr/doc"])
    assert {"/usr", "/usr/docs"} <= members.keys()
    assert not any(path.startswith("/usr/doc/") or path == "/usr/doc" for path in members)


def test_mount_points_are_there_once_with_their_modes(tmp_path: Path) -> None:
    _, members = join([tree(tmp_path / "a.tar", [folder("/root", mode=0o700), folder("/var")])], ["/tmp/*"])
    assert set(layer.MOUNT_POINTS) <= members.keys()
    assert members["/tmp"].mode == members["/var/tmp"].mode == 0o1777
    assert members["/root"].mode == 0o700
    assert all(members[path].isdir() for path in layer.MOUNT_POINTS)


def test_hard_links(tmp_path: Path) -> None:
    rows = [file("/a", b"data"), link("/b", "./a")]
    entries, members = join([tree(tmp_path / "a.tar", rows)])
    assert members["/b"].islnk()
    assert {entry.path: entry.sha256 for entry in entries}["/b"] == hashlib.sha256(b"data").hexdigest()
    with pytest.raises(HostError, match=r"/b is a hard link to ./a, which is left out"):
        join([tmp_path / "a.tar"], ["/a"])
    with pytest.raises(HostError, match="no regular file"):
        join([tree(tmp_path / "b.tar", [link("/a", "x", tarfile.SYMTYPE), link("/b", "./a")])])


def test_later_trees_add_to_folders_but_replace_nothing(tmp_path: Path) -> None:
    first = tree(tmp_path / "1.tar", [folder("/usr", mode=0o711), file("/usr/a")])
    second = tree(tmp_path / "2.tar", [folder("/usr"), file("/usr/b")])
    _, members = join([first, second])
    assert members["/usr"].mode == 0o711 and {"/usr/a", "/usr/b"} <= members.keys()
    for rows in ([file("/usr/a")], [folder("/usr/a")], [file("/usr")]):
        with pytest.raises(HostError, match="two parts of a layer have the same file /usr"):
            join([first, tree(tmp_path / "3.tar", rows)])


@pytest.mark.parametrize(
    ("glob", "path", "matches"),
    [
        ("/a/*", "/a/b", True),
        ("/a/*", "/a", False),
        ("/a/*", "/a/b/c", True),  # below what matches
        ("/a/*/c", "/a/b/c", True),
        ("/a/*/c", "/a/b/x/c", False),
        ("/a?b", "/a/b", False),
        ("/a?b", "/axb", True),
        ("/a[!x]b", "/a/b", False),
        ("/a[!x]b", "/ayb", True),
        ("/a[x-z]b", "/ayb", True),
        ("/a[z-x]b", "/ayb", False),
        ("/a.b", "/axb", False),
        ("/*-", "/passwd-", True),
        ("/*a*b*", "/xaxbx", True),
        ("/*a*b*", "/xaxcx", False),
        ("/[", "/[", True),
        ("/$^(", "/$^(", True),
        ("/a", "/a\n", False),
    ],
)
def test_globs(glob: str, path: str, matches: bool) -> None:
    assert Exclusion(["/never", glob]).matches(path) is matches


def test_nothing_is_excluded_by_no_globs() -> None:
    assert not Exclusion([]).matches("/")
    assert not Exclusion([]).matches("/a")


@given(
    st.lists(st.text(alphabet="/ab*?[]!-^\\.x", max_size=12), max_size=4),
    st.text(alphabet="/ab-^\\.x", max_size=12),
)
def test_any_glob_is_a_pattern_and_wildcards_stay_within_a_folder(globs: list[str], path: str) -> None:
    Exclusion(globs).matches(f"/{path}")
    for glob in globs:
        pattern = re.compile(layer._translate(glob))
        assert not pattern.fullmatch(f"{path}/") or "/" in glob


def build(folder: Path, trees: list[Path], exclude: tuple[str, ...] = ()) -> list[str]:
    folder.mkdir()
    return layer.build(folder, trees=trees, exclude=exclude, compression="zstd", level=1, epoch=EPOCH)


def test_round_trip_through_squashfs(tmp_path: Path) -> None:
    rows = [
        folder("/etc"),
            file("/etc/shadow", random.Random(1).randbytes(20000), mode=0o640, gid=42),
            file("/su", b"x", mode=0o4755, uid=7),
        link("/hard", "./su"), link("/soft", "su", tarfile.SYMTYPE),
    ]  # fmt: skip
    tree(tmp_path / "a.tar", rows)
    build(tmp_path / "one", [tmp_path / "a.tar"])
    build(tmp_path / "two", [tmp_path / "a.tar"])
    image = tmp_path / "one" / "layer.img"
    assert image.read_bytes() == (tmp_path / "two" / "layer.img").read_bytes()
    listing = process.run(["unsquashfs", "-lln", image]).stdout.decode()
    rows_found = {
        line.split()[-1]: line.split()[:3] for line in listing.splitlines() if " squashfs-root" in line
    }
    assert rows_found["squashfs-root/etc/shadow"] == ["-rw-r-----", "0/42", "20000"]
    assert rows_found["squashfs-root/su"] == ["-rwsr-xr-x", "7/0", "1"]
    assert rows_found["squashfs-root"][:2] == ["drwxr-xr-x", "0/0"]
    assert "squashfs-root/soft -> su" in listing
    assert "2020-09-13 12:26" in listing and "2020-09-13 12:43" not in listing
    cat = process.run(["unsquashfs", "-cat", image, "hard"]).stdout
    assert cat == b"x"
    files = {row["path"]: row for row in json.loads((tmp_path / "one" / "files.json").read_text())}
    assert files["/hard"]["sha256"] == hashlib.sha256(b"x").hexdigest()
    opened = verity.load(tmp_path / "one" / "verity.json")
    assert image.stat().st_size > opened.blocks * verity.BLOCK
    assert sorted(path.name for path in (tmp_path / "one").iterdir()) == [
        "files.json",
        "layer.img",
        "verity.json",
    ]


def test_mksquashfs_that_fails_says_so(tmp_path: Path) -> None:
    tree(tmp_path / "a.tar", [file(f"/{number}", bytes([number]) * 100_000) for number in range(50)])
    target = tmp_path / "out"
    target.mkdir()
    with pytest.raises(HostError, match="mksquashfs ended with status") as caught:
        layer.build(
            target, trees=[tmp_path / "a.tar"], exclude=(), compression="zstd", level=99, epoch=EPOCH
        )
    assert "the command: mksquashfs" in caught.value.hint


def test_the_command() -> None:
    command = layer.mksquashfs_command(Path("x"), compression="xz", level=None)
    assert command[:4] == ["mksquashfs", "-", "x", "-tar"]
    assert command[-2:] == ["-comp", "xz"]
    assert layer.mksquashfs_command(Path("x"), compression="zstd", level=3)[-2:] == [
        "-Xcompression-level",
        "3",
    ]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can mount a small disk")
def test_a_disk_that_gets_full_while_a_layer_is_written(tmp_path: Path) -> None:
    noise = random.Random(2)
    tree(tmp_path / "a.tar", [file(f"/{number}", noise.randbytes(1 << 20)) for number in range(8)])
    target = tmp_path / "out"
    target.mkdir()
    process.run(["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", target])
    try:
        with pytest.raises(HostError, match="No space left on device"):
            layer.build(
                target, trees=[tmp_path / "a.tar"], exclude=(), compression="zstd", level=1, epoch=EPOCH
            )
    finally:
        process.run(["umount", target])
