# SPDX-License-Identifier: GPL-3.0-or-later
"""Variants of `minimal`, booted, and their serial console."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from bootproof.launch.machine import Machine
from bootproof.launch.session import Places, Session, running_machine

ROOT = Path(__file__).resolve().parents[2]
LIMIT = 600.0  # seconds for each wait; under TCG a boot takes 40, with ten others at work five times that


def build(recipe: str | Path, output: Path) -> Path:
    words = ["build", str(recipe), "--output", str(output), "--json"]
    argv = [sys.executable, str(ROOT / "builder.py"), *words]
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return Path(json.loads(done.stdout)["iso"])


def variant(folder: Path, name: str, text: str) -> Path:
    """Build `minimal` with `text` added to its recipe; steps come from the shared store.

    The name is the test's own: another test may run meanwhile, and build to the same folder.
    """
    recipe = folder / f"{name}.toml"
    recipe.write_text(f'description = "a variant of minimal"\nextends = "minimal"\n{text}\n')
    return build(recipe, ROOT / "out")


class Console:
    """The serial console of a running machine."""

    def __init__(self, session: Session) -> None:
        self.session = session
        self.serial = session.channels["serial"]
        self.seen = ""

    def wait_for(self, text: str) -> str:
        """Read on until a line with `text` is complete; return everything up to its end."""
        return self._read_to(lambda: "\n" in self.seen[self.seen.index(text) :], text, "\n")

    def see(self, text: str) -> str:
        """Read on until `text` has come, say of a prompt or in a menu; return everything before it."""
        return self._read_to(lambda: True, text, text)

    def _read_to(self, complete: Callable[[], bool], text: str, end: str) -> str:
        deadline = time.monotonic() + LIMIT
        while text not in self.seen or not complete():
            self.serial.settimeout(max(deadline - time.monotonic(), 0.01))
            try:
                piece = self.serial.recv(4096)
            except TimeoutError:
                pytest.fail(f"{text!r} did not come; the console's last words: {self.seen[-800:]!r}")
            assert piece, f"the machine ended; the console's last words: {self.seen[-800:]!r}"
            self.seen += piece.decode(errors="replace").replace("\r", "")
        at = self.seen.index(end, self.seen.index(text))
        before, self.seen = self.seen[:at], self.seen[at:]
        return before

    def run(self, command: str) -> str:
        """Type a command at the shell and return what it prints."""
        self.serial.sendall(f"{command}; echo do''ne\n".encode())
        return self.wait_for("\ndone")


@contextmanager
def booted(
    iso: Path, folder: Path, *, media: str = "cd", vtpm: str = "python", tpm: str = "1.2"
) -> Iterator[Console]:
    """Start a machine; what it leaves is below `folder`, the TPM's state in `folder/vtpm`."""
    places = Places(folder / "vtpm", folder / "qemu.log", folder / "vtpm.log")
    machine = Machine(iso=iso, name="test", media=media, memory=256, vtpm=vtpm, tpm=tpm)
    with running_machine(machine, places, watched=("serial",)) as session:
        yield Console(session)
