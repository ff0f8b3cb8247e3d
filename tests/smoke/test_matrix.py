# SPDX-License-Identifier: GPL-3.0-or-later
"""Every suite, recipe, medium and TPM, built and judged: what takes too long for every commit."""

from __future__ import annotations

from itertools import product
from pathlib import Path

import pytest

from tests.smoke.test_images import builder, smoke

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
