# SPDX-License-Identifier: GPL-3.0-or-later
"""Real machines that fail in the ways machines fail; a boot sector stands for the boot loader."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

import pytest

from bootproof.errors import ExitCode
from bootproof.launch.machine import Machine
from bootproof.launch.session import WATCHED, Places, running_machine
from bootproof.smoke.phases import Limits, Phase
from bootproof.smoke.watch import Boot, Captures, watch
from tests.launch.guests import boot_sector_iso


class ShortLimits(Limits):
    def seconds(self, phase: Phase) -> float:
        return 20.0 if phase.code is not ExitCode.GUEST_TIMEOUT else 1.0


def boot(iso: Path, folder: Path) -> Boot:
    places = Places(folder / "vtpm", folder / "qemu.log", folder / "vtpm.log")
    with running_machine(Machine(iso=iso, name="test", memory=128), places, watched=WATCHED) as session:
        return watch(session, Captures(folder / "serial.log", folder / "screen.png"), [], ShortLimits("tcg"))


def test_a_machine_that_comes_no_further_names_phase_and_limit(tmp_path: Path) -> None:
    seen = boot(boot_sector_iso(tmp_path / "x.iso", b"Bootproof: boot menu\r\n"), tmp_path)
    assert [done.phase.name for done in seen.follower.done] == ["firmware", "boot loader"]
    assert seen.failure is not None
    assert seen.failure.code is ExitCode.GUEST_TIMEOUT
    assert seen.failure.message == "kernel: not over after 1 s on TCG"
    assert (tmp_path / "serial.log").read_bytes().startswith(b"Bootproof: boot menu")
    assert (tmp_path / "screen.png").read_bytes().startswith(b"\x89PNG")


def test_a_fatal_line_ends_the_test_at_once(tmp_path: Path) -> None:
    text = b"Bootproof: boot menu\r\nbootproof: FATAL: the layer base is missing on the medium\r\n"
    started = time.monotonic()
    seen = boot(boot_sector_iso(tmp_path / "x.iso", text), tmp_path)
    assert time.monotonic() - started < 15
    assert seen.failure is not None
    assert "FATAL: the layer base is missing" in seen.failure.message
    assert seen.failure.code is ExitCode.GUEST_TIMEOUT


def test_a_machine_that_resets_itself_is_not_up(tmp_path: Path) -> None:
    seen = boot(boot_sector_iso(tmp_path / "x.iso", b"Bootproof: boot menu\r\n", reset=True), tmp_path)
    assert seen.failure is not None
    assert "reset itself" in seen.failure.message
    assert seen.failure.code is ExitCode.GUEST_TIMEOUT


def test_qemu_that_does_not_start_has_its_own_code(tmp_path: Path) -> None:
    seen = boot(tmp_path / "none.iso", tmp_path)
    assert seen.failure is not None
    assert seen.failure.code is ExitCode.QEMU
    assert "No such file" in seen.failure.message


@pytest.mark.parametrize("text", [b"", b"GRUB loading\r\n"])
def test_a_boot_loader_that_shows_no_menu(
    tmp_path: Path, text: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        ShortLimits, "seconds", lambda self, phase: 20.0 if phase.name == "firmware" else 1.0
    )
    seen = boot(boot_sector_iso(tmp_path / "x.iso", text), tmp_path)
    assert seen.failure is not None
    assert seen.failure.message.startswith("boot loader: not over after 1 s")
    assert seen.failure.code is ExitCode.FIRMWARE


def test_qemu_that_does_not_answer_is_not_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bootproof.smoke.watch._MONITOR_SECONDS", 0.5)
    monkeypatch.setattr(ShortLimits, "seconds", lambda self, phase: 0.5)
    iso = boot_sector_iso(tmp_path / "x.iso", b"Bootproof: boot menu\r\n")
    places = Places(tmp_path / "vtpm", tmp_path / "qemu.log", tmp_path / "vtpm.log")
    machine = Machine(iso=iso, name="test", memory=128, vtpm="none")
    with running_machine(machine, places, watched=WATCHED) as session:
        os.kill(session.qemu.pid, signal.SIGSTOP)
        seen = watch(session, Captures(tmp_path / "s", tmp_path / "p"), [], ShortLimits("tcg"))
        os.kill(session.qemu.pid, signal.SIGCONT)
    assert seen.failure is not None
    assert seen.failure.code is ExitCode.QEMU
    assert "does not answer on its monitor" in seen.failure.message
