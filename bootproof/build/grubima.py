# SPDX-License-Identifier: GPL-3.0-or-later
"""GRUB-IMA: our boot stages, our measuring module, and the suite's GRUB around them.

GRUB is not built: the module is compiled against the part of the module interface that grub/module/abi.h
declares, for the GRUB versions listed here. One built for another version would load and measure wrongly,
so any other is refused.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterable
from pathlib import Path

from bootproof import process
from bootproof.build.debfile import regular_files
from bootproof.errors import HostError

SECTOR = 2048
STAGES_SIZE = SECTOR  # of the El Torito image, what comes before GRUB's core
BOOT_CODE_SIZE = 440
# GRUB's version -> the GRUB_ABI that abi.h knows
ABI = {"2.06": 206, "2.12": 212}
_FORMAT = "i386-pc-eltorito"
_PACKAGED = "usr/lib/grub/i386-pc/"
_MODULE = "ima"
_NEEDED = ("boot", "crypto", "verifiers", "gcry_sha1", "gcry_sha256", "gcry_sha512")
_MODULES = (
    _MODULE, "biosdisk", "iso9660", "part_msdos", "part_gpt", "search", "search_fs_file", "normal",
    "configfile", "linux", "echo", "serial", "terminal", "minicmd", "sleep", "test", "halt", "reboot",
    "ls", "cat",
)  # fmt: skip
# GRUB's own calling convention and instruction set (grub_target_cflags in its modinfo.sh)
_COMPILE = (
    "gcc", "-std=gnu99", "-Os", "-m32", "-march=i386", "-mrtd", "-mregparm=3", "-freg-struct-return",
    "-mno-mmx", "-mno-sse", "-mno-3dnow", "-msoft-float", "-ffreestanding", "-fno-common", "-fno-ident",
    "-fno-asynchronous-unwind-tables", "-fno-unwind-tables", "-fno-pie", "-fno-stack-protector",
    "-Wall", "-Wextra", "-Werror", "-c",
)  # fmt: skip
_LEFT_OUT = (
    ".note.GNU-stack", ".note.gnu.property", ".note", ".comment", ".eh_frame", ".rel.eh_frame",
)  # fmt: skip
# Where each stage runs; the first is loaded at 0x7c00 and moves itself
_STAGES = {"cd": 0x600, "mbr": 0x7C00}


def compile_command(source: Path, target: Path, abi: int) -> list[str]:
    """Return the command that compiles one source of the module."""
    return [*_COMPILE, f"-DGRUB_ABI={abi}", "-o", str(target), str(source)]


def join_command(objects: Iterable[Path], target: Path) -> list[str]:
    """Return the command that joins the module's objects into one that can be relocated."""
    return ["ld", "-m", "elf_i386", "-r", "-o", str(target), *map(str, objects)]


def finish_command(module: Path, name: Path, needed: Path) -> list[str]:
    """Return the command that adds a module's name and what it needs, and drops what GRUB does not read."""
    return [
        "objcopy", "--strip-unneeded", "-K", "grub_mod_init", "-K", "grub_mod_fini",
        "--add-section", f".modname={name}", "--add-section", f".moddeps={needed}",
        *(word for section in _LEFT_OUT for word in ("-R", section)), str(module),
    ]  # fmt: skip


def assemble_command(source: Path, target: Path) -> list[str]:
    return ["as", "--32", "-I", str(source.parent), "-o", str(target), str(source)]


def link_command(source: Path, target: Path, address: int) -> list[str]:
    return ["ld", "-m", "elf_i386", "-Ttext", hex(address), "-e", "_start", "-o", str(target), str(source)]


def flatten_command(source: Path, target: Path) -> list[str]:
    return ["objcopy", "-O", "binary", "-j", ".text", str(source), str(target)]


def mkimage_command(modules: Path, config: Path, target: Path) -> list[str]:
    """Return the command that makes GRUB's core; only the modules' folder decides its bytes."""
    return [
        "grub-mkimage", "-O", _FORMAT, "-d", str(modules), "-p", "/boot/grub", "-c", str(config),
        "-o", str(target), *_MODULES,
    ]  # fmt: skip


def build(folder: Path, *, deb: Path, sources: Path) -> list[str]:
    """Write `eltorito.img` (stages and GRUB's core) and `mbr.img` (440 bytes) into `folder`.

    `deb` is the suite's grub-pc-bin, `sources` the project's grub folder. HostError if it is not a GRUB that
    the module is made for.
    """
    work = folder / "work"
    modules = work / "i386-pc"
    modules.mkdir(parents=True)
    _unpack(deb, modules)
    version = require_known(modules, deb)
    _add_module(modules, sources / "module", work, ABI[version])
    stages = {name: _stage(sources / "stages", work, name) for name in _STAGES}
    process.run(mkimage_command(modules, sources / "early.cfg", work / "core.img"))
    core = (work / "core.img").read_bytes()[STAGES_SIZE:]  # its own first stage is not ours
    image = stages["cd"] + core + bytes(-len(core) % SECTOR)
    (folder / "eltorito.img").write_bytes(image)
    (folder / "mbr.img").write_bytes(stages["mbr"])
    shutil.rmtree(work)
    return [f"GRUB {version}", f"{len(image) // 1000} kB"]


def require_known(modules: Path, deb: Path) -> str:
    """Return GRUB's version; HostError if this is no GRUB for BIOS, or one the module is not made for."""
    info = modules / "modinfo.sh"
    found = re.search(r'^grub_version="(.*)"$', info.read_text(), re.MULTILINE) if info.is_file() else None
    if found is None:
        raise HostError(f"there is no GRUB for BIOS in {deb}")
    if found[1] not in ABI:
        known = " or ".join(ABI)
        raise HostError(
            f"{deb.name} has GRUB {found[1]}; the measuring module is made for {known}",
            "choose a suite with one of those",
        )
    return found[1]


def _unpack(deb: Path, folder: Path) -> None:
    for name, content in regular_files(deb):
        if name.startswith(_PACKAGED):
            (folder / name.removeprefix(_PACKAGED)).write_bytes(content.read())


def _add_module(modules: Path, sources: Path, work: Path, abi: int) -> None:
    objects = []
    for source in sorted(sources.glob("*.c")):
        objects.append(work / f"{source.stem}.o")
        process.run(compile_command(source, objects[-1], abi))
    module = modules / f"{_MODULE}.mod"
    process.run(join_command(objects, module))
    name, needed = work / "modname", work / "moddeps"
    name.write_bytes(_MODULE.encode() + b"\0")
    needed.write_bytes(b"".join(word.encode() + b"\0" for word in _NEEDED))
    process.run(finish_command(module, name, needed))
    with (modules / "moddep.lst").open("a") as listed:  # grub-mkimage looks here, GRUB into the module
        listed.write(f"{_MODULE}: {' '.join(_NEEDED)}\n")


def _stage(sources: Path, work: Path, name: str) -> bytes:
    made, linked, flat = (work / f"{name}.{kind}" for kind in ("o", "elf", "img"))
    process.run(assemble_command(sources / f"{name}.S", made))
    process.run(link_command(made, linked, _STAGES[name]))
    process.run(flatten_command(linked, flat))
    return flat.read_bytes()
