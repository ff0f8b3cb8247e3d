# SPDX-License-Identifier: GPL-3.0-or-later
"""Every suite, recipe, medium and TPM, built and judged: what takes too long for every commit."""

from __future__ import annotations

from itertools import product
from pathlib import Path

import pytest

from tests.smoke.test_images import DISK, DISK_20, builder, flip_bit, lent, smoke, span, tampered

pytestmark = [pytest.mark.matrix, pytest.mark.timeout(1800)]
TPMS = (("python", "1.2"), ("swtpm", "1.2"), ("swtpm", "2.0"), ("none", "1.2"))


@pytest.fixture(scope="session")
def output(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("matrix")


@pytest.fixture(scope="session", params=list(product(("trixie", "bookworm"), ("minimal", "base", "demo"))),
                ids="-".join)  # fmt: skip
def recipe(request: pytest.FixtureRequest, output: Path) -> Path:
    """A recipe file, built into `output`."""
    suite, parent = request.param
    path = output / f"{parent}-{suite}.toml"
    path.write_text(f'description = "{parent} on {suite}"\nextends = "{parent}"\nsuite = "{suite}"\n')
    done = builder("build", path, "--output", output)
    assert done.returncode == 0, done.stderr
    return path


@pytest.mark.parametrize("media", ["cd", "usb", "disk"])
@pytest.mark.parametrize(("vtpm", "tpm"), TPMS)
def test_image_passes(recipe: Path, media: str, vtpm: str, tpm: str, output: Path) -> None:
    options = ["--media", media, "--vtpm", vtpm, "--tpm", tpm]
    code, result, said = smoke(recipe, output, *options)
    assert code == 0, said
    assert any(check["ok"] for check in result["checks"])


@pytest.mark.parametrize(
    ("part", "options"),
    [
        ("MBR", DISK),
        ("partition table", DISK),
        ("catalog", []),
        ("stage 2", []),
        ("stage 2", DISK_20),
        ("core", DISK_20),
        ("menu", ["--vtpm", "swtpm", "--tpm", "2.0"]),
        ("kernel", []),
    ],
)
def test_a_changed_part_is_named(part: str, options: list[str], tmp_path: Path) -> None:
    tampered(part, options, tmp_path)


@pytest.mark.parametrize("place", [0.25, 0.5, 0.75])
def test_grub_with_a_changed_bit_stops_or_is_named(place: float, tmp_path: Path) -> None:
    iso = lent("minimal", tmp_path / "given")
    start, size = span(iso, "/boot/grub/eltorito.img")
    flip_bit(iso, start + int(size * place))
    code, result, said = smoke(iso, tmp_path / "out")
    assert code in (12, 13, 15), said
    assert code != 15 or "'GRUB core'" in said + str(result)
