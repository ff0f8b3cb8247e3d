# SPDX-License-Identifier: GPL-3.0-or-later
"""Builds with real packages: interrupted, two at once, damaged; minutes each."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import time
from pathlib import Path

import pytest

from bootproof.build.lock import GROUPS
from bootproof.build.settings import cache_folder

from .bench import BUILDER, Bench, Said


@pytest.fixture(scope="module")
def packages(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An output folder with a finished minimal image, made with the packages of this user's cache."""
    output = tmp_path_factory.mktemp("built")
    argv = [*BUILDER, "build", "minimal", "--output", str(output)]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=1500, check=False)
    assert done.returncode == 0, done.stderr
    return output


@pytest.fixture
def ready(bench: Bench, packages: Path) -> Bench:
    """A user whose packages are all downloaded, but who has built nothing yet."""
    bench.output.joinpath("minimal").mkdir(parents=True)
    shutil.copy(packages / "minimal" / "packages.lock", bench.output / "minimal")
    needed = json.loads((packages / "minimal" / "packages.lock").read_text())
    (bench.cache / "debs").mkdir(parents=True)
    for group in GROUPS:
        for row in needed[group]:
            name = f"{row['sha256']}.deb"
            shutil.copy(cache_folder() / "debs" / name, bench.cache / "debs" / name)
    return bench


def iso_of(output: Path) -> bytes:
    return (output / "minimal" / "minimal.iso").read_bytes()


def wait_for_tree(bench: Bench) -> None:
    limit = time.monotonic() + 60
    while not list(bench.work.glob("bootproof-tree-*/mmdebstrap*")) and not list(
        bench.work.glob("bootproof-tree-*/repo/Release")
    ):
        assert time.monotonic() < limit
        time.sleep(0.02)
    time.sleep(0.5)


@pytest.mark.qemu
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGKILL], ids=["TERM", "KILL"])
def test_ended_while_the_tree_is_made(ready: Bench, packages: Path, how: signal.Signals) -> None:
    with ready.start("minimal", "--locked") as child:
        wait_for_tree(ready)
        child.send_signal(how)
        _, err = child.communicate(timeout=120)
    if how is not signal.SIGKILL:
        assert child.returncode == 130 and "interrupted" in Said(child.returncode, "", err).fault
        assert ready.left == []
    assert not list((ready.output / ".steps" / "tree").glob("[!.]*"))
    said = ready.build("minimal", "--locked")
    assert said.status == 0, said.err
    assert ready.left == []
    assert not list((ready.output / ".steps").glob("*/.*"))
    assert iso_of(ready.output) == iso_of(packages)


@pytest.mark.qemu
@pytest.mark.timeout(1800)
def test_two_builds_at_once(ready: Bench, packages: Path) -> None:
    children = [ready.start("minimal", "--locked") for _ in range(2)]
    errors = [child.communicate(timeout=1200)[1] for child in children]
    assert [child.returncode for child in children] == [0, 0], errors
    assert sum(error.count("root tree") for error in errors) == 1
    assert iso_of(ready.output) == iso_of(packages)
    assert ready.left == []


@pytest.mark.qemu
@pytest.mark.timeout(1800)
def test_damaged_results_are_found_and_made_anew(ready: Bench, packages: Path) -> None:
    assert ready.build("minimal", "--locked").status == 0
    good = iso_of(ready.output)
    for damaged in ("kernel/*/modules.tar", "base/*/verity.json", "initrd/*/step.json"):
        (path,) = (ready.output / ".steps").glob(damaged)
        path.write_bytes(path.read_bytes()[:-1] + b"?")
        shutil.rmtree(next((ready.output / ".steps" / "iso").glob("[!.]*")))
        if damaged.startswith("kernel"):
            shutil.rmtree(next((ready.output / ".steps" / "initrd").glob("[!.]*")))
        said = ready.build("minimal", "--locked")
        assert said.status == 10 and "damaged and has been removed" in said.fault, damaged
        said = ready.build("minimal", "--locked")
        assert said.status == 0, said.err
        assert iso_of(ready.output) == good


@pytest.mark.qemu
@pytest.mark.timeout(1800)
def test_an_image_that_was_changed_or_removed_is_put_back(ready: Bench) -> None:
    assert ready.build("minimal", "--locked").status == 0
    good = iso_of(ready.output)
    image = ready.output / "minimal" / "minimal.iso"
    image.unlink()
    (ready.output / "minimal" / "manifest.json").unlink()
    assert ready.build("minimal", "--locked").status == 0
    assert iso_of(ready.output) == good and (ready.output / "minimal" / "manifest.json").exists()
    with image.open("r+b") as stream:
        stream.seek(1 << 20)
        stream.write(b"changed")
    said = ready.build("minimal", "--locked")
    assert said.status == 10 and "damaged" in said.fault  # the store has the same file
    assert ready.build("minimal", "--locked").status == 0
    assert iso_of(ready.output) == good


@pytest.mark.qemu
@pytest.mark.timeout(1800)
def test_unknown_packages_are_named(bench: Bench) -> None:
    said = bench.build(bench.recipe('[packages]\ninstall = ["no-such-package", "nor-this-one"]'))
    assert said.status == 2 and "unknown packages: no-such-package, nor-this-one" in said.fault
    assert not (bench.output / "mine" / "packages.lock").exists()


@pytest.mark.qemu
@pytest.mark.timeout(1800)
def test_an_unchanged_image_is_answered_at_once(bench: Bench, packages: Path) -> None:
    folder = packages / "minimal"
    before = {path: path.stat().st_mtime_ns for path in folder.iterdir() if path.is_file()}
    said = bench.build("minimal", "--json", output=packages)  # with an empty cache: nothing is fetched
    assert json.loads(said.out)["steps"] == []
    assert {path: path.stat().st_mtime_ns for path in before} == before
    assert not bench.cache.exists()
