# SPDX-License-Identifier: GPL-3.0-or-later
"""UEFI device paths in their usual text form, as far as boot logs use them.

Source: UEFI Specification 2.10, chapter 10 (binary nodes: 10.3; text form: 10.6).
"""

from __future__ import annotations

import struct
import uuid
from collections.abc import Callable

_END = 0x7F
_PCI_ROOTS = {0x0A0341D0: "PciRoot", 0x0A0841D0: "PcieRoot"}
_MOST_NODES = 64


def describe(data: bytes) -> str:
    """Return the path in text; nodes it has no words for are shown by number, damage ends the text with
    "…"."""
    words: list[str] = []
    offset = 0
    while offset + 4 <= len(data) and len(words) < _MOST_NODES:
        kind, subkind, size = struct.unpack_from("<BBH", data, offset)
        if kind == _END:
            return "/".join(words)
        if size < 4 or offset + size > len(data):
            break
        words.append(_node(kind, subkind, data[offset + 4 : offset + size]))
        offset += size
    return "/".join([*words, "…"])


def _node(kind: int, subkind: int, body: bytes) -> str:
    try:
        return _NODES[kind, subkind](body)
    except (KeyError, struct.error, ValueError):
        return f"Path({kind},{subkind},{body[:16].hex()}{'…' if len(body) > 16 else ''})"


def _pci(body: bytes) -> str:
    function, device = struct.unpack_from("<BB", body)
    return f"Pci(0x{device:x},0x{function:x})"


def _acpi(body: bytes) -> str:
    hid, uid = struct.unpack_from("<II", body)
    return f"{_PCI_ROOTS[hid]}(0x{uid:x})" if hid in _PCI_ROOTS else f"Acpi(0x{hid:08x},0x{uid:x})"


def _numbers(name: str, form: str) -> Callable[[bytes], str]:
    """Return the describer of a node that is a row of numbers laid out as `form`."""

    def node(body: bytes) -> str:
        return f"{name}({','.join(f'0x{number:x}' for number in struct.unpack_from(form, body))})"

    return node


def _mac(body: bytes) -> str:
    return f"MAC({body[:6].hex()})"


def _hard_drive(body: bytes) -> str:
    partition, start, size, signature, form = struct.unpack_from("<IQQ16sB", body)
    if form == 2:
        return f"HD({partition},GPT,{uuid.UUID(bytes_le=signature)},0x{start:x},0x{size:x})"
    return f"HD({partition},MBR,0x{int.from_bytes(signature[:4], 'little'):08x},0x{start:x},0x{size:x})"


def _file(body: bytes) -> str:
    return body.decode("utf-16-le").rstrip("\0")


def _guid(name: str) -> Callable[[bytes], str]:
    return lambda body: f"{name}({uuid.UUID(bytes_le=body[:16])})"


_NODES: dict[tuple[int, int], Callable[[bytes], str]] = {
    (1, 1): _pci,
    (1, 3): _numbers("MemoryMapped", "<IQQ"),
    (1, 4): _guid("VenHw"),
    (2, 1): _acpi,
    (3, 1): _numbers("Ata", "<BBH"),
    (3, 2): _numbers("Scsi", "<HH"),
    (3, 5): _numbers("USB", "<BB"),
    (3, 10): _guid("VenMsg"),
    (3, 11): _mac,
    (3, 18): _numbers("Sata", "<HHH"),
    (3, 23): _numbers("NVMe", "<I"),
    (4, 1): _hard_drive,
    (4, 2): _numbers("CDROM", "<I"),
    (4, 3): _guid("VenMedia"),
    (4, 4): _file,
    (4, 6): _guid("FvFile"),
    (4, 7): _guid("Fv"),
    (4, 8): _numbers("Offset", "<4xQQ"),
    (5, 1): _numbers("BBS", "<HH"),
}
