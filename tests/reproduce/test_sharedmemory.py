# SPDX-License-Identifier: GPL-3.0-or-later
import os
from pathlib import Path

from bootproof.reproduce.sharedmemory import tidied

GONE = 2**22 + 1  # above every pid_max


def test_leftovers_of_processes_that_are_gone_are_removed(tmp_path: Path) -> None:
    names = [f"faketime_shm_{GONE}", f"sem.faketime_sem_{GONE}"]
    kept = {f"faketime_shm_{os.getpid()}", "faketime_shm_x", f"other_{GONE}"}
    for name in (*names, *kept):
        (tmp_path / name).write_bytes(b"")
    with tidied(tmp_path):
        assert {path.name for path in tmp_path.iterdir()} == kept
        (tmp_path / names[0]).write_bytes(b"")
    assert {path.name for path in tmp_path.iterdir()} == kept
