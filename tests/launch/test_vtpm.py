# SPDX-License-Identifier: GPL-3.0-or-later
import sys
from pathlib import Path

from bootproof.launch.vtpm import emulator_command


def test_our_own_emulator_tells_its_pcrs() -> None:
    words = emulator_command("python", "1.2", state=Path("/s"), control=5, monitor=6, log=Path("/l"))
    assert words == [
        sys.executable, "-m", "bootproof.tpm", "socket",
        "--tpmstate", "dir=/s", "--ctrl", "type=unixio,clientfd=5",
        "--terminate", "--log", "file=/l", "--monitor", "type=unixio,clientfd=6",
    ]  # fmt: skip


def test_swtpm_in_both_versions() -> None:
    words = emulator_command("swtpm", "1.2", state=Path("/s"), control=5, monitor=None, log=Path("/l"))
    assert words[:2] == ["swtpm", "socket"]
    assert "--tpm2" not in words
    newer = emulator_command("swtpm", "2.0", state=Path("/s"), control=5, monitor=None, log=Path("/l"))
    assert newer == [*words, "--tpm2"]
