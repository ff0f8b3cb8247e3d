# SPDX-License-Identifier: GPL-3.0-or-later
"""Recipe and lock -> the steps that make an image: what decides the result of each, and what it calls.

What does the work is imported when there is work: an image that is up to date is answered at once.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from bootproof import __version__
from bootproof.build import boot, layer, product, toolchain, verity
from bootproof.build.debs import DebStore
from bootproof.build.files import sha256_of
from bootproof.build.lock import Lock
from bootproof.build.steps import Step, checked
from bootproof.recipe import Recipe

_LABEL_NAME = 13  # characters of the recipe's name in a label, which has room for 32
_INIT = {"systemd": "/sbin/init", "serial": "/usr/local/sbin/serial-init"}


@dataclass(frozen=True)
class Plan:
    """The steps of one image. `epoch` is its time stamp, `logs` the folder for the output of a step that
    fails.
    """

    recipe: Recipe
    lock: Lock
    epoch: int
    project: Path
    debs: DebStore
    logs: Path

    @cached_property
    def tree(self) -> Step:
        packages = self.recipe.packages
        inputs = {
            "packages": {package.name: package.sha256 for package in self.lock.root},
            "install": sorted(packages.install), "variant": packages.variant, "suite": self.lock.suite,
            "epoch": self.lock.epoch, "tools": toolchain.versions("mmdebstrap"),
        }  # fmt: skip

        def work(folder: Path, _: Mapping[str, Path]) -> list[str]:
            from bootproof.build import tree

            return tree.build(
                folder, lock=self.lock, variant=packages.variant, install=packages.install, store=self.debs,
                log=self.logs / "mmdebstrap.log",
            )  # fmt: skip

        return Step("tree", f"root tree ({self.lock.suite})", inputs, work, code=("tree", "repository"))

    @cached_property
    def kernel(self) -> Step:
        chosen, package = self.recipe.kernel, self.lock.kernel[0]
        inputs = {
            "package": package.sha256, "modules": list(chosen.modules),
            "initrd": list(chosen.initrd_modules), "tools": toolchain.versions("kmod"),
        }  # fmt: skip

        def work(folder: Path, _: Mapping[str, Path]) -> list[str]:
            from bootproof.build import kernel

            deb = self.debs.verified(package)
            return kernel.unpack(folder, deb=deb, keep=chosen.modules, initrd=chosen.initrd_modules)

        return Step("kernel", "kernel and modules", inputs, work, code=("kernel", "debfile"))

    @cached_property
    def python(self) -> Step | None:
        """The image's own Python, as it runs on the build host; its library compiled if need be."""
        if not any(package.name == "python3" for package in self.lock.root):
            return None
        library = self.recipe.packages.variant == "extract"

        def work(folder: Path, results: Mapping[str, Path]) -> list[str]:
            from bootproof.build import bytecode

            bytecode.extract_python(checked(results["tree"], "tree.tar"), folder / "python.tar")
            if not library:
                return []
            count = bytecode.compile_library(folder / "python.tar", folder / "bytecode.tar")
            return [f"{count} modules compiled"]

        inputs = {"library": library}
        needs = {"tree": self.tree}
        return Step("python", "the image's Python", inputs, work, code=("bytecode",), needs=needs)

    @cached_property
    def base_layer(self) -> Step:
        parts = {"tree": self.tree, "modules": self.kernel}
        if self.python and self.recipe.packages.variant == "extract":
            parts["bytecode"] = self.python  # no maintainer script has compiled the library
        left_out = (*layer.VOLATILE, *self.recipe.packages.exclude_paths)
        return self._layer("base", "base layer", parts, left_out)

    @cached_property
    def product_layer(self) -> Step:
        return self._layer("product", "product layer", {"product": self._product_tree()}, ())

    def _layer(self, name: str, title: str, parts: Mapping[str, Step], exclude: Iterable[str]) -> Step:
        squash, left_out = self.recipe.layers, list(exclude)
        inputs = {
            "exclude": left_out, "compression": squash.compression, "level": squash.level,
            "epoch": self.epoch, "tools": toolchain.versions("squashfs-tools"),
        }  # fmt: skip

        def work(folder: Path, results: Mapping[str, Path]) -> list[str]:
            trees = [checked(results[part], f"{part}.tar") for part in parts]
            return layer.build(
                folder, trees=trees, exclude=left_out, compression=squash.compression, level=squash.level,
                epoch=self.epoch,
            )  # fmt: skip

        return Step(name, title, inputs, work, code=("layer", "verity"), needs=parts)

    def _product_tree(self) -> Step:
        values = {
            "name": self.recipe.name, "description": self.recipe.description, "suite": self.recipe.suite,
            "version": __version__, "ima_policy": self.recipe.ima.policy,
            "blacklist": self.recipe.kernel.blacklist,
        }  # fmt: skip
        code, overlays = self.project / "bootproof", self.project / "overlays"
        files = product.collect(code, overlays, self.recipe.overlays, values)

        def work(folder: Path, results: Mapping[str, Path]) -> list[str]:
            python = checked(results["python"], "python.tar") if "python" in results else None
            product.write(product.compiled(files, python), folder / "product.tar", self.epoch)
            return [f"{len(files)} files"]

        inputs = {"files": product.digest(files), "epoch": self.epoch}
        needs = {"python": self.python} if self.python else {}
        code_used = ("product", "bytecode")
        return Step("files", "own files and overlays", inputs, work, code=code_used, needs=needs)

    @cached_property
    def compiler(self) -> Step:
        """What compiles the boot loader's parts and the initrd's tool, of the same suite as all else."""
        packages = self.lock.compiler

        def work(folder: Path, _: Mapping[str, Path]) -> list[str]:
            from bootproof.build import compiler

            debs = [self.debs.verified(package) for package in packages]
            count = compiler.collect(debs, folder / "compiler.tar")
            return [f"{count} files"]

        inputs = {"packages": {package.name: package.sha256 for package in packages}}
        return Step("compiler", "the suite's compiler", inputs, work, code=("compiler", "debfile"))

    @cached_property
    def initrd(self) -> Step:
        sources, policy, busybox = self.project / "initrd", self.recipe.ima.policy, self.lock.initrd[0]
        used = (sources / "init", sources / "verity.c", sources / "ima-policy" / policy)
        inputs = {
            "sources": {str(path.relative_to(sources)): sha256_of(path) for path in used},
            "busybox": busybox.sha256, "tools": toolchain.versions("zstd", "kmod"),
        }  # fmt: skip

        def work(folder: Path, results: Mapping[str, Path]) -> list[str]:
            from bootproof.build import compiler, initrd

            kernel = results["kernel"]
            for name in ("initrd.json", "modules.tar"):
                checked(kernel, name)
            deb = self.debs.verified(busybox)
            with compiler.unpacked(checked(results["compiler"], "compiler.tar")) as tools:
                return initrd.build(
                    folder, sources=sources, policy=policy, kernel=kernel, busybox=deb, compiler=tools
                )

        code = ("initrd", "cpio", "debfile", "compiler")
        needs = {"kernel": self.kernel, "compiler": self.compiler}
        return Step("initrd", "initrd", inputs, work, code=code, needs=needs)

    @cached_property
    def grub(self) -> Step:
        package, sources = self.lock.boot[0], self.project / "grub"
        used = [sources / "early.cfg", *sorted(sources.glob("stages/*")), *sorted(sources.glob("module/*"))]
        inputs = {
            "package": package.sha256,
            "sources": {str(path.relative_to(sources)): sha256_of(path) for path in used},
        }

        def work(folder: Path, results: Mapping[str, Path]) -> list[str]:
            from bootproof.build import compiler, grubima

            deb = self.debs.verified(package)
            with compiler.unpacked(checked(results["compiler"], "compiler.tar")) as tools:
                return grubima.build(folder, deb=deb, sources=sources, compiler=tools)

        code, needs = ("grubima", "debfile", "compiler"), {"compiler": self.compiler}
        return Step("grub", "GRUB-IMA", inputs, work, code=code, needs=needs)

    def iso(self, base: Path, own: Path) -> Step:
        """Return the last step; the root hashes of the finished layers `base` and `own` are part of what
        decides it.
        """
        line = self._command_line(base, own)
        menu = self._menu(line)

        def work(folder: Path, results: Mapping[str, Path]) -> list[str]:
            from bootproof.build import iso, manifest, predict

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
            listed = {name: checked(results[name], "files.json") for name in ("base", "product", "initrd")}
            described = manifest.describe(self.recipe, line, content, listed)
            described[predict.MANIFEST_KEY] = predict.for_manifest(target)
            (folder / "manifest.json").write_text(json.dumps(described, indent=1, sort_keys=True))
            return [f"{target.stat().st_size / 1e6:.1f} MB"]

        inputs = {"menu": menu, "epoch": self.epoch, "tools": toolchain.python_versions("pycdlib")}
        needs = {
            "base": self.base_layer, "product": self.product_layer, "kernel": self.kernel,
            "initrd": self.initrd, "grub": self.grub,
        }  # fmt: skip
        return Step("iso", "ISO", inputs, work, code=("iso", "manifest", "predict"), needs=needs)

    def _command_line(self, base: Path, own: Path) -> boot.CommandLine:
        """The label tells images apart by content: two media on one machine are never confused."""
        opened = [verity.load(checked(folder, "verity.json")) for folder in (base, own)]
        hashes = hashlib.sha256("".join(each.root_hash for each in opened).encode()).hexdigest()
        name = self.recipe.name.upper().replace("-", "_")[:_LABEL_NAME]
        return boot.CommandLine(
            label=f"BOOTPROOF_{name}_{hashes[:8].upper()}", base=opened[0], product=opened[1],
            init=_INIT[self.recipe.init], ima_hash=self.recipe.ima.hash,
            words=self.recipe.kernel.command_line,
        )  # fmt: skip

    def _menu(self, line: boot.CommandLine) -> str:
        chosen = self.recipe.menu
        return boot.menu(
            self.project / "grub" / "grub.cfg.j2", name=self.recipe.name, title=chosen.title,
            entries=chosen.entries, default=chosen.default, timeout=chosen.timeout, line=line,
        )  # fmt: skip
