# SPDX-License-Identifier: GPL-3.0-or-later
"""What a user sees when something is wrong: one line that says what and what to do, a telling exit code,
nothing broken.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from bootproof import process
from bootproof import recipe as recipes
from bootproof.build.lock import Package, Wanted
from bootproof.host import tools

from .bench import PROJECT, Bench, Said
from .mirror import serving
from .packages import lock, package


def minimal_digest() -> str:
    chosen = recipes.load("minimal", PROJECT / "recipes", PROJECT / "overlays")
    return Wanted(
        chosen.suite, chosen.packages.variant, chosen.packages.install, chosen.kernel.package
    ).digest


@pytest.fixture
def refused() -> Iterator[str]:
    """An address at which nobody listens, and nobody can."""
    with socket.socket() as reserved:
        reserved.bind(("127.0.0.1", 0))
        yield f"http://127.0.0.1:{reserved.getsockname()[1]}/debian"


def test_unknown_recipe(bench: Bench) -> None:
    said = bench.build("minimla")
    assert said.status == 2 and 'did you mean "minimal"' in said.fault
    assert not bench.output.exists() and not bench.cache.exists()


def test_all_faults_of_a_recipe_at_once_and_nothing_built(bench: Bench) -> None:
    said = bench.build(
        bench.recipe('suite = "sid"\noverlays = ["nothing"]\n[kernel]\nmodule = []\n[menu]\ntimeout = -1')
    )
    assert said.status == 2 and "Traceback" not in said.err
    assert all(key in said.err for key in ("suite", "overlays[0]", "kernel.module", "menu.timeout"))
    assert not bench.output.exists()


def test_contradicting_options(bench: Bench) -> None:
    said = bench.build("minimal", "--locked", "--update")
    assert said.status == 2 and "contradict" in said.fault


@pytest.mark.parametrize("value", ["tomorrow", "-1", "1.5", "4294967296", "²"])
def test_bad_source_date_epoch(bench: Bench, value: str) -> None:
    said = bench.build("minimal", SOURCE_DATE_EPOCH=value)
    assert said.status == 2 and "SOURCE_DATE_EPOCH" in said.fault


def test_a_missing_tool_is_found_before_the_work(
    bench: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    script = (
        "import sys; sys.path.insert(0, sys.argv.pop(1))\n"
        "from bootproof.host import tools\n"
        "real = tools.locate\n"
        "tools.locate = lambda tool: None if tool.name in ('mksquashfs', 'zstd') else real(tool)\n"
        "from bootproof.cli.app import main\n"
        "sys.exit(main())\n"
    )
    argv = [sys.executable, "-c", script, str(PROJECT), *bench.argv("minimal")[2:]]
    done = subprocess.run(argv, env=bench.env, capture_output=True, text=True, timeout=60, check=False)
    said = Said(done.returncode, done.stdout, done.stderr)
    assert said.status == 10
    assert "missing on this machine: mksquashfs, zstd" in said.fault and "squashfs-tools zstd" in said.fault
    assert not bench.output.exists() and not bench.cache.exists()


def test_a_path_without_tools(bench: Bench, tmp_path: Path) -> None:
    """A PATH that has all but mksquashfs, in folders of its own; sbin folders are always looked into as
    well.
    """
    wanted = [tools.tools()[name] for name in tools.needed_by("build") if name != "mksquashfs"]
    only = tmp_path / "bin"
    only.mkdir()
    for tool in wanted:
        place = tools.locate(tool)
        if not tool.path and place is not None:
            (only / tool.name).symlink_to(place)
    said = bench.build("minimal", PATH=str(only))
    assert said.status == 10 and "missing on this machine: mksquashfs" in said.fault


@pytest.mark.parametrize("what", ["output", "BOOTPROOF_CACHE", "TMPDIR"])
def test_folders_that_cannot_be_written(bench: Bench, what: str) -> None:
    if what == "output":
        said = bench.build("minimal", output=Path("/proc/x"))
    else:
        bench.env[what] = "/proc/x"
        said = bench.build("minimal")
    assert said.status == 10 and "cannot write to /proc/x" in said.fault
    assert not bench.output.exists()


def test_a_file_in_the_place_of_the_output(bench: Bench) -> None:
    bench.output.write_text("mine")
    said = bench.build("minimal", "--locked")
    assert said.status in (2, 10) and str(bench.output) in said.fault
    assert bench.output.read_text() == "mine"


def test_locked_without_a_lock(bench: Bench) -> None:
    said = bench.build("minimal", "--locked")
    assert said.status == 2 and "there is no lock file" in said.fault and "without --locked" in said.fault


def test_locked_with_the_lock_of_another_recipe(bench: Bench) -> None:
    bench.lock(lock(package(b"one")))
    said = bench.build("minimal", "--locked")
    assert said.status == 2 and "was made for other packages" in said.fault


def test_a_damaged_lock(bench: Bench) -> None:
    bench.lock(lock(package(b"one"))).write_text('{"format": 1')
    said = bench.build("minimal")
    assert said.status == 2 and "is not a lock file" in said.fault and "remove it" in said.fault


def test_locked_with_packages_that_are_gone(bench: Bench) -> None:
    there, gone, gone_too = package(b"one"), package(b"two", "two"), package(b"three", "three")
    bench.lock(lock(there, gone, gone_too, inputs=minimal_digest()))
    with serving(files={f"/debian/{there.filename}": b"one"}) as mirror:
        said = bench.build("minimal", "--locked", "--mirror", mirror.address)
    assert said.status == 10
    assert "no longer has: three 1.0-1, two 1.0-1" in said.fault
    assert [path.name for path in (bench.cache / "debs").iterdir()] == [f"{there.sha256}.deb"]
    assert not (bench.output / ".steps").exists()


def test_locked_with_a_mirror_in_a_folder_that_lacks_one(bench: Bench, tmp_path: Path) -> None:
    bench.lock(lock(package(b"one"), inputs=minimal_digest()))
    said = bench.build("minimal", "--locked", "--mirror", f"file://{tmp_path}/mirror/debian")
    assert said.status == 10 and "no longer has: one 1.0-1" in said.fault


def test_nobody_answers_at_the_mirror(bench: Bench, refused: str) -> None:
    said = bench.build("minimal", "--mirror", refused)
    assert (
        said.status == 10
        and "the package lists cannot be fetched" in said.fault
        and "--mirror" in said.fault
    )
    assert bench.left == [] and not (bench.output / "minimal" / "packages.lock").exists()


def test_nobody_answers_when_packages_are_fetched(bench: Bench, refused: str) -> None:
    bench.lock(lock(package(b"one"), inputs=minimal_digest()))
    said = bench.build("minimal", "--locked", "--mirror", refused)
    assert said.status == 10 and "cannot download" in said.fault and "Connection refused" in said.fault


def test_what_is_no_mirror(bench: Bench) -> None:
    said = bench.build("minimal", "--mirror", "mirror.example/debian")
    assert said.status == 2 and "no address of a mirror" in said.fault


def test_a_damaged_package_in_the_cache(bench: Bench) -> None:
    row = package(b"one")
    bench.lock(lock(row, inputs=minimal_digest()))
    (bench.cache / "debs").mkdir(parents=True)
    cached = bench.cache / "debs" / f"{row.sha256}.deb"
    cached.write_bytes(b"eno")
    said = bench.build("minimal", "--locked")
    assert said.status == 10 and "one 1.0-1 was damaged and has been removed" in said.fault
    assert not cached.exists() and bench.left == []
    assert not list((bench.output / ".steps").glob("*/*")), "a failed step leaves nothing"


def test_a_disk_that_is_too_small_is_noticed_before_the_work(bench: Bench) -> None:
    huge = Package(**{**vars(package(b"one")), "size": 1 << 50})
    bench.lock(lock(huge, inputs=minimal_digest()))
    said = bench.build("minimal", "--locked")
    assert said.status == 10 and "MiB of free space" in said.fault and "make room" in said.fault
    assert not (bench.output / ".steps").exists()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can mount a small disk")
def test_a_disk_that_is_full(bench: Bench) -> None:
    bench.output.mkdir()
    process.run(["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", bench.output])
    try:
        row = package(b"one")
        bench.lock(lock(row, inputs=minimal_digest()))
        filler = bench.output / "filler"
        with pytest.raises(OSError, match="No space left"), filler.open("wb", buffering=0) as stream:
            while True:
                stream.write(bytes(4096))
        (bench.cache / "debs").mkdir(parents=True)
        (bench.cache / "debs" / f"{row.sha256}.deb").write_bytes(b"one")
        said = bench.build("minimal", "--locked")
        assert said.status == 10 and "0 MiB of free space" in said.fault
        filler.unlink()
        assert (bench.output / "minimal" / "packages.lock").read_text()  # nothing was lost
    finally:
        process.run(["umount", bench.output])


def test_interrupted_while_downloading(bench: Bench) -> None:
    row = package(b"one" * 1000)
    bench.lock(lock(row, inputs=minimal_digest()))
    files = {f"/debian/{row.filename}": b"one" * 1000}
    with (
        serving(files=files, cut=[100], stall=threading.Event()) as mirror,
        bench.start("minimal", "--locked", "--mirror", mirror.address) as child,
    ):
        limit = time.monotonic() + 30
        while not mirror.requests:
            assert time.monotonic() < limit
            time.sleep(0.02)
        child.send_signal(signal.SIGINT)
        started = time.monotonic()
        _, err = child.communicate(timeout=30)
    assert time.monotonic() - started < 10
    said = Said(child.returncode, "", err)
    assert said.status == 130 and "interrupted" in said.fault
