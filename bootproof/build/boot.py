# SPDX-License-Identifier: GPL-3.0-or-later
"""Boot menu, kernel command lines and GRUB's boot images, from the GRUB modules of the recipe's suite."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from bootproof import process
from bootproof.build.debfile import regular_files
from bootproof.build.templates import render
from bootproof.build.verity import Verity
from bootproof.errors import HostError

_MODULES = (
    "biosdisk", "iso9660", "part_msdos", "part_gpt", "search", "search_fs_file", "normal", "configfile",
    "linux", "echo", "serial", "terminal", "minicmd", "sleep", "test", "halt", "reboot", "ls", "cat",
)  # fmt: skip
_FORMAT = "i386-pc-eltorito"
_TITLES = {"live": "start from the medium", "toram": "copy to memory, then start", "rescue": "rescue shell"}
_EXTRA = {"live": (), "toram": ("bootproof.toram",), "rescue": ("bootproof.rescue",)}
_PREFIX = "usr/lib/grub/i386-pc/"
MENU_PATH = "/boot/grub/grub.cfg"


@dataclass(frozen=True)
class CommandLine:
    """What decides the kernel's command line."""

    label: str
    base: Verity
    product: Verity
    init: str
    ima_hash: str
    words: tuple[str, ...]

    def text(self, entry: str) -> str:
        """Return the command line of a menu entry."""
        own = (
            f"bootproof.label={self.label}",
            f"bootproof.base={self.base.blocks}:{self.base.root_hash}",
            f"bootproof.product={self.product.blocks}:{self.product.root_hash}",
            f"init={self.init}",
            f"ima_hash={self.ima_hash}",
        )
        return " ".join((*own, *_EXTRA[entry], *self.words))


def menu(
    template: Path,
    *,
    name: str,
    title: str,
    entries: Sequence[str],
    default: str,
    timeout: int,
    line: CommandLine,
) -> str:
    """Render the boot menu."""
    rows = [
        {"id": entry, "title": f"{name}: {_TITLES[entry]}", "command_line": line.text(entry)}
        for entry in entries
    ]
    values = {"name": name, "title": title, "entries": rows, "default": default, "timeout": timeout}
    return render(template, values)


def mkimage_command(modules: Path, config: Path, target: Path) -> list[str]:
    """Return the command that makes GRUB's El Torito image; only the modules' folder decides its bytes."""
    return [
        "grub-mkimage", "-O", _FORMAT, "-d", str(modules), "-p", "/boot/grub", "-c", str(config),
        "-o", str(target), *_MODULES,
    ]  # fmt: skip


def build_grub(folder: Path, *, deb: Path, config: Path) -> list[str]:
    """Write `eltorito.img` (for CD and, behind it, disks) and `mbr.img` (boot code of 440 bytes) into
    `folder`.
    """
    modules = folder / "i386-pc"
    modules.mkdir()
    for name, content in regular_files(deb):
        if name.startswith(_PREFIX):
            (modules / name.removeprefix(_PREFIX)).write_bytes(content.read())
    if not (modules / "cdboot.img").is_file():
        raise HostError(f"there is no GRUB for BIOS in {deb}")
    process.run(mkimage_command(modules, config, folder / "eltorito.img"))
    (folder / "mbr.img").write_bytes((modules / "boot_hybrid.img").read_bytes()[:440])
    for path in modules.iterdir():
        path.unlink()
    modules.rmdir()
    return [f"{(folder / 'eltorito.img').stat().st_size // 1000} kB"]
