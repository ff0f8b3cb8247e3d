# SPDX-License-Identifier: GPL-3.0-or-later
"""The verb on a real image, as it is and with a builder that puts the time into it."""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path

import pytest

from bootproof import process
from bootproof import recipe as recipes
from bootproof.build.settings import PROJECT, Settings, cache_folder
from bootproof.reproduce.surroundings import SECOND
from bootproof.reproduce.verify import verify

pytestmark = [pytest.mark.qemu, pytest.mark.timeout(900)]

# Appended to a module of the builder: whatever initrd it makes tells when
_SABOTAGE = """
_honest = archive


def archive(nodes):
    import time

    return _honest({**nodes, "etc/built": regular(str(time.time_ns()).encode())})
"""


def test_minimal_is_reproducible(tmp_path: Path) -> None:
    verb = ["verify-reproducible", "minimal", "--json", "--output", str(tmp_path)]
    verdict = json.loads(process.run([sys.executable, str(PROJECT / "builder.py"), *verb]).stdout)
    assert verdict["identical"] is True
    assert verdict["differences"] == []
    first, second = verdict["builds"]
    assert first["sha256"] == second["sha256"]
    assert second["around"]["shift"] == SECOND.shift
    assert first["began"] + first["seconds"] <= second["began"] + 1
    assert json.loads((tmp_path / "minimal" / "reproducible.json").read_text()) == verdict
    assert (tmp_path / "minimal" / "packages.lock").is_file()


def test_a_builder_that_puts_the_time_into_the_initrd_is_found_out(tmp_path: Path) -> None:
    project = tmp_path / "project"
    shutil.copytree(PROJECT, project, ignore=shutil.ignore_patterns(".*", "out", "__pycache__"))
    with (project / "bootproof" / "build" / "cpio.py").open("a") as module:
        module.write(_SABOTAGE)
    settings = Settings(output=tmp_path / "out", cache=cache_folder(), project=project)
    chosen = recipes.load("minimal", project / "recipes", project / "overlays")
    verdict = verify(chosen, "minimal", settings, keep=False)
    assert not verdict.identical
    # packed, the two times may differ in length: then the initrd's directory entry and padding differ too
    found = [each for each in verdict.differences if each.where != "outside of any file"]
    assert [(each.where, each.name, each.what) for each in found] == [
        ("ISO", "/live/initrd.img", "content"),
        ("/live/initrd.img", "etc/built", "content"),
    ]
