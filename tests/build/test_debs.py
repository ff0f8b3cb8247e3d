# SPDX-License-Identifier: GPL-3.0-or-later
"""Downloads from a real server on loopback that misbehaves in every way a mirror does."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from bootproof import process
from bootproof.build import download
from bootproof.build.archives import Archives
from bootproof.build.debs import DebStore
from bootproof.errors import HostError

from .mirror import Mirror, serving
from .packages import package

PROJECT = Path(__file__).parents[2]
CONTENT = bytes(range(256)) * 3000
ONE = package(CONTENT)
PIECE = 1 << 14
PATH = f"/debian/{ONE.filename}"


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(download, "_PAUSE", 0.01)
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def mirror() -> Iterator[Mirror]:
    with serving(files={PATH: CONTENT}) as server:
        yield server


@pytest.fixture
def store(tmp_path: Path) -> DebStore:
    folder = tmp_path / "debs"
    folder.mkdir()
    return DebStore(folder)


def fetch(store: DebStore, mirror: Mirror, *packages: object) -> tuple[int, int]:
    return store.fetch(packages or (ONE,), Archives({"debian": mirror.address}), {})  # type: ignore[arg-type]


def names(store: DebStore) -> list[str]:
    return sorted(path.name for path in store.folder.iterdir())


def part(store: DebStore, content: bytes) -> None:
    (store.folder / f"{ONE.sha256}.part").write_bytes(content)


def test_what_is_there_is_not_asked_for(store: DebStore, mirror: Mirror) -> None:
    assert fetch(store, mirror) == (1, len(CONTENT))
    assert store.verified(ONE).read_bytes() == CONTENT
    assert fetch(store, mirror) == (0, 0)
    assert len(mirror.requests) == 1
    assert names(store) == [f"{ONE.sha256}.deb"]


def test_a_partial_file_is_gone_on_with(store: DebStore, mirror: Mirror) -> None:
    part(store, CONTENT[:1000])
    fetch(store, mirror)
    assert mirror.requests == [(PATH, "bytes=1000-")]
    assert store.verified(ONE).read_bytes() == CONTENT


def test_a_server_that_ignores_ranges(store: DebStore, mirror: Mirror) -> None:
    mirror.ranges = False
    part(store, CONTENT[:1000])
    fetch(store, mirror)
    assert len(mirror.requests) == 1
    assert store.verified(ONE).read_bytes() == CONTENT


def test_a_whole_file_that_was_not_judged_yet_is_not_fetched_again(store: DebStore, mirror: Mirror) -> None:
    part(store, CONTENT)
    fetch(store, mirror)
    assert mirror.requests == []
    assert store.verified(ONE).read_bytes() == CONTENT


def test_a_partial_file_of_something_else_is_fetched_anew(store: DebStore, mirror: Mirror) -> None:
    part(store, b"x" * 1000)
    fetch(store, mirror)
    assert [asked for _, asked in mirror.requests] == ["bytes=1000-", ""]
    assert store.verified(ONE).read_bytes() == CONTENT


@pytest.mark.parametrize("size", [len(CONTENT), len(CONTENT) + 1])
def test_a_partial_file_that_is_wrong_and_too_long_is_fetched_anew(
    store: DebStore, mirror: Mirror, size: int
) -> None:
    part(store, b"x" * size)
    fetch(store, mirror)
    assert store.verified(ONE).read_bytes() == CONTENT


def test_a_connection_cut_in_the_middle_is_taken_up_again(store: DebStore, mirror: Mirror) -> None:
    mirror.cut = [18 * PIECE + 1, 12 * PIECE]
    fetch(store, mirror)
    assert [asked for _, asked in mirror.requests] == ["", f"bytes={18 * PIECE}-", f"bytes={30 * PIECE}-"]
    assert store.verified(ONE).read_bytes() == CONTENT


def test_a_mirror_that_always_breaks_off_is_an_error_and_what_came_is_kept(
    store: DebStore, mirror: Mirror
) -> None:
    mirror.cut = [PIECE] * 3
    with pytest.raises(HostError, match=r"cannot download .*one_1.0-1_amd64.deb") as caught:
        fetch(store, mirror)
    assert "\n" not in str(caught.value)
    assert (store.folder / f"{ONE.sha256}.part").read_bytes() == CONTENT[: 3 * PIECE]
    fetch(store, mirror)
    assert mirror.requests[-1] == (PATH, f"bytes={3 * PIECE}-")


def test_all_packages_that_are_gone_are_named_at_once(store: DebStore, mirror: Mirror) -> None:
    gone = [package(b"2", "two"), package(b"3", "three")]
    with pytest.raises(HostError, match=r"no longer has: two 1.0-1, three 1.0-1") as caught:
        fetch(store, mirror, gone[0], ONE, gone[1])
    assert "--update" in caught.value.hint
    assert names(store) == [f"{ONE.sha256}.deb"]


def test_a_wrong_file_is_not_kept(store: DebStore, mirror: Mirror) -> None:
    mirror.files[PATH] = CONTENT[:-1] + b"x"
    with pytest.raises(HostError, match="is not the one in the package lists"):
        fetch(store, mirror)
    assert names(store) == []


def test_no_more_is_written_than_was_announced(
    store: DebStore, mirror: Mirror, monkeypatch: pytest.MonkeyPatch
) -> None:
    mirror.files[PATH] = CONTENT * 20
    sizes: list[int] = []

    def size_of(path: Path) -> str:
        sizes.append(path.stat().st_size)
        return "wrong"

    monkeypatch.setattr("bootproof.build.debs.sha256_of", size_of)
    with pytest.raises(HostError, match="is not the one"):
        fetch(store, mirror)
    assert sizes == [len(CONTENT)]


@pytest.mark.parametrize("status", [403, 500, 503])
def test_a_server_with_troubles_is_an_error_with_the_reason(
    store: DebStore, mirror: Mirror, status: int
) -> None:
    mirror.status = status
    with pytest.raises(HostError, match=f"cannot download .*{status}"):
        fetch(store, mirror)
    assert len(mirror.requests) == 3
    assert names(store) == []


def test_nobody_answers(store: DebStore) -> None:
    with socket.socket() as reserved:
        reserved.bind(("127.0.0.1", 0))
        address = f"http://127.0.0.1:{reserved.getsockname()[1]}/debian/"
        with pytest.raises(HostError, match="Connection refused") as caught:
            store.fetch([ONE], Archives({"debian": address}), {})
    assert "object at" not in str(caught.value) and "check the network" in caught.value.hint


def test_a_failure_does_not_wait_for_a_server_that_has_stalled(store: DebStore) -> None:
    other = package(b"2" * 1000, "two")
    with serving(files={PATH: CONTENT, f"/debian/{other.filename}": b"3" * 1000}) as mirror:
        mirror.cut, mirror.stall = [1000, 1000, 1000, 1000], threading.Event()
        started = time.monotonic()
        with socket.socket() as reserved:
            reserved.bind(("127.0.0.1", 0))
            refused = f"http://127.0.0.1:{reserved.getsockname()[1]}/debian-security/"
            archives = Archives({"debian": mirror.address, "debian-security": refused})
            with pytest.raises(HostError, match="Connection refused"):
                store.fetch([ONE, package(b"4", "four", "debian-security")], archives, {})
        assert time.monotonic() - started < 10


def test_an_archive_that_is_not_configured(store: DebStore, mirror: Mirror) -> None:
    with pytest.raises(HostError, match="needs the archive debian-security"):
        fetch(store, mirror, package(b"1", "one", "debian-security"))


def test_files_beside_us_need_no_server(store: DebStore, tmp_path: Path) -> None:
    base = tmp_path / "my mirror"
    (base / ONE.filename).parent.mkdir(parents=True)
    (base / ONE.filename).write_bytes(CONTENT)
    address = f"file://{tmp_path}/my%20mirror/"
    store.fetch([ONE], Archives({"debian": address}), {})
    assert store.verified(ONE).read_bytes() == CONTENT
    with pytest.raises(HostError, match="no longer has: two"):
        store.fetch([package(b"2", "two")], Archives({"debian": address}), {})


def test_a_damaged_package_is_removed(store: DebStore, mirror: Mirror) -> None:
    fetch(store, mirror)
    store.path(ONE).write_bytes(CONTENT[:-1] + b"x")
    with pytest.raises(HostError, match=r"one 1.0-1 was damaged and has been removed"):
        store.verified(ONE)
    with pytest.raises(HostError, match="run the same command again"):
        store.verified(ONE)
    fetch(store, mirror)
    assert store.verified(ONE).read_bytes() == CONTENT


def test_no_room_is_known_before_the_first_byte(store: DebStore, mirror: Mirror) -> None:
    huge = package(CONTENT)
    object.__setattr__(huge, "size", 1 << 60)
    with pytest.raises(HostError, match="MiB of free space"):
        fetch(store, mirror, huge)
    assert mirror.requests == []


CHILD = """
import sys
from pathlib import Path
from bootproof.build.archives import Archives
from bootproof.build.debs import DebStore
from bootproof.build.lock import Package
package = Package(*sys.argv[3:8], int(sys.argv[8]), sys.argv[9])
print(DebStore(Path(sys.argv[1])).fetch([package], Archives({"debian": sys.argv[2]}), {}))
"""


def test_two_processes_at_once_fetch_a_package_once(store: DebStore, mirror: Mirror) -> None:
    words = [str(value) for value in vars(ONE).values()]
    argv = [sys.executable, "-c", CHILD, str(store.folder), mirror.address, *words]
    children = [subprocess.Popen(argv, cwd=PROJECT) for _ in range(3)]
    assert [child.wait(30) for child in children] == [0, 0, 0]
    assert len(mirror.requests) == 1
    assert names(store) == [f"{ONE.sha256}.deb"]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can mount a small disk")
def test_a_disk_that_gets_full_while_downloading(
    store: DebStore, mirror: Mirror, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "bootproof.build.debs.require_disk", lambda *_: None
    )  # as if somebody else filled it meanwhile
    process.run(["mount", "-t", "tmpfs", "-o", "size=128k", "tmpfs", store.folder])
    try:
        with pytest.raises(HostError, match="no space left on the disk of"):
            fetch(store, mirror)
        assert names(store) == [f"{ONE.sha256}.part"]
    finally:
        process.run(["umount", store.folder])
    fetch(store, mirror)
    assert store.verified(ONE).read_bytes() == CONTENT
