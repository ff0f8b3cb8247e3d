# SPDX-License-Identifier: GPL-3.0-or-later
"""The repository of exactly the locked packages, as apt sees it."""

from __future__ import annotations

import dataclasses
import shutil
from pathlib import Path

import pytest
from debian.deb822 import Deb822, Release

from bootproof.build import repository, tree
from bootproof.build.debs import DebStore
from bootproof.build.files import sha256_of
from bootproof.build.resolve import PrivateApt
from bootproof.errors import HostError

from .packages import lock, package, real_deb


def test_apt_finds_the_package_and_nothing_else(tmp_path: Path) -> None:
    deb = real_deb(tmp_path, "one", {"usr/share/x": b"x"})
    row = dataclasses.replace(package(deb.read_bytes()), sha256=sha256_of(deb))
    store = DebStore(tmp_path / "debs")
    store.folder.mkdir()
    shutil.copyfile(deb, store.path(row))
    repo = tmp_path / "repo"
    repository.write(repo, [row], store, lock(row))
    stanza = Deb822((repo / "Packages").read_text())
    assert (stanza["Package"], stanza["SHA256"], stanza["Size"]) == ("one", row.sha256, str(row.size))
    assert (repo / stanza["Filename"]).read_bytes() == deb.read_bytes()
    release = Release((repo / "Release").read_text())
    assert release["Codename"] == "trixie" and release["Date"] == "Tue, 14 Nov 2023 22:13:20 GMT"
    assert release["SHA256"][0]["sha256"] == sha256_of(repo / "Packages")
    apt = PrivateApt(tmp_path / "apt")
    apt.update(f"deb [trusted=yes] copy://{repo} ./\n")
    assert apt.show(["one"])[0]["SHA256"] == row.sha256
    assert apt.closure(["one"]) == ["one"]


def test_a_damaged_package_does_not_get_in(tmp_path: Path) -> None:
    row = package(b"sound")
    store = DebStore(tmp_path)
    store.path(row).write_bytes(b"wrong")
    with pytest.raises(HostError, match="damaged and has been removed"):
        repository.write(tmp_path / "repo", [row], store, lock(row))


def test_mmdebstraps_command() -> None:
    command = tree.mmdebstrap_command(
        suite="trixie",
        variant="extract",
        install=["a", "b"],
        repo=Path("/r"),
        target=Path("/t.tar"),
        root=False,
    )
    assert command[0] == "mmdebstrap" and {"--mode=unshare", "--variant=extract", "--include=a,b"} <= set(
        command
    )
    assert command[-3:] == ["trixie", "/t.tar", "deb [trusted=yes] copy:///r ./"]
    book = tree.mmdebstrap_command(
        suite="bookworm", variant="minbase", install=[], repo=Path("/r"), target=Path("/t"), root=True
    )
    assert "--mode=root" in book and any("merged-usr" in word for word in book)
    assert not any(word.startswith("--include") for word in book)
