# SPDX-License-Identifier: GPL-3.0-or-later
"""Where packages come from: apt's configuration, mirrors with and without security updates."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bootproof.build import archives
from bootproof.build.archives import Archives
from bootproof.errors import BootproofError, HostError

from .mirror import serving

HOST = """\
stable|bookworm|Vendor|https://vendor.example/linux/debian/
main|trixie|Vendor|https://vendor.example/debian/
main|trixie|Debian|http://mirror.example/debian/
main|trixie-updates|Debian|http://mirror.example/debian/
contrib|trixie|Debian|http://other.example/debian/
main|trixie-backports|Debian Backports|http://mirror.example/debian/
main|trixie-security|Debian|http://mirror.example/debian-security/
main|trixie-security|Debian|http://second.example/debian-security/
"""


def test_other_peoples_repositories_are_not_debian() -> None:
    assert dict(archives.parse_index_targets(HOST).bases) == {
        "debian": "http://mirror.example/debian/",
        "debian-security": "http://mirror.example/debian-security/",
    }


def test_without_lists_the_address_decides() -> None:
    listing = "main|trixie||cdrom:[Debian]/debian\nmain|trixie||https://vendor.example/apt/\nmain|trixie||http://mirror.example/debian"
    assert dict(archives.parse_index_targets(listing).bases) == {"debian": "http://mirror.example/debian/"}


def test_with_lists_the_address_may_be_any() -> None:
    listing = "main|trixie|Debian|http://snapshot.example/archive/20250101T000000Z/\n"
    assert dict(archives.parse_index_targets(listing).bases) == {
        "debian": "http://snapshot.example/archive/20250101T000000Z/"
    }


@pytest.mark.parametrize(
    "listing",
    ["", "main", "stable|x|Vendor|http://vendor.example/", "main|noble|Ubuntu|http://u.example/ubuntu/"],
)
def test_no_debian_at_all(listing: str) -> None:
    with pytest.raises(HostError, match="no Debian archive") as caught:
        archives.parse_index_targets(listing)
    assert "--mirror" in caught.value.hint


@given(
    st.text(alphabet=st.characters(codec="utf-8"), max_size=200)
    | st.text("man|-security\n:/debi", max_size=200)
)
def test_any_listing_gives_archives_or_the_documented_error(listing: str) -> None:
    try:
        found = archives.parse_index_targets(listing)
    except HostError:
        return
    assert all(base.endswith("/") for base in found.bases.values())


def test_this_machines_apt_is_understood() -> None:
    assert archives.from_host().bases["debian"].endswith("/")


def test_a_mirror_and_its_neighbour() -> None:
    assert dict(archives.from_mirror("http://m.example/debian").bases) == {
        "debian": "http://m.example/debian/",
        "debian-security": "http://m.example/debian-security/",
    }
    assert dict(archives.from_mirror("file:///srv/mirror/").bases) == {"debian": "file:///srv/mirror/"}


@pytest.mark.parametrize(
    "address", ["mirror.example/debian", "ftp://m.example/debian", "http://m.example/a b", "http://x\ny"]
)
def test_what_is_no_address(address: str) -> None:
    with pytest.raises(BootproofError, match="is no address of a mirror"):
        archives.from_mirror(address)


def test_sources() -> None:
    both = Archives({"debian": "http://m/debian/", "debian-security": "http://m/debian-security/"})
    assert [line.split("] ")[1] for line in both.sources("trixie").splitlines()] == [
        "http://m/debian/ trixie main",
        "http://m/debian/ trixie-updates main",
        "http://m/debian-security/ trixie-security main",
    ]
    assert "security" not in Archives({"debian": "http://m/debian/"}).sources("trixie")
    assert all("signed-by=" in line for line in both.sources("trixie").splitlines())


def test_a_package_belongs_to_the_archive_with_the_longest_fitting_address() -> None:
    found = Archives({"debian": "http://m/", "debian-security": "http://m/debian-security/"})
    assert found.of("http://m/pool/x.deb") == "debian"
    assert found.of("http://m/debian-security/pool/x.deb") == "debian-security"
    with pytest.raises(HostError, match="outside the configured archives"):
        found.of("http://elsewhere/pool/x.deb")


def test_a_mirror_without_security_is_used_with_a_warning(capfd: pytest.CaptureFixture[str]) -> None:
    there = "/debian-security/dists/trixie-security/InRelease"
    with serving(files={there: b""}) as mirror:
        both = archives.from_mirror(mirror.address)
        assert archives.with_what_is_there(both, "trixie") == both
        assert capfd.readouterr().err == ""
        assert set(archives.with_what_is_there(both, "bookworm").bases) == {"debian"}
    said = capfd.readouterr().err
    assert "no security archive for bookworm" in said and "without security updates" in said


def test_a_mirror_that_does_not_answer_is_left_to_apt(capfd: pytest.CaptureFixture[str]) -> None:
    with serving() as mirror:
        address = mirror.address
    both = archives.from_mirror(address)
    assert archives.with_what_is_there(both, "trixie") == both
    assert capfd.readouterr().err == ""


def test_a_mirror_in_a_folder(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    both = archives.from_mirror(f"file://{tmp_path}/debian")
    assert set(archives.with_what_is_there(both, "trixie").bases) == {"debian"}
    assert "no security archive" in capfd.readouterr().err
    release = tmp_path / "debian-security/dists/trixie-security/InRelease"
    release.parent.mkdir(parents=True)
    release.touch()
    assert archives.with_what_is_there(both, "trixie") == both
