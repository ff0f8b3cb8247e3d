# SPDX-License-Identifier: GPL-3.0-or-later
"""The ways through initrd/init, seen from the serial console of real machines."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.live.machines import ROOT, booted, build, variant

pytestmark = [pytest.mark.qemu, pytest.mark.timeout(1800)]


def test_toram_lets_go_of_the_medium(tmp_path: Path) -> None:
    iso = variant(tmp_path, "live-toram", '[menu]\ndefault = "toram"')
    with booted(iso, tmp_path) as console:
        console.wait_for("bootproof: copying the layers to memory")
        console.wait_for("live-toram is up")
        mounts = console.run("cat /proc/mounts")
    assert "/run/live/memory tmpfs" in mounts
    assert "iso9660" not in mounts


def test_rescue_gives_a_shell_before_anything_is_opened(tmp_path: Path) -> None:
    iso = variant(tmp_path, "live-rescue", '[menu]\ndefault = "rescue"')
    with booted(iso, tmp_path) as console:
        console.wait_for("bootproof: rescue shell")
        found = console.run("ls /dev/dm-* 2>&1; head -c 0 /sys/kernel/security/ima/policy 2>&1; lsmod")
    assert "No such file" in found, "no layer is open"
    assert "sr_mod" in found, "the medium's driver is there to work with"


def test_medium_that_is_not_there_is_said_on_every_console(tmp_path: Path) -> None:
    """The ISO's label is changed: to init this is a machine without its medium."""
    given = build("minimal", ROOT / "out")
    iso = Path(shutil.copy(given, tmp_path / "other.iso"))
    with iso.open("r+b") as stream:
        stream.seek(16 * 2048 + 40)  # ECMA-119, 8.4.7: volume identifier, 32 bytes
        label = stream.read(32)
        stream.seek(-32, 1)
        stream.write(label.replace(b"BOOTPROOF", b"BOOTPROFF"))
    with booted(iso, tmp_path) as console:
        said = console.wait_for("FATAL")
    last = said.rsplit("\n", 1)[-1]
    assert last == (
        f"bootproof: FATAL: no medium with the label {label.decode().strip()} on any CD, USB stick or disk"
    )


def test_everything_that_root_reads_is_measured_if_the_recipe_says_so(tmp_path: Path) -> None:
    iso = variant(tmp_path, "live-full", '[ima]\npolicy = "full"\nhash = "sha1"')
    with booted(iso, tmp_path) as console:
        console.wait_for("live-full is up")
        log = console.run("cat /sys/kernel/security/ima/ascii_runtime_measurements")
    assert "sha1:" in log
    assert " /etc/passwd" in log, "exec would not have measured what is only read"
    assert "base.img" not in log, "dm-verity looks after the layers"


def test_usr_cannot_be_written_and_etc_can(tmp_path: Path) -> None:
    with booted(build("minimal", ROOT / "out"), tmp_path, media="usb") as console:
        console.wait_for("minimal is up")
        said = console.run("touch /usr/bin/x /usr/local/x /opt/x; touch /etc/x && echo etc is yours")
    assert said.count("Read-only file system") == 3
    assert "etc is yours" in said


def test_two_boots_give_the_same_sequence_of_measurements(tmp_path: Path) -> None:
    iso = build("minimal", ROOT / "out")
    values = []
    for number in range(2):
        folder = tmp_path / str(number)
        folder.mkdir()
        with booted(iso, folder) as console:
            console.wait_for("minimal is up")
            values.append(console.run("cat /sys/class/tpm/tpm0/pcr-sha1/10").split("\n")[-1])
    assert len(values[0]) == 40
    assert values[0] == values[1]
