# SPDX-License-Identifier: GPL-3.0-or-later
import json
from pathlib import Path

import pytest

from bootproof.errors import BootproofError
from bootproof.launch.guestkernel import is_linux, read_kernel
from bootproof.launch.image import find_image
from tests.launch.guests import boot_sector_iso, linux_image


def test_recipe_is_found_where_it_was_built(tmp_path: Path) -> None:
    (tmp_path / "demo").mkdir()
    (tmp_path / "demo" / "demo.iso").write_bytes(b"")
    image = find_image("demo", tmp_path)
    assert (image.name, image.settings, image.folder) == ("demo", None, tmp_path / "demo")


def test_recipe_that_was_not_built_says_how(tmp_path: Path) -> None:
    with pytest.raises(BootproofError, match=r"builder.py build demo"):
        find_image("demo", tmp_path)


def test_recipe_is_named_by_its_file_as_well(tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "mine.iso").write_bytes(b"")
    image = find_image("/elsewhere/mine.toml", tmp_path)
    assert (image.name, image.folder) == ("mine", tmp_path / "mine")
    with pytest.raises(BootproofError, match=r"builder.py build your.toml"):
        find_image("your.toml", tmp_path)


@pytest.mark.parametrize("content", [b"", b"kernel = 1\n", bytes(40_000)])
def test_file_that_is_not_an_image(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "x.iso").write_bytes(content)
    with pytest.raises(BootproofError, match=r"x.iso is not an ISO image"):
        find_image(str(tmp_path / "x.iso"), tmp_path)


def test_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(BootproofError, match="no such file"):
        find_image(str(tmp_path / "x.iso"), tmp_path)


@pytest.mark.parametrize(
    ("info", "recipe"),
    [
        (None, None),
        ("{", None),
        ("[]", None),
        ('{"recipe": 7}', None),
        ('{"recipe": {"name": 7}}', None),
        (json.dumps({"recipe": {"name": "demo", "vm": {"memory": 512}}}), "demo"),
    ],
)
def test_file_takes_its_recipe_from_the_build_info_beside_it(
    tmp_path: Path, info: str | None, recipe: str | None
) -> None:
    iso = tmp_path / "given" / "some.iso"
    iso.parent.mkdir()
    boot_sector_iso(iso, b"hello")
    if info is not None:
        (iso.parent / "buildinfo.json").write_text(info)
    image = find_image(str(iso), tmp_path / "out")
    assert (image.settings["name"] if image.settings else None) == recipe
    assert image.folder == tmp_path / "out" / (recipe or "some")


def test_kernel_is_taken_out_of_an_iso(tmp_path: Path) -> None:
    import io

    import pycdlib

    kernel = linux_image(b"hello")
    iso = pycdlib.PyCdlib()
    iso.new(interchange_level=3, rock_ridge="1.09")
    iso.add_directory("/LIVE", rr_name="live")
    for name, data in (("vmlinuz.old", b"no kernel"), ("vmlinuz", kernel)):
        path = f"/LIVE/{name.upper().replace('.', '_')}.;1"
        iso.add_fp(io.BytesIO(data), len(data), path, rr_name=name)
    iso.write(str(tmp_path / "x.iso"))
    iso.close()
    assert read_kernel(tmp_path / "x.iso") == kernel


def test_iso_without_a_kernel(tmp_path: Path) -> None:
    with pytest.raises(BootproofError, match="no Linux kernel"):
        read_kernel(boot_sector_iso(tmp_path / "x.iso", b"hello"))


@pytest.mark.parametrize("content", [b"", b"\0" * 40000, b"not an ISO" * 5000])
def test_file_that_is_no_iso(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "x.iso").write_bytes(content)
    with pytest.raises(BootproofError, match="ISO image"):
        read_kernel(tmp_path / "x.iso")


def test_is_linux_needs_both_marks() -> None:
    image = linux_image(b"")
    assert is_linux(image)
    assert not is_linux(image.replace(b"HdrS", b"hdrs"))
    assert not is_linux(b"")
