# SPDX-License-Identifier: GPL-3.0-or-later
"""Settings that are right one by one and contradict each other: one small rule for each."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from bootproof.recipe.model import LEVELS, Recipe

BOOT_MODULES = ("loop", "squashfs", "overlay", "dm-verity", "isofs")
MEDIUM_MODULES = (
    "sr_mod", "ahci", "ata_piix", "usb-storage", "uas", "virtio_blk", "virtio_scsi", "nvme",
)  # fmt: skip
APPLIANCE_PACKAGES = ("python3", "python3-typer", "python3-rich")
CHECK_PACKAGES = {
    "tcsd": ("trousers",),
    "trousers-pcrs": ("trousers", "tpm-tools"),
    "tpm-version": ("trousers", "tpm-tools"),
}
BUILDER_WORDS = (
    "bootproof", "root", "rootfstype", "init", "rdinit", "initrd", "ima_hash", "ima_policy", "ima_template",
)  # fmt: skip

Finding = tuple[str, str]


@dataclass(frozen=True)
class Rule:
    """A rule reads `keys` (dotted; the fault is shown at the first) and yields (problem, allowed)."""

    keys: tuple[str, ...]
    check: Callable[[Recipe], Iterator[Finding]]


def module_key(name: str) -> str:
    """Return a module name in the kernel's own spelling: - and _ are the same to it."""
    return name.replace("-", "_")


def _default_entry(recipe: Recipe) -> Iterator[Finding]:
    if recipe.menu.default not in recipe.menu.entries:
        yield f'"{recipe.menu.default}" is not in menu.entries', ", ".join(recipe.menu.entries)


def _init_package(recipe: Recipe) -> Iterator[Finding]:
    installed = recipe.packages.install
    if recipe.init == "systemd" and "systemd-sysv" not in installed:
        yield (
            "systemd needs the package systemd-sysv",
            'add "systemd-sysv" to packages.install, or init = "serial"',
        )
    if recipe.init == "serial" and not {"busybox-static", "busybox"} & set(installed):
        yield "serial needs busybox", 'add "busybox-static" to packages.install, or init = "systemd"'


def _init_variant(recipe: Recipe) -> Iterator[Finding]:
    if recipe.init == "systemd" and recipe.packages.variant == "extract":
        yield (
            "systemd does not start from packages that were never configured",
            'packages.variant = "minbase"',
        )


def _check_packages(recipe: Recipe) -> Iterator[Finding]:
    needed = dict.fromkeys(APPLIANCE_PACKAGES, "the smoke test runs") if recipe.smoke.checks else {}
    for check in recipe.smoke.checks:
        needed |= dict.fromkeys(CHECK_PACKAGES.get(check, ()), f'the check "{check}" runs')
    for name, what in needed.items():
        if name not in recipe.packages.install:
            yield f"{what} with the package {name}, which is missing", f'add "{name}" to packages.install'


def _boot_modules(recipe: Recipe) -> Iterator[Finding]:
    loaded = set(map(module_key, recipe.kernel.initrd_modules))
    for name in BOOT_MODULES:
        if module_key(name) not in loaded:
            yield f'the live boot needs "{name}"', f"at least {', '.join(BOOT_MODULES)}"
    if not loaded & set(map(module_key, MEDIUM_MODULES)):
        yield "no driver for a boot medium", f"at least one of {', '.join(MEDIUM_MODULES)}"


def _blacklist(recipe: Recipe) -> Iterator[Finding]:
    loaded = set(map(module_key, recipe.kernel.initrd_modules))
    for name in recipe.kernel.blacklist:
        if module_key(name) in loaded:
            yield f'"{name}" is in kernel.initrd_modules too', "modules that the initrd does not load"


def _command_line(recipe: Recipe) -> Iterator[Finding]:
    for word in recipe.kernel.command_line:
        if module_key(word.partition("=")[0].partition(".")[0]) in BUILDER_WORDS:
            yield f'"{word}" is set by the builder itself', "words other than " + ", ".join(BUILDER_WORDS)


def _level(recipe: Recipe) -> Iterator[Finding]:
    name, level = recipe.layers.compression, recipe.layers.level
    levels = LEVELS.get(name)
    if level is None:
        return
    if levels is None:
        yield f"{name} has no level", "no level"
    elif level not in levels:
        yield f"{level} is out of range for {name}", f"{levels[0]} to {levels[-1]}"


RULES = (
    Rule(("menu.default", "menu.entries"), _default_entry),
    Rule(("init", "packages.install"), _init_package),
    Rule(("init", "packages.variant"), _init_variant),
    Rule(("smoke.checks", "packages.install"), _check_packages),
    Rule(("kernel.initrd_modules",), _boot_modules),
    Rule(("kernel.blacklist", "kernel.initrd_modules"), _blacklist),
    Rule(("kernel.command_line",), _command_line),
    Rule(("layers.level", "layers.compression"), _level),
)
