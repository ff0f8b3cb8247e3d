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
from bootproof.build.compiler import Compiler
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
    "-quiet", "-std=gnu99", "-Os", "-m32", "-march=i386", "-mrtd", "-mregparm=3", "-freg-struct-return",
    "-mno-mmx", "-mno-sse", "-mno-3dnow", "-msoft-float", "-ffreestanding", "-fno-common", "-fno-ident",
    "-fno-asynchronous-unwind-tables", "-fno-unwind-tables", "-fno-pie", "-fno-stack-protector",
    "-Wall", "-Wextra", "-Werror",
)  # fmt: skip
_LEFT_OUT = (
    ".note.GNU-stack", ".note.gnu.property", ".note", ".comment", ".eh_frame", ".rel.eh_frame",
)  # fmt: skip
# Where each stage runs; the first is loaded at 0x7c00 and moves itself
_STAGES = {"cd": 0x600, "mbr": 0x7C00}


def compile_command(compiler: Compiler, source: Path, target: Path, abi: int) -> list[str]:
    """Return the command that compiles one source of the module to assembly."""
    return compiler.command("cc1", *_COMPILE, f"-DGRUB_ABI={abi}", "-o", str(target), str(source))


def assemble_command(compiler: Compiler, source: Path, target: Path) -> list[str]:
    return compiler.command("as", "--32", "-I", str(source.parent), "-o", str(target), str(source))


def join_command(compiler: Compiler, objects: Iterable[Path], target: Path) -> list[str]:
    """Return the command that joins the module's objects into one that can be relocated."""
    return compiler.command("ld", "-m", "elf_i386", "-r", "-o", str(target), *map(str, objects))


def finish_command(compiler: Compiler, module: Path, name: Path, needed: Path) -> list[str]:
    """Return the command that adds a module's name and what it needs, and drops what GRUB does not read."""
    return compiler.command(
        "objcopy", "--strip-unneeded", "-K", "grub_mod_init", "-K", "grub_mod_fini",
        "--add-section", f".modname={name}", "--add-section", f".moddeps={needed}",
        *(word for section in _LEFT_OUT for word in ("-R", section)), str(module),
    )  # fmt: skip


def link_command(compiler: Compiler, source: Path, target: Path, address: int) -> list[str]:
    place = ["-Ttext", hex(address), "-e", "_start"]
    return compiler.command("ld", "-m", "elf_i386", *place, "-o", str(target), str(source))


def flatten_command(compiler: Compiler, source: Path, target: Path) -> list[str]:
    return compiler.command("objcopy", "-O", "binary", "-j", ".text", str(source), str(target))


def mkimage_command(compiler: Compiler, modules: Path, config: Path, target: Path) -> list[str]:
    """Return the command that makes GRUB's core."""
    return compiler.command(
        "grub-mkimage", "-O", _FORMAT, "-d", str(modules), "-p", "/boot/grub", "-c", str(config),
        "-o", str(target), *_MODULES,
    )  # fmt: skip


def build(folder: Path, *, deb: Path, sources: Path, compiler: Compiler) -> list[str]:
    """Write `eltorito.img` (stages and GRUB's core) and `mbr.img` (440 bytes) into `folder`.

    `deb` is the suite's grub-pc-bin, `sources` the project's grub folder, `compiler` the suite's. HostError
    if it is not a GRUB that the module is made for.
    """
    work = folder / "work"
    modules = work / "i386-pc"
    modules.mkdir(parents=True)
    _unpack(deb, modules)
    version = require_known(modules, deb)
    add_module(compiler, modules, sources / "module", work, ABI[version])
    stages = {name: stage(compiler, sources / "stages", work, name) for name in _STAGES}
    process.run(mkimage_command(compiler, modules, sources / "early.cfg", work / "core.img"))
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


def add_module(compiler: Compiler, modules: Path, sources: Path, work: Path, abi: int) -> None:
    """Make `ima.mod` among GRUB's modules, and list it there; `work` is a folder for what is in between."""
    objects = []
    for source in sorted(sources.glob("*.c")):
        assembly, made = work / f"{source.stem}.s", work / f"{source.stem}.o"
        process.run(compile_command(compiler, source, assembly, abi))
        process.run(assemble_command(compiler, assembly, made))
        objects.append(made)
    module = modules / f"{_MODULE}.mod"
    process.run(join_command(compiler, objects, module))
    name, needed = work / "modname", work / "moddeps"
    name.write_bytes(_MODULE.encode() + b"\0")
    needed.write_bytes(b"".join(word.encode() + b"\0" for word in _NEEDED))
    process.run(finish_command(compiler, module, name, needed))
    with (modules / "moddep.lst").open("a") as listed:  # grub-mkimage looks here, GRUB into the module
        listed.write(f"{_MODULE}: {' '.join(_NEEDED)}\n")


def stage(compiler: Compiler, sources: Path, work: Path, name: str) -> bytes:
    """Return a boot stage, assembled for the address that it runs at."""
    made, linked, flat = (work / f"{name}.{kind}" for kind in ("o", "elf", "img"))
    process.run(assemble_command(compiler, sources / f"{name}.S", made))
    process.run(link_command(compiler, made, linked, _STAGES[name]))
    process.run(flatten_command(compiler, linked, flat))
    return flat.read_bytes()
