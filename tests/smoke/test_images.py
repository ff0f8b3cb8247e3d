# SPDX-License-Identifier: GPL-3.0-or-later
"""Real images, booted and judged; images with one changed bit, which must not pass."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pycdlib
import pytest

ROOT = Path(__file__).resolve().parents[2]
pytestmark = [pytest.mark.qemu, pytest.mark.timeout(1800)]


def builder(*words: str | Path) -> subprocess.CompletedProcess[str]:
    argv = [sys.executable, str(ROOT / "builder.py"), *map(str, words)]
    return subprocess.run(argv, capture_output=True, text=True, check=False)


def built(recipe: str) -> Path:
    done = builder("build", recipe)
    assert done.returncode == 0, done.stderr
    return ROOT / "out" / recipe / f"{recipe}.iso"


def smoke(target: str | Path, out: Path, *options: str) -> tuple[int, dict[str, Any], str]:
    done = builder("smoke", target, "--output", out, "--json", *options)
    return done.returncode, json.loads(done.stdout) if done.stdout else {}, done.stderr


def lent(recipe: str, folder: Path) -> Path:
    """Return a copy of the built image with what it was made by beside it, so that results go elsewhere."""
    iso = built(recipe)
    folder.mkdir()
    shutil.copy(iso.parent / "buildinfo.json", folder)
    return Path(shutil.copy(iso, folder))


@pytest.mark.parametrize(
    ("recipe", "options"),
    [
        ("minimal", []),
        ("minimal", ["--media", "disk", "--vtpm", "swtpm", "--tpm", "2.0"]),
        ("minimal", ["--media", "usb", "--vtpm", "swtpm"]),
        ("minimal", ["--vtpm", "none"]),
        ("demo", []),
    ],
)
def test_image_passes(recipe: str, options: list[str], tmp_path: Path) -> None:
    code, result, said = smoke(lent(recipe, tmp_path / "given"), tmp_path / "out", *options)
    assert code == 0, said
    assert {check["name"] for check in result["checks"] if check["ok"] is False} == set()
    judged = {check["name"] for check in result["checks"] if check["ok"]}
    assert "verity" in judged
    assert options or {"pcrs", "sysfs-pcrs", "boot-log", "ima-log", "boot-aggregate"} <= judged


@pytest.mark.parametrize(("layer", "place"), [("base", 0.0), ("base", 0.5), ("product", 0.0), ("base", 1.0)])
def test_image_with_one_changed_bit_does_not_pass(layer: str, place: float, tmp_path: Path) -> None:
    iso = lent("minimal", tmp_path / "given")
    flip(iso, f"/live/{layer}.img", place)
    code, _, said = smoke(iso, tmp_path / "out")
    assert code in (13, 14), said


def flip(iso: Path, name: str, place: float) -> None:
    """Flip one bit in the file `name`, at `place` (0: in its first block, 1: in its last one)."""
    image = pycdlib.PyCdlib()
    image.open(str(iso))
    record = image.get_record(rr_path=name)
    start, size = record.extent_location() * 2048, record.get_data_length()
    image.close()
    with iso.open("r+b") as stream:
        at = start + int((size - 4096) * place) + 100
        stream.seek(at)
        byte = stream.read(1)[0]
        stream.seek(at)
        stream.write(bytes([byte ^ 1]))
