# SPDX-License-Identifier: GPL-3.0-or-later
"""Recipe -> ISO: the lock and its packages, the steps of the plan, and the results under their names."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from bootproof import console
from bootproof.build import lock as locks
from bootproof.build.debs import DebStore
from bootproof.build.files import canonical, disk_errors, locked, place, write_atomically
from bootproof.build.lock import Lock, Wanted
from bootproof.build.needs import require_room
from bootproof.build.plan import Plan
from bootproof.build.settings import Settings
from bootproof.build.steps import Store, checked
from bootproof.errors import BootproofError
from bootproof.recipe import Recipe
from bootproof.recipe import canonical as recipe_data

_STATE = ".build.json"


@dataclass(frozen=True)
class Built:
    """A finished image: its folder, the ISO in it, and the steps that had to run for it."""

    folder: Path
    iso: Path
    ran: tuple[str, ...]


@dataclass
class Builder:
    """One build of one recipe."""

    recipe: Recipe
    settings: Settings

    def __post_init__(self) -> None:
        self.folder = self.settings.image_folder(self.recipe.name)
        self.store = Store(self.settings.steps, previous=_read_state(self.folder).steps)
        self.debs = DebStore(self.settings.cache / "debs")

    def build(self) -> Built:
        """Bring the image up to date and return it."""
        with disk_errors(self.settings.output):
            lock = self._lock()
            plan = self._plan(lock)
            own = plan.product_layer  # reads the overlays, so that their faults are found before long work
            self._fetch(plan)
            base = self.store.get(plan.base_layer)
            made = self.store.get(plan.iso(base, self.store.get(own)))
            self._publish(plan, made)
        return Built(self.folder, self.iso, tuple(self.store.ran))

    @property
    def iso(self) -> Path:
        return self.folder / f"{self.recipe.name}.iso"

    def _plan(self, lock: Lock) -> Plan:
        epoch = self.settings.epoch if self.settings.epoch is not None else lock.epoch
        return Plan(self.recipe, lock, epoch, self.settings.project, self.debs, self.folder)

    # -- packages
    # ---------------------------------------------------------------------------------------------------

    @property
    def wanted(self) -> Wanted:
        packages = self.recipe.packages
        return Wanted(self.recipe.suite, packages.variant, packages.install, self.recipe.kernel.package)

    def _lock(self) -> Lock:
        """Return the lock in force: the one beside the image if it fits the recipe, else a new one."""
        path = self.folder / "packages.lock"
        if self.settings.locked or (path.exists() and not self.settings.update):
            try:
                lock = locks.load(path)
            except locks.OldLockError:
                if self.settings.locked:
                    raise
                return self._new_lock(path)
            if lock.inputs == self.wanted.digest:
                return lock
            if self.settings.locked:
                raise BootproofError(
                    f"{path} was made for other packages, suite or kernel than {self.recipe.name} has now",
                    "build without --locked to make a new lock",
                )
        return self._new_lock(path)

    def _new_lock(self, path: Path) -> Lock:
        lock = self._resolve()
        lock.save(path)
        return lock

    def _resolve(self) -> Lock:
        from bootproof.build import archives, resolve

        lists = self.settings.cache / "apt"
        with console.step("package set") as line, disk_errors(self.settings.cache):
            found = archives.with_what_is_there(archives.find(self._mirror), self.recipe.suite)
            with locked(lists / f".{self.recipe.suite}.lock"):
                lock = resolve.resolve(self.wanted, found, lists / self.recipe.suite)
            line.note(f"{len(lock.packages)} packages")
        return lock

    @property
    def _mirror(self) -> str | None:
        return self.settings.mirror or self.recipe.mirror

    def _fetch(self, plan: Plan) -> None:
        """Download what is missing, if there is a step that will need it, and make sure that there is room
        for its work.
        """
        if all(
            self.store.has(step) for step in (plan.tree, plan.kernel, plan.compiler, plan.grub, plan.initrd)
        ):
            return
        require_room(plan.lock, self.settings.output, with_tree=not self.store.has(plan.tree))
        if self.debs.missing(plan.lock.packages):
            from bootproof.build import archives

            with console.step("downloads") as line:
                count, size = self.debs.fetch(
                    plan.lock.packages, archives.find(self._mirror), archives.proxy()
                )
                line.note(f"{count} packages, {size / 1e6:.0f} MB")

    # -- results
    # ----------------------------------------------------------------------------------------------------

    def _publish(self, plan: Plan, made: Path) -> None:
        """Give the results their names in the image's folder; what is there already is left alone."""
        with locked(self.folder / ".publish.lock"):
            settings = canonical(recipe_data(self.recipe))
            if _read_state(self.folder) == _State(self.store.used, _stamps(self._results), settings):
                return
            from bootproof.build import manifest

            place(checked(made, "image.iso"), self.iso)
            place(checked(made, "manifest.json"), self.folder / "manifest.json")
            info = manifest.build_info(self.recipe, plan.lock, plan.epoch, self.store.used)
            write_atomically(self.folder / "buildinfo.json", json.dumps(info, indent=1) + "\n")
            _State(self.store.used, _stamps(self._results), settings).save(self.folder)
        self.store.prune(_referenced(self.settings.output))

    @property
    def _results(self) -> tuple[Path, ...]:
        return (self.iso, *(self.folder / name for name in ("manifest.json", "buildinfo.json")))


@dataclass(frozen=True)
class _State:
    """What an image's folder holds: the step ids it was made by, size and time (ns) of each result as it was
    published, and the recipe's settings (not all of which decide the ISO).
    """

    steps: dict[str, str]
    stamps: dict[str, list[int]]
    settings: str

    def save(self, folder: Path) -> None:
        write_atomically(folder / _STATE, json.dumps(vars(self)))


def _stamps(results: tuple[Path, ...]) -> dict[str, list[int]]:
    stats = {path.name: path.stat() for path in results if path.is_file()}
    return {name: [stat.st_size, stat.st_mtime_ns] for name, stat in stats.items()}


def _read_state(folder: Path) -> _State:
    """Return the state of the image in `folder`; an empty one if there is no image, or not a readable record
    of it.
    """
    try:
        state = json.loads((folder / _STATE).read_text())
        steps = {str(name): str(value) for name, value in state["steps"].items()}
        return _State(steps, state["stamps"], state["settings"])
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return _State({}, {}, "")


def _referenced(output: Path) -> list[str]:
    return [
        step for state in output.glob(f"*/{_STATE}") for step in _read_state(state.parent).steps.values()
    ]
