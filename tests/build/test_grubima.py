# SPDX-License-Identifier: GPL-3.0-or-later
"""Boot stages and the measuring module, made for GRUBs that are not installed here."""

from __future__ import annotations

import re
import struct
from pathlib import Path

import pytest

from bootproof import process
from bootproof.build import grubima
from bootproof.build.compiler import Compiler
from bootproof.errors import HostError

from .packages import real_deb

GRUB = Path(__file__).parents[2] / "grub"
HOST = Compiler(Path("/"))  # a suite's own is made of packages, in test_real_builds
LOADER = "/usr/lib/x86_64-linux-gnu/ld-linux-x86-64.so.2"
INFO = "usr/lib/grub/i386-pc/modinfo.sh"
# what GRUB's kernel and its modules boot, crypto and verifiers give to other modules (2.06 and 2.12)
EXPORTED = {
    "grub_bios_interrupt", "grub_crypto_hash", "grub_crypto_lookup_md_by_name", "grub_env_set", "grub_error",
    "grub_file_verifiers", "grub_free", "grub_loader_register_preboot_hook",
    "grub_loader_unregister_preboot_hook", "grub_malloc", "grub_memcmp", "grub_memmove", "grub_printf",
    "grub_refresh", "grub_register_command_prio", "grub_strdup", "grub_strlen", "grub_unregister_command",
}  # fmt: skip


def test_the_command_for_grubs_core() -> None:
    command = grubima.mkimage_command(HOST, Path("mods"), Path("early.cfg"), Path("out.img"))
    assert command[:3] == [LOADER, "--library-path", "/usr/lib/x86_64-linux-gnu:/lib/x86_64-linux-gnu"]
    assert command[3:14] == [
        "/usr/bin/grub-mkimage", "-O", "i386-pc-eltorito", "-d", "mods", "-p", "/boot/grub",
        "-c", "early.cfg", "-o", "out.img",
    ]  # fmt: skip
    assert {"ima", "iso9660", "biosdisk", "linux", "search"} <= set(command[14:])


def test_a_package_without_grub(tmp_path: Path) -> None:
    deb = real_deb(tmp_path, "other", {"usr/share/doc/x": b"x"})
    with pytest.raises(HostError, match="there is no GRUB for BIOS in"):
        grubima.build(tmp_path, deb=deb, sources=GRUB, compiler=HOST)


def test_a_grub_the_module_is_not_made_for_is_named(tmp_path: Path) -> None:
    deb = real_deb(tmp_path, "grub-pc-bin", {INFO: b'grub_version="2.14"\n'})
    with pytest.raises(HostError, match=r"has GRUB 2\.14; the measuring module is made for 2\.06 or 2\.12"):
        grubima.build(tmp_path, deb=deb, sources=GRUB, compiler=HOST)


@pytest.mark.parametrize("abi", grubima.ABI.values())
def test_the_module_needs_only_what_grub_has(tmp_path: Path, abi: int) -> None:
    modules = tmp_path / "modules"
    modules.mkdir()
    grubima.add_module(HOST, modules, GRUB / "module", tmp_path, abi)
    listed = process.run(["nm", modules / "ima.mod"]).stdout.decode().splitlines()
    assert {line.split()[1] for line in listed if line.split()[0] == "U"} <= EXPORTED
    assert {"grub_mod_init", "grub_mod_fini"} <= {line.split()[-1] for line in listed}
    sections = process.run(["objdump", "-h", modules / "ima.mod"]).stdout.decode()
    assert {".modname", ".moddeps", ".module_license"} <= set(sections.split())
    assert (modules / "moddep.lst").read_text() == f"ima: {' '.join(grubima._NEEDED)}\n"


def test_a_module_for_another_grub_is_other_bytes(tmp_path: Path) -> None:
    made = []
    for abi in grubima.ABI.values():
        folder = tmp_path / str(abi)
        folder.mkdir()
        grubima.add_module(HOST, folder, GRUB / "module", folder, abi)
        made.append((folder / "ima.mod").read_bytes())
    assert made[0] != made[1]


def test_the_stages_have_their_sizes_and_their_marks(tmp_path: Path) -> None:
    cd, mbr = (grubima.stage(HOST, GRUB / "stages", tmp_path, name) for name in ("cd", "mbr"))
    assert len(cd) == grubima.STAGES_SIZE
    assert cd[8:64] == bytes(56)  # for the boot information table
    assert len(mbr) == grubima.BOOT_CODE_SIZE
    size, _, count, offset, segment, sector = struct.unpack_from("<BBHHHQ", mbr, 0x1A8)
    assert (size, count, offset, segment, sector) == (16, 4, 0x600, 0, 0)


def test_the_stages_and_the_module_agree_on_the_hand_over() -> None:
    stages = (GRUB / "stages" / "tpm.inc").read_text()
    module = (GRUB / "module" / "handover.c").read_text()
    for name in ("HANDOVER", "MAGIC", "RESPONSES", "RESPONSE_SIZE"):
        there = re.search(rf"^\.set {name},\s+(0x\w+)", stages, re.MULTILINE)
        here = re.search(rf"^#define {name} .*?(0x[0-9a-f]+)", module, re.MULTILINE)
        assert there and here and int(there[1], 16) == int(here[1], 16), name


@pytest.mark.parametrize("name", ["cd", "mbr"])
def test_numbers_of_a_stage_are_set_before_they_are_used(name: str) -> None:
    """The assembler takes a name that it does not know yet for an address."""
    folder = GRUB / "stages"
    text = (folder / f"{name}.S").read_text()
    text = text.replace('.include "tpm.inc"', (folder / "tpm.inc").read_text())
    lines = [line.split("#")[0] for line in text.splitlines()]
    for number, line in enumerate(lines):
        found = re.match(r"\s*\.set (\w+),", line)
        if found:
            instructions = [one for one in lines[:number] if not one.startswith(".set")]
            assert not [one for one in instructions if re.search(rf"\b{found[1]}\b", one)], found[1]
