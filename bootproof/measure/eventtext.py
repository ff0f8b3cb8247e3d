# SPDX-License-Identifier: GPL-3.0-or-later
"""What the data of a boot event say, in one line.

Sources: TCG PC Client Platform Firmware Profile 1.05, "Event Logging" (structures of the EFI events); TCG PC
Client Specific Implementation Specification for Conventional BIOS 1.21, "Event Logging" (identifiers of
EV_EVENT_TAG).
"""

from __future__ import annotations

import uuid
from collections.abc import Callable

from bootproof.measure import algorithms, devicepath, eventtypes, printable
from bootproof.measure.reader import LogError, Reader

_TAGS = {
    1: "SMBIOS",
    2: "BIS certificate",
    3: "POST BIOS ROM",
    4: "ESCD",
    5: "CMOS",
    6: "NVRAM",
    7: "Option ROM",
    8: "Option ROM configuration",
    10: "Option ROM microcode",
    11: "S-CRTM version",
    12: "S-CRTM contents",
    13: "POST contents",
    14: "Table of devices",
}
_FIRST_STUB_TAG = 0x8F3B22EC  # Linux' EFI stub; its data are text or lengths
_SEPARATORS = {
    bytes(4): "separator",
    b"\xff" * 4: "separator",
    b"\1\0\0\0": "separator: firmware met an error",
}
_MOST_LISTED = 8


def describe(kind: int, data: bytes) -> str:
    """Return `data` of an event of type `kind` in readable form; what is not understood, or damaged, in
    hex."""
    reader = _READERS.get(kind)
    if reader is not None:
        try:
            return printable.line(reader(data))
        except (LogError, UnicodeDecodeError):
            pass  # the data are not what the type promises: show them as they are
    return printable.data(data)


def _no_action(data: bytes) -> str:
    name = printable.data(data[:16])
    if name == "Spec ID Event03":
        reader = Reader(data[24:])
        count = min(reader.u32("count"), _MOST_LISTED)
        pairs = [(reader.u16("algorithm"), reader.u16("size")) for _ in range(count)]
        return f"{name}: {' '.join(algorithms.BY_ID.get(number, f'0x{number:04x}') for number, _ in pairs)}"
    if name == "StartupLocality" and len(data) > 16:
        return f"{name} {data[16]}"
    return printable.data(data)


def _separator(data: bytes) -> str:
    return _SEPARATORS.get(data) or printable.data(data)


def _tag(data: bytes) -> str:
    reader = Reader(data)
    tag = reader.u32("tag")
    value = reader.sized("tagged data")
    if tag >= _FIRST_STUB_TAG and printable.as_text(value):
        return printable.data(value)
    name = _TAGS.get(tag, f"tag 0x{tag:x}")
    return f"{name}: {printable.data(value)}" if value else name


def _version(data: bytes) -> str:
    is_guid = len(data) == 16 and not printable.as_text(data)
    return str(uuid.UUID(bytes_le=data)) if is_guid else printable.data(data)


def _variable(data: bytes) -> str:
    reader = Reader(data)
    reader.take(16, "GUID")
    length, size = reader.u64("length of the name"), reader.u64("size of the value")
    name = reader.take(2 * length, "name").decode("utf-16-le")
    value = reader.take(size, "value")
    if name == "BootOrder":
        numbers = [value[i] + 256 * value[i + 1] for i in range(0, len(value) - 1, 2)]
        return f"{name} = {' '.join(f'{number:04X}' for number in numbers)}"
    if name.startswith("Boot") and len(name) == 8:
        return f"{name} = {_load_option(value)}"
    return f"{name} = {printable.data(value)}" if value else f"{name} is not set"


def _load_option(value: bytes) -> str:
    """EFI_LOAD_OPTION (UEFI 2.10, section 3.1.3): attributes, length of the path, title up to a NUL,
    path."""
    reader = Reader(value)
    reader.u32("attributes")
    size = reader.u16("length of the path")
    letters = bytearray()
    while (letter := reader.take(2, "title")) != b"\0\0":
        letters += letter
    return f"{letters.decode('utf-16-le')} {devicepath.describe(reader.take(size, 'path'))}"


def _image(data: bytes) -> str:
    reader = Reader(data)
    reader.take(8, "address")
    size = reader.u64("size of the image")
    reader.take(8, "link address")
    path = reader.take(reader.u64("length of the path"), "path")
    return f"{devicepath.describe(path) or 'image'} ({size} bytes)"


def _blob(data: bytes) -> str:
    reader = Reader(data)
    base, size = reader.u64("address"), reader.u64("size")
    return f"{size} bytes at 0x{base:x}"


def _blob2(data: bytes) -> str:
    reader = Reader(data)
    name = reader.take(reader.u8("length of the name"), "name")
    return f"{printable.data(name)}: {_blob(data[reader.offset :])}"


def _gpt(data: bytes) -> str:
    reader = Reader(data)
    header = reader.take(92, "header")
    return f"GPT {uuid.UUID(bytes_le=header[56:72])}, {reader.u64('number of partitions')} partitions"


def _tables(data: bytes) -> str:
    reader = Reader(data)
    count = reader.u64("number of tables")
    guids = []
    for _ in range(min(count, _MOST_LISTED)):
        guids.append(str(uuid.UUID(bytes_le=reader.take(16, "GUID"))))
        reader.take(8, "address")
    return f"{count} tables: {' '.join(guids)}"


def _tables2(data: bytes) -> str:
    reader = Reader(data)
    name = reader.take(reader.u8("length of the name"), "name")
    return f"{printable.data(name)}: {_tables(data[reader.offset :])}"


_READERS: dict[int, Callable[[bytes], str]] = {
    eventtypes.EV_NO_ACTION: _no_action,
    eventtypes.EV_SEPARATOR: _separator,
    eventtypes.EV_EVENT_TAG: _tag,
    eventtypes.EV_S_CRTM_VERSION: _version,
    eventtypes.EV_EFI_VARIABLE_DRIVER_CONFIG: _variable,
    eventtypes.EV_EFI_VARIABLE_BOOT: _variable,
    eventtypes.EV_EFI_VARIABLE_BOOT2: _variable,
    eventtypes.EV_EFI_VARIABLE_AUTHORITY: _variable,
    eventtypes.EV_EFI_BOOT_SERVICES_APPLICATION: _image,
    eventtypes.EV_EFI_BOOT_SERVICES_DRIVER: _image,
    eventtypes.EV_EFI_RUNTIME_SERVICES_DRIVER: _image,
    eventtypes.EV_EFI_GPT_EVENT: _gpt,
    eventtypes.EV_EFI_PLATFORM_FIRMWARE_BLOB: _blob,
    eventtypes.EV_EFI_PLATFORM_FIRMWARE_BLOB2: _blob2,
    eventtypes.EV_EFI_HANDOFF_TABLES: _tables,
    eventtypes.EV_EFI_HANDOFF_TABLES2: _tables2,
}
