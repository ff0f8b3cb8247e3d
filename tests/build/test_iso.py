# SPDX-License-Identifier: GPL-3.0-or-later
"""The ISO, read back with pycdlib and by its bytes."""

from __future__ import annotations

import io
import os
import struct
import subprocess
import sys
from pathlib import Path

import pycdlib
import pytest

from bootproof.build import iso
from bootproof.build.iso import Image

PROJECT = Path(__file__).parents[2]
EPOCH = 1_700_000_000
SECTOR = 2048
FILES = {
    "/live/base.img": b"base" * 5000,
    "/live/vmlinuz": b"kernel",
    "/live/Long_name-with.many.dots": b"long",
    "/boot/grub/grub.cfg": b"menu\n",
    "/empty": b"",
}


def image(folder: Path) -> Image:
    sources = {}
    for number, (path, data) in enumerate(FILES.items()):
        (folder / str(number)).write_bytes(data)
        sources[path] = folder / str(number)
    (folder / "eltorito").write_bytes(bytes(range(256)) * 100)
    (folder / "code").write_bytes(b"C" * 440)
    return Image(sources, folder / "eltorito", folder / "code", "BOOTPROOF_TEST_01234567", EPOCH)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    folder = tmp_path_factory.mktemp("iso")
    iso.write(image(folder), folder / "x.iso")
    return (folder / "x.iso").read_bytes()


CHILD = """
import sys, time
from pathlib import Path
from bootproof.build import iso
from tests.build.test_iso import image
folder = Path(sys.argv[1])
folder.mkdir()
real = time.time
time.time = lambda: real() + float(sys.argv[2])
iso.write(image(folder), folder / "x.iso")
"""


def test_the_same_bytes_at_any_time_in_any_zone(made: bytes, tmp_path: Path) -> None:
    for number, (zone, later) in enumerate((("Pacific/Kiritimati", "123456789"), ("America/St_Johns", "0"))):
        folder = tmp_path / str(number)
        env = os.environ | {"TZ": zone}
        subprocess.run([sys.executable, "-c", CHILD, folder, later], cwd=PROJECT, env=env, check=True)
        assert (folder / "x.iso").read_bytes() == made


def test_files_come_back_as_they_were(made: bytes) -> None:
    reader = pycdlib.PyCdlib()
    reader.open_fp(io.BytesIO(made))
    for path, data in FILES.items():
        target = io.BytesIO()
        reader.get_file_from_iso_fp(target, rr_path=path)
        assert target.getvalue() == data, path
    assert reader.pvd.volume_identifier.decode().strip() == "BOOTPROOF_TEST_01234567"
    reader.close()


def test_it_says_its_size_and_is_padded(made: bytes) -> None:
    (sectors,) = struct.unpack_from("<I", made, 16 * SECTOR + 80)
    assert len(made) == (sectors + 150) * SECTOR
    assert not any(made[-150 * SECTOR :])


def test_it_boots_as_a_cd(made: bytes) -> None:
    record = made[17 * SECTOR : 18 * SECTOR]
    assert record[1:6] == b"CD001" and record[7:30] == b"EL TORITO SPECIFICATION"
    (catalog,) = struct.unpack_from("<I", record, 0x47)
    entry = made[catalog * SECTOR + 32 :]
    indicator, media, _, _, _, count, where = struct.unpack_from("<BBHBBHI", entry)
    assert (indicator, media, count) == (0x88, 0, 4)
    loader = made[where * SECTOR :]
    assert loader[:8] == bytes(range(8))
    pvd, own, size = struct.unpack_from("<III", loader, 8)  # the boot information table
    assert (pvd, own, size) == (16, where, 25600)


def test_it_boots_as_a_disk(made: bytes) -> None:
    sector = made[:512]
    assert sector[:0x1B0] == b"C" * 0x1B0 and sector[510:] == b"\x55\xaa"
    (image,) = struct.unpack_from("<Q", sector, 0x1B0)
    assert made[image * 512 : image * 512 + 8] == bytes(range(8))
    active, kind, start, count = struct.unpack_from("<B3xB3xII", sector, 446)
    assert (active, kind, start, count * 512) == (0x80, 0x17, 0, len(made))
    assert not any(sector[462:510])


def test_the_clock_is_given_back() -> None:
    import pycdlib.dates

    with iso._frozen_clock(EPOCH):
        assert vars(pycdlib.dates)["time"].time() == EPOCH
    assert vars(pycdlib.dates)["time"].time() > EPOCH


@pytest.mark.parametrize("epoch", [0, 2**31, 2**32 - 1])
def test_every_epoch_that_is_allowed_can_be_written(tmp_path: Path, epoch: int) -> None:
    import dataclasses

    iso.write(dataclasses.replace(image(tmp_path), epoch=epoch), tmp_path / "x.iso")
    assert (tmp_path / "x.iso").stat().st_size > SECTOR * 150
