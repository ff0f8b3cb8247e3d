# SPDX-License-Identifier: GPL-3.0-or-later
"""The command `predict`, as a user starts it."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.measure import images

ROOT = Path(__file__).resolve().parents[2]


def predict(*words: str | Path) -> subprocess.CompletedProcess[str]:
    argv = [sys.executable, str(ROOT / "builder.py"), "predict", *map(str, words)]
    return subprocess.run(argv, capture_output=True, text=True, timeout=100, check=False)


@pytest.fixture(scope="module")
def iso(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("iso")
    images.made(folder)
    return folder / "x.iso"


def test_the_table_has_every_event_and_the_pcrs(iso: Path) -> None:
    done = predict(iso)
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    kernel = hashlib.sha1(images.FILES["/live/vmlinuz"]).hexdigest()[:12]
    assert lines[0] == "x.iso from cd, entry live: 33 events"
    assert lines[1].split() == ["PCR", "Type", "sha1", "What"]
    assert f"  8  IPL                 {kernel}  kernel /live/vmlinuz" in lines
    assert "  1  EVENT_TAG           platform      SMBIOS: …" in lines
    assert sum("COMPACT_HASH" in line for line in lines) == 4
    assert [line.split()[0] for line in lines[-8:-1]] == ["0", "3", "4", "5", "6", "7", "8"]
    assert lines[-1] == "     1 and 2 depend on the platform"


def test_another_way_to_boot_with_another_tpm(iso: Path) -> None:
    done = predict(iso, "--medium", "disk", "--entry", "rescue", "--tpm", "2.0", "--full")
    assert done.returncode == 0, done.stderr
    assert "x.iso from disk, entry rescue" in done.stdout
    assert hashlib.sha256(images.FILES["/live/vmlinuz"]).hexdigest() in done.stdout
    assert "COMPACT_HASH" not in done.stdout and "boot stage 1" in done.stdout


def test_json_has_both_banks(iso: Path) -> None:
    found = json.loads(predict(iso, "--json").stdout)
    assert (found["iso"], found["medium"], found["entry"]) == ("x.iso", "cd", "live")
    kernel = next(event for event in found["events"] if event["text"] == "kernel /live/vmlinuz")
    content = images.FILES["/live/vmlinuz"]
    assert kernel == {
        "pcr": 8, "kind": "IPL", "text": "kernel /live/vmlinuz",
        "sha1": hashlib.sha1(content).hexdigest(), "sha256": hashlib.sha256(content).hexdigest(),
    }  # fmt: skip
    assert set(found["pcrs"]) == {"sha1", "sha256"}


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--medium", "net"], "one of: cd, disk"),
        (["--tpm", "3"], "one of: 1.2, 2.0"),
        (["--entry", "checker"], "checker starts no kernel (one of: live, rescue, again)"),
    ],
)
def test_what_cannot_be_told_is_refused_in_one_line(iso: Path, words: list[str], said: str) -> None:
    done = predict(iso, *words)
    assert done.returncode == 2
    assert said in done.stderr and len(done.stderr.strip().splitlines()) == 1


def test_an_iso_of_somebody_else(iso: Path, tmp_path: Path) -> None:
    other = tmp_path / "other.iso"
    other.write_bytes(iso.read_bytes().replace(b"EL TORITO", b"EL TURITO"))
    done = predict(other)
    assert (done.returncode, done.stdout) == (2, "")
    assert "no boot record (only ISOs of ours can be predicted)" in done.stderr
