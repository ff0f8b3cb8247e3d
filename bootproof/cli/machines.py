# SPDX-License-Identifier: GPL-3.0-or-later
"""What `run` and `smoke` share: their options, and the way from these to a machine."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import typer

from bootproof.console import say
from bootproof.launch import accel
from bootproof.launch.guestkernel import read_kernel
from bootproof.launch.image import OUT, Image, find_image
from bootproof.launch.machine import Machine, check_wishes
from bootproof.recipe import Recipe, from_data

DEFAULT_MEMORY = 1024

TARGET = typer.Argument(
    ..., metavar="RECIPE|ISO", help="a recipe that has been built (its name or its file), or an ISO"
)
VTPM = typer.Option("python", "--vtpm", help="python (our own emulator), swtpm, passthrough or none")
TPM = typer.Option("1.2", "--tpm", help="version of the TPM: 1.2 or 2.0")
FIRMWARE = typer.Option("bios", "--firmware", help="bios, uefi or secureboot")
MEDIA = typer.Option("cd", "--media", help="what the image is attached as: cd, usb, disk or net")
ACCEL = typer.Option("auto", "--accel", help="auto (tries KVM), kvm or tcg")
MEMORY = typer.Option(
    0, "--memory", metavar="MIB", show_default=False, help="default: the recipe's, else 1024"
)
DISPLAY = typer.Option("auto", "--display", help="auto, gtk, sdl, curses, serial or none")
OUTPUT = typer.Option(
    OUT, "--output", help="folder where images are built and results go", show_default="out"
)


@dataclass(frozen=True, kw_only=True)
class Wishes:
    """The options as they were given; `memory` 0 stands for the recipe's."""

    target: str
    vtpm: str
    tpm: str
    firmware: str
    media: str
    accel: str
    memory: int
    display: str

    def check(self) -> None:
        """Raise a usage error for what is unknown or not available, before any work is done."""
        check_wishes(
            vtpm=self.vtpm, tpm=self.tpm, firmware=self.firmware, media=self.media,
            accel=self.accel, memory=self.memory or DEFAULT_MEMORY, display=self.display,
        )  # fmt: skip


def recipe_of(image: Image) -> Recipe | None:
    """Return the recipe as it was when the image was built; None if nothing beside the ISO tells it."""
    return None if image.settings is None else from_data(image.settings)


def settle(wishes: Wishes, image: Image, *, memory: int, display: str, network: bool) -> tuple[Machine, str]:
    """Return the machine, and the line on its accelerator and the reason, which has been shown."""
    chosen = accel.choose(wishes.accel, lambda: read_kernel(image.iso))
    say(chosen.line)
    machine = Machine(
        iso=image.iso, name=image.name, vtpm=wishes.vtpm, tpm=wishes.tpm, firmware=wishes.firmware,
        media=wishes.media, accel=chosen.name, memory=wishes.memory or memory,
        display=display, network=network,
    )  # fmt: skip
    return machine, chosen.line


def locate(wishes: Wishes, out: Path) -> Image:
    """Check the wishes and find the image; both are usage errors if they fail."""
    wishes.check()
    return find_image(wishes.target, out)
