# SPDX-License-Identifier: GPL-3.0-or-later
"""Recipe -> ISO: which steps there are, and what decides the result of each."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bootproof import __version__, console
from bootproof.build import (
    archives,
    boot,
    cpio,
    debs,
    initrd,
    iso,
    kernel,
    layer,
    manifest,
    product,
    repository,
    resolve,
    tree,
    verity,
)
from bootproof.build import lock as locks
from bootproof.build.files import locked, place, sha256_of, write_atomically
from bootproof.build.lock import Lock
from bootproof.build.settings import Settings
from bootproof.build.steps import Step, Store, checked
from bootproof.errors import BootproofError
from bootproof.recipe import Recipe

_STATE = ".build.json"
_LABEL_NAME = 13  # characters of the recipe's name in a label, which has room for 32
_INIT = {"systemd": "/sbin/init", "serial": "/usr/local/sbin/serial-init"}


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
        self.store = Store(self.settings.steps, previous=_read_state(self.folder))
        self.debs = debs.DebStore(self.settings.cache / "debs")
        self.project = self.settings.project

    def build(self) -> Built:
        """Bring the image up to date and return it."""
        self.lock = self._lock()
        self.epoch = self.settings.epoch if self.settings.epoch is not None else self.lock.epoch
        self._fetch()
        made = self.store.get(self._iso(self._base_layer(), self._product_layer()))
        self._publish(made)
        return Built(self.folder, self.folder / f"{self.recipe.name}.iso", tuple(self.store.ran))

    # -- packages ---------------------------------------------------------------------------------------------------

    @property
    def wanted(self) -> resolve.Wanted:
        packages = self.recipe.packages
        return resolve.Wanted(
            self.recipe.suite, packages.variant, packages.install, self.recipe.kernel.package
        )

    def _lock(self) -> Lock:
        """Return the lock in force: the one beside the image if it fits the recipe, else a new one."""
        path = self.folder / "packages.lock"
        digest = self.wanted.digest
        if self.settings.locked or (path.exists() and not self.settings.update):
            lock = locks.load(path)
            if lock.inputs == digest:
                return lock
            if self.settings.locked:
                raise BootproofError(
                    f"{path} was made for other packages, suite or kernel than recipe {self.recipe.name} has now",
                    "build without --locked to make a new lock",
                )
        with console.step("package set") as line:
            with locked(self.settings.cache / "apt" / f".{self.recipe.suite}.lock"):
                lock = resolve.resolve(
                    self.wanted, self.archives, self.settings.cache / "apt" / self.recipe.suite
                )
            line.note(f"{len(lock.packages)} packages")
        lock.save(path)
        return lock

    @property
    def archives(self) -> archives.Archives:
        return archives.find(self.settings.mirror or self.recipe.mirror)

    def _fetch(self) -> None:
        """Download what is missing, if there is a step that will need it."""
        if self.debs.missing(self.lock.packages) and not self._all_known():
            with console.step("downloads") as line:
                count, size = self.debs.fetch(self.lock.packages, self.archives)
                line.note(f"{count} packages, {size / 1e6:.0f} MB")

    def _all_known(self) -> bool:
        steps = (self._tree(), self._kernel(), self._grub(), self._initrd())
        return all(self.store.has(step) for step in steps)

    # -- steps ------------------------------------------------------------------------------------------------------

    def _tree(self) -> Step:
        packages = self.recipe.packages
        inputs = {
            "packages": {package.name: package.sha256 for package in self.lock.root},
            "install": sorted(packages.install), "variant": packages.variant, "suite": self.lock.suite, "epoch": self.lock.epoch,
        }  # fmt: skip

        def work(folder: Path, _: Mapping[str, Path]) -> list[str]:
            return tree.build(
                folder, lock=self.lock, variant=packages.variant, install=packages.install, store=self.debs
            )

        return Step("tree", f"root tree ({self.lock.suite})", inputs, work, code=(tree, repository))

    def _kernel(self) -> Step:
        chosen, package = self.recipe.kernel, self.lock.kernel[0]
        inputs = {
            "package": package.sha256,
            "modules": list(chosen.modules),
            "initrd": list(chosen.initrd_modules),
        }

        def work(folder: Path, _: Mapping[str, Path]) -> list[str]:
            deb = self.debs.verified(package)
            return kernel.unpack(folder, deb=deb, keep=chosen.modules, initrd=chosen.initrd_modules)

        return Step("kernel", "kernel and modules", inputs, work, code=(kernel,))

    def _layer(self, name: str, title: str, parts: Mapping[str, Step], exclude: Iterable[str]) -> Step:
        squash, left_out = self.recipe.layers, list(exclude)
        inputs = {
            "exclude": left_out,
            "compression": squash.compression,
            "level": squash.level,
            "epoch": self.epoch,
        }

        def work(folder: Path, results: Mapping[str, Path]) -> list[str]:
            trees = [checked(results[part], f"{part}.tar") for part in parts]
            return layer.build(
                folder,
                trees=trees,
                exclude=left_out,
                compression=squash.compression,
                level=squash.level,
                epoch=self.epoch,
            )

        return Step(name, title, inputs, work, code=(layer, verity), needs=parts)

    def _base_layer(self) -> Step:
        parts = {"tree": self._tree(), "modules": self._kernel()}
        return self._layer(
            "base", "base layer", parts, (*layer.VOLATILE, *self.recipe.packages.exclude_paths)
        )

    def _product_layer(self) -> Step:
        return self._layer("product", "product layer", {"product": self._product_tree()}, ())

    def _product_tree(self) -> Step:
        values = {
            "name": self.recipe.name, "description": self.recipe.description, "suite": self.recipe.suite, "version": __version__,
            "ima_policy": self.recipe.ima.policy, "blacklist": self.recipe.kernel.blacklist,
        }  # fmt: skip
        files = product.collect(
            self.project / "bootproof", self.project / "overlays", self.recipe.overlays, values
        )

        def work(folder: Path, _: Mapping[str, Path]) -> list[str]:
            product.write(files, folder / "product.tar", self.epoch)
            return [f"{len(files)} files"]

        inputs = {"files": product.digest(files), "epoch": self.epoch}
        return Step("files", "own files and overlays", inputs, work, code=(product,))

    def _initrd(self) -> Step:
        sources, policy, busybox = self.project / "initrd", self.recipe.ima.policy, self.lock.initrd[0]
        used = (sources / "init", sources / "verity.c", sources / "ima-policy" / policy)
        inputs = {
            "sources": {str(path.relative_to(sources)): sha256_of(path) for path in used},
            "busybox": busybox.sha256,
        }

        def work(folder: Path, results: Mapping[str, Path]) -> list[str]:
            deb = self.debs.verified(busybox)
            return initrd.build(
                folder, sources=sources, policy=policy, kernel=results["kernel"], busybox=deb
            )

        return Step("initrd", "initrd", inputs, work, code=(initrd, cpio), needs={"kernel": self._kernel()})

    def _grub(self) -> Step:
        package, config = self.lock.boot[0], self.project / "grub" / "early.cfg"
        inputs = {"package": package.sha256, "config": sha256_of(config)}

        def work(folder: Path, _: Mapping[str, Path]) -> list[str]:
            return boot.build_grub(folder, deb=self.debs.verified(package), config=config)

        return Step("grub", "boot loader", inputs, work, code=(boot,))

    def _iso(self, base: Step, own: Step) -> Step:
        line = self._command_line(self.store.get(base), self.store.get(own))
        menu = self._menu(line)

        def work(folder: Path, results: Mapping[str, Path]) -> list[str]:
            (folder / "grub.cfg").write_text(menu)
            content = {
                "/live/base.img": checked(results["base"], "layer.img"),
                "/live/product.img": checked(results["product"], "layer.img"),
                "/live/vmlinuz": checked(results["kernel"], "vmlinuz"),
                "/live/initrd.img": checked(results["initrd"], "initrd.img"),
                boot.MENU_PATH: folder / "grub.cfg",
            }
            loader = results["grub"]
            target = folder / "image.iso"
            image = iso.Image(
                content, checked(loader, "eltorito.img"), checked(loader, "mbr.img"), line.label, self.epoch
            )
            iso.write(image, target)
            parts = {name: results[name] for name in ("base", "product", "initrd")}
            described = manifest.describe(self.recipe, line, content, parts)
            (folder / "manifest.json").write_text(json.dumps(described, indent=1, sort_keys=True))
            return [f"{target.stat().st_size / 1e6:.1f} MB"]

        needs = {
            "base": base,
            "product": own,
            "kernel": self._kernel(),
            "initrd": self._initrd(),
            "grub": self._grub(),
        }
        return Step(
            "iso", "ISO", {"menu": menu, "epoch": self.epoch}, work, code=(iso, manifest), needs=needs
        )

    def _command_line(self, base: Path, own: Path) -> boot.CommandLine:
        """The label tells images apart by content: two media on one machine are never confused."""
        opened = [verity.load(folder / "verity.json") for folder in (base, own)]
        hashes = hashlib.sha256("".join(each.root_hash for each in opened).encode()).hexdigest()
        name = self.recipe.name.upper().replace("-", "_")[:_LABEL_NAME]
        return boot.CommandLine(
            label=f"BOOTPROOF_{name}_{hashes[:8].upper()}", base=opened[0], product=opened[1], init=_INIT[self.recipe.init],
            ima_hash=self.recipe.ima.hash, words=self.recipe.kernel.command_line,
        )  # fmt: skip

    def _menu(self, line: boot.CommandLine) -> str:
        chosen = self.recipe.menu
        return boot.menu(
            self.project / "grub" / "grub.cfg.j2", name=self.recipe.name, title=chosen.title, entries=chosen.entries,
            default=chosen.default, timeout=chosen.timeout, line=line,
        )  # fmt: skip

    # -- results ----------------------------------------------------------------------------------------------------

    def _publish(self, made: Path) -> None:
        """Give the results their names in the image's folder; what is there already is left alone."""
        target = self.folder / f"{self.recipe.name}.iso"
        source = made / "image.iso"
        if not (
            target.exists()
            and self.store.used == self.store.previous
            and target.stat().st_size == source.stat().st_size
        ):
            place(source, target)
            place(made / "manifest.json", self.folder / "manifest.json")
            info = manifest.build_info(self.recipe, self.lock, self.epoch, self.store.used)
            write_atomically(self.folder / "buildinfo.json", json.dumps(info, indent=1) + "\n")
            write_atomically(self.folder / _STATE, json.dumps(self.store.used))
            self.store.prune(_referenced(self.settings.output))


def _read_state(folder: Path) -> dict[str, str]:
    """Return the step ids of the image in `folder`; none if there is no image, or not a readable record of it."""
    try:
        state = json.loads((folder / _STATE).read_text())
    except (OSError, ValueError):
        return {}
    return {str(name): str(value) for name, value in state.items()} if isinstance(state, dict) else {}


def _referenced(output: Path) -> list[str]:
    return [value for state in output.glob(f"*/{_STATE}") for value in _read_state(state.parent).values()]
