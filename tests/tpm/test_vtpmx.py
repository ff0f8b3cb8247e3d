# SPDX-License-Identifier: GPL-3.0-or-later
"""Character devices, and the kernel's proxy that makes a /dev/tpm0 of the emulator."""

from __future__ import annotations

import errno
import fcntl
import os
import pty
import select
import signal
import socket
import subprocess
import sys
import time
import tty
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from bootproof.launch.machine import Machine
from bootproof.launch.session import Places, running_machine
from bootproof.tpm.service import device
from bootproof.tpm.service.device import Device, DeviceError, new_proxy_device, open_device
from tests.live.machines import Console, build
from tests.tpm.conftest import PATIENCE, ROOT, STATE, exchange, request

PCR_READ = request(0x15, "00000000")
OK = bytes.fromhex("00c40000000a00000000")
READY = ("--flags", "startup-clear")


def chardev(at: Path, *options: str, pass_fds: tuple[int, ...] = ()) -> subprocess.Popen[str]:
    words = [word.replace("{}", os.fspath(at)) for word in (*STATE, *options)]
    return subprocess.Popen(
        [sys.executable, "-m", "bootproof.tpm", "chardev", *words],
        cwd=ROOT,
        pass_fds=pass_fds,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def refused(emulator: subprocess.Popen[str]) -> str:
    _out, errors = emulator.communicate(timeout=PATIENCE)
    assert emulator.returncode == 10
    (line,) = errors.splitlines()
    return line


def test_commands_from_a_device_that_is_passed_on(tmp_path: Path) -> None:
    ours, theirs = socket.socketpair(
        socket.AF_UNIX, socket.SOCK_SEQPACKET
    )  # a command a read, as of a device
    ours.settimeout(PATIENCE)
    emulator = chardev(tmp_path, "--fd", str(theirs.fileno()), *READY, pass_fds=(theirs.fileno(),))
    theirs.close()
    with ours:
        assert exchange(ours, PCR_READ)[6:10] == bytes(4)
        assert exchange(ours, request(0x20001000, "03"))[-1] == 0x0A, (
            "only with --locality allow-set-locality"
        )
        assert exchange(ours, request(0x98)) == OK
    assert emulator.communicate(timeout=PATIENCE) == ("", "")
    assert emulator.returncode == 0, "it ends with its device"


def test_commands_from_a_device_that_has_a_name(tmp_path: Path) -> None:
    master, slave = pty.openpty()
    tty.setraw(slave)
    emulator = chardev(tmp_path, "-c", os.ttyname(slave), *READY)
    os.write(master, PCR_READ)
    answer = b""
    while len(answer) < 30:
        assert select.select([master], [], [], PATIENCE)[0]
        answer += os.read(master, 100)
    assert answer[6:10] == bytes(4)
    emulator.send_signal(signal.SIGTERM)
    assert emulator.communicate(timeout=PATIENCE) == ("", "")
    assert emulator.returncode == 0
    os.close(slave)
    os.close(master)


def test_devices_that_are_none(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for option, message in (
        ("{}/file", "is not a character device; give one"),
        ("{}", "Is a directory; give a character device"),
        ("{}/missing", "No such file or directory; give a character device"),
    ):
        assert message in refused(chardev(tmp_path, "--chardev", option, *READY))
    with pytest.raises(DeviceError, match="descriptor 9999: Bad file descriptor"):
        open_device(None, 9999)


def test_without_the_module_it_says_which_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(device, "PROXY", tmp_path / "vtpmx")
    with pytest.raises(DeviceError, match="modprobe tpm_vtpm_proxy"):
        new_proxy_device()
    (tmp_path / "vtpmx").write_text("")
    with pytest.raises(DeviceError, match="start the program as root"):
        new_proxy_device()


def test_the_request_to_the_kernel(monkeypatch: pytest.MonkeyPatch) -> None:
    """Number and layout as in the kernel's vtpm_proxy.h: _IOWR(0xa1, 0, struct of five 32-bit numbers)."""
    ours, theirs = os.pipe()
    asked: list[tuple[int, bytes]] = []

    def ioctl(_handle: int, number: int, content: bytes) -> bytes:
        asked.append((number, content))
        return b"".join(value.to_bytes(4, sys.byteorder) for value in (0, 3, theirs, 10, 224))

    monkeypatch.setattr(device, "PROXY", Path(os.devnull))
    monkeypatch.setattr(fcntl, "ioctl", ioctl)
    made = new_proxy_device()
    assert asked == [(0xC014A100, bytes(20))]
    assert str(made) == "New TPM device: /dev/tpm3 (major/minor = 10/224)"
    assert made.descriptor == theirs
    os.close(ours)
    os.close(theirs)


def test_a_response_that_the_kernel_gave_up_waiting_for(monkeypatch: pytest.MonkeyPatch) -> None:
    ours, theirs = os.pipe()
    served = Device(theirs)

    def late(_handle: int, _data: bytes) -> int:
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(os, "write", late)
    assert served.send(OK) == len(OK)
    monkeypatch.undo()
    served.close()
    os.close(ours)


def _no_proxy() -> str:
    """Return why the kernel's proxy cannot be used here, nothing if it can."""
    if not device.PROXY.exists():
        return f"there is no {device.PROXY} (kernel module tpm_vtpm_proxy)"
    return "" if os.access(device.PROXY, os.R_OK | os.W_OK) else f"{device.PROXY} is only for root"


@pytest.mark.skipif(bool(_no_proxy()), reason=_no_proxy() or "it can")
def test_a_tpm_device_of_this_machine(tmp_path: Path) -> None:
    emulator = chardev(tmp_path, "--vtpm-proxy")
    assert emulator.stdout is not None
    line = emulator.stdout.readline()
    assert line.startswith("New TPM device: /dev/tpm")
    path = Path(line.split()[3])
    deadline = time.monotonic() + PATIENCE
    while not path.exists():
        assert time.monotonic() < deadline
        time.sleep(0.05)
    with path.open("r+b", buffering=0) as tpm:
        tpm.write(PCR_READ)
        assert tpm.read(100)[6:10] == bytes(4)
    emulator.send_signal(signal.SIGTERM)
    emulator.communicate(timeout=PATIENCE)
    assert emulator.returncode == 0
    assert not path.exists()


# in a guest -------------------------------------------------------------------------------------------

_PROXY = "bootproof vtpm chardev --vtpm-proxy --tpmstate dir=/run/t --pid file=/run/pid"
_EXTEND = request(0x14, "00000010" + "11" * 20).hex()
_ASK = f"""python3 -c 'import os
tpm = os.open("/dev/tpm0", os.O_RDWR)
os.write(tpm, bytes.fromhex("{_EXTEND}"))
print("answer", os.read(tpm, 4096).hex())'"""


@contextmanager
def without_tpm(recipe: str, folder: Path, memory: int) -> Iterator[Console]:
    """Boot a recipe's image on a machine that has no TPM."""
    places = Places(folder / "vtpm", folder / "qemu.log", folder / "vtpm.log")
    iso = build(recipe, ROOT / "out")
    machine = Machine(iso=iso, name="test", vtpm="none", memory=memory)
    with running_machine(machine, places, watched=("serial",)) as session:
        yield Console(session)


@pytest.mark.qemu
@pytest.mark.timeout(1800)
def test_a_machine_without_a_tpm_gets_one(tmp_path: Path) -> None:
    with without_tpm("minimal", tmp_path, 256) as console:
        console.wait_for("minimal is up")
        assert "No such file" in typed(console, "ls /dev/tpm0")
        assert "modprobe tpm_vtpm_proxy" in typed(console, _PROXY)
        assert "New TPM device: /dev/tpm0" in typed(console, f"modprobe tpm_vtpm_proxy; {_PROXY} --daemon")
        typed(console, "while ! [ -e /sys/class/tpm/tpm0/pcr-sha1 ]; do sleep 0.1; done")
        assert "answer 00c40000001e00000000" in typed(console, _ASK)
        assert "ff" * 20 in typed(console, "cat /sys/class/tpm/tpm0/pcr-sha1/17").lower()
        ask_size = """awk '/VmLck/ {print "kept in memory:" ($2 > 1000)}' /proc/$(cat /run/pid)/status"""
        assert "kept in memory:1" in typed(console, ask_size)
        said = typed(console, "kill $(cat /run/pid); sleep 2; ls /dev/tpm0 /run/pid")
        assert said.count("No such file") == 2


@pytest.mark.qemu
@pytest.mark.timeout(1800)
def test_trousers_in_a_machine_without_a_tpm(tmp_path: Path) -> None:
    with without_tpm("demo", tmp_path, 768) as console:
        console.wait_for("demo is up")
        typed(console, f"modprobe tpm_vtpm_proxy; {_PROXY} --daemon; udevadm settle; systemctl start tcsd")
        assert "TPM Vendor ID:       BTPF" in typed(console, "tpm_version")
        assert "tpm_selftest succeeded" in typed(console, "tpm_selftest -l info")


def typed(console: Console, command: str) -> str:
    """Type a command at the shell and return what it prints, with an end that no other has."""
    mark = f"{time.monotonic_ns():x}"
    console.serial.sendall(f"{command} 2>&1; echo end''{mark}\n".encode())
    return console.wait_for(f"end{mark}").rsplit("\n", 1)[0].split("\n", 1)[-1]
