# SPDX-License-Identifier: GPL-3.0-or-later
"""SeaBIOS in a real QEMU measures into the emulator, both ends joined as the launcher joins them."""

from __future__ import annotations

import shutil
import socket
import struct
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.tpm.conftest import PATIENCE, STATE, Start
from tests.tpm.test_server import monitor

pytestmark = [
    pytest.mark.qemu,
    pytest.mark.skipif(shutil.which("qemu-system-x86_64") is None, reason="QEMU is not installed"),
]
CLUSTER = 65536
ZEROS = "00" * 20


def empty_disk(path: Path) -> None:
    """Write an empty qcow2 image of 10 MB (QEMU's docs/interop/qcow2.txt), a place for snapshots."""
    header = struct.pack(
        ">4sIQIIQIIQQIIQ", b"QFI\xfb", 2, 0, 0, 16, 10 << 20, 0, 1, 3 * CLUSTER, CLUSTER, 1, 0, 0
    )
    clusters = (header, struct.pack(">Q", 2 * CLUSTER), struct.pack(">4H", 1, 1, 1, 1), b"")
    path.write_bytes(b"".join(cluster.ljust(CLUSTER, b"\0") for cluster in clusters))


def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 3 * PATIENCE
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.1)


def test_seabios_measures_and_snapshots_keep_the_pcrs(start: Start, tmp_path: Path) -> None:
    disk = tmp_path / "disk.qcow2"
    empty_disk(disk)
    control, inherited = socket.socketpair()
    watch, watched = socket.socketpair()
    numbers = inherited.fileno(), watched.fileno()
    emulator = start(
        *STATE,
        *("--ctrl", f"type=unixio,clientfd={numbers[0]}", "--monitor", f"type=unixio,clientfd={numbers[1]}"),
        "--terminate",
        pass_fds=numbers,
    )
    inherited.close()
    watched.close()
    machine = subprocess.Popen(
        [
            *("timeout", "100", "qemu-system-x86_64", "-accel", "tcg", "-m", "64", "-display", "none"),
            *("-monitor", "stdio", "-chardev", f"socket,id=c,fd={control.fileno()}"),
            *("-tpmdev", "emulator,id=t,chardev=c", "-device", "tpm-tis,tpmdev=t"),
            *("-drive", f"if=none,id=d,format=qcow2,file={disk}"),
        ],
        pass_fds=(control.fileno(),),
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        text=True,
    )
    control.close()
    assert machine.stdin is not None

    def say(command: str) -> None:
        assert machine.stdin is not None
        machine.stdin.write(command + "\n")
        machine.stdin.flush()

    def pcrs() -> list[str]:
        values = monitor(watch, "pcrs")["pcrs"]
        assert isinstance(values, dict)
        return list(values.values())

    def measured() -> bool:
        """All separators are in, and nothing has come since the last look."""
        before = pcrs()
        time.sleep(1)
        return ZEROS not in before[:8] and before == pcrs()

    try:
        until(measured)
        booted = pcrs()
        separator = "3a3f780f11a4b49969fcaa80cd6e3957c33b2275"
        assert [booted[index] for index in (0, 3, 5, 6, 7)] == [separator] * 5
        assert set(booted[8:17]) == {ZEROS}
        say("savevm here")
        say("system_reset")
        count = monitor(watch, "info")["commands"]
        until(lambda: monitor(watch, "info")["commands"] != count)
        until(measured)
        assert pcrs() == booted
        say("stop")
        say("system_reset")
        until(lambda: monitor(watch, "info")["started"] is False)
        assert pcrs()[0] == ZEROS
        say("loadvm here")
        until(lambda: monitor(watch, "info")["started"] is True)
        assert pcrs() == booted
        say("quit")
        assert machine.wait(PATIENCE) == 0
        assert emulator.wait() == 0
    finally:
        machine.kill()
        machine.wait(PATIENCE)
        machine.stdin.close()
        watch.close()
