# SPDX-License-Identifier: GPL-3.0-or-later
"""Files that are there as a whole or not at all, and locks."""

from __future__ import annotations

import errno
import hashlib
import os
import threading
import time
from pathlib import Path

import pytest

from bootproof.build import files
from bootproof.errors import HostError


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_write_atomically_makes_folders_and_replaces(tmp_path: Path) -> None:
    target = tmp_path / "new" / "file"
    files.write_atomically(target, "one")
    files.write_atomically(target, b"two")
    assert target.read_bytes() == b"two"
    assert target.stat().st_mode & 0o777 == 0o644
    assert names(target.parent) == ["file"]


def test_write_atomically_keeps_the_old_file_when_the_disk_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = tmp_path / "file"
    target.write_text("old")
    monkeypatch.setattr(os, "fsync", lambda _: (_ for _ in ()).throw(OSError(errno.EIO, "I/O error")))
    with pytest.raises(OSError, match="I/O error"):
        files.write_atomically(target, "new")
    assert target.read_text() == "old"
    assert names(tmp_path) == ["file"]


def test_place_links_and_replaces_and_copies_where_it_cannot_link(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source, target = tmp_path / "source", tmp_path / "folder" / "target"
    source.write_text("content")
    files.place(source, target)
    files.place(source, target)  # the same file again
    assert target.samefile(source)

    def no_links(*_: object) -> None:
        raise OSError(errno.EXDEV, "another disk")

    monkeypatch.setattr(os, "link", no_links)
    files.place(source, target)
    assert target.read_text() == "content" and not target.samefile(source)
    assert names(target.parent) == ["target"]


def test_what_a_killed_process_left_beside_a_file_goes_away(tmp_path: Path) -> None:
    (tmp_path / ".file.new").write_text("half")
    files.write_atomically(tmp_path / "file", "whole")
    assert names(tmp_path) == ["file"]


def test_sha256_and_canonical(tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(b"abc" * 1_000_000)
    assert files.sha256_of(tmp_path / "x") == hashlib.sha256(b"abc" * 1_000_000).hexdigest()
    assert files.canonical({"b": [1, "é"], "a": None}) == '{"a":null,"b":[1,"é"]}'


def test_a_lock_has_one_holder_at_a_time_and_leaves_no_file(tmp_path: Path) -> None:
    inside = 0
    most = 0

    def work() -> None:
        nonlocal inside, most
        for _ in range(50):
            with files.locked(tmp_path / "lock"):
                inside += 1
                most = max(most, inside)
                time.sleep(0)
                inside -= 1

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert most == 1
    assert names(tmp_path) == []


def test_remove_unlocked_spares_what_is_locked(tmp_path: Path) -> None:
    left, lock = tmp_path / "left", tmp_path / "lock"
    left.mkdir()
    with files.locked(lock):
        files.remove_unlocked(left, lock)
        assert left.exists()
    files.remove_unlocked(left, lock)
    assert names(tmp_path) == []


@pytest.mark.parametrize(
    ("number", "said"),
    [
        (errno.ENOSPC, "no space left on the disk of"),
        (errno.EDQUOT, "no space left on the disk of"),
        (errno.EACCES, "cannot use"),
        (errno.EROFS, "cannot use"),
        (errno.ENOTDIR, "Not a directory"),
        (errno.EIO, "Input/output error"),
    ],
)
def test_disk_errors_say_what_and_where_in_one_line(number: int, said: str) -> None:
    with pytest.raises(HostError, match=said) as caught, files.disk_errors(Path("/where")):
        raise OSError(number, os.strerror(number))
    assert "/where" in str(caught.value) and "\n" not in str(caught.value) and caught.value.hint


def test_disk_errors_name_the_file_if_it_is_known() -> None:
    with pytest.raises(HostError, match="/there"), files.disk_errors(Path("/where")):
        raise PermissionError(errno.EACCES, "Permission denied", "/there")
