# SPDX-License-Identifier: GPL-3.0-or-later
"""Compares two ISOs down to the files inside of their layers and initrd."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path

from bootproof import process
from bootproof.reproduce import medium, newc, squash
from bootproof.reproduce.difference import Difference, compare, first_difference, lines
from bootproof.reproduce.medium import Medium, Span

_ZSTD = b"\x28\xb5\x2f\xfd"
_TEXT_LIMIT = 1 << 16
_OUTSIDE = "outside of any file"


def compare_images(first: Path, second: Path) -> list[Difference]:
    """Return every difference between two ISOs; none exactly if they are equal byte for byte.

    Files come first, each followed by what differs inside of it, then what lies outside of files,
    which often only follows from the sizes of those.
    """
    one, other = medium.read(first), medium.read(second)
    found = []
    for difference in compare("ISO", one.items, other.items):
        found.append(difference)
        if difference.what == "content" and difference.name in one.files and difference.name in other.files:
            found += _inside(difference.name, one, other)
    return found + _outside(one, other)


def _inside(name: str, one: Medium, other: Medium) -> list[Difference]:
    """Return what differs inside a file that both ISOs have, if its format has an inside."""
    spans = one.files[name], other.files[name]
    heads = [side.read(Span(span.offset, 96)) for side, span in zip((one, other), spans, strict=True)]
    if all(head.startswith(squash.MAGIC) for head in heads):
        return _layers(name, one, other, heads)
    if all(head.startswith((_ZSTD, b"070701")) for head in heads):
        return _initrds(name, one.read(spans[0]), other.read(spans[1]))
    if max(span.size for span in spans) <= _TEXT_LIMIT:
        return _plain(name, one.read(spans[0]), other.read(spans[1]))
    return []


def _layers(name: str, one: Medium, other: Medium, heads: list[bytes]) -> list[Difference]:
    offsets = one.files[name].offset, other.files[name].offset
    found = compare(name, squash.listing(one.path, offsets[0]), squash.listing(other.path, offsets[1]))
    blocks = [squash.superblock(head) for head in heads]
    for field in fields(squash.Superblock):
        values = [getattr(block, field.name) for block in blocks]
        if values[0] != values[1]:
            found.append(Difference(name, "", f"superblock, {field.name}", f"{values[0]}, then {values[1]}"))
    return found or [_layer_bytes(name, one, other, blocks[0].length)]


def _layer_bytes(name: str, one: Medium, other: Medium, length: int) -> Difference:
    """Return the difference of two layers whose files and superblocks tell of none."""
    at = first_difference(one.read(one.files[name]), other.read(other.files[name]))
    if at < length:
        return Difference(
            name, "", "storage", f"the same files, compressed or laid out differently from byte {at} on"
        )
    return Difference(name, "", "hash tree or padding", f"the same squashfs; behind it byte {at} differs")


def _initrds(name: str, first: bytes, second: bytes) -> list[Difference]:
    archives = [_unpacked(data) for data in (first, second)]
    if archives[0] == archives[1]:
        at = first_difference(first, second)
        return [
            Difference(name, "", "storage", f"the same archive, compressed differently from byte {at} on")
        ]
    found = compare(name, newc.listing(archives[0]), newc.listing(archives[1]))
    at = first_difference(*archives)
    return found or [
        Difference(
            name,
            "",
            "storage",
            f"the same files; other header fields or padding at byte {at} of the archive",
        )
    ]


def _unpacked(data: bytes) -> bytes:
    return process.run(["zstd", "-dc", "--quiet"], data=data).stdout if data.startswith(_ZSTD) else data


def _plain(name: str, first: bytes, second: bytes) -> list[Difference]:
    try:
        return [Difference(name, "", "lines", "\n" + lines(first.decode(), second.decode()) + "\n")]
    except UnicodeDecodeError:
        return [Difference(name, "", "bytes", f"first at byte {first_difference(first, second)}")]


def _outside(one: Medium, other: Medium) -> list[Difference]:
    found = []
    for name in (*one.areas, *(name for name in other.areas if name not in one.areas)):
        if name not in one.areas or name not in other.areas:
            side = "first" if name in one.areas else "second"
            found.append(Difference(_OUTSIDE, name, "presence", f"only in the {side}"))
            continue
        first, second = one.read(one.areas[name]), other.read(other.areas[name])
        if first != second:
            at = first_difference(first, second)
            field = medium.field_at(name, at)
            text = f"first at byte {one.areas[name].offset + at} of the ISO" + (
                f": {field}" if field else ""
            )
            found.append(Difference(_OUTSIDE, name, "content", text))
    return found
