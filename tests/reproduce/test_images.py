# SPDX-License-Identifier: GPL-3.0-or-later
"""Pairs of real ISOs that differ in one known thing: it is named, and nothing else is made up."""

from __future__ import annotations

import tarfile
from pathlib import Path

import pytest

from bootproof import process
from bootproof.build import cpio
from bootproof.errors import BootproofError
from bootproof.reproduce.difference import Difference
from bootproof.reproduce.images import compare_images
from tests.reproduce.parts import EPOCH, NODES, TREE, File, changed, image, squashfs

MENU = b"set timeout=3\nmenuentry one\n"
BASE, INITRD, CONFIG = "/live/base.img", "/live/initrd.img", "/boot/grub/grub.cfg"


def pair(folder: Path, first: dict[str, bytes], second: dict[str, bytes]) -> list[Difference]:
    return compare_images(image(folder / "first", first), image(folder / "the second", second))


def layers(folder: Path, first: bytes, second: bytes) -> list[Difference]:
    """Return what is found inside of two layers."""
    found = pair(folder, {BASE: first, CONFIG: MENU}, {BASE: second, CONFIG: MENU})
    assert (found[0].where, found[0].name, found[0].what) == ("ISO", BASE, "content")
    return [difference for difference in found if difference.where == BASE]


def initrds(folder: Path, first: bytes, second: bytes) -> list[Difference]:
    found = pair(folder, {INITRD: first}, {INITRD: second})
    return [difference for difference in found if difference.where == INITRD]


def brief(found: list[Difference]) -> list[tuple[str, str]]:
    return [(difference.name, difference.what) for difference in found]


def test_equal_images(tmp_path: Path) -> None:
    files = {CONFIG: MENU, BASE: squashfs(tmp_path / "a", TREE).read_bytes(), INITRD: cpio.archive(NODES)}
    assert pair(tmp_path, files, files) == []


@pytest.mark.parametrize(
    ("name", "what", "tree", "detail"),
    [
        ("/etc/motd", "content", changed("etc/motd", data=b"other\n"), "6 bytes, sha256"),
        ("/etc/motd with space", "content", changed("etc/motd with space", data=b""), "0 bytes"),
        ("/etc/shadow", "mode", changed("etc/shadow", mode=0o600), "0640, then 0600"),
        ("/etc/shadow", "owner", changed("etc/shadow", uid=7), "0:0, then 7:0"),
        ("/etc", "mtime", changed("etc", mtime=EPOCH - 1), "22:13:20+00:00, then 2023-11-14T22:13:19"),
        ("/sbin", "content", changed("sbin", link="bin"), "etc, then bin"),
        ("/tty", "kind", changed("tty", type=tarfile.BLKTYPE), "character device, then block device"),
        ("/new", "presence", TREE | {"new": File()}, "only in the second: file"),
    ],
)
def test_a_file_of_a_layer(tmp_path: Path, name: str, what: str, tree: dict[str, File], detail: str) -> None:
    first = squashfs(tmp_path / "a", TREE).read_bytes()
    found = layers(tmp_path, first, squashfs(tmp_path / "b", tree).read_bytes())
    named = [difference for difference in found if difference.name]
    assert brief(named) == [(name, what)]
    assert detail in named[0].detail


def test_a_file_missing_in_the_second_layer(tmp_path: Path) -> None:
    less = {name: file for name, file in TREE.items() if name != "tty"}
    first = squashfs(tmp_path / "a", TREE).read_bytes()
    found = layers(tmp_path, first, squashfs(tmp_path / "b", less).read_bytes())
    assert ("/tty", "presence") in brief(found)
    assert "only in the first" in found[0].detail


def test_a_layer_made_at_another_time(tmp_path: Path) -> None:
    first = bytearray(squashfs(tmp_path / "a", TREE).read_bytes())
    second = bytearray(first)
    second[8] ^= 1
    assert brief(layers(tmp_path, bytes(first), bytes(second))) == [("", "superblock, made")]


def test_a_layer_packed_in_another_order(tmp_path: Path) -> None:
    """Two files of one size change places in the image, their entries stay."""
    tree = {"a": File(bytes(range(256)) * 600), "b": File(bytes(range(255, -1, -1)) * 600)}
    first = squashfs(tmp_path / "a", tree, "-noI", "-noD", "-noF", "-no-fragments")
    swapped = dict(reversed(tree.items()))
    second = squashfs(tmp_path / "b", swapped, "-noI", "-noD", "-noF", "-no-fragments")
    found = layers(tmp_path, first.read_bytes(), second.read_bytes())
    assert brief(found) == [("", "storage")]


def test_what_follows_a_layer(tmp_path: Path) -> None:
    first = squashfs(tmp_path / "a", TREE).read_bytes()
    found = layers(tmp_path, first + bytes(4096), first + bytes(4095) + b"\1")
    assert brief(found) == [("", "hash tree or padding")]
    assert str(len(first) + 4095) in found[0].detail


@pytest.mark.parametrize(
    ("name", "what", "nodes"),
    [
        ("init", "content", NODES | {"init": cpio.regular(b"#!/bin/ash\n", 0o755)}),
        ("init", "mode", NODES | {"init": cpio.regular(b"#!/bin/sh\n", 0o700)}),
        ("bin/sh", "content", NODES | {"bin/sh": cpio.symlink("dash")}),
        ("dev/null", "content", NODES | {"dev/null": cpio.character_device(1, 5, 0o666)}),
        ("lib/b.ko", "presence", NODES | {"lib/b.ko": cpio.regular(b"")}),
    ],
)
def test_a_file_of_the_initrd(tmp_path: Path, name: str, what: str, nodes: dict[str, cpio.Node]) -> None:
    found = initrds(tmp_path, zstd(cpio.archive(NODES)), zstd(cpio.archive(nodes)))
    assert brief(found) == [(name, what)]


def test_the_order_of_the_initrd(tmp_path: Path) -> None:
    """The archive's two first entries are of equal length, so they can change places."""
    nodes = {"a": cpio.regular(b"1234"), "b": cpio.regular(b"5678")}
    first = cpio.archive(nodes)
    size = 112 + 4
    second = first[size : 2 * size] + first[:size] + first[2 * size :]
    assert brief(initrds(tmp_path, first, second)) == [("a", "order")]


def test_the_padding_and_the_packing_of_the_initrd(tmp_path: Path) -> None:
    raw = cpio.archive(NODES)
    assert brief(initrds(tmp_path / "1", raw, raw + bytes(512))) == [("", "storage")]
    assert brief(initrds(tmp_path / "2", zstd(raw), zstd(raw, "-1"))) == [("", "storage")]


def zstd(data: bytes, level: str = "-19") -> bytes:
    return process.run(["zstd", level, "--stdout", "--quiet"], data=data).stdout


def test_the_menu_line_by_line(tmp_path: Path) -> None:
    found = pair(tmp_path, {CONFIG: MENU}, {CONFIG: MENU.replace(b"one", b"two")})
    assert brief(found) == [(CONFIG, "content"), ("", "lines")]
    assert found[1].detail.split("\n") == ["", "-menuentry one", "+menuentry two", ""]


def test_a_binary_by_its_first_byte(tmp_path: Path) -> None:
    found = pair(tmp_path, {"/live/x": b"\xff\xfe\xfd"}, {"/live/x": b"\xff\xfe\xfc"})
    assert found[1] == Difference("/live/x", "", "bytes", "first at byte 2")


def test_label_and_date_outside_of_files(tmp_path: Path) -> None:
    first = image(tmp_path / "1", {CONFIG: MENU})
    [label] = compare_images(first, image(tmp_path / "2", {CONFIG: MENU}, label="TEST2"))
    assert label.name == "primary volume descriptor in sector 16"
    assert label.detail == "first at byte 32812 of the ISO: volume identifier"
    dated = compare_images(first, image(tmp_path / "3", {CONFIG: MENU}, epoch=EPOCH + 1))
    assert (CONFIG, "mtime") in brief(dated)
    assert ("directory /boot/grub", "content") in brief(dated)


@pytest.mark.parametrize(
    ("offset", "area"),
    [
        (0, "boot sector"),
        (600, "system area"),
        (32768 + 813, "primary volume descriptor in sector 16"),
        (-1, "space after"),
    ],
)
def test_every_byte_outside_of_files_counts(tmp_path: Path, offset: int, area: str) -> None:
    first = image(tmp_path / "1", {CONFIG: MENU})
    data = bytearray(first.read_bytes())
    data[offset] ^= 1
    second = tmp_path / "2.iso"
    second.write_bytes(data)
    [found] = compare_images(first, second)
    assert found.name.startswith(area)
    assert f"byte {offset % len(data)} " in found.detail


def test_no_byte_is_overlooked(tmp_path: Path) -> None:
    """Whatever single byte differs, something is found."""
    first = image(tmp_path / "1", {CONFIG: MENU, "/live/x": b"\xffdata"})
    data = first.read_bytes()
    second = tmp_path / "2.iso"
    for offset in (*range(0, 32768, 1999), 33000, *range(43008, len(data), 3001)):
        second.write_bytes(data[:offset] + bytes([data[offset] ^ 0x20]) + data[offset + 1 :])
        try:
            found = compare_images(first, second)
        except BootproofError:
            continue  # no ISO any more
        assert found, offset


def test_what_is_no_iso(tmp_path: Path) -> None:
    (tmp_path / "x.iso").write_bytes(bytes(100_000))
    with pytest.raises(BootproofError, match="cannot be read as an ISO"):
        compare_images(tmp_path / "x.iso", tmp_path / "x.iso")
