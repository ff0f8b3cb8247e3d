# SPDX-License-Identifier: GPL-3.0-or-later
"""The recipe as frozen data. Fields carry their meaning and allowed values, for faults and docs."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

RECIPE_NAME = r"^[a-z0-9][a-z0-9-]{0,31}$"

Suite = Literal["trixie", "bookworm"]
Init = Literal["systemd", "serial"]
Variant = Literal["minbase", "extract"]
ImaPolicy = Literal["exec", "full"]
ImaHash = Literal["sha1", "sha256"]
MenuEntry = Literal["live", "toram", "rescue", "checker", "next"]
Compression = Literal["zstd", "gzip", "xz", "lz4"]
Check = Literal[
    "pcrs",
    "sysfs-pcrs",
    "trousers-pcrs",
    "boot-log",
    "boot-events",
    "ima-log",
    "boot-aggregate",
    "tcsd",
    "tpm-version",
    "verity",
]

# mksquashfs(1): xz is tuned by a dictionary size and lz4 by -Xhc, so a level means nothing to them
LEVELS: dict[Compression, range] = {"zstd": range(1, 23), "gzip": range(1, 10)}

_GLOB = r"(?:[A-Za-z0-9_.,+@*?-]|\[[A-Za-z0-9_.-]+\])+"

PackageName = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9+.-]+$")]
ModuleName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]*$")]
ModulePath = Annotated[str, StringConstraints(pattern=rf"^{_GLOB}(?:/{_GLOB})*/?$")]
RootPath = Annotated[str, StringConstraints(pattern=rf"^(?:/{_GLOB})+$")]
OverlayName = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9-]*$")]
# GRUB reads these words too: nothing in them may need quoting there
KernelWord = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_.,:=/@%+!*^~?-]+$")]
Url = Annotated[
    str, StringConstraints(pattern=r"^(?:https?://[A-Za-z0-9.\[\]:_-]+(?:/[!-~]*)?|file:///[!-~]*)$")
]


def _says(meaning: str, allowed: str = "", **constraints: Any) -> Any:
    """Return a field with its meaning and, where the type does not tell, the allowed values in words."""
    return Field(
        description=meaning, json_schema_extra={"allowed": allowed} if allowed else None, **constraints
    )


class _Table(BaseModel):
    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)


class Kernel(_Table):
    """Kernel, its command line and its modules."""

    package: PackageName = _says(
        "Debian package of the kernel; a meta package is followed to the real one",
        "a Debian package name", default="linux-image-amd64",
    )  # fmt: skip
    command_line: tuple[KernelWord, ...] = _says(
        "words of the kernel command line, in order; what the builder sets itself (hashes, IMA) is refused",
        "words without blanks, quotes and $ ; { } | & < >", default=(),
    )  # fmt: skip
    modules: tuple[ModulePath, ...] = _says(
        "modules kept in the image; their dependencies are kept as well",
        'path prefixes or globs below kernel/, for instance "drivers/net/virtio_net" or "fs/nls/*"',
        default=(),
    )  # fmt: skip
    initrd_modules: tuple[ModuleName, ...] = _says(
        "modules that the initrd loads, in this order, dependencies first", "module names", default=()
    )
    blacklist: tuple[ModuleName, ...] = _says(
        "modules that udev must not load by itself", "module names", default=()
    )


class Packages(_Table):
    """Debian packages of the root file system."""

    variant: Variant = _says(
        "minbase: essential packages too, all configured; extract: unpacked only, no maintainer script runs",
        default="minbase",
    )
    install: tuple[PackageName, ...] = _says(
        "packages; their dependencies come by themselves, recommended ones do not",
        "Debian package names", default=(),
    )  # fmt: skip
    exclude_paths: tuple[RootPath, ...] = _says(
        "paths left out of the base layer, with everything below them",
        'absolute paths or globs, for instance "/usr/share/doc/*"', default=(),
    )  # fmt: skip


class Ima(_Table):
    """Linux's Integrity Measurement Architecture."""

    policy: ImaPolicy = _says(
        "exec: what is executed, mapped for execution or loaded into the kernel; full: also what root reads",
        default="exec",
    )
    hash: ImaHash = _says("digest of files in the IMA log", default="sha256")


class Menu(_Table):
    """Boot menu."""

    title: str = _says(
        "headline of the menu", "1 to 60 printable characters", default="Bootproof", pattern=r"^[ -~]{1,60}$"
    )
    timeout: int = _says(
        "seconds until the default entry starts; 0 starts it at once", default=3, ge=0, le=600
    )
    entries: tuple[MenuEntry, ...] = _says(
        "what is offered, in order: live (from the medium), toram (copied to memory), rescue (a shell), "
        "checker (of the TCG BIOS), next (device)",
        default=("live", "toram", "checker", "rescue", "next"), min_length=1,
    )  # fmt: skip
    default: MenuEntry = _says("the entry that starts by itself; one of `menu.entries`", default="live")


class Layers(_Table):
    """The two squashfs images."""

    compression: Compression = _says("compression of both layers", default="zstd")
    level: int | None = _says(
        "compression level; unset: that of mksquashfs. Who sets a compression does not inherit a level",
        ", ".join(f"{name}: {bounds[0]} to {bounds[-1]}" for name, bounds in LEVELS.items()) + "; else none",
        default=None,
    )  # fmt: skip


class Smoke(_Table):
    """The smoke test."""

    checks: tuple[Check, ...] = _says("what the machine is asked after it has come up", default=())
    memory: int = _says("memory of the tested machine in MiB", default=1024, ge=128, le=65536)
    login_seconds: int = _says(
        "time limit from the kernel's start to the login under TCG; it is scaled for faster accelerators",
        default=180, ge=5, le=3600,
    )  # fmt: skip


class Vm(_Table):
    """The machine that `run` starts."""

    memory: int = _says("memory in MiB", default=1024, ge=128, le=1048576)


class Recipe(_Table):
    """A recipe, merged with all it extends. Lists are in order and without duplicates."""

    name: str = Field(pattern=RECIPE_NAME)
    description: str = _says(
        "one line for `./builder.py list`; not inherited",
        "1 to 120 printable characters",
        pattern=r"^[^\s\x00-\x1f][^\x00-\x1f\x7f]{0,119}$",
    )  # fmt: skip
    extends: str | None = _says(
        "the recipe that this one starts from", "name of a recipe file, without .toml",
        default=None, pattern=RECIPE_NAME,
    )  # fmt: skip
    suite: Suite = _says("Debian suite", default="trixie")
    mirror: Url | None = _says(
        "Debian mirror; unset means that of the build host's own apt configuration",
        "http://, https:// or file:/// URL", default=None,
    )  # fmt: skip
    init: Init = _says(
        "systemd, or serial: a script under busybox that starts one thing after the other, so that "
        "IMA's sequence is the same at every boot",
        default="systemd",
    )
    overlays: tuple[OverlayName, ...] = _says(
        "folders laid over the root file system, in this order",
        "names of folders below overlays/",
        default=(),
    )
    kernel: Kernel = Kernel()
    packages: Packages = Packages()
    ima: Ima = Ima()
    menu: Menu = Menu()
    layers: Layers = Layers()
    smoke: Smoke = Smoke()
    vm: Vm = Vm()


def canonical(recipe: Recipe) -> dict[str, Any]:
    """Return the merged recipe as JSON-able data for content ids; `extends`, now merged, is left out."""
    return recipe.model_dump(mode="json", exclude={"extends"})


def from_data(data: Mapping[str, Any]) -> Recipe:
    """Return the recipe that `canonical` gave as data."""
    return Recipe.model_validate_json(json.dumps(data))
