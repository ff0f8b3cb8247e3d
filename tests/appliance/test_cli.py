# SPDX-License-Identifier: GPL-3.0-or-later
"""`bootproof`, the appliance's command line."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
_MAIN = "import sys; from bootproof.cli.appliance import main; sys.exit(main())"


def bootproof(*words: str, code: str = _MAIN) -> subprocess.CompletedProcess[str]:
    argv = [sys.executable, "-c", code, *words]
    return subprocess.run(argv, capture_output=True, text=True, timeout=60, check=False, cwd=ROOT)


def test_every_verb_is_listed() -> None:
    done = bootproof("--help")
    assert done.returncode == 0
    for verb in ("log", "pcr", "vtpm", "report"):
        assert f" {verb} " in done.stdout


@pytest.mark.parametrize("words", [["report"], ["report", "--help"], ["report", "a", "b"]])
def test_report_says_how_it_is_used(words: list[str]) -> None:
    done = bootproof(*words)
    assert done.returncode == 2
    assert done.stderr == "bootproof: usage: bootproof report PORT | --find\n"


def test_report_without_a_port_says_so() -> None:
    done = bootproof("report", "--find")
    assert done.returncode == 10
    assert "no port org.bootproof.report" in done.stderr
    assert bootproof("report", "/no/such/port").returncode == 10


def test_vtpm_passes_its_options_on() -> None:
    done = bootproof("vtpm", "socket", "--help")
    assert "--tpmstate" in done.stdout + done.stderr


def test_agent_and_emulator_start_without_the_command_line_libraries() -> None:
    code = (
        "import sys\n"
        "from bootproof.cli.appliance import main\n"
        "main(['report', '--find'])\n"
        "main(['vtpm', 'socket', '--help'])\n"
        "print(sorted({'typer', 'click', 'rich', 'pydantic'} & set(sys.modules)))\n"
    )
    assert bootproof(code=code).stdout.strip().endswith("[]")
