# SPDX-License-Identifier: GPL-3.0-or-later
"""Reads an ISO: its files, and everything else on it as named areas, so that no byte is left out.

Source: ECMA-119 (sectors of 2048 bytes; volume descriptors from sector 16 on, section 8; the fields of the
primary one, 8.4).
"""

from __future__ import annotations

import calendar
import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from bootproof.errors import BootproofError
from bootproof.reproduce.difference import Item
from bootproof.reproduce.newc import described

SECTOR = 2048
_DESCRIPTORS = 16
_DESCRIPTOR_NAMES = {
    0: "boot record",
    1: "primary volume descriptor",
    2: "supplementary volume descriptor",
    255: "terminator",
}
_PIECE = 1 << 20
# Where the fields of the primary volume descriptor begin that are not padding
_FIELDS = (
    (0, "type"), (8, "system identifier"), (40, "volume identifier"), (80, "size"), (88, "escape sequences"),
    (120, "set size"), (128, "sector size"), (132, "path table"), (156, "root directory"),
    (190, "names of volume set, publisher, preparer, application"), (813, "creation date"),
    (830, "modification date"), (847, "expiration date"), (864, "effective date"), (881, "application use"),
)  # fmt: skip


@dataclass(frozen=True)
class Span:
    """A part of the ISO: where it begins and how long it is, in bytes."""

    offset: int
    size: int


@dataclass(frozen=True)
class Medium:
    """An ISO: entries by path, where each file's content lies, and the areas outside of files by name."""

    path: Path
    items: dict[str, Item]
    files: dict[str, Span]
    areas: dict[str, Span]

    def read(self, span: Span) -> bytes:
        with self.path.open("rb") as stream:
            stream.seek(span.offset)
            return stream.read(span.size)


def read(path: Path) -> Medium:
    """Read an ISO with Rock Ridge names; what is none is an error."""
    import pycdlib
    from pycdlib.pycdlibexception import PyCdlibException

    iso = pycdlib.PyCdlib()
    try:
        iso.open(str(path))
    except (PyCdlibException, OSError) as error:
        raise BootproofError(f"{path} cannot be read as an ISO: {error}", "build it anew") from None
    try:
        return _read(iso, path)
    finally:
        iso.close()


def _read(iso: Any, path: Path) -> Medium:
    items: dict[str, Item] = {}
    files: dict[str, Span] = {}
    folders: dict[str, Span] = {}
    with path.open("rb") as stream:
        for name, record in _records(iso):
            place = Span(record.extent_location() * SECTOR, record.get_data_length())
            mode = record.rock_ridge.get_file_mode() & 0o7777 if name != "/" else 0
            if record.is_dir():
                folders[f"directory {name}"] = place
                items[name] = Item("directory", mode, mtime=_seconds(record.date))
            else:
                files[name] = place
                items[name] = Item(
                    "file",
                    mode,
                    mtime=_seconds(record.date),
                    content=described(place.size, _sha256(stream, place)),
                )
        areas = {**_descriptors(stream), **_path_tables(iso), **folders}
        areas |= _gaps({**areas, **files}, stream.seek(0, 2))
    return Medium(path, items, files, areas)


def _records(iso: Any) -> Iterator[tuple[str, Any]]:
    for folder, _, names in iso.walk(rr_path="/"):
        yield folder, iso.get_record(rr_path=folder)
        for name in names:
            path = f"{folder.rstrip('/')}/{name}"
            yield path, iso.get_record(rr_path=path)


def _seconds(date: Any) -> int:
    """Return a date (ECMA-119 9.1.5: local time, offset in quarters of an hour) as seconds since 1970."""
    local = (date.month, date.day_of_month, date.hour, date.minute, date.second)
    return calendar.timegm((int(date.years_since_1900) + 1900, *map(int, local))) - int(date.gmtoffset) * 900


def _sha256(stream: BinaryIO, span: Span) -> str:
    digest = hashlib.sha256()
    stream.seek(span.offset)
    left = span.size
    while left and (piece := stream.read(min(_PIECE, left))):
        digest.update(piece)
        left -= len(piece)
    return digest.hexdigest()


def _descriptors(stream: BinaryIO) -> dict[str, Span]:
    areas = {"boot sector": Span(0, 512), "system area": Span(512, _DESCRIPTORS * SECTOR - 512)}
    kind, sector = -1, _DESCRIPTORS
    while kind != 255:
        stream.seek(sector * SECTOR)
        head = stream.read(6)
        if head[1:] != b"CD001":
            break
        kind = head[0]
        areas[f"{_DESCRIPTOR_NAMES.get(kind, 'volume descriptor')} in sector {sector}"] = Span(
            sector * SECTOR, SECTOR
        )
        sector += 1
    return areas


def _path_tables(iso: Any) -> dict[str, Span]:
    size = iso.pvd.path_tbl_size
    return {
        "path table (little endian)": Span(iso.pvd.path_table_location_le * SECTOR, size),
        "path table (big endian)": Span(iso.pvd.path_table_location_be * SECTOR, size),
    }


def _gaps(known: dict[str, Span], end: int) -> dict[str, Span]:
    """Return what lies between and behind the known parts, each named after the part before it."""
    gaps: dict[str, Span] = {}
    at, before = 0, ""
    for name, span in sorted(known.items(), key=lambda entry: (entry[1].offset, entry[1].size)):
        if span.offset > at:
            gaps[f"space after {before}"] = Span(at, span.offset - at)
        if span.offset + span.size >= at:
            at, before = span.offset + span.size, name
    if end > at:
        gaps[f"space after {before}"] = Span(at, end - at)
    return gaps


def field_at(area: str, offset: int) -> str:
    """Return what lies `offset` bytes into an area, as far as that has a name."""
    if not area.startswith("primary volume descriptor"):
        return ""
    return [name for start, name in _FIELDS if start <= offset][-1]
