# SPDX-License-Identifier: GPL-3.0-or-later
"""The yardstick for boots: the kernel of the minimal image, and an initrd with nothing but busybox."""

from __future__ import annotations

from pathlib import Path

import pycdlib

from bootproof import process
from bootproof.build import cpio, iso
from bootproof.build import lock as locks
from bootproof.build.debs import DebStore
from bootproof.build.initrd import read_busybox
from bootproof.build.settings import Settings

READY = "bare is up"
_INIT = f"""#!/bin/busybox sh
/bin/busybox mount -t devtmpfs none /dev
/bin/busybox mount -t proc none /proc
/bin/busybox mount -t sysfs none /sys
echo "{READY}"
exec /bin/busybox sh
"""
_MENU = """serial --unit=0 --speed=115200
terminal_output serial console
linux /live/vmlinuz quiet console=tty0 console=ttyS0,115200
initrd /live/initrd.img
boot
"""


def bare_iso(settings: Settings, work: Path) -> Path:
    """Make the ISO from parts of the built minimal image, in `work`."""
    folder = settings.image_folder("minimal")
    lock = locks.load(folder / "packages.lock")
    busybox = read_busybox(DebStore(settings.cache / "debs").verified(lock.initrd[0]))
    nodes = {
        "dev/console": cpio.character_device(5, 1),
        "proc": cpio.directory(),
        "sys": cpio.directory(),
        "init": cpio.regular(_INIT.encode(), 0o755),
        "bin/busybox": cpio.regular(busybox, 0o755),
    }
    packed = process.run(["zstd", "-15", "--stdout", "--quiet"], data=cpio.archive(nodes)).stdout
    (work / "initrd.img").write_bytes(packed)
    (work / "grub.cfg").write_text(_MENU)
    source = folder / "minimal.iso"
    _extract(
        source, {"/LIVE/VMLINUZ.;1": work / "vmlinuz", "/BOOT/GRUB/ELTORITO.IMG;1": work / "eltorito.img"}
    )
    (work / "mbr.img").write_bytes(source.open("rb").read(440))
    files = {
        "/live/vmlinuz": work / "vmlinuz",
        "/live/initrd.img": work / "initrd.img",
        "/boot/grub/grub.cfg": work / "grub.cfg",
    }
    target = work / "bare.iso"
    iso.write(
        iso.Image(files, work / "eltorito.img", work / "mbr.img", "BOOTPROOF_BARE", lock.epoch), target
    )
    return target


def _extract(source: Path, wanted: dict[str, Path]) -> None:
    image = pycdlib.PyCdlib()
    image.open(str(source))
    for name, target in wanted.items():
        image.get_file_from_iso(str(target), iso_path=name)
    image.close()
