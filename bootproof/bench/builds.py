# SPDX-License-Identifier: GPL-3.0-or-later
"""What builds cost: from nothing beside live-build, and again after small changes."""

from __future__ import annotations

import shutil
import sys
from dataclasses import dataclass
from pathlib import Path

from bootproof import console
from bootproof.bench import livebuild
from bootproof.bench.usage import Usage, measured, peak_memory
from bootproof.build import archives
from bootproof.build import lock as locks
from bootproof.build.debs import DebStore
from bootproof.build.settings import PROJECT, Settings
from bootproof.recipe import load

_HERE = Path(__file__).parent
LIST, WHOLE = _HERE / "live-build-list.toml", _HERE / "live-build-whole.toml"


@dataclass(frozen=True)
class Cold:
    """A build from nothing but cached packages: its cost, and the ISO's size in bytes."""

    usage: Usage
    size: int


@dataclass(frozen=True)
class Again:
    """Builds of `demo` after a change, by what was changed; the builder's own peak memory in MiB before."""

    usage: dict[str, Usage]
    memory: float


def build_command(project: Path, recipe: str | Path, output: Path, *options: str) -> list[str]:
    return [
        sys.executable,
        str(project / "builder.py"),
        "build",
        str(recipe),
        "--output",
        str(output),
        *options,
    ]


def compare_with_live_build(settings: Settings, work: Path) -> dict[str, Cold]:
    """Build live-build's list with it and with us, everything from cached packages."""
    recipe = load(str(LIST), PROJECT / "recipes", PROJECT / "overlays")
    with console.step("fill the package cache"):
        measured(build_command(PROJECT, LIST, work / "fill"), log=work / "fill.log")
    lock = locks.load(work / "fill" / recipe.name / "packages.lock")
    results = {}
    for name, path in (("bootproof", LIST), ("bootproof, nothing left out", WHOLE)):
        output = work / path.stem
        shutil.rmtree(output, ignore_errors=True)
        with console.step(f"{name}: {path.stem}"):
            usage = measured(build_command(PROJECT, path, output), log=work / f"{path.stem}.log")
        results[name] = Cold(usage, (output / path.stem / f"{path.stem}.iso").stat().st_size)
    with console.step("live-build"):
        store = DebStore(settings.cache / "debs")
        usage, size = livebuild.build(work / "live-build", recipe.suite, lock, store, archives.from_host())
    return {"live-build": Cold(usage, size), **results}


def rebuild(work: Path) -> Again:
    """Build `demo` from nothing in a copy of the project, then change one thing at a time and build."""
    project, output = work / "project", work / "again"
    for folder in (project, output):
        shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(PROJECT, project, ignore=shutil.ignore_patterns("out", ".git", ".venv", ".*_cache"))
    command = build_command(project, "demo", output)
    with console.step("demo from nothing"):
        memory = peak_memory(command, work / "demo.log")
    usage = {}
    for name, change in _changes(project).items():
        if change is not None:
            change.path.write_text(change.path.read_text().replace(change.old, change.new, 1))
        with console.step(f"demo again: {name}"):
            usage[name] = measured(command, log=work / "again.log")
    return Again(usage, memory)


@dataclass(frozen=True)
class _Change:
    """A file in which the first `old` becomes `new`."""

    path: Path
    old: str
    new: str


def _changes(project: Path) -> dict[str, _Change | None]:
    return {
        "nothing changed": None,
        "an overlay": _Change(project / "overlays/base/etc/hosts", "\n", "\n# changed\n"),
        "our own code": _Change(project / "bootproof/measure/pcr.py", "\n", "\n# changed\n"),
        "the menu": _Change(project / "recipes/base.toml", "timeout = 1", "timeout = 4"),
        "init": _Change(project / "initrd/init", "\n", "\n# changed\n"),
    }
