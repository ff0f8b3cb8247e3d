# SPDX-License-Identifier: GPL-3.0-or-later
"""Bytes from logs as one line of text that is safe to print: no control characters reach a terminal."""

from __future__ import annotations

_SHOWN = 64
_WHITE = {ord("\n"): r"\n", ord("\t"): r"\t"}


def line(text: str) -> str:
    """Return `text` with everything but printable characters written as an escape."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def data(value: bytes) -> str:
    """Return `value` as text if it reads as UTF-8 or UTF-16 (trailing NULs aside), else in hex; long hex is
    cut."""
    return as_text(value) or as_hex(value)


def as_text(value: bytes) -> str | None:
    """Return the text that `value` is, its line ends and tabs as escapes, or None if it is none."""
    if len(value) % 2 == 0 and len(value) >= 4 and not any(value[1::2]):
        return _printable(value, "utf-16-le")
    return _printable(value.rstrip(b"\0"), "utf-8")


def _printable(value: bytes, encoding: str) -> str | None:
    try:
        text = value.decode(encoding).rstrip("\0")
    except UnicodeDecodeError:
        return None
    one_line = text.translate(_WHITE)
    return one_line if text and one_line.isprintable() else None


def as_hex(value: bytes) -> str:
    """Return `value` in hex; of a long one the beginning and the length."""
    if len(value) <= _SHOWN:
        return value.hex()
    return f"{value[:_SHOWN].hex()}… ({len(value)} bytes)"
