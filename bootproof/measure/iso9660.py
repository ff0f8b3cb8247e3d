# SPDX-License-Identifier: GPL-3.0-or-later
"""Where files lie on an ISO with Rock Ridge names.

Sources: ECMA-119 (8.4: primary volume descriptor; 9.1: directory record; of numbers in both byte orders the
little-endian one is read); IEEE P1281 "SUSP" (5.1: CE, 5.4: ST) and P1282 "RRIP" (4.1.4: NM).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

from bootproof.measure.predictionerror import PredictionError

SECTOR = 2048
_PRIMARY = 16  # sector of the first volume descriptor
_ROOT_RECORD = 156
_NAME_AT = 33  # in a directory record
_IS_DIRECTORY, _GOES_ON = 0x02, 0x80
_NAME_GOES_ON = 0x01
_MOST_AREAS = 64  # of one record


class Image(Protocol):
    """The bytes of an ISO: `bytes`, or a file mapped into memory."""

    def __len__(self) -> int: ...

    def __getitem__(self, place: slice, /) -> bytes: ...


@dataclass(frozen=True, slots=True)
class Span:
    """A part of the image, in bytes."""

    offset: int
    size: int


@dataclass(frozen=True, slots=True)
class _Record:
    flags: int
    span: Span
    name: bytes


def cut(image: Image, span: Span, what: str) -> bytes:
    """Return the bytes of `span`; `what` names them in the error if they are not all there."""
    if span.offset + span.size > len(image):
        raise PredictionError(f"{what} lies beyond the end of the image")
    return image[span.offset : span.offset + span.size]


def number(image: Image, offset: int, size: int, what: str) -> int:
    """Return a little-endian number."""
    return int.from_bytes(cut(image, Span(offset, size), what), "little")


def find(image: Image, path: str) -> tuple[Span, ...]:
    """Return where the content of the file `path` (absolute, Rock Ridge names) lies, in order."""
    descriptor = cut(image, Span(_PRIMARY * SECTOR, SECTOR), "the volume descriptor")
    if descriptor[:6] != b"\x01CD001":
        raise PredictionError("this is no ISO 9660 image")
    span = _extent(descriptor[_ROOT_RECORD:])
    *folders, name = path.strip("/").split("/")
    for folder in folders:
        found = [record for record in _records(image, span) if record.name == folder.encode()]
        if not found or not found[0].flags & _IS_DIRECTORY:
            raise PredictionError(f"there is no {path} on the medium")
        span = found[0].span
    return _content(image, span, name.encode(), path)


def _content(image: Image, folder: Span, name: bytes, path: str) -> tuple[Span, ...]:
    """A file of 4 GB or more has several records, all of them but the last with a flag."""
    spans = []
    for record in _records(image, folder):
        if record.name == name and not record.flags & _IS_DIRECTORY:
            spans.append(record.span)
            if not record.flags & _GOES_ON:
                return tuple(spans)
    raise PredictionError(f"there is no {path} on the medium")


def _extent(record: bytes) -> Span:
    return Span(int.from_bytes(record[2:6], "little") * SECTOR, int.from_bytes(record[10:14], "little"))


def _records(image: Image, folder: Span) -> Iterator[_Record]:
    """Yield a directory's records; none of them crosses a sector, and zeros fill one up."""
    data = cut(image, folder, "a directory")
    at = 0
    while at < len(data):
        size = data[at]
        if size == 0:
            at += SECTOR - at % SECTOR
            continue
        record = data[at : at + size]
        if size < _NAME_AT + 1 or len(record) < size or size < _NAME_AT + record[32]:
            raise PredictionError("a directory on the medium is damaged")
        yield _Record(record[25], _extent(record), _name(image, record))
        at += size


def _name(image: Image, record: bytes) -> bytes:
    """Return the Rock Ridge name; that of ISO 9660 if there is none."""
    length = record[32]
    plain = record[_NAME_AT : _NAME_AT + length]
    area = record[_NAME_AT + length + (length + 1) % 2 :]
    name = b""
    for _ in range(_MOST_AREAS):
        following = b""
        for kind, data in _entries(area):
            if kind == b"NM":
                name += data[1:]
                if not data[:1] or not data[0] & _NAME_GOES_ON:
                    return name
            elif kind == b"CE":
                following = data
        if len(following) < 24:
            return name or plain
        block, offset, size = (int.from_bytes(following[at : at + 4], "little") for at in (0, 8, 16))
        area = cut(image, Span(block * SECTOR + offset, size), "a name")
    raise PredictionError("a name on the medium has no end")


def _entries(area: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Yield kind and data of each entry of a system use area."""
    at = 0
    while at + 4 <= len(area):
        kind, size = area[at : at + 2], area[at + 2]
        if size < 4 or kind == b"ST":
            return
        yield kind, area[at + 4 : at + size]
        at += size
