# SPDX-License-Identifier: GPL-3.0-or-later
"""The lock file: what is written is read again, and everything else is refused in one line."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bootproof.build import lock as locks
from bootproof.build.lock import Lock, Wanted
from bootproof.errors import BootproofError

from .packages import lock, package

GOOD = lock(package(b"one"), package(b"two", "two", "debian-security"))


def test_round_trip(tmp_path: Path) -> None:
    GOOD.save(tmp_path / "packages.lock")
    assert locks.load(tmp_path / "packages.lock") == GOOD


def test_packages_are_listed_once_and_by_name() -> None:
    assert [str(each) for each in GOOD.packages] == ["one 1.0-1", "two 1.0-1"]


def body(change: Callable[[Any], object]) -> bytes:
    content = json.loads(GOOD.dump())
    change(content)
    return json.dumps(content).encode()


def package_with(key: str, value: object) -> bytes:
    return body(lambda it: it["root"][0].update({key: value}))


BAD = {
    "nothing": b"",
    "no text": b"\xff\xfe\x00",
    "no JSON": b"{",
    "a list": b"[]",
    "too deep": b"[" * 100_000,
    "other format": body(lambda it: it.update(format=99)),
    "no format": body(lambda it: it.pop("format")),
    "no epoch": body(lambda it: it.pop("epoch")),
    "infinite epoch": body(lambda it: it.update(epoch=float("inf"))),
    "negative epoch": body(lambda it: it.update(epoch=-1)),
    "epoch after 2106": body(lambda it: it.update(epoch=2**32)),
    "epoch is true": body(lambda it: it.update(epoch=True)),
    "suite is a number": body(lambda it: it.update(suite=13)),
    "suite with a line end": body(lambda it: it.update(suite="trixie\nX: y")),
    "no inputs": body(lambda it: it.pop("inputs")),
    "no kernel": body(lambda it: it.update(kernel=[])),
    "group is a text": body(lambda it: it.update(root="x")),
    "group is gone": body(lambda it: it.pop("boot")),
    "package is a number": body(lambda it: it.update(root=[1])),
    "package without a version": body(lambda it: it["root"][0].pop("version")),
    "package with more": package_with("more", "x"),
    "name that leaves the folder": package_with("name", "../x"),
    "version is a number": package_with("version", 1),
    "unknown archive": package_with("archive", "elsewhere"),
    "absolute path": package_with("filename", "/etc/passwd"),
    "path that climbs": package_with("filename", "pool/../../x.deb"),
    "path that begins by climbing": package_with("filename", "../x.deb"),
    "path with a blank": package_with("filename", "pool/a b.deb"),
    "size is a text": package_with("size", "3"),
    "size is nothing": package_with("size", 0),
    "short sha256": package_with("sha256", "ab"),
    "sha256 that is a path": package_with("sha256", "../" * 21 + "x"),
    "sha256 with a line end": package_with("sha256", "a" * 64 + "\n"),
}


@pytest.mark.parametrize("raw", BAD.values(), ids=BAD.keys())
def test_a_bad_lock_is_one_line_that_names_the_file_and_a_way_out(tmp_path: Path, raw: bytes) -> None:
    path = tmp_path / "packages.lock"
    path.write_bytes(raw)
    with pytest.raises(BootproofError, match="is not a lock file") as caught:
        locks.load(path)
    assert str(path) in str(caught.value) and "\n" not in str(caught.value)
    assert "remove it" in caught.value.hint


def test_no_lock_and_a_folder_for_a_lock(tmp_path: Path) -> None:
    with pytest.raises(BootproofError, match="there is no lock file"):
        locks.load(tmp_path / "none")
    with pytest.raises(BootproofError, match="cannot read"):
        locks.load(tmp_path)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@given(st.binary(max_size=200) | JSON.map(lambda content: json.dumps(content).encode()))
def test_arbitrary_bytes_are_refused_by_the_documented_error(raw: bytes) -> None:
    with pytest.raises(ValueError):
        locks.parse(raw)


@given(st.sampled_from(sorted(json.loads(GOOD.dump())["root"][0])), st.none() | st.integers() | st.text())
def test_whatever_a_field_holds_a_lock_or_the_documented_error_comes_out(key: str, value: object) -> None:
    try:
        found = locks.parse(package_with(key, value))
    except ValueError:
        return
    assert isinstance(found, Lock)
    assert ".." not in found.root[0].filename.split("/")
    assert set(found.root[0].sha256) <= set("0123456789abcdef")


def test_a_lock_remembers_what_it_answers() -> None:
    digests = {
        Wanted("trixie", "minbase", ("a",), "k").digest,
        Wanted("bookworm", "minbase", ("a",), "k").digest,
        Wanted("trixie", "extract", ("a",), "k").digest,
        Wanted("trixie", "minbase", ("a", "b"), "k").digest,
        Wanted("trixie", "minbase", ("a",), "k2").digest,
    }
    assert len(digests) == 5
