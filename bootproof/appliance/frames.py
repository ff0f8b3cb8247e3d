# SPDX-License-Identifier: GPL-3.0-or-later
"""Messages between the smoke test and the agent in the guest, over a byte stream.

A frame is one line of JSON (UTF-8, at most 1 MiB, ended by a newline) with the keys

    kind    str: what the frame says
    nonce   str: the conversation it belongs to
    facts   object: whatever belongs to that kind
    blobs   list of {name: str, size: int, sha256: str (hex)}

followed by the blobs' bytes, one after the other. The host says `hello` and `seen`; the guest says
`progress`, `ready`, `report` and at last `end`.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

LARGEST_HEADER = 1 << 20
LARGEST_BLOBS = 64 << 20


class FrameError(ValueError):
    """The stream is not made of frames, or a blob is not what its header says."""


@dataclass(frozen=True)
class Frame:
    """One message: `facts` is JSON-able, `blobs` are raw bytes by name."""

    kind: str
    nonce: str
    facts: dict[str, Any] = field(default_factory=dict)
    blobs: dict[str, bytes] = field(default_factory=dict)


def encode(frame: Frame) -> bytes:
    """Return the bytes of `frame`; `FrameError` if it is larger than a reader accepts."""
    header = {
        "kind": frame.kind,
        "nonce": frame.nonce,
        "facts": frame.facts,
        "blobs": [
            {"name": name, "size": len(blob), "sha256": hashlib.sha256(blob).hexdigest()}
            for name, blob in frame.blobs.items()
        ],
    }
    line = json.dumps(header).encode() + b"\n"
    if len(line) > LARGEST_HEADER or sum(map(len, frame.blobs.values())) > LARGEST_BLOBS:
        raise FrameError(f"a frame of kind {frame.kind!r} is too large")
    return line + b"".join(frame.blobs.values())


class FrameReader:
    """Takes pieces of a stream and gives the frames that are complete; holds at most one frame's bytes."""

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._header: _Header | None = None

    def feed(self, piece: bytes) -> Iterator[Frame]:
        """Yield the frames that `piece` completes; `FrameError` if the stream is damaged (and stays so)."""
        self._buffer += piece
        while (frame := self._take()) is not None:
            yield frame

    def _take(self) -> Frame | None:
        if self._header is None:
            line, newline, _ = self._buffer.partition(b"\n") if b"\n" in self._buffer else (b"", b"", b"")
            if not newline:
                if len(self._buffer) > LARGEST_HEADER:
                    raise FrameError("no end of line within the largest header")
                return None
            self._header = _parse_header(bytes(line))
            del self._buffer[: len(line) + 1]
        if len(self._buffer) < self._header.total:
            return None
        header, self._header = self._header, None
        blobs: dict[str, bytes] = {}
        for name, size, digest in header.blobs:
            blob = bytes(self._buffer[:size])
            del self._buffer[:size]
            if hashlib.sha256(blob).hexdigest() != digest:
                raise FrameError(f"blob {name!r} was damaged on its way")
            blobs[name] = blob
        return Frame(header.kind, header.nonce, header.facts, blobs)


@dataclass(frozen=True)
class _Header:
    kind: str
    nonce: str
    facts: dict[str, Any]
    blobs: tuple[tuple[str, int, str], ...]

    @property
    def total(self) -> int:
        return sum(size for _, size, _ in self.blobs)


def _parse_header(line: bytes) -> _Header:
    if len(line) > LARGEST_HEADER:
        raise FrameError("the header is too long")
    try:
        value = json.loads(line)
    except (ValueError, RecursionError):
        raise FrameError(f"not a frame header: {line[:80]!r}") from None
    if not isinstance(value, dict):
        raise FrameError("the header is no object")
    kind, nonce, facts, blobs = (value.get(key) for key in ("kind", "nonce", "facts", "blobs"))
    if not isinstance(kind, str) or not isinstance(nonce, str):
        raise FrameError("kind and nonce have to be strings")
    if not isinstance(facts, dict) or not isinstance(blobs, list):
        raise FrameError("facts has to be an object, blobs a list")
    header = _Header(kind, nonce, facts, tuple(map(_parse_blob, blobs)))
    if header.total > LARGEST_BLOBS:
        raise FrameError("the blobs are too large")
    return header


def _parse_blob(entry: object) -> tuple[str, int, str]:
    if not isinstance(entry, Mapping):
        raise FrameError("a blob's entry is no object")
    name, size, digest = (entry.get(key) for key in ("name", "size", "sha256"))
    if not isinstance(name, str) or not isinstance(digest, str):
        raise FrameError("a blob's name and sha256 have to be strings")
    if not isinstance(size, int) or isinstance(size, bool) or size < 0:
        raise FrameError("a blob's size has to be a number from 0 up")
    return name, size, digest
