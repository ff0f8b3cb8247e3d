# SPDX-License-Identifier: GPL-3.0-or-later
import subprocess
from pathlib import Path

import pytest

from bootproof.build.debfile import regular_files
from bootproof.errors import HostError


@pytest.fixture
def deb(tmp_path: Path) -> Path:
    tree = tmp_path / "tree"
    (tree / "DEBIAN").mkdir(parents=True)
    (tree / "DEBIAN/control").write_text(
        "Package: x\nVersion: 1\nArchitecture: all\nMaintainer: m <m@example.org>\nDescription: x\n"
    )
    (tree / "usr/bin").mkdir(parents=True)
    (tree / "usr/bin/one").write_bytes(b"1" * 300_000)
    (tree / "usr/bin/two").write_bytes(b"2")
    (tree / "usr/bin/link").symlink_to("one")
    subprocess.run(["dpkg-deb", "--build", "--root-owner-group", tree, tmp_path / "x.deb"], check=True)
    return tmp_path / "x.deb"


def test_regular_files_come_with_their_content(deb: Path) -> None:
    found = {path: content.read() for path, content in regular_files(deb)}
    assert found == {"usr/bin/one": b"1" * 300_000, "usr/bin/two": b"2"}


def test_caller_may_stop_early(deb: Path) -> None:
    files = regular_files(deb)
    assert next(files)[0] == "usr/bin/one"
    files.close()  # type: ignore[attr-defined]


@pytest.mark.parametrize("size", [0, 100, 400])
def test_damaged_package_is_one_error_that_names_it(deb: Path, size: int) -> None:
    with deb.open("r+b") as stream:
        stream.truncate(size)
    with pytest.raises(HostError, match=r"x\.deb"):
        list(regular_files(deb))
