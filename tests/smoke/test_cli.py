# SPDX-License-Identifier: GPL-3.0-or-later
"""The commands `run` and `smoke`, as a user starts them."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.launch.guests import boot_sector_iso

ROOT = Path(__file__).resolve().parents[2]


def builder(*words: str | Path) -> subprocess.CompletedProcess[str]:
    argv = [sys.executable, str(ROOT / "builder.py"), *map(str, words)]
    return subprocess.run(argv, capture_output=True, text=True, timeout=100, check=False)


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["smoke", "demo", "--vtpm", "python", "--tpm", "2.0"], 2, "use --vtpm swtpm"),
        (["run", "demo", "--firmware", "uefi"], 2, "not available yet"),
        (["smoke", "demo", "--media", "net"], 2, "not available yet"),
        (["smoke", "demo", "--accel", "hvf"], 2, "one of: auto, kvm, tcg"),
        (["run", "no-such-image"], 2, "builder.py build no-such-image"),
        (["smoke", "/no/such.iso"], 2, "no such file"),
    ],
)
def test_what_cannot_be_is_refused_in_one_line(
    words: list[str], code: int, said: str, tmp_path: Path
) -> None:
    done = builder(*words, "--output", tmp_path)
    assert done.returncode == code
    assert said in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
    assert list(tmp_path.iterdir()) == []


def test_failed_smoke_test_leaves_results_and_nothing_else(tmp_path: Path) -> None:
    text = b"Bootproof: boot menu\r\nbootproof: FATAL: no medium with the label X on any CD\r\n"
    iso = boot_sector_iso(tmp_path / "some.iso", text)
    out = tmp_path / "out"
    (out / "some" / "smoke").mkdir(parents=True)
    (out / "some" / "smoke" / "old").write_text("from the last time")
    done = builder("smoke", iso, "--accel", "tcg", "--memory", "128", "--json", "--output", out)
    assert done.returncode == 13
    assert "FATAL: no medium with the label X" in done.stderr
    assert "Traceback" not in done.stderr
    assert json.loads(done.stdout)["exit_code"] == 13
    assert [path.name for path in (out / "some").iterdir()] == ["smoke"]
    assert {path.name for path in (out / "some" / "smoke").iterdir()} == {
        "junit.xml", "pcrs.json", "qemu.log", "report.html", "result.json", "screen.png",
        "serial.log", "vtpm.log",
    }  # fmt: skip


def test_run_ends_with_its_machine(tmp_path: Path) -> None:
    iso = boot_sector_iso(tmp_path / "some.iso", b"hello\r\n", reset=True)
    options = ("--accel", "tcg", "--memory", "128", "--display", "none", "--output", tmp_path / "out")
    done = builder("run", iso, *options)
    assert done.returncode == 0, done.stderr
    assert "hello" in done.stdout
    assert "accelerator: TCG (asked for)" in done.stderr
    assert (tmp_path / "out" / "some" / "vtpm" / "python-1.2").is_dir()


def test_run_says_what_qemu_says(tmp_path: Path) -> None:
    iso = boot_sector_iso(tmp_path / "some.iso", b"hello\r\n")
    # a display that needs a terminal, which a test has not
    done = builder("run", iso, "--accel", "tcg", "--display", "curses", "--output", tmp_path / "out")
    assert done.returncode == 11
    assert "QEMU ended with status 1" in done.stderr


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_smoke_test_that_is_ended_leaves_the_old_results_alone(
    tmp_path: Path, number: signal.Signals
) -> None:
    iso = boot_sector_iso(tmp_path / "some.iso", b"Bootproof: boot menu\r\n")
    folder = tmp_path / "out" / "some"
    (folder / "smoke").mkdir(parents=True)
    (folder / "smoke" / "result.json").write_text("old")
    argv = [sys.executable, str(ROOT / "builder.py"), "smoke", str(iso)]
    argv += ["--accel", "tcg", "--memory", "128", "--output", str(tmp_path / "out")]
    with subprocess.Popen(argv, stderr=subprocess.PIPE, text=True) as child:
        assert child.stderr is not None
        for line in child.stderr:
            if "boot loader" in line:
                break
        child.send_signal(number)
        child.wait()
    end = time.monotonic() + 15
    while len(list(folder.iterdir())) > 1 and time.monotonic() < end:
        time.sleep(0.05)
    assert [path.name for path in folder.iterdir()] == ["smoke"]
    assert (folder / "smoke" / "result.json").read_text() == "old"
