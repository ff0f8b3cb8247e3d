# SPDX-License-Identifier: GPL-3.0-or-later
"""A cursor over the bytes of a log: every field is checked against what is left before it is taken."""

from __future__ import annotations


class LogError(ValueError):
    """A log is damaged: the message names the byte offset and what was wrong there."""

    def __init__(self, offset: int, what: str, unit: str = "byte") -> None:
        super().__init__(f"{unit} {offset}: {what}")
        self.offset = offset
        self.what = what


class Reader:
    """Takes little-endian fields off `data`, front to back; a field that is not all there is a
    `LogError`."""

    __slots__ = ("data", "offset")

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.offset = 0

    @property
    def left(self) -> int:
        return len(self.data) - self.offset

    def take(self, size: int, what: str) -> bytes:
        """Return the next `size` bytes; `what` names them in the error."""
        start = self.offset
        end = start + size
        if end > len(self.data):
            raise LogError(start, f"{what} needs {size} bytes, {self.left} are left")
        self.offset = end
        return self.data[start:end]

    def u8(self, what: str) -> int:
        return self.take(1, what)[0]

    def u16(self, what: str) -> int:
        return int.from_bytes(self.take(2, what), "little")

    def u32(self, what: str) -> int:
        return int.from_bytes(self.take(4, what), "little")

    def u64(self, what: str) -> int:
        return int.from_bytes(self.take(8, what), "little")

    def sized(self, what: str) -> bytes:
        """Return a field that is preceded by its length, a u32."""
        return self.take(self.u32(f"length of {what}"), what)
