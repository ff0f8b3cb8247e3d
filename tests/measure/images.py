# SPDX-License-Identifier: GPL-3.0-or-later
"""Small ISOs with every part that a boot reads, made by the builder; what it boots is no program."""

from __future__ import annotations

from pathlib import Path

from bootproof.build import iso
from bootproof.measure import iso9660

MENU = """# a comment
serial --unit=0
set default=live
set timeout=0

menuentry "x: start 'it'" --id live {
    linux /live/vmlinuz a=b,c quiet
    initrd /live/initrd.img /live/more.img
}

menuentry "x: rescue" --id rescue --unrestricted {
    # no initrd
    linux /live/vmlinuz bootproof.rescue
}

menuentry "x: check" --id checker {
    tcgbios
}

menuentry "x: again" --id again {
    linux /live/vmlinuz again
}
"""
CORE_SECTORS = 37  # of 2048 bytes: two whole pieces and five sectors
FILES = {
    "/live/vmlinuz": b"kernel" * 1000,
    "/live/initrd.img": b"initrd" * 500,
    "/live/more.img": b"more",
    "/live/base.img": b"base" * 5000,
}


def made(folder: Path, menu: str = MENU) -> bytes:
    """Return the bytes of an ISO; equal arguments give equal bytes."""
    files = {**FILES, "/boot/grub/grub.cfg": menu.encode()}
    sources = {}
    for number, (path, content) in enumerate(files.items()):
        sources[path] = folder / str(number)
        sources[path].write_bytes(content)
    loader, code = folder / "eltorito.img", folder / "mbr.img"
    loader.write_bytes(bytes(at * 7 % 251 for at in range((1 + CORE_SECTORS) * iso9660.SECTOR)))
    code.write_bytes(b"C" * 440)
    iso.write(iso.Image(sources, loader, code, "BOOTPROOF_TEST", 1_700_000_000), folder / "x.iso")
    return (folder / "x.iso").read_bytes()
