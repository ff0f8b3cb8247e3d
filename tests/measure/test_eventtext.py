# SPDX-License-Identifier: GPL-3.0-or-later
"""Event data in words: what real firmware wrote, and that nothing whatever breaks the describers."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bootproof.measure import bootlog, devicepath, eventtext, eventtypes, printable
from tests.measure import recorded

UEFI = bootlog.parse((recorded.DATA / "uefi.log.bin").read_bytes()).events


@pytest.mark.parametrize(
    ("number", "text"),
    [
        (2, "917504 bytes at 0x820000"),
        (4, "SecureBoot = 00"),
        (5, "PK is not set"),
        (9, "separator"),
        (10, "BootOrder = 0000 0001 0002"),
        (12, "Boot0001 = UEFI QEMU DVD-ROM QM00005  PciRoot(0x0)/Pci(0x1f,0x2)/Sata(0x2,0xffff,0x0)"),
        (14, "Calling EFI Application from Boot Option"),
        (
            22,
            "PciRoot(0x0)/Pci(0x1f,0x2)/Sata(0x2,0xffff,0x0)/CDROM(0x1)/HD(1,MBR,0x00000000,0x0,0x4000)"
            r"/\EFI\BOOT\BOOTX64.EFI (655360 bytes)",
        ),
        (23, "(cd0)/boot/grub/grub.cfg"),
        (27, "kernel_cmdline: /boot/vmlinuz console=ttyS0 ima_policy=tcb ima_hash=sha256 quiet"),
    ],
)
def test_what_ovmf_and_grub_wrote(number: int, text: str) -> None:
    assert UEFI[number].text == text


@pytest.mark.parametrize(
    ("kind", "data", "text"),
    [
        (eventtypes.EV_NO_ACTION, b"StartupLocality\0\x03", "StartupLocality 3"),
        (eventtypes.EV_SEPARATOR, b"\x01\0\0\0", "separator: firmware met an error"),
        (eventtypes.EV_EVENT_TAG, struct.pack("<II", 11, 4) + b"v1.0", "S-CRTM version: v1.0"),
        (eventtypes.EV_EVENT_TAG, struct.pack("<II", 0x8F3B22ED, 13) + b"Linux initrd\0", "Linux initrd"),
        (eventtypes.EV_EVENT_TAG, struct.pack("<II", 0x77, 0), "tag 0x77"),
        (eventtypes.EV_S_CRTM_VERSION, "1.16".encode("utf-16-le") + b"\0\0", "1.16"),
        (
            eventtypes.EV_S_CRTM_VERSION,
            bytes(range(200, 216)),
            "cbcac9c8-cdcc-cfce-d0d1-d2d3d4d5d6d7",
        ),
        (
            eventtypes.EV_EFI_PLATFORM_FIRMWARE_BLOB2,
            b"\x03DXE" + struct.pack("<QQ", 4096, 5),
            "DXE: 5 bytes at 0x1000",
        ),
        (
            eventtypes.EV_EFI_HANDOFF_TABLES,
            struct.pack("<Q16sQ", 1, bytes(16), 0),
            "1 tables: 00000000-0000-0000-0000-000000000000",
        ),
        (eventtypes.EV_IPL, b"\x1b[31mred\0", "1b5b33316d72656400"),
        (eventtypes.EV_IPL, bytes(100), "00" * 64 + "… (100 bytes)"),
        (eventtypes.EV_EFI_VARIABLE_BOOT, b"short", "short"),
    ],
)
def test_single_descriptions(kind: int, data: bytes, text: str) -> None:
    assert eventtext.describe(kind, data) == text


def test_no_control_character_of_a_variable_name_gets_through() -> None:
    name = "a\x1b[2J"
    data = bytes(16) + struct.pack("<QQ", len(name), 1) + name.encode("utf-16-le") + b"\x01"
    assert eventtext.describe(eventtypes.EV_EFI_VARIABLE_BOOT, data) == r"a\x1b[2J = 01"


def test_device_paths_of_other_media() -> None:
    usb = struct.pack("<BBHBB", 3, 5, 6, 1, 0)
    nvme = struct.pack("<BBHIQ", 3, 23, 16, 1, 0)
    gpt = struct.pack("<BBHIQQ16sBB", 4, 1, 42, 1, 0x800, 0x1000, bytes(16), 2, 2)
    unknown = struct.pack("<BBH2s", 9, 9, 6, b"\xab\xcd")
    end = struct.pack("<BBH", 0x7F, 0xFF, 4)
    words = devicepath.describe(usb + nvme + gpt + unknown + end).split("/")
    assert words == [
        "USB(0x1,0x0)",
        "NVMe(0x1)",
        "HD(1,GPT,00000000-0000-0000-0000-000000000000,0x800,0x1000)",
        "Path(9,9,abcd)",
    ]
    assert devicepath.describe(usb + nvme[:9]) == "USB(0x1,0x0)/…"
    assert devicepath.describe(usb + bytes(8)) == "USB(0x1,0x0)/…"


@given(st.sampled_from(list(eventtypes._NAMES)), st.binary(max_size=300))
def test_any_data_of_any_type_are_one_printable_line(kind: int, data: bytes) -> None:
    text = eventtext.describe(kind, data)
    assert text.isprintable()
    assert len(text) < 2000


@given(st.sampled_from(UEFI), st.binary(max_size=40), st.integers(0, 300))
def test_damaged_real_data(event: bootlog.Event, noise: bytes, place: int) -> None:
    data = event.data[:place] + noise + event.data[place + len(noise) :]
    assert eventtext.describe(event.type, data).isprintable()


@given(st.binary(max_size=300))
def test_device_paths_end(data: bytes) -> None:
    assert len(devicepath.describe(data)) < 3000


@given(st.text())
def test_a_line_is_printable_and_plain_text_stays(text: str) -> None:
    line = printable.line(text)
    assert line.isprintable()
    assert line == text or not text.isprintable()
