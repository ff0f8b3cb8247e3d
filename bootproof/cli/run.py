# SPDX-License-Identifier: GPL-3.0-or-later
"""`run`: a virtual machine with a virtual TPM, for a person."""

from __future__ import annotations

import os
import sys
import termios
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bootproof.cli import machines
from bootproof.cli.machines import DEFAULT_MEMORY, Wishes
from bootproof.console import say
from bootproof.launch.leftovers import ended_politely, private_folder
from bootproof.launch.machine import Machine
from bootproof.launch.qemu import QEMU
from bootproof.launch.session import Places, Session, running_machine
from bootproof.launch.vtpm import EMULATED
from bootproof.process import run as run_program

_LEAVE = {
    "serial": "Ctrl-A x leaves, Ctrl-A c is QEMU's monitor; Ctrl-C goes to the machine",
    "curses": "Esc 2 is QEMU's monitor, and `quit` there leaves",
    "none": "Ctrl-C leaves",
}


def run(
    *,
    target: str = machines.TARGET,
    vtpm: str = machines.VTPM,
    tpm: str = machines.TPM,
    firmware: str = machines.FIRMWARE,
    media: str = machines.MEDIA,
    accel: str = machines.ACCEL,
    memory: int = machines.MEMORY,
    output: Path = machines.OUTPUT,
    display: str = machines.DISPLAY,
) -> None:
    """Start a built image in QEMU, with a TPM that keeps its state between runs."""
    wishes = Wishes(
        target=target, vtpm=vtpm, tpm=tpm, firmware=firmware, media=media, accel=accel, memory=memory,
        display=display,
    )  # fmt: skip
    image = machines.locate(wishes, output)
    recipe = machines.recipe_of(image)
    machine, _ = machines.settle(
        wishes,
        image,
        memory=recipe.vm.memory if recipe else DEFAULT_MEMORY,
        display=_settle_display(display),
        network=True,
    )
    with ended_politely(), private_folder() as folder, _terminal_restored():
        state = image.folder / "vtpm" / f"{vtpm}-{tpm}"
        places = Places(state, folder.path / "qemu.log", state.with_suffix(".log"), folder.lease)
        _announce(machine, state)
        with running_machine(machine, places) as session:
            _wait(session)


def _settle_display(wish: str) -> str:
    """Return a display for `auto`: a window where there is a desktop, else the terminal."""
    if wish != "auto":
        return wish
    if os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"):
        known = run_program([QEMU, "-display", "help"]).stdout.decode(errors="replace").split()
        for window in ("gtk", "sdl"):
            if window in known:
                return window
    return "serial"


def _announce(machine: Machine, state: Path) -> None:
    say(f"image:       {machine.iso}, as {machine.media}, {machine.memory} MiB of memory")
    if machine.vtpm in EMULATED:
        say(f"TPM:         {machine.tpm}, {machine.vtpm}; its state is in {state}")
    else:
        say(f"TPM:         {machine.vtpm}")
    say(f"display:     {machine.display}; {_LEAVE.get(machine.display, 'closing the window leaves')}")


def _wait(session: Session) -> None:
    """Wait for QEMU's end; a Ctrl-C in our terminal is a way to end it, not an error."""
    try:
        status = session.qemu.wait()
    except KeyboardInterrupt:
        return
    if status != 0:
        raise session.failure()


@contextmanager
def _terminal_restored() -> Iterator[None]:
    """Give the terminal back as it was: QEMU makes it raw, and a QEMU that is killed leaves it so."""
    if not sys.stdin.isatty():
        yield
        return
    before = termios.tcgetattr(sys.stdin)
    try:
        yield
    finally:
        termios.tcsetattr(sys.stdin, termios.TCSANOW, before)
