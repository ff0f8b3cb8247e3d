# SPDX-License-Identifier: GPL-3.0-or-later
"""The readers of cpio archives and pseudo files on anything at all, and the comparison of listings."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bootproof.build import cpio
from bootproof.errors import BootproofError
from bootproof.reproduce import newc, squash
from bootproof.reproduce.difference import Item, compare, first_difference, lines
from tests.reproduce.parts import NODES

PSEUDO = (
    b"/ D 1795352332 755 0 0\na R 1795352332 644 0 0 3 0\nbig\\ one R 1 4755 5 6 2 3 0\nhard L a\n"
    b"l S 1 777 0 0 a b\n"
    b"tty C 7 620 0 5 4 1\n#\n# START OF DATA - DO NOT MODIFY\n#\nhi\nXY"
)


def test_pseudo_file() -> None:
    items = squash.read_pseudo(io.BytesIO(PSEUDO))
    assert list(items) == ["/", "/a", "/big one", "/hard", "/l", "/tty"]
    assert items["/a"].content.startswith("3 bytes, sha256 98ea6e4f216f2fb4b69fff9b3a44842c")
    assert items["/big one"] == Item("file", 0o4755, "5:6", 1, items["/big one"].content)
    assert items["/hard"] == Item("hard link", content="/a")
    assert items["/tty"] == Item("character device", 0o620, "0:5", 7, "4:1")


@pytest.mark.parametrize("length", range(len(PSEUDO)))
def test_a_pseudo_file_cut_short_is_an_error(length: int) -> None:
    with pytest.raises(BootproofError, match="what unsquashfs wrote"):
        squash.read_pseudo(io.BytesIO(PSEUDO[:length]))


@pytest.mark.parametrize(
    "line", [b"a X 1 644 0 0\n", b"a R 1 644 0 0\n", b"a R 1 999 0 0 1 0\n", b"nothing\n", b"\n"]
)
def test_a_line_that_is_no_definition(line: bytes) -> None:
    with pytest.raises(BootproofError, match="definition"):
        squash.read_pseudo(io.BytesIO(line + PSEUDO))


@pytest.mark.parametrize("span", [b"3 1", b"-1 0"])
def test_data_that_is_not_where_it_should_be(span: bytes) -> None:
    with pytest.raises(BootproofError, match="has /a at"):
        squash.read_pseudo(io.BytesIO(PSEUDO.replace(b" 3 0\nbig", b" " + span + b"\nbig")))


@given(st.one_of(st.binary(), st.binary().map(lambda data: PSEUDO + data)))
def test_any_pseudo_file(data: bytes) -> None:
    _ends(lambda: squash.read_pseudo(io.BytesIO(data)))


@given(st.data())
def test_a_damaged_pseudo_file(data: st.DataObject) -> None:
    _ends(lambda: squash.read_pseudo(io.BytesIO(_damaged(data, PSEUDO))))


@given(st.binary())
def test_any_archive(data: bytes) -> None:
    _ends(lambda: newc.listing(data))


@given(st.data())
def test_a_damaged_archive(data: st.DataObject) -> None:
    _ends(lambda: newc.listing(_damaged(data, cpio.archive(NODES))))


@given(st.binary(max_size=200))
def test_any_superblock(data: bytes) -> None:
    _ends(lambda: squash.superblock(data))


def _damaged(data: st.DataObject, good: bytes) -> bytes:
    at = data.draw(st.integers(0, len(good)))
    return good[:at] + data.draw(st.binary(max_size=9)) + good[data.draw(st.integers(at, len(good))) :]


def _ends(read: Callable[[], object]) -> None:
    with contextlib.suppress(BootproofError):
        read()


def test_archive() -> None:
    items = newc.listing(cpio.archive(NODES))
    assert list(items) == ["bin", "bin/sh", "dev", "dev/null", "init", "lib", "lib/a.ko"]
    assert items["init"].mode == 0o755
    assert items["bin/sh"] == Item("symlink", 0o777, content="busybox")
    assert items["dev/null"] == Item("character device", 0o666, content="1:3")


def test_an_archive_with_a_name_twice() -> None:
    one = cpio.archive({"a": cpio.regular(b"")})
    with pytest.raises(BootproofError, match="'a' twice"):
        newc.listing(one[:112] + one)


def test_every_property_of_a_listing() -> None:
    item = Item("file", 0o644, "0:0", 5, "x")
    others = [
        Item("fifo", 0o644, "0:0", 5, "x"),
        Item("file", 0o640, "0:0", 5, "x"), Item("file", 0o644, "1:0", 5, "x"),
        Item("file", 0o644, "0:0", 6, "x"),
        Item("file", 0o644, "0:0", 5, "y"),
    ]  # fmt: skip
    found = [compare("here", {"a": item}, {"a": other}) for other in others]
    assert [each.what for [each] in found] == ["kind", "mode", "owner", "mtime", "content"]
    assert str(found[1][0]) == "here: a: mode (0644, then 0640)"


@given(st.binary(), st.binary(), st.binary())
def test_first_difference(common: bytes, first: bytes, second: bytes) -> None:
    at = first_difference(common + first, common + second)
    pairs = zip(common + first, common + second, strict=False)
    shorter = min(len(first), len(second)) + len(common)
    assert at == next((number for number, (one, other) in enumerate(pairs) if one != other), shorter)


def test_long_diffs_are_cut() -> None:
    text = lines("", "\n".join(map(str, range(100))))
    assert text.endswith("+11\n… and 88 lines more")
    assert lines("a\n", "a") == "line ends"
