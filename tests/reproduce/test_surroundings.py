# SPDX-License-Identifier: GPL-3.0-or-later
"""What is put around a build really is around it: its command lines and scripts are run."""

from __future__ import annotations

import os
import shutil
import time
from dataclasses import replace
from pathlib import Path

import pytest

from bootproof import process
from bootproof.host import tools
from bootproof.reproduce.surroundings import (
    FIRST,
    SECOND,
    Clock,
    build_command,
    environment,
    proven,
    wrappers,
)  # fmt: skip

CLOCK = Clock(Path("/lib/clock.so"), Path("/var/tmp/x/clock.so"), Path("/w o/proof"))
LIBRARY = tools.locate(tools.tools()["libfaketime"])
with_clock = pytest.mark.skipif(LIBRARY is None, reason="libfaketime is not installed")


def test_an_ordinary_build_is_started_as_it_is() -> None:
    command = build_command(FIRST, ["builder", "build"], processor=1, own_hostname=False)
    assert command == ["sh", "-c", 'umask 0022; exec "$@"', "sh", "builder", "build"]
    assert wrappers(FIRST, {"mksquashfs": Path("/usr/bin/mksquashfs")}, CLOCK, chroot=True) == {}


def test_every_surrounding_is_different() -> None:
    same = {name for name, value in vars(FIRST).items() if getattr(SECOND, name) == value}
    assert same == set()
    assert len(FIRST.folder) != len(SECOND.folder)
    days, seconds = divmod(SECOND.shift, 86400)
    assert days > 366
    assert 3600 < seconds < 82800


def test_the_chain_of_the_second_build() -> None:
    command = build_command(SECOND, ["builder"], processor=1, own_hostname=True)
    assert command[:6] == ["taskset", "--cpu-list", "1", "unshare", "--uts", "sh"]
    assert command[-1] == "builder"


def test_umask_and_processor_reach_the_build() -> None:
    shown = ["sh", "-c", "umask; nproc; echo $$"]
    command = build_command(SECOND, shown, processor=min(os.sched_getaffinity(0)), own_hostname=False)
    with process.running(command, stdout=-1) as child:
        mask, processors, pid = child.communicate()[0].split()
    assert (mask, processors) == (b"0077", b"1")
    assert int(pid) == child.pid  # signals for the build reach the build


def test_the_environment() -> None:
    env = environment(
        SECOND, home=Path("/h"), temporary=Path("/t"), programs=Path("/p"), path="/bin", cache=Path("/c")
    )
    assert env["PATH"] == "/p:/bin"
    assert (env["HOME"], env["TMPDIR"], env["BOOTPROOF_CACHE"]) == ("/h", "/t", "/c")
    assert env["TZ"] != "UTC0"


@with_clock
def test_a_wrapped_tool_sees_the_clock_and_all_its_arguments(tmp_path: Path) -> None:
    assert LIBRARY is not None
    tool = tmp_path / "tool"
    tool.write_text('#!/bin/sh\nexec date "$@"\n')
    tool.chmod(0o755)
    scripts = wrappers(SECOND, {"tool": tool}, replace(CLOCK, library=LIBRARY), chroot=True)
    shown = _run(tmp_path, scripts["tool"], "-u", "+%s two words")
    assert shown.endswith(" two words\n")
    assert abs(int(shown.split()[0]) - time.time() - SECOND.shift) < 60


def test_mksquashfs_gets_one_processor(tmp_path: Path) -> None:
    """It does not care for the processors that its process may use."""
    (tmp_path / "tree").mkdir()
    real = shutil.which("mksquashfs", path=process.environment()["PATH"])
    assert real is not None
    script = wrappers(SECOND, {"mksquashfs": Path(real)}, CLOCK, chroot=True)["mksquashfs"]
    said = _run(tmp_path, script, str(tmp_path / "tree"), str(tmp_path / "image"))
    assert "Using 1 processor" in said


@with_clock
def test_the_hooks_put_the_clock_into_the_chroot_and_leave_no_trace(tmp_path: Path) -> None:
    assert LIBRARY is not None
    own = tmp_path / "clock"
    own.mkdir()
    clock = Clock(LIBRARY, own / "clock.so", tmp_path / "proof")
    shutil.copyfile(LIBRARY, clock.shared)
    tree = tmp_path / "tree"
    inside = tree / str(tmp_path).lstrip("/")
    inside.mkdir(parents=True)
    os.utime(inside, (1, 1))
    fake = tmp_path / "mmdebstrap"
    fake.write_text("#!/bin/sh\n" + _HOOKS)
    fake.chmod(0o755)
    script = wrappers(SECOND, {"mmdebstrap": fake}, clock, chroot=True)["mmdebstrap"]
    said = _run(tmp_path, script, str(tree))
    assert "clock.so" in said
    assert list(inside.iterdir()) == []
    assert inside.stat().st_mtime == 1
    assert clock.proof.is_file()
    assert not proven(clock.proof.read_text(), SECOND.shift)  # there is no `date` in this tree
    assert "-hook=" not in wrappers(SECOND, {"mmdebstrap": fake}, clock, chroot=False)["mmdebstrap"]


# Runs the hooks that it is given as mmdebstrap does: by sh, with the chroot as the argument
_HOOKS = """
sh -c "${1#--extract-hook=}" sh "$3"
find "$3" -name clock.so
sh -c "${2#--customize-hook=}" sh "$3" 2>&1
"""


@pytest.mark.parametrize(
    ("text", "verdict"),
    [
        ("1000100 100\n", True),
        ("1000130 100\n", True),
        ("100 100\n", False),
        (" 100\n", False),
        ("", False),
        ("x y\n", False),
    ],
)
def test_proof_of_the_clock(text: str, verdict: bool) -> None:
    assert proven(text, 1_000_000) is verdict


def _run(folder: Path, script: str, *words: str) -> str:
    path = folder / "script"
    path.write_text(script)
    path.chmod(0o755)
    return process.run([path, *words]).stdout.decode()
