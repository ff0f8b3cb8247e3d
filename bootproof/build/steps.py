# SPDX-License-Identifier: GPL-3.0-or-later
"""Content-addressed steps: a step's id is the sha256 of everything that decides its result.

A step with a known id is not run again. Its result is a folder `STORE/NAME/ID/`, made under another name,
synced and renamed into place, so a killed build leaves nothing that a later one would take for a result.
`step.json` beside the results tells the inputs (to say on a miss which of them changed) and the sha256 of
each result (checked before use).
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import shutil
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from bootproof import console
from bootproof.build.files import canonical, disk_errors, locked, remove_unlocked, sha256_of, sync
from bootproof.errors import HostError

_RECORD = "step.json"
_CODE = Path(__file__).parent
_KEPT_UNUSED = 2
_MIN_AGE = 3600.0  # seconds; another build may be using what is younger


Work = Callable[[Path, Mapping[str, Path]], Iterable[str]]


@dataclass(frozen=True)
class Step:
    """A piece of work: what it is called, what decides its result, and the function that fills a folder with
    it.

    `needs` are the steps whose results it reads; their ids are inputs of this one. `work` gets the folder to
    fill and the folders of those results by the same names, and returns notes for the step's line. `code`
    names the modules of this package that do the work: a change of their source is a change of the step.
    """

    name: str
    title: str
    inputs: Mapping[str, Any]
    work: Work
    code: tuple[str, ...] = ()
    needs: Mapping[str, Step] = field(default_factory=dict)

    @cached_property
    def all_inputs(self) -> dict[str, Any]:
        return {
            "inputs": dict(self.inputs),
            "needs": {name: step.id for name, step in self.needs.items()},
            "code": {name: sha256_of(_CODE / f"{name}.py") for name in self.code},
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
                with locked(self._lock(folder)):
                    if not self.has(step):
                        self._run(step, folder, results)
            self._use(step)
        return folder

    def _use(self, step: Step) -> None:
        """Note what this image is made of, and keep another build's `prune` away from it."""
        for other in step.needs.values():
            self._use(other)
        if step.name not in self.used and self.has(step):
            os.utime(self._place(step))
            self.used[step.name] = step.id

    def _lock(self, folder: Path) -> Path:
        return folder.with_name(f".{folder.name}.lock")

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
            shutil.rmtree(folder, ignore_errors=True)  # a result without its record is none
            aside.rename(folder)
            sync(folder.parent)
        except BaseException:
            shutil.rmtree(aside, ignore_errors=True)
            raise
        self.ran.append(step.name)

    def _what_changed(self, step: Step) -> str:
        record = self.folder / step.name / self.previous.get(step.name, "-") / _RECORD
        try:
            before = json.loads(record.read_text())["inputs"]
        except (OSError, ValueError, KeyError, TypeError):
            return ""
        names = [
            name.removeprefix("inputs.")
            for name in changed_keys(before, json.loads(canonical(step.all_inputs)))
        ]
        more = f" and {len(names) - 3} more" if len(names) > 3 else ""
        return f"changed: {', '.join(names[:3])}{more}" if names else ""

    def prune(self, referenced: Iterable[str]) -> None:
        """Remove old results that no image refers to, but for the most recent of each kind, and what killed
        builds left.
        """
        wanted = set(referenced) | set(self.used.values())
        for kind in (entry for entry in self.folder.iterdir() if entry.is_dir()):
            for path in {*kind.glob(".*.partial"), *kind.glob(".*.lock")}:
                remove_unlocked(path.with_suffix(".partial"), path.with_suffix(".lock"))
            results = [path for path in kind.iterdir() if path.is_dir() and not path.name.startswith(".")]
            unused = [path for path in results if path.name not in wanted]
            for path in sorted(unused, key=_age)[_KEPT_UNUSED:]:
                if _age(path) > _MIN_AGE:
                    remove_unlocked(path, self._lock(path))


def _age(path: Path) -> float:
    """Return how long ago a result was last used, in seconds; one that another build has just removed is the
    oldest.
    """
    try:
        return time.time() - path.stat().st_mtime
    except FileNotFoundError:
        return math.inf


def checked(folder: Path, name: str) -> Path:
    """Return the path of a step's result after making sure that it is still what the step wrote.

    A damaged result is removed, so that the next build makes it anew.
    """
    path = folder / name
    try:
        sound = json.loads((folder / _RECORD).read_text())["results"][name] == sha256_of(path)
    except (OSError, ValueError, KeyError, TypeError):
        sound = False
    if not sound:
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
    for path in (*folder.iterdir(), folder):
        sync(path)
