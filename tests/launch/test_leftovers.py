# SPDX-License-Identifier: GPL-3.0-or-later
import os
import signal
import stat
import subprocess
import sys
import time
from pathlib import Path

import pytest

from bootproof.errors import HostError
from bootproof.launch.leftovers import ended_politely, private_folder


def vanishes(folder: Path, seconds: float = 10.0) -> bool:
    end = time.monotonic() + seconds
    while folder.exists() and time.monotonic() < end:
        time.sleep(0.02)
    return not folder.exists()


def test_folder_is_private_and_goes_with_the_block(tmp_path: Path) -> None:
    with private_folder(tmp_path) as folder:
        assert stat.S_IMODE(folder.path.stat().st_mode) == 0o700
        (folder.path / "deep" / "er").mkdir(parents=True)
        (folder.path / "deep" / "er" / "file").write_text("x")
    assert list(tmp_path.iterdir()) == []


def test_folder_goes_when_the_block_fails(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt), private_folder(tmp_path):
        raise KeyboardInterrupt
    assert list(tmp_path.iterdir()) == []


def test_folder_that_cannot_be_made(tmp_path: Path) -> None:
    with pytest.raises(HostError, match="cannot make a folder"), private_folder(tmp_path / "none"):
        pass


@pytest.mark.parametrize("delay", [0, 0.5], ids=["", "on a busy machine"])
def test_folder_goes_after_kill_9_and_not_before_its_last_user(tmp_path: Path, delay: float) -> None:
    slow, place = tmp_path / "bin" / "sh", tmp_path / "place"
    slow.parent.mkdir()
    place.mkdir()
    slow.write_text(f'#!/bin/sh\nsleep {delay}\nexec /bin/sh "$@"\n')
    slow.chmod(0o755)
    script = (
        "import subprocess, sys, time\n"
        "from pathlib import Path\n"
        "from bootproof.launch.leftovers import private_folder\n"
        "with private_folder(Path(sys.argv[1])) as folder:\n"
        "    user = subprocess.Popen(['cat'], stdin=0, stdout=1, pass_fds=[folder.lease])\n"
        "    print(folder.path, flush=True)\n"
        "    user.wait()\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", script, place],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env={**os.environ, "PATH": f"{slow.parent}:{os.environ['PATH']}"},
    ) as child:
        assert child.stdin is not None
        assert child.stdout is not None
        folder = Path(child.stdout.readline().decode().strip())
        child.kill()
        child.wait()
        # the user of the folder lives on, and may go on writing
        child.stdin.write(b"echo\n")
        child.stdin.flush()
        assert child.stdout.readline() == b"echo\n"
        assert folder.is_dir()
        child.stdin.close()
        assert vanishes(folder)
    assert list(place.iterdir()) == []


def test_sigterm_unwinds() -> None:
    with pytest.raises(SystemExit) as caught, ended_politely():
        os.kill(os.getpid(), signal.SIGTERM)
        signal.sigtimedwait([], 5)
    assert caught.value.code == 128 + signal.SIGTERM
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
