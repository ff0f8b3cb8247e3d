# SPDX-License-Identifier: GPL-3.0-or-later
"""Small real images to compare: squashfs by mksquashfs, cpio and ISO by the builder's own writers."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from bootproof import process
from bootproof.build import cpio, iso

EPOCH = 1_700_000_000


@dataclass(frozen=True)
class File:
    data: bytes = b"same\n"
    mode: int = 0o644
    mtime: int = EPOCH
    uid: int = 0
    link: str = ""
    type: bytes = tarfile.REGTYPE


TREE = {
    "etc": File(b"", 0o755, type=tarfile.DIRTYPE),
    "etc/motd": File(b"hello\n"),
    "etc/motd with space": File(b"world\n"),
    "etc/shadow": File(b"root:*\n", 0o640),
    "sbin": File(link="etc", type=tarfile.SYMTYPE),
    "same": File(link="./etc/motd", type=tarfile.LNKTYPE),
    "tty": File(type=tarfile.CHRTYPE),
}


def changed(name: str, **what: object) -> dict[str, File]:
    return TREE | {name: replace(TREE[name], **what)}  # type: ignore[arg-type]


def squashfs(target: Path, tree: Mapping[str, File], *options: str) -> Path:
    raw = io.BytesIO()
    with tarfile.open(fileobj=raw, mode="w", format=tarfile.GNU_FORMAT) as archive:
        for name, file in tree.items():
            info = tarfile.TarInfo(f"./{name}")
            info.type, info.mode, info.mtime, info.uid = file.type, file.mode, file.mtime, file.uid
            info.linkname, info.devmajor, info.devminor = file.link, 5, 1
            info.size = len(file.data) if file.type == tarfile.REGTYPE else 0
            archive.addfile(info, io.BytesIO(file.data))
    target.unlink(missing_ok=True)
    process.run(
        ["mksquashfs", "-", target, "-tar", "-noappend", "-quiet", "-no-progress", "-no-xattrs", *options],
        data=raw.getvalue(), env={"SOURCE_DATE_EPOCH": str(EPOCH)},
    )  # fmt: skip
    return target


NODES = {
    "init": cpio.regular(b"#!/bin/sh\n", 0o755),
    "bin/sh": cpio.symlink("busybox"),
    "dev/null": cpio.character_device(1, 3, 0o666),
    "lib/a.ko": cpio.regular(b"module"),
}


def image(folder: Path, files: Mapping[str, bytes], *, label: str = "TEST", epoch: int = EPOCH) -> Path:
    """Write an ISO with these files by path."""
    folder.mkdir(parents=True)
    content = {}
    for number, (path, data) in enumerate(files.items()):
        content[path] = folder / str(number)
        content[path].write_bytes(data)
    for name, size in (("eltorito", 4096), ("code", 440)):
        (folder / name).write_bytes(bytes(size))
    target = folder / "image.iso"
    iso.write(iso.Image(content, folder / "eltorito", folder / "code", label, epoch), target)
    return target
