# SPDX-License-Identifier: GPL-3.0-or-later
"""What a TPM will have been told when an ISO of ours has started on a BIOS: computed from the ISO alone.

Sources: grub/stages for what the boot stages measure; El Torito specification 1.0 (boot record, catalog);
TCG PC Client Specific Implementation Specification for Conventional BIOS 1.21 (PCR usage, boot events), with
the texts and the order of SeaBIOS.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from bootproof.measure import grubmenu, iso9660
from bootproof.measure.expected import ALGORITHMS, SEPARATOR, STAGE, Digests, Expected, digests, of_text
from bootproof.measure.iso9660 import SECTOR, Image, Span
from bootproof.measure.predictionerror import PredictionError

CD, DISK = "cd", "disk"
MEDIA = (CD, DISK)
MENU_PATH = "/boot/grub/grub.cfg"  # the configuration inside GRUB's core reads it
_BOOT_PCR = 4
_PARTITION_PCR = 5
_BOOT_RECORD = 17  # sector
_BOOT_RECORD_MARK = b"\0CD001\x01EL TORITO SPECIFICATION"
_BOOTABLE = 0x88
_BOOT_CODE = 440
_IMAGE_SECTOR_AT = 0x1B0  # in the MBR, of 512 bytes
_STAGE_1 = 512
_STAGE_2 = 1024
_PIECE = 16  # sectors of 2048 bytes that stage 2 reads and measures at a time
_HASHED_AT_ONCE = 1 << 22


@dataclass(frozen=True, slots=True)
class Prediction:
    """The events of every way to start an image: by medium (`cd`, `disk`; a USB stick is a disk), then by
    the menu entry's id, of those that start a kernel. `default` is the entry that starts by itself.
    """

    default: str
    events: Mapping[str, Mapping[str, tuple[Expected, ...]]]


def predict(image: Image) -> Prediction:
    """Return what starting `image`, an ISO of ours, will measure."""
    known: dict[str, Digests] = {}

    def digests_of(path: str) -> Digests:
        if path not in known:
            known[path] = _digests(image, *iso9660.find(image, path))
        return known[path]

    content = b"".join(iso9660.cut(image, span, MENU_PATH) for span in iso9660.find(image, MENU_PATH))
    menu = grubmenu.read(MENU_PATH, content, digests_of)
    entries = {
        name: grubmenu.start(menu, entry, digests_of)
        for name, entry in menu.entries.items()
        if grubmenu.starts_kernel(entry)
    }
    events = {}
    for medium in MEDIA:
        begin = (*before_menu(image, medium), *menu.events)
        events[medium] = {name: (*begin, *start) for name, start in entries.items()}
    return Prediction(menu.default, events)


def before_menu(image: Image, medium: str) -> tuple[Expected, ...]:
    """Return the events of firmware and boot stages, up to GRUB's core."""
    return (*_firmware(), *(_from_cd(image) if medium == CD else _from_disk(image)))


def _firmware() -> Iterator[Expected]:
    """SeaBIOS, up to the first attempt to boot."""
    yield Expected(1, "EVENT_TAG", "SMBIOS", {})
    yield of_text(2, "ACTION", "Start Option ROM Scan")
    yield Expected(2, "EVENT_TAG", "Option ROM", {})
    yield of_text(_BOOT_PCR, "ACTION", "Calling INT 19h")
    for number in range(8):
        yield Expected(number, SEPARATOR, "separator", digests(b"\xff" * 4))


def _from_cd(image: Image) -> Iterator[Expected]:
    record = _BOOT_RECORD * SECTOR
    mark = iso9660.cut(image, Span(record, len(_BOOT_RECORD_MARK)), "the boot record")
    if mark != _BOOT_RECORD_MARK:
        raise PredictionError("the image cannot be started from CD: it has no boot record")
    catalog = iso9660.number(image, record + 0x47, 4, "the boot record") * SECTOR
    if iso9660.number(image, catalog + 0x20, 1, "the boot catalog") != _BOOTABLE:
        raise PredictionError("the boot catalog's first entry is not bootable")
    boot_image = iso9660.number(image, catalog + 0x28, 4, "the boot catalog") * SECTOR
    yield of_text(_BOOT_PCR, "ACTION", "Booting from CD ROM device")
    yield _part(image, _PARTITION_PCR, "IPL_PARTITION_DATA", "BOOT CATALOG", Span(catalog, SECTOR))
    yield of_text(_BOOT_PCR, "ACTION", "Booting from CD ROM device")
    yield _part(image, _BOOT_PCR, "IPL", "EL TORITO IPL", Span(boot_image, _STAGE_1))
    yield from _stages(image, boot_image)


def _from_disk(image: Image) -> Iterator[Expected]:
    boot_image = iso9660.number(image, _IMAGE_SECTOR_AT, 8, "the MBR") * 512
    rest = Span(_BOOT_CODE, 512 - _BOOT_CODE)
    yield of_text(_BOOT_PCR, "ACTION", "Booting BCV device 80h (HDD)")
    yield _part(image, _BOOT_PCR, "IPL", "MBR", Span(0, _BOOT_CODE))
    yield _part(image, _PARTITION_PCR, "IPL_PARTITION_DATA", "MBR PARTITION_TABLE", rest)
    yield _part(image, _BOOT_PCR, STAGE, "boot stage 1", Span(boot_image, _STAGE_1))
    yield from _stages(image, boot_image)


def _stages(image: Image, boot_image: int) -> Iterator[Expected]:
    """Stage 2 finds GRUB's core by the boot information table in stage 1, and counts in 16 bits."""
    yield _part(image, _BOOT_PCR, STAGE, "boot stage 2", Span(boot_image + _STAGE_1, _STAGE_2))
    sector = iso9660.number(image, boot_image + 12, 4, "the boot information table") + 1
    size = iso9660.number(image, boot_image + 16, 4, "the boot information table")
    left = (size // SECTOR - 1) & 0xFFFF
    if left == 0:
        raise PredictionError("the boot image has no GRUB in it")
    while left:
        count = min(left, _PIECE)
        yield _part(image, _BOOT_PCR, STAGE, "GRUB core", Span(sector * SECTOR, count * SECTOR))
        sector += count
        left -= count


def _part(image: Image, number: int, kind: str, text: str, span: Span) -> Expected:
    return Expected(number, kind, text, _digests(image, span))


def _digests(image: Image, *spans: Span) -> Digests:
    """Hash piece by piece: an initrd may be large, and the image mapped into memory."""
    hashes = {name: hashlib.new(name, usedforsecurity=False) for name in ALGORITHMS}
    for span in spans:
        iso9660.cut(image, Span(span.offset + span.size, 0), "a part of the boot")
        for at in range(span.offset, span.offset + span.size, _HASHED_AT_ONCE):
            piece = image[at : min(at + _HASHED_AT_ONCE, span.offset + span.size)]
            for each in hashes.values():
                each.update(piece)
    return {name: each.digest() for name, each in hashes.items()}
