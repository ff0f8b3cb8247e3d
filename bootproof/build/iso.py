# SPDX-License-Identifier: GPL-3.0-or-later
"""The ISO: with Rock Ridge names, bootable in BIOS mode from CD (El Torito) and, written to them as it is,
from sticks and disks.

Sources: ECMA-119 and the El Torito specification 1.0; the boot code is ours (grub/stages).
"""

from __future__ import annotations

import re
import struct
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pycdlib
import pycdlib.dates
import pycdlib.headervd
import pycdlib.pycdlib
import pycdlib.utils

from bootproof.build.grubima import BOOT_CODE_SIZE

BOOT_IMAGE = "/boot/grub/eltorito.img"
_CATALOG = "/boot/grub/boot.cat"
_SECTOR = 2048
# Drives read ahead of what they are asked for; without padding the last file comes back as garbage
_PADDING_SECTORS = 150
_IMAGE_SECTOR_AT = 0x1B0  # in grub/stages/mbr.S
_HIDDEN_ISO_PARTITION = 0x17
_UNKNOWN = re.compile("[^A-Z0-9_]")


@dataclass(frozen=True)
class Image:
    """What goes into an ISO: files by their path on it, El Torito image, boot code for disks, label, time
    stamp.
    """

    files: Mapping[str, Path]
    eltorito: Path
    boot_code: Path
    label: str
    epoch: int


def write(image: Image, target: Path) -> None:
    """Write the ISO; equal images give equal bytes."""
    with _frozen_clock(image.epoch), ExitStack() as open_files:
        iso = pycdlib.PyCdlib()
        iso.new(interchange_level=3, rock_ridge="1.09", vol_ident=image.label, app_ident_str="BOOTPROOF")
        files = {BOOT_IMAGE: image.eltorito, **image.files}
        for folder in _folders([*files, _CATALOG]):
            iso.add_directory(_iso_name(folder, ""), rr_name=folder.rsplit("/", 1)[1], file_mode=0o040555)
        for path, source in sorted(files.items()):
            stream = open_files.enter_context(source.open("rb"))
            name = path.rsplit("/", 1)[1]
            size = source.stat().st_size
            iso.add_fp(stream, size, _iso_name(path, ";1"), rr_name=name, file_mode=0o100444)
        iso.add_eltorito(
            _iso_name(BOOT_IMAGE, ";1"), _iso_name(_CATALOG, ";1"), rr_bootcatname="boot.cat",
            boot_load_size=4, boot_info_table=True,
        )  # fmt: skip
        with target.open("w+b") as out:
            iso.write_fp(out, blocksize=1 << 20)
            out.seek(0, 2)
            out.write(bytes(_PADDING_SECTORS * _SECTOR))
            sectors = out.tell() // _SECTOR
            boot_image = iso.get_record(iso_path=_iso_name(BOOT_IMAGE, ";1")).extent_location()
            out.seek(0)
            out.write(first_sector(image.boot_code.read_bytes(), boot_image, sectors))
        iso.close()


def first_sector(boot_code: bytes, boot_image: int, sectors: int) -> bytes:
    """Return the 512 bytes that make the ISO a bootable disk: boot code and a partition over the whole
    image.

    `boot_image` is where the El Torito image begins and `sectors` the size of the ISO, both in sectors of
    2048 bytes; a disk counts in sectors of 512.
    """
    sector = bytearray(512)
    sector[:BOOT_CODE_SIZE] = boot_code
    struct.pack_into("<Q", sector, _IMAGE_SECTOR_AT, boot_image * 4)
    partition = struct.pack(
        "<B3sB3sII", 0x80, b"\x00\x01\x00", _HIDDEN_ISO_PARTITION, b"\xfe\xff\xff", 0, sectors * 4
    )
    sector[446 : 446 + len(partition)] = partition
    sector[510:] = b"\x55\xaa"
    return bytes(sector)


def _folders(paths: list[str]) -> list[str]:
    found = {path.rsplit("/", depth)[0] for path in paths for depth in range(1, path.count("/"))}
    return sorted(found)


def _iso_name(path: str, version: str) -> str:
    """Return the ISO 9660 name: upper case, only characters that the standard knows, one dot in a file's
    name.
    """
    *folders, last = path.upper().split("/")
    stem, _, extension = last.rpartition(".") if version and "." in last else (last, "", "")
    plain = [_UNKNOWN.sub("_", part) for part in (*folders, stem)]
    return "/".join(plain) + (f".{_UNKNOWN.sub('_', extension)}{version}" if version else "")


@contextmanager
def _frozen_clock(epoch: int) -> Iterator[None]:
    """Let pycdlib, which stamps everything with the current time, see `epoch` in UTC instead."""
    clock = SimpleNamespace(
        time=lambda: float(epoch), localtime=time.gmtime, gmtime=time.gmtime, strftime=time.strftime
    )
    modules: list[Any] = [pycdlib.dates, pycdlib.headervd, pycdlib.pycdlib, pycdlib.utils]
    saved = [module.time for module in modules]
    for module in modules:
        module.time = clock
    try:
        yield
    finally:
        for module, original in zip(modules, saved, strict=True):
            module.time = original
