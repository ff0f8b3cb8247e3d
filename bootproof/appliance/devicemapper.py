# SPDX-License-Identifier: GPL-3.0-or-later
"""Asks the kernel's device mapper about a device, without dmsetup: two ioctls on /dev/mapper/control.

Source: Linux, include/uapi/linux/dm-ioctl.h (struct dm_ioctl, struct dm_target_spec; native byte order).
"""

from __future__ import annotations

import fcntl
import os
import struct
from dataclasses import dataclass
from pathlib import Path

CONTROL = Path("/dev/mapper/control")

# struct dm_ioctl: version[3], data_size, data_start, target_count, open_count, flags, event_nr, padding,
# dev, name[128], uuid[129], data[7]
_HEADER = struct.Struct("=3I I I I i I I I Q 128s 129s 7s")
# struct dm_target_spec: sector_start, length, status, next, target_type[16]; the parameters follow, ended by
# a NUL
_TARGET = struct.Struct("=Q Q i I 16s")
_VERSION = (4, 0, 0)
_BUFFER = 16384
_TABLE_STATUS = 12
_STATUS_TABLE_FLAG = 1 << 4
_BUFFER_FULL_FLAG = 1 << 8


class DeviceMapperError(OSError):
    """The device mapper's answer is not what its header file describes."""


@dataclass(frozen=True)
class Target:
    """One line of a table: sectors of 512 bytes, the target's type, and its parameters or its status."""

    start: int
    length: int
    kind: str
    text: str


def _ioctl_number(command: int) -> int:
    """Return _IOWR(0xfd, command, struct dm_ioctl)."""
    return (3 << 30) | (_HEADER.size << 16) | (0xFD << 8) | command


def pack_request(name: str, *, table: bool) -> bytes:
    """Return DM_TABLE_STATUS's argument for the device `name`: for its table, or for its status."""
    flags = _STATUS_TABLE_FLAG if table else 0
    header = _HEADER.pack(
        *_VERSION, _BUFFER, _HEADER.size, 0, 0, flags, 0, 0, 0, name.encode(), b"", b""
    )  # fmt: skip
    return header.ljust(_BUFFER, b"\0")


def parse_answer(answer: bytes) -> list[Target]:
    """Return the targets in DM_TABLE_STATUS's answer; `DeviceMapperError` if it cannot be read."""
    if len(answer) < _HEADER.size:
        raise DeviceMapperError("the answer is shorter than its header")
    fields = _HEADER.unpack_from(answer)
    start, count, flags = fields[4], fields[5], fields[7]
    if flags & _BUFFER_FULL_FLAG:
        raise DeviceMapperError("the table is larger than the buffer")
    targets: list[Target] = []
    offset = start
    for _ in range(count):
        if not 0 <= offset <= len(answer) - _TARGET.size:
            raise DeviceMapperError("a target lies outside the answer")
        first, length, _status, following, kind = _TARGET.unpack_from(answer, offset)
        text = answer[offset + _TARGET.size :].partition(b"\0")[0]
        targets.append(Target(first, length, _text(kind.partition(b"\0")[0]), _text(text)))
        if following <= 0 and len(targets) < count:
            raise DeviceMapperError("the chain of targets ends early")
        # offsets of the second and later targets count from the start of the data
        offset = start + following
    return targets


def _text(raw: bytes) -> str:
    return raw.decode("utf-8", "replace")


def query(name: str, *, table: bool, control: Path = CONTROL) -> list[Target]:
    """Return the table or the status of the mapped device `name`; `OSError` if the kernel will not tell."""
    argument = bytearray(pack_request(name, table=table))
    descriptor = os.open(control, os.O_RDWR | os.O_CLOEXEC)
    try:
        fcntl.ioctl(descriptor, _ioctl_number(_TABLE_STATUS), argument)
    finally:
        os.close(descriptor)
    return parse_answer(bytes(argument))
