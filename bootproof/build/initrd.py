# SPDX-License-Identifier: GPL-3.0-or-later
"""The initial file system: busybox, the kernel modules that find and open the medium, our init and the IMA
policy.
"""

from __future__ import annotations

import hashlib
import json
import lzma
import shutil
import tarfile
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from bootproof import process
from bootproof.build import cpio
from bootproof.build.compiler import Compiler
from bootproof.build.debfile import regular_files
from bootproof.build.layer import Entry
from bootproof.errors import HostError

_COMPILE = (
    "-quiet", "-std=gnu11", "-Os", "-ffreestanding", "-fno-stack-protector", "-fno-pie", "-fno-ident",
    "-fno-asynchronous-unwind-tables", "-fcf-protection=none", "-Wall", "-Wextra", "-Werror",
)  # fmt: skip
_LINK = ("-static", "-s", "--build-id=none", "-z", "noexecstack")
APPLETS = (
    "sh", "cat", "cp", "dmesg", "echo", "findfs", "losetup", "ls", "lsmod", "mkdir", "modprobe", "mount",
    "poweroff", "readlink", "reboot", "setsid", "sleep", "switch_root", "umount", "vi",
)  # fmt: skip
_TABLES = ("modules.dep", "modules.alias")  # what busybox's modprobe reads


def tool_commands(compiler: Compiler, source: Path, target: Path) -> list[list[str]]:
    """Return the commands that make the dm-verity tool, which is freestanding."""
    assembly, made = target.with_suffix(".s"), target.with_suffix(".o")
    return [
        compiler.command("cc1", *_COMPILE, *compiler.headers(), "-o", str(assembly), str(source)),
        compiler.command("as", "-o", str(made), str(assembly)),
        compiler.command("ld", *_LINK, "-o", str(target), str(made)),
    ]


def build(
    folder: Path, *, sources: Path, policy: str, kernel: Path, busybox: Path, compiler: Compiler
) -> list[str]:
    """Write `initrd.img` and `files.json` (its regular files) into `folder`.

    `sources` is the project's initrd folder, `kernel` the kernel step's results, `busybox` the
    busybox-static package, `compiler` the suite's.
    """
    work = folder / "work"
    work.mkdir()
    tool = work / "verity"
    for command in tool_commands(compiler, sources / "verity.c", tool):
        process.run(command)
    record = json.loads((kernel / "initrd.json").read_text())
    nodes: dict[str, cpio.Node] = {
        "dev/console": cpio.character_device(5, 1),
        "dev/null": cpio.character_device(1, 3, 0o666),
        "init": cpio.regular((sources / "init").read_bytes(), 0o755),
        "bin/busybox": cpio.regular(read_busybox(busybox), 0o755),
        "bin/verity": cpio.regular(tool.read_bytes(), 0o755),
        "etc/ima-policy": cpio.regular((sources / "ima-policy" / policy).read_bytes()),
        "etc/modules": cpio.regular("".join(f"{name}\n" for name in record["always"]).encode()),
    }
    nodes |= {f"bin/{applet}": cpio.symlink("busybox") for applet in APPLETS}
    nodes |= {name: cpio.directory() for name in ("proc", "sys", "run", "root")}
    nodes |= _module_nodes(kernel, record, work)
    shutil.rmtree(work)
    raw = cpio.archive(nodes)
    packed = process.run(["zstd", "-15", "--stdout", "--quiet", "--single-thread"], data=raw).stdout
    (folder / "initrd.img").write_bytes(packed)
    (folder / "files.json").write_text(json.dumps([asdict(entry) for entry in _entries(nodes)], indent=0))
    return [f"{len(record['files'])} modules, {len(packed) / 1e6:.1f} MB"]


def _module_nodes(kernel: Path, record: Mapping[str, Any], work: Path) -> dict[str, cpio.Node]:
    """Return the modules, unpacked, and depmod's tables of what they need and drive; `work` is a folder for
    depmod.
    """
    home = f"lib/modules/{record['version']}"
    (work / home).mkdir(parents=True)
    with tarfile.open(kernel / "modules.tar") as archive:
        for path in record["files"]:
            stream = archive.extractfile(f"./usr/lib/modules/{path}")
            assert stream is not None
            raw = stream.read()
            name = path.rsplit("/", 1)[-1]
            plain = lzma.decompress(raw) if name.endswith(".xz") else raw
            (work / home / name.removesuffix(".xz")).write_bytes(plain)
    process.run(["depmod", "--basedir", work, record["version"]])
    kept = (path for path in (work / home).iterdir() if path.suffix == ".ko" or path.name in _TABLES)
    return {f"{home}/{path.name}": cpio.regular(path.read_bytes()) for path in kept}


def read_busybox(deb: Path) -> bytes:
    for path, content in regular_files(deb):
        if path in ("bin/busybox", "usr/bin/busybox"):
            return content.read()
    raise HostError(f"there is no busybox in {deb}")


def _entries(nodes: dict[str, cpio.Node]) -> list[Entry]:
    return [
        Entry(f"/{path}", len(node.data), hashlib.sha256(node.data).hexdigest())
        for path, node in sorted(nodes.items())
        if node.mode & 0o170000 == 0o100000
    ]
