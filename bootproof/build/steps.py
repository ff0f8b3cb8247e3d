# SPDX-License-Identifier: GPL-3.0-or-later
"""Content-addressed steps: a step's id is the sha256 of everything that decides its result.

A step with a known id is not run again. Its result is a folder `STORE/NAME/ID/`, made under another name, synced and
renamed into place, so a killed build leaves nothing that a later one would take for a result. `step.json` beside
the results tells the inputs (to say on a miss which of them changed) and the sha256 of each result (checked before use).
"""

from __future__ import annotations

import hashlib
import inspect
import json
import os
import shutil
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from types import ModuleType
from typing import Any

from bootproof import console
from bootproof.build.files import canonical, disk_errors, locked, sha256_of
from bootproof.errors import HostError

_RECORD = "step.json"
_KEPT_UNUSED = 2
_MIN_AGE = 3600.0  # seconds; another build may be using what is younger


Work = Callable[[Path, Mapping[str, Path]], Iterable[str]]


@dataclass(frozen=True)
class Step:
    """A piece of work: what it is called, what decides its result, and the function that fills a folder with it.

    `needs` are the steps whose results it reads; their ids are inputs of this one. `work` gets the folder to fill and the
    folders of those results by the same names, and returns notes for the step's line. A change of the source of `code` is a change
    of the step.
    """

    name: str
    title: str
    inputs: Mapping[str, Any]
    work: Work
    code: tuple[ModuleType, ...] = ()
    needs: Mapping[str, Step] = field(default_factory=dict)

    @cached_property
    def all_inputs(self) -> dict[str, Any]:
        return {
            "inputs": dict(self.inputs),
            "needs": {name: step.id for name, step in self.needs.items()},
            "code": {module.__name__: _source_digest(module) for module in self.code},
        }

    @cached_property
    def id(self) -> str:
        return hashlib.sha256(canonical([self.name, self.all_inputs]).encode()).hexdigest()


@dataclass
class Store:
    """The folder of step results, and what this build used and did."""

    folder: Path
    previous: Mapping[str, str] = field(default_factory=dict)
    used: dict[str, str] = field(default_factory=dict)
    ran: list[str] = field(default_factory=list)

    def has(self, step: Step) -> bool:
        return (self._place(step) / _RECORD).is_file()

    def get(self, step: Step) -> Path:
        """Return the folder with the step's results, doing the work if nobody has done it before."""
        folder = self._place(step)
        with disk_errors(self.folder):
            if not self.has(step):
                results = {name: self.get(other) for name, other in step.needs.items()}
                with locked(self.folder / step.name / f".{step.id}.lock"):
                    if not self.has(step):
                        self._run(step, folder, results)
            os.utime(folder)
        self.used[step.name] = step.id
        return folder

    def _place(self, step: Step) -> Path:
        return self.folder / step.name / step.id

    def _run(self, step: Step, folder: Path, results: Mapping[str, Path]) -> None:
        aside = folder.with_name(f".{step.id}.partial")
        shutil.rmtree(aside, ignore_errors=True)
        aside.mkdir(parents=True)
        try:
            with console.step(step.title) as line:
                reason = self._what_changed(step)
                if reason:
                    line.note(reason)
                for note in step.work(aside, results):
                    line.note(note)
                _seal(aside, step)
            aside.rename(folder)
        except BaseException:
            shutil.rmtree(aside, ignore_errors=True)
            raise
        self.ran.append(step.name)

    def _what_changed(self, step: Step) -> str:
        record = self.folder / step.name / self.previous.get(step.name, "-") / _RECORD
        try:
            before = json.loads(record.read_text())["inputs"]
        except (OSError, ValueError, KeyError):
            return ""
        names = [
            name.removeprefix("inputs.")
            for name in changed_keys(before, json.loads(canonical(step.all_inputs)))
        ]
        more = f" and {len(names) - 3} more" if len(names) > 3 else ""
        return f"changed: {', '.join(names[:3])}{more}" if names else ""

    def prune(self, referenced: Iterable[str]) -> None:
        """Remove old results that no image refers to, but for the most recent of each kind."""
        wanted = set(referenced) | set(self.used.values())
        for kind in (entry for entry in self.folder.iterdir() if entry.is_dir()):
            results = [path for path in kind.iterdir() if path.is_dir() and not path.name.startswith(".")]
            unused = sorted(
                (path for path in results if path.name not in wanted), key=lambda path: -path.stat().st_mtime
            )
            for path in unused[_KEPT_UNUSED:]:
                if time.time() - path.stat().st_mtime < _MIN_AGE:
                    continue
                shutil.rmtree(path, ignore_errors=True)
                (kind / f".{path.name}.lock").unlink(missing_ok=True)


def checked(folder: Path, name: str) -> Path:
    """Return the path of a step's result after making sure that it is still what the step wrote."""
    path = folder / name
    record = json.loads((folder / _RECORD).read_text())
    if not path.is_file() or sha256_of(path) != record["results"].get(name):
        shutil.rmtree(folder, ignore_errors=True)
        raise HostError(
            f"the cached {path} was damaged and has been removed",
            "run the same command again; it will be made anew",
        )
    return path


def changed_keys(before: Any, after: Any, prefix: str = "") -> list[str]:
    """Return the dotted names of the inputs in which two step records differ."""
    if isinstance(before, dict) and isinstance(after, dict):
        names: list[str] = []
        for key in sorted(before.keys() | after.keys()):
            names += changed_keys(before.get(key), after.get(key), f"{prefix}.{key}" if prefix else key)
        return names
    return [] if before == after else [prefix]


def _seal(folder: Path, step: Step) -> None:
    """Write the record, and make sure that results and record are on the disk before they get their name."""
    results = {path.name: sha256_of(path) for path in sorted(folder.iterdir()) if path.is_file()}
    record = {"step": step.name, "inputs": step.all_inputs, "results": results}
    (folder / _RECORD).write_text(json.dumps(record, indent=1, sort_keys=True))
    for path in folder.iterdir():
        handle = os.open(path, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def _source_digest(module: ModuleType) -> str:
    source = inspect.getsourcefile(module)
    assert source is not None
    return sha256_of(Path(source))
