# SPDX-License-Identifier: GPL-3.0-or-later
"""Small guests, assembled by hand, for tests with a real QEMU."""

from __future__ import annotations

import io
from pathlib import Path

import pycdlib

# what the accelerator probe wants to read, in this order
FIRST_LINE = b"Linux version 0.0 (a test)\r\n"
LAST_LINE = b"Kernel panic - not syncing: VFS: Unable to mount root fs\r\n"

# call here; here: pop si; add si, DISTANCE
# next: cs lodsb; test al, al; jz end; mov dx, 0x3f8; out dx, al; jmp next
_HERE = 3
_PRINT = bytes.fromhex("e80000 5e 83c600 2eac 84c0 7406 baf803 ee ebf4")
_HALT = bytes.fromhex("fa f4 ebfd")
# keyboard controller: pulse the reset line, then halt
_RESET = bytes.fromhex("b0fe e664 fa f4 ebfd")


def real_mode_code(text: bytes, *, reset: bool = False) -> bytes:
    """Return 16-bit code that prints `text` on the first serial port and halts, or resets the machine."""
    tail = _RESET if reset else _HALT
    distance = len(_PRINT) + len(tail) - _HERE
    return _PRINT[:6] + bytes([distance]) + _PRINT[7:] + tail + text + b"\0"


def linux_image(text: bytes) -> bytes:
    """Return what boots like a Linux kernel (boot protocol 2.6), prints `text` and does nothing more."""
    setup_sectors = 4
    image = bytearray(512 * (1 + setup_sectors) + 512)
    image[0x1F1] = setup_sectors
    image[0x1F4:0x1F8] = (512 // 16).to_bytes(4, "little")
    image[0x1FE:0x200] = b"\x55\xaa"
    image[0x200:0x202] = b"\xeb\x66"  # over the header, to 0x268
    image[0x202:0x206] = b"HdrS"
    image[0x206:0x208] = (0x206).to_bytes(2, "little")
    image[0x211] = 1  # loaded high
    image[0x214:0x218] = (0x100000).to_bytes(4, "little")
    image[0x22C:0x230] = (0x37FFFFFF).to_bytes(4, "little")
    code = real_mode_code(text)
    image[0x268 : 0x268 + len(code)] = code
    return bytes(image)


def boot_sector_iso(path: Path, text: bytes, *, reset: bool = False) -> Path:
    """Write an ISO whose El Torito image prints `text` on the serial line."""
    iso = pycdlib.PyCdlib()
    iso.new(interchange_level=3)
    code = real_mode_code(text, reset=reset).ljust(2048, b"\0")
    iso.add_fp(io.BytesIO(code), len(code), "/BOOT.IMG;1")
    iso.add_eltorito("/BOOT.IMG;1", boot_load_size=4)
    iso.write(str(path))
    iso.close()
    return path
