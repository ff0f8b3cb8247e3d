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
    for name in ("buildinfo.json", "manifest.json"):
        shutil.copy(iso.parent / name, folder)
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
    judged = {check["name"]: check["detail"] for check in result["checks"] if check["ok"]}
    assert "verity" in judged
    if "none" not in options:
        assert judged["boot-events"].endswith("are as predicted by manifest.json")
    assert options or {"pcrs", "sysfs-pcrs", "boot-log", "ima-log", "boot-aggregate"} <= judged.keys()


@pytest.mark.parametrize(("layer", "place"), [("base", 0.0), ("base", 0.5), ("product", 0.0), ("base", 1.0)])
def test_image_with_one_changed_bit_does_not_pass(layer: str, place: float, tmp_path: Path) -> None:
    iso = lent("minimal", tmp_path / "given")
    flip(iso, f"/live/{layer}.img", place)
    code, _, said = smoke(iso, tmp_path / "out")
    assert code in (13, 14), said


# Of each part a byte that nothing depends on, so that the machine comes up: in a file, or of the medium
PARTS: dict[str, tuple[str, int, str]] = {
    "MBR": ("", 0x1A7, "'MBR' (PCR 4)"),
    "partition table": ("", 0x1FD, "'MBR PARTITION_TABLE' (PCR 5)"),
    "catalog": ("/boot/grub/boot.cat", 2047, "'BOOT CATALOG' (PCR 5)"),
    "stage 2": ("/boot/grub/eltorito.img", 1535, "'boot stage 2' (PCR 4)"),
    "core": ("/boot/grub/eltorito.img", 2048, "'GRUB core' (PCR 4)"),
    "menu": ("/boot/grub/grub.cfg", 10, "'menu /boot/grub/grub.cfg' (PCR 5)"),
    "kernel": ("/live/vmlinuz", 0x20, "'kernel /live/vmlinuz' (PCR 8)"),
}
DISK = ["--media", "disk"]
DISK_20 = [*DISK, "--vtpm", "swtpm", "--tpm", "2.0"]


def tampered(part: str, options: list[str], folder: Path) -> None:
    """Boot an image with one changed bit, and see that the part is named."""
    name, at, named = PARTS[part]
    iso = lent("minimal", folder / "given")
    flip_bit(iso, (span(iso, name)[0] if name else 0) + at)
    code, result, said = smoke(iso, folder / "out", *options)
    assert code == 15, said
    wrong = {check["name"]: check["detail"] for check in result["checks"] if check["ok"] is False}
    assert list(wrong) == ["boot-events"]
    assert named in wrong["boot-events"] and " should be " in wrong["boot-events"]


@pytest.mark.parametrize(("part", "options"), [("core", []), ("kernel", DISK_20)])
def test_a_changed_part_is_named(part: str, options: list[str], tmp_path: Path) -> None:
    tampered(part, options, tmp_path)


def flip(iso: Path, name: str, place: float) -> None:
    """Flip one bit in the file `name`, at `place` (0: in its first block, 1: in its last one)."""
    start, size = span(iso, name)
    flip_bit(iso, start + int((size - 4096) * place) + 100)


def span(iso: Path, name: str) -> tuple[int, int]:
    """Return where the file `name` begins on the medium, and its size."""
    image = pycdlib.PyCdlib()
    image.open(str(iso))
    record = image.get_record(rr_path=name)
    found = record.extent_location() * 2048, record.get_data_length()
    image.close()
    return found


def flip_bit(iso: Path, at: int) -> None:
    """Flip one bit of the byte at `at`."""
    with iso.open("r+b") as stream:
        stream.seek(at)
        byte = stream.read(1)[0]
        stream.seek(at)
        stream.write(bytes([byte ^ 1]))
