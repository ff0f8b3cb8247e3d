# SPDX-License-Identifier: GPL-3.0-or-later
"""Real machines with the emulator as their TPM: both kinds of firmware, TrouSerS, resets, snapshots."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.tpm.conftest import ROOT, Start
from tests.tpm.virtual import ZEROS, snapshot_disk, until, virtual

pytestmark = [
    pytest.mark.qemu,
    pytest.mark.timeout(1800),
    pytest.mark.skipif(shutil.which("qemu-system-x86_64") is None, reason="QEMU is not installed"),
]
SEPARATOR_BIOS = "3a3f780f11a4b49969fcaa80cd6e3957c33b2275"  # SHA-1 of zeros and the digest of ff ff ff ff
SEPARATOR_UEFI = "b2a83b0ebf2f8374299a5b2bdfc31ea955ad7236"  # ... of 00 00 00 00
OVMF = Path("/usr/share/OVMF/OVMF_CODE_4M.fd")


def test_seabios_measures_and_snapshots_keep_the_pcrs(start: Start, tmp_path: Path) -> None:
    disk = snapshot_disk(tmp_path / "disk.qcow2")
    with virtual(start, "-m", "64", "-drive", f"if=none,id=d,format=qcow2,file={disk}") as machine:
        until(machine.firmware_is_done)
        booted = machine.pcrs()
        assert [booted[index] for index in (0, 3, 5, 6, 7)] == [SEPARATOR_BIOS] * 5
        assert set(booted[8:17]) == {ZEROS}
        machine.say("savevm here")
        machine.say("system_reset")
        count = machine.info("commands")
        until(lambda: machine.info("commands") != count)
        until(machine.firmware_is_done)
        assert machine.pcrs() == booted
        machine.say("stop")
        machine.say("system_reset")
        until(lambda: machine.info("started") is False)
        assert machine.pcrs()[0] == ZEROS
        machine.say("loadvm here")
        until(lambda: machine.info("started") is True)
        assert machine.pcrs() == booted
        machine.quit()


@pytest.mark.skipif(not OVMF.exists(), reason="the package ovmf is not installed")
def test_ovmf_measures(start: Start, tmp_path: Path) -> None:
    variables = shutil.copy(OVMF.with_name("OVMF_VARS_4M.fd"), tmp_path)
    flash = [f"if=pflash,format=raw,readonly=on,file={OVMF}", f"if=pflash,format=raw,file={variables}"]
    with virtual(start, "-machine", "q35", "-m", "256", "-drive", flash[0], "-drive", flash[1]) as machine:
        until(machine.firmware_is_done)
        booted = machine.pcrs()
        assert booted[6] == SEPARATOR_UEFI
        assert booted[0] not in (SEPARATOR_UEFI, ZEROS)
        machine.say("system_reset")
        until(lambda: ZEROS in machine.pcrs()[:8])
        until(machine.firmware_is_done)
        assert machine.pcrs()[0] == booted[0]
        machine.quit()


def demo_iso() -> Path:
    argv = [sys.executable, str(ROOT / "builder.py"), "build", "demo"]
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return ROOT / "out/demo/demo.iso"


def test_trousers_unseals_after_a_snapshot_was_loaded(start: Start, tmp_path: Path) -> None:
    disk = snapshot_disk(tmp_path / "disk.qcow2")
    options = ("-m", "512", "-cdrom", str(demo_iso()), "-drive", f"if=none,id=d,format=qcow2,file={disk}")
    with virtual(start, *options, seconds=1700) as machine:
        machine.wait_for("~# ", 600)
        for command in (
            "tpm_createek; tpm_takeownership -y -z && echo my secret > /tmp/plain",
            "tpm_sealdata -z -p 0 -p 8 -i /tmp/plain -o /tmp/sealed && rm /tmp/plain",
        ):
            status, text = machine.shell(command)
            assert status == 0, text
        machine.say("savevm sealed")
        defined = machine.shell("tpm_nvdefine -y -z -i 1 -s 8 -p 'OWNERREAD|OWNERWRITE'")
        assert defined[0] == 0, defined
        assert "0x00000001" in machine.shell("tpm_nvinfo")[1]
        machine.say("loadvm sealed")
        status, text = machine.shell("tpm_unsealdata -z -i /tmp/sealed")
        assert (status, "my secret" in text) == (0, True), text
        assert "0x00000001" not in machine.shell("tpm_nvinfo")[1]
        machine.quit()
