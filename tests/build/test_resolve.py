# SPDX-License-Identifier: GPL-3.0-or-later
"""What apt is asked, and what its answers mean; apt itself is real where it needs no network."""

from __future__ import annotations

from pathlib import Path

import pytest

from bootproof.build import resolve
from bootproof.build.lock import Wanted
from bootproof.build.resolve import PrivateApt
from bootproof.errors import BootproofError, HostError


def test_the_request() -> None:
    def request(suite: str, variant: str) -> list[str]:
        return resolve.root_request(Wanted(suite, variant, ("systemd-sysv",), "linux-image-amd64"))

    assert request("trixie", "extract") == ["systemd-sysv"]
    assert request("trixie", "minbase")[0] == "?essential"
    assert "usrmerge-" in request("bookworm", "minbase")
    assert "usrmerge-" not in request("bookworm", "extract") + request("trixie", "minbase")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            "E: Unable to locate package nano2\nE: Unable to locate package abc",
            "unknown packages: abc, nano2",
        ),
        ("E: Package 'x' has no installation candidate", "unknown packages: x"),
        ("E: Package x has no installation candidate", "unknown packages: x"),
        (
            "Reading package lists...\n a : Depends: b\nE: Unmet dependencies.",
            "cannot resolve the packages: a : Depends: b",
        ),
    ],
)
def test_what_apt_says_becomes_one_line(text: str, said: str) -> None:
    error = resolve._unresolved(text)
    assert said in str(error) and "\n" not in str(error)


def test_apt_sees_nothing_of_the_host(tmp_path: Path) -> None:
    apt = PrivateApt(tmp_path / "apt")
    (tmp_path / "apt" / "sources.list").write_text("")
    with pytest.raises(BootproofError, match="bash"):
        apt.show(["bash"])
    with pytest.raises(BootproofError, match="bash"):
        apt.closure(["bash"])


def test_the_newest_release_file_gives_the_epoch(tmp_path: Path) -> None:
    apt = PrivateApt(tmp_path)
    for name, date in (
        ("a_InRelease", "Sat, 09 Aug 2025 08:15:00 UTC"),
        ("b_Release", "Sun, 10 Aug 2025 08:15:00 UTC"),
    ):
        (tmp_path / "lists" / name).write_text(f"Origin: Debian\nDate: {date}\n")
    assert apt.newest_release() == 1754813700


def test_release_files_without_a_date(tmp_path: Path) -> None:
    with pytest.raises(HostError, match="have no dates"):
        PrivateApt(tmp_path).newest_release()
