# SPDX-License-Identifier: GPL-3.0-or-later
"""Sessions with a real QEMU and real emulators; the guest is the firmware and a boot sector."""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from bootproof.errors import ExitCode
from bootproof.launch.leftovers import private_folder
from bootproof.launch.machine import Machine
from bootproof.launch.session import WATCHED, Places, Session, running_machine
from tests.launch.guests import boot_sector_iso


def places(folder: Path, lease: int | None = None) -> Places:
    return Places(folder / "vtpm", folder / "qemu.log", folder / "vtpm.log", lease)


@pytest.fixture(scope="module")
def iso(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return boot_sector_iso(tmp_path_factory.mktemp("iso") / "boot.iso", b"hello from the boot sector\r\n")


def read_until(session: Session, name: str, wanted: bytes, seconds: float = 30.0) -> bytes:
    """Read the channel `name`, and let nobody wait for us to read the others."""
    text, end = b"", time.monotonic() + seconds
    readers = {session.channels[other]: other for other in ("serial", "firmware")}
    while wanted not in text:
        ready = select.select(readers, [], [], max(end - time.monotonic(), 0))[0]
        assert ready, f"waited for {wanted!r} after {text[-200:]!r}"
        for channel in ready:
            piece = channel.recv(4096)
            assert piece, f"ended after {text[-200:]!r}"
            text += piece if readers[channel] == name else b""
    return text


def children_of(parent: int) -> set[int]:
    listed = Path(f"/proc/{parent}/task/{parent}/children").read_text()
    return {int(word) for word in listed.split()}


def is_alive(process: int) -> bool:
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def test_guest_boots_and_nothing_is_left(iso: Path, tmp_path: Path) -> None:
    before, descriptors = children_of(os.getpid()), set(os.listdir("/proc/self/fd"))  # noqa: PTH208
    machine = Machine(iso=iso, name="test", memory=128)
    with running_machine(machine, places(tmp_path), watched=WATCHED) as session:
        read_until(session, "firmware", b"Booting from DVD/CD")
        read_until(session, "serial", b"hello from the boot sector")
        assert session.emulator is not None
        assert session.emulator.poll() is None
    assert session.qemu.returncode is not None
    assert session.emulator.returncode is not None
    assert children_of(os.getpid()) == before
    assert set(os.listdir("/proc/self/fd")) == descriptors  # noqa: PTH208


def test_emulator_tells_its_pcrs_while_qemu_has_it(iso: Path, tmp_path: Path) -> None:
    with running_machine(
        Machine(iso=iso, name="test", memory=128), places(tmp_path), watched=WATCHED
    ) as session:
        read_until(session, "serial", b"hello")
        assert session.monitor is not None
        session.monitor.sendall(b"pcrs\n")
        with session.monitor.makefile() as stream:
            told = json.loads(stream.readline())
    assert told["algorithm"] == "sha1"
    assert len(told["pcrs"]) == 24
    assert all(int(told["pcrs"][str(number)], 16) for number in range(8))


def test_swtpm_serves_the_same_way(iso: Path, tmp_path: Path) -> None:
    machine = Machine(iso=iso, name="test", vtpm="swtpm", tpm="2.0", memory=128)
    with running_machine(machine, places(tmp_path), watched=WATCHED) as session:
        read_until(session, "serial", b"hello")
        assert session.monitor is None
    assert session.emulator is not None
    assert session.emulator.returncode is not None


def test_qemu_that_does_not_start_is_quoted(tmp_path: Path) -> None:
    machine = Machine(iso=tmp_path / "none.iso", name="test", vtpm="none", memory=128)
    with running_machine(machine, places(tmp_path), watched=WATCHED) as session:
        session.qemu.wait()
        error = session.failure()
    assert error.code is ExitCode.QEMU
    assert "none.iso" in error.message
    assert "No such file or directory" in error.message
    assert "qemu-system-x86_64" in error.hint


def test_state_that_is_in_use_is_told_in_one_line(iso: Path, tmp_path: Path) -> None:
    machine = Machine(iso=iso, name="test", memory=128)
    other = Places(tmp_path / "vtpm", tmp_path / "other.log", tmp_path / "other-vtpm.log")
    with running_machine(machine, places(tmp_path), watched=WATCHED) as first:
        read_until(first, "firmware", b"SeaBIOS")
        with running_machine(machine, other, watched=WATCHED) as second:
            second.qemu.wait()
            error = second.failure()
    assert error.code is ExitCode.HOST
    assert "in use by process" in error.message
    assert "\n" not in str(error)


_LAUNCHER = """
import sys
from pathlib import Path
from bootproof.launch.leftovers import ended_politely, private_folder
from bootproof.launch.machine import Machine
from bootproof.launch.session import WATCHED, Places, running_machine
with ended_politely(), private_folder(Path(sys.argv[2])) as folder:
    places = Places(folder.path / "vtpm", folder.path / "qemu.log", folder.path / "vtpm.log", folder.lease)
    machine = Machine(iso=Path(sys.argv[1]), name="test", memory=128, vtpm=sys.argv[3])
    with running_machine(machine, places, watched=WATCHED) as session:
        session.channels["firmware"].recv(1)
        print("ready", flush=True)
        session.qemu.wait()
"""


@pytest.mark.parametrize("vtpm", ["python", "swtpm"])
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_nothing_is_left_however_the_launcher_ends(
    iso: Path, tmp_path: Path, number: signal.Signals, vtpm: str
) -> None:
    argv = [sys.executable, "-c", _LAUNCHER, str(iso), str(tmp_path), vtpm]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as launcher:
        assert launcher.stdout is not None
        assert launcher.stdout.readline() == b"ready\n"
        family = children_of(launcher.pid)
        assert len(family) == 3  # QEMU, the emulator, the sweeper
        watched = [os.pidfd_open(child) for child in family]
        launcher.send_signal(number)
        launcher.wait()
        end = time.monotonic() + 15
        for descriptor in watched:
            assert select.select([descriptor], [], [], max(end - time.monotonic(), 0))[0], (
                "a process lives on"
            )
            os.close(descriptor)
    assert not any(map(is_alive, family))
    assert list(tmp_path.iterdir()) == []


def test_state_folder_that_cannot_be_made(iso: Path, tmp_path: Path) -> None:
    from bootproof.errors import HostError

    (tmp_path / "vtpm").write_text("in the way")
    with (
        pytest.raises(HostError, match="cannot make"),
        private_folder(tmp_path),
        running_machine(Machine(iso=iso, name="test", memory=128), places(tmp_path), watched=WATCHED),
    ):
        pass
