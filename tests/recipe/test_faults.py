# SPDX-License-Identifier: GPL-3.0-or-later
"""Every way to write a recipe wrong is told with file, key and what is allowed, all at once."""

from __future__ import annotations

from pathlib import Path

import pytest

from bootproof.recipe import schema_table
from bootproof.recipe.reference import refresh
from tests.recipe.conftest import ROOT, Kitchen

DOCUMENT = Path(__file__).parents[2] / "docs" / "recipes.md"

ENTRIES = "live, toram, rescue, checker, next"
SINGLE_FAULTS = [
    ("[menu]\ntimout = 3", "menu.timout", 'unknown key; did you mean "timeout"?', "title, timeout"),
    ("kernl = 3", "kernl", 'unknown key; did you mean "kernel"?', "suite, mirror, init"),
    ('[menu]\ntimeout = "3"', "menu.timeout", 'must be a whole number, not "3"', "0 to 600"),
    ("[menu]\ntimeout = 601", "menu.timeout", "601 is not allowed", "0 to 600"),
    ("[menu]\ntimeout = true", "menu.timeout", "must be a whole number, not true", "0 to 600"),
    ("[menu]\nentries = []", "menu.entries", "must not be empty", ENTRIES),
    ('[menu]\nentries = "live"', "menu.entries", 'must be a list, not "live"', ENTRIES),
    ("menu = 3", "menu", "must be a table, not 3", "title, timeout, entries, default"),
    ("suite = 13", "suite", "13 is not allowed", "trixie, bookworm"),
    ('suite = "sid"', "suite", '"sid" is not allowed', "trixie, bookworm"),
    ('mirror = "mirror.example"', "mirror", "is not allowed", "https:// or file:/// URL"),
    ('name = "x"', "name", "is given by the name of the file", "leave it out"),
    ('overlays = ["exta"]', "overlays[0]", 'no folder "exta"; did you mean "extra"?', "common, extra"),
    ('overlays = ["../x"]', "overlays[0]", '"../x" is not allowed', "names of folders"),
    ('overlays = ["extra", "extra"]', "overlays[1]", '"extra" is there twice', "each item once"),
    (
        '[packages]\ninstall = ["Less"]',
        "packages.install[0]",
        '"Less" is not allowed',
        "Debian package names",
    ),
    ("[packages]\ninstall = [7]", "packages.install[0]", "must be text, not 7", "Debian package names"),
    (
        '[packages]\ninstall = ["!lss"]',
        "packages.install[0]",
        "has nothing to remove",
        "systemd-sysv, python3",
    ),
    (
        '[packages]\nexclude_paths = ["usr"]',
        "packages.exclude_paths[0]",
        '"usr" is not allowed',
        "absolute paths",
    ),
    (
        '[packages]\nexclude_paths = ["/a/[b"]',
        "packages.exclude_paths[0]",
        "is not allowed",
        "absolute paths",
    ),
    ('[kernel]\nmodules = ["/fs"]', "kernel.modules[0]", '"/fs" is not allowed', "globs below kernel/"),
    ('[kernel]\nmodules = ["fs//x"]', "kernel.modules[0]", '"fs//x" is not allowed', "globs below kernel/"),
    ('[kernel]\nblacklist = ["a b"]', "kernel.blacklist[0]", '"a b" is not allowed', "module names"),
    (
        '[kernel]\nblacklist = ["sr-mod"]',
        "kernel.blacklist",
        "is in kernel.initrd_modules too",
        "does not load",
    ),
    ('[kernel]\ncommand_line = ["a b"]', "kernel.command_line[0]", '"a b" is not allowed', "without blanks"),
    (
        '[kernel]\ncommand_line = ["root=/dev/sda"]',
        "kernel.command_line",
        "is set by the builder",
        "ima_hash",
    ),
    (
        '[kernel]\ncommand_line = ["ima-policy=tcb"]',
        "kernel.command_line",
        "is set by the builder",
        "ima_policy",
    ),
    (
        '[kernel]\ncommand_line = ["bootproof.x"]',
        "kernel.command_line",
        "is set by the builder",
        "bootproof",
    ),
    ('[kernel]\ninitrd_modules = ["!loop"]', "kernel.initrd_modules", 'needs "loop"', "dm-verity"),
    (
        '[kernel]\ninitrd_modules = ["!sr_mod"]',
        "kernel.initrd_modules",
        "no driver for a boot medium",
        "ahci",
    ),
    ('[menu]\nentries = ["live"]\ndefault = "rescue"', "menu.default", "is not in menu.entries", "live"),
    (
        '[packages]\ninstall = ["!systemd-sysv"]',
        "init",
        "needs the package systemd-sysv",
        "packages.install",
    ),
    ('init = "serial"', "init", "serial needs busybox", "busybox-static"),
    ('[packages]\nvariant = "extract"', "init", "never configured", "minbase"),
    ('[packages]\ninstall = ["!python3"]', "smoke.checks", "with the package python3,", 'add "python3"'),
    (
        '[smoke]\nchecks = ["tcsd"]',
        "smoke.checks",
        'the check "tcsd" runs with the package trousers',
        "trousers",
    ),
    ("[layers]\nlevel = 23", "layers.level", "23 is out of range for zstd", "1 to 22"),
    ('[layers]\ncompression = "lz4"\nlevel = 1', "layers.level", "lz4 has no level", "no level"),
]


@pytest.mark.parametrize(("text", "key", "problem", "allowed"), SINGLE_FAULTS)
def test_one_mistake_is_one_fault(kitchen: Kitchen, text: str, key: str, problem: str, allowed: str) -> None:
    (fault,) = kitchen.faults(lambda: kitchen.child(text))
    assert fault.file == str(kitchen.recipes / "child.toml") or key in ("init", "smoke.checks")
    assert fault.key == key
    assert problem in fault.problem
    assert allowed in fault.allowed
    assert str(fault) == f"{fault.file}: {fault.key}: {fault.problem} (allowed: {fault.allowed})"


def test_all_faults_of_all_files_come_at_once(kitchen: Kitchen) -> None:
    kitchen.write("root", ROOT.replace("level = 3", 'level = "high"') + "[menu]\ntimout = 1\n")
    faults = kitchen.faults(
        lambda: kitchen.child('overlays = ["none"]\n[kernel]\ncommand_line = ["root=x"]\n[vm]\nmemory = 1')
    )
    told = {(Path(fault.file).stem, fault.key) for fault in faults}
    assert told == {
        ("root", "layers.level"), ("root", "menu.timout"), ("child", "overlays[0]"), ("child", "vm.memory"),
        ("child", "kernel.command_line"),
    }  # fmt: skip


def test_a_contradiction_is_shown_where_the_setting_was_made(kitchen: Kitchen) -> None:
    kitchen.write("root", ROOT + '[menu]\ndefault = "live"\nentries = ["rescue"]\n')
    (fault,) = kitchen.faults(lambda: kitchen.child(""))
    assert Path(fault.file).stem == "root"


def test_a_fault_does_not_bring_follow_up_faults(kitchen: Kitchen) -> None:
    kitchen.write("root", ROOT.replace('"isofs"', '"iso fs"'))
    (fault,) = kitchen.faults(lambda: kitchen.child('[kernel]\nblacklist = ["loop"]'))
    assert fault.key == "kernel.initrd_modules[4]"


def test_a_list_emptied_by_removal_is_a_fault(kitchen: Kitchen) -> None:
    kitchen.write("root", ROOT + '[menu]\nentries = ["live"]\n')
    (fault,) = kitchen.faults(lambda: kitchen.child('[menu]\nentries = ["!live"]'))
    assert (fault.key, fault.problem) == ("menu.entries", "must not be empty")


def test_unknown_recipe_names_the_nearest(kitchen: Kitchen) -> None:
    (fault,) = kitchen.faults(lambda: kitchen.load("rot"))
    assert fault.problem == 'there is no recipe "rot"; did you mean "root"?'
    assert fault.allowed == "root"


@pytest.mark.parametrize("name", ["sub/Bad Name.toml", "x/y.yaml"])
def test_a_path_that_is_no_recipe_name(kitchen: Kitchen, name: str) -> None:
    (fault,) = kitchen.faults(lambda: kitchen.load(name))
    assert fault.problem == "is no name for a recipe file"


def test_missing_parent(kitchen: Kitchen) -> None:
    kitchen.write("orphan", ROOT.replace("overlays", 'extends = "rot"\noverlays'))
    (fault,) = kitchen.faults(lambda: kitchen.load("orphan"))
    assert (Path(fault.file).stem, fault.key) == ("orphan", "extends")
    assert 'did you mean "root"?' in fault.problem


@pytest.mark.parametrize("length", [1, 2, 5])
def test_a_circle_of_parents(kitchen: Kitchen, length: int) -> None:
    for index in range(length):
        kitchen.write(f"r{index}", f'description = "x"\nextends = "r{(index + 1) % length}"\n')
    (fault,) = kitchen.faults(lambda: kitchen.load("r0"))
    assert (Path(fault.file).stem, fault.key) == (f"r{length - 1}", "extends")
    assert fault.problem == f"goes round in a circle: {' -> '.join(f'r{i}' for i in range(length))} -> r0"


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"description = 'x'\n[menu\n", "at line 2"),
        (b"description = 'x'\n# \xff\n", "is not UTF-8 (at line 2)"),
        (b"x = " + b"[" * 50000, "is nested too deeply"),
        (b"x = " + b"9" * 5000, "out of range"),
        (b"#" * (1 << 20) + b"#", "larger than"),
    ],
)
def test_files_that_are_not_toml(kitchen: Kitchen, content: bytes, problem: str) -> None:
    kitchen.write("broken", content)
    (fault,) = kitchen.faults(lambda: kitchen.load("broken"))
    assert problem in fault.problem


def test_the_documented_settings_are_current() -> None:
    text = DOCUMENT.read_text()
    assert refresh(text) == text, "run: python -m bootproof.recipe docs/recipes.md"


def test_every_setting_has_its_values_and_its_meaning() -> None:
    rows = schema_table()
    assert {"suite", "kernel.modules", "layers.level", "smoke.checks", "vm.memory"} <= {
        row.key for row in rows
    }
    assert all(row.allowed and row.meaning and "None" not in row.allowed for row in rows)
