# SPDX-License-Identifier: GPL-3.0-or-later
"""GRUB-IMA in machines: what it checks, what it measures, and that nothing starts unmeasured."""

from __future__ import annotations

from pathlib import Path

import pytest

from bootproof.tpm.commands.table import COMMANDS
from bootproof.tpm.machine import Tpm
from bootproof.tpm.persistence.store import StateDirectory
from tests.live.machines import Console, booted, variant

pytestmark = [pytest.mark.qemu, pytest.mark.timeout(1200)]
PRESENCE, DEACTIVATE = "00c10000000c4000000a{:04x}", "00c10000000b0000007201"
CHECKER = '[menu]\ndefault = "checker"'
WAITING = "[menu]\ntimeout = 60"


def verdicts(console: Console) -> tuple[dict[str, str], str]:
    """Return the checker's verdicts by the number of the function, and its summary."""
    *said, summary = console.wait_for("tcgbios: ").splitlines()
    rows = [line.split() for line in said if line.startswith("  ") and len(line.split()) > 3]
    return {row[1]: row[0] for row in rows if row[0] in ("ok", "BAD", "-")}, summary


def test_the_checker_finds_seabios_right_with_a_tpm_12(tmp_path: Path) -> None:
    iso = variant(tmp_path, "grub-checker", CHECKER)
    with booted(iso, tmp_path) as console:
        found, summary = verdicts(console)
    good = {"00", "01", "02", "04", "05", "07", "42"}
    assert found == {**dict.fromkeys(good, "ok"), "06": "-", "03": "-"}
    assert summary == "tcgbios: all as the specification wants"


def test_the_checker_tells_what_seabios_lacks_with_a_tpm_20(tmp_path: Path) -> None:
    iso = variant(tmp_path, "grub-checker-20", CHECKER)
    with booted(iso, tmp_path, vtpm="swtpm", tpm="2.0") as console:
        found, summary = verdicts(console)
    good, bad = {"00", "02", "04", "05", "42"}, {"01", "07"}
    assert found == {**dict.fromkeys(good, "ok"), **dict.fromkeys(bad, "BAD"), "06": "-", "03": "-"}
    assert summary == "tcgbios: 2 not as the specification wants"


def test_a_tpm_that_fails_while_grub_waits_lets_nothing_start(tmp_path: Path) -> None:
    iso = variant(tmp_path, "grub-fails", WAITING)
    with booted(iso, tmp_path) as console:
        console.see("executed automatically")
        assert console.session.emulator is not None
        console.session.emulator.kill()
        console.serial.sendall(b"\r")
        said = console.wait_for("to measure: kernel /live/vmlinuz")
        assert "the TPM failed" in said
        console.wait_for("you need to load the kernel first")


def test_commands_that_are_typed_are_measured(tmp_path: Path) -> None:
    iso = variant(tmp_path, "grub-prompt", WAITING)
    with booted(iso, tmp_path) as console:
        console.see("executed automatically")
        console.serial.sendall(b"c")
        console.serial.sendall(b"echo typed by hand\r")
        console.see("typed by hand")  # what is typed comes back with the cursor moved at each letter
        console.serial.sendall(b"\x1b")
        console.see("Press enter to boot")
        console.serial.sendall(b"\r")
        console.wait_for("grub-prompt is up")
        log = console.run("bootproof log --no-ima")
    assert "grub_cmd: echo typed by hand" in log


def test_a_tpm_that_is_switched_off_is_no_obstacle(tmp_path: Path) -> None:
    deactivate(tmp_path / "vtpm")
    iso = variant(tmp_path, "grub-off", "")
    with booted(iso, tmp_path) as console:
        console.wait_for("GRUB-IMA: the TPM is off, nothing is measured")
        console.wait_for("grub-off is up")


def deactivate(state: Path) -> None:
    """Deactivate a new TPM, as somebody who is present can; it stays so after a reset."""
    state.mkdir(mode=0o700)
    store = StateDirectory(state)
    tpm = Tpm(COMMANDS, store)
    tpm.power_on()
    startup = "00c10000000c000000990001"
    for request in (startup, PRESENCE.format(0x20), PRESENCE.format(0x08), DEACTIVATE):
        assert tpm.execute(bytes.fromhex(request))[6:10] == bytes(4)
    tpm.power_off()
    store.close()
