# SPDX-License-Identifier: GPL-3.0-or-later
"""Kernel package -> kernel image, and the modules that a recipe keeps, without initramfs-tools.

The package is only unpacked: its maintainer scripts would build an initramfs that nobody uses.
"""

from __future__ import annotations

import fnmatch
import json
import lzma
import re
import shutil
import tarfile
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import IO

from bootproof import process
from bootproof.build.debfile import regular_files
from bootproof.errors import BootproofError

_MODULE = re.compile(r"^(?:usr/)?lib/modules/(?P<version>[^/]+)/(?P<path>.+)$")
_SUFFIXES = (".ko", ".ko.xz")
# Prefixes of the modaliases under /sys/bus/*/devices, which initrd/init looks at
BUSES = frozenset({"pci", "usb", "scsi", "virtio", "hid", "vmbus", "xen", "acpi", "mmc", "sdio"})
Modinfo = Mapping[str, list[str]]


def unpack(folder: Path, *, deb: Path, keep: Sequence[str], initrd: Sequence[str]) -> list[str]:
    """Write `vmlinuz`, `modules.tar` (usr/lib/modules as it goes into the image) and `initrd.json` into
    `folder`.

    `keep` are globs below `kernel/`, `initrd` module names; what they depend on comes along. `initrd.json`
    has the kernel's `version`, the `files` (below usr/lib/modules) of the initrd's modules, and the names of
    those to load `always`: drivers of devices wait until their device is there.
    """
    work = folder / "work"
    version = _extract(deb, work, folder)
    modules = Modules(work / "usr/lib/modules" / version)
    kept = modules.closure(modules.matching(keep) + modules.named(initrd), soft=True)
    order = modules.closure(modules.named(initrd), soft=False)
    for name in modules.files.keys() - set(kept):
        modules.files[name].unlink()
    process.run(["depmod", "--basedir", work / "usr", version])
    _pack(work, folder / "modules.tar")
    record = {
        "version": version,
        "files": [str(modules.files[name].relative_to(work / "usr/lib/modules")) for name in order],
        "always": [name for name in modules.named(initrd) if not modules.drives_devices(name)],
    }
    (folder / "initrd.json").write_text(json.dumps(record, indent=1))
    shutil.rmtree(work)
    return [version, f"{len(kept)} modules of {len(modules.files)}"]


class Modules:
    """The modules of one kernel by name (with `_` for `-`), and what they need, read from the modules
    themselves.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.files = {
            module_name(path): path
            for path in sorted(folder.rglob("*.ko*"))
            if path.name.endswith(_SUFFIXES)
        }
        self.builtin = {module_name(path): path for path in _builtin(folder)}
        self._info: dict[str, Modinfo] = {}

    def matching(self, globs: Iterable[str]) -> list[str]:
        """Return the modules whose path below `kernel/` is, or lies in a folder that is, matched by a glob.

        What is built into the kernel counts as found: kernels differ in what they build in.
        """
        paths = {name: str(path.relative_to(self.folder)) for name, path in self.files.items()}
        found: list[str] = []
        unmatched = []
        for glob in globs:
            pattern = _pattern(glob)
            names = [name for name, path in paths.items() if pattern.match(path)]
            found += names
            if not names and not any(pattern.match(str(path)) for path in self.builtin.values()):
                unmatched.append(glob)
        if unmatched:
            raise BootproofError(
                f"no module of this kernel matches: {', '.join(unmatched)}",
                "mend the recipe's kernel.modules",
            )
        return found

    def named(self, names: Iterable[str]) -> list[str]:
        """Return the modules with these names; those built into the kernel need no file."""
        wanted = [name.replace("-", "_") for name in names]
        unknown = [name for name in wanted if name not in self.files and name not in self.builtin]
        if unknown:
            raise BootproofError(
                f"this kernel has no module {', '.join(unknown)}", "mend the recipe's kernel.initrd_modules"
            )
        return [name for name in wanted if name in self.files]

    def closure(self, names: Iterable[str], *, soft: bool) -> list[str]:
        """Return `names` and everything they need, what is needed first; `soft` also follows softdeps that
        exist.
        """
        order: dict[str, None] = {}

        def visit(name: str) -> None:
            if name in order or name not in self.files:
                return
            hard_needs, soft_needs = self.needs(name)
            for other in hard_needs:
                visit(other)
            order[name] = None
            for other in soft_needs if soft else ():
                visit(other)

        for name in names:
            visit(name)
        return list(order)

    def info(self, name: str) -> Modinfo:
        if name not in self._info:
            self._info[name] = modinfo(read_module(self.files[name]))
        return self._info[name]

    def needs(self, name: str) -> tuple[list[str], list[str]]:
        """Return the hard and the soft dependencies of a module."""
        info = self.info(name)
        hard = [
            word.replace("-", "_") for text in info.get("depends", ()) for word in text.split(",") if word
        ]
        soft = [
            word.replace("-", "_")
            for text in info.get("softdep", ())
            for word in text.split()
            if ":" not in word
        ]
        return hard, soft

    def drives_devices(self, name: str) -> bool:
        """Return whether a module names devices that it drives, to be loaded when one is there."""
        return any(alias.partition(":")[0] in BUSES for alias in self.info(name).get("alias", ()))


def _builtin(folder: Path) -> list[Path]:
    listing = folder / "modules.builtin"
    return [Path(line) for line in listing.read_text().split()] if listing.exists() else []


def _pattern(glob: str) -> re.Pattern[str]:
    """Return what matches the path of a module that `glob` names, with or without suffix, or whose folder it
    names.
    """
    name = fnmatch.translate(f"kernel/{glob.strip('/').removeprefix('kernel/')}").removesuffix(r"\Z")
    return re.compile(rf"{name}(?:\.ko(?:\.xz)?)?(?:/.*)?\Z")


def module_name(path: Path) -> str:
    return path.name.split(".ko")[0].replace("-", "_")


def read_module(path: Path) -> bytes:
    """Return a module as the kernel will see it, unpacked."""
    raw = path.read_bytes()
    return lzma.decompress(raw) if path.name.endswith(".xz") else raw


def modinfo(module: bytes) -> Modinfo:
    """Return what a module says of itself (NUL-separated `key=value` in its .modinfo section): dependencies
    and aliases.
    """
    found: dict[str, list[str]] = {}
    for match in re.finditer(rb"\0(depends|softdep|alias)=([^\0]*)", module):
        found.setdefault(match[1].decode(), []).append(match[2].decode())
    return found


def _extract(deb: Path, work: Path, folder: Path) -> str:
    """Unpack the kernel image and the modules of a package; return the kernel's version."""
    version = ""
    for path, content in regular_files(deb):
        match = _MODULE.match(path)
        if match:
            version = match["version"]
            _write(content, work / "usr/lib/modules" / version / match["path"])
        elif path.startswith("boot/vmlinuz-"):
            _write(content, folder / "vmlinuz")
    if not version or not (folder / "vmlinuz").is_file():
        raise BootproofError(f"{deb} is not a kernel package", "mend the recipe's kernel.package")
    return version


def _write(content: IO[bytes], target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    with target.open("wb") as stream:
        shutil.copyfileobj(content, stream)


def _pack(work: Path, target: Path) -> None:
    """Write the modules' folders and files as a tar in a fixed order, owned by root."""

    def plain(info: tarfile.TarInfo) -> tarfile.TarInfo:
        info.uid = info.gid = 0
        info.uname = info.gname = ""
        info.mode = 0o755 if info.isdir() else 0o644
        info.mtime = 0  # the layer gives everything the image's epoch
        return info

    modules = work / "usr/lib/modules"
    with tarfile.open(target, "w", format=tarfile.GNU_FORMAT) as archive:
        for path in (modules, *sorted(modules.rglob("*"))):
            archive.add(path, arcname=f"./{path.relative_to(work)}", recursive=False, filter=plain)
