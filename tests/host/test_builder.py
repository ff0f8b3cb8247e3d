# SPDX-License-Identifier: GPL-3.0-or-later
"""builder.py in a fresh clone, before anything is set up."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

PROJECT = Path(__file__).parents[2]


def test_without_python_packages_it_names_what_sets_the_machine_up(tmp_path: Path) -> None:
    shutil.copy(PROJECT / "builder.py", tmp_path)
    (tmp_path / "bootproof").symlink_to(PROJECT / "bootproof")
    no_packages = ["-I", "-S"]
    argv = [sys.executable, *no_packages, str(tmp_path / "builder.py"), "build", "demo"]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=60, check=False)
    said = "builder.py: the Python package typer is missing (run setup/install)\n"
    assert (done.returncode, done.stdout, done.stderr) == (10, "", said)
    assert (PROJECT / "setup" / "install").is_file()


def test_vtpm_passes_its_options_on() -> None:
    argv = [sys.executable, str(PROJECT / "builder.py"), "vtpm", "socket", "--port"]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 2
    assert "bootproof-vtpm: --port: needs a value" in done.stderr
