# SPDX-License-Identifier: GPL-3.0-or-later
"""TrouSerS' daemon and tpm_version, over TCP, with no machine in between."""

from __future__ import annotations

import grp
import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.ports import free_port
from tests.tpm.conftest import CONTROL, PATIENCE, READY, STATE, Start
from tests.tpm.test_server import monitor

pytestmark = pytest.mark.skipif(
    shutil.which("tcsd") is None or shutil.which("tpm_version") is None or os.geteuid() != 0,
    reason="needs trousers, tpm-tools, and root (tcsd.conf must belong to root)",
)


@pytest.fixture
def tcsd_port(start: Start, tmp_path: Path) -> Iterator[tuple[int, socket.socket]]:
    """Start the emulator and tcsd on it; yields tcsd's port and the emulator's monitor."""
    tpm_port, port = free_port(), free_port()
    emulator = start(
        *STATE,
        *("--server", f"type=tcp,port={tpm_port}"),
        *CONTROL,
        *READY,
        *("--monitor", "type=unixio,path={}/mon"),
    )
    watch = emulator.connect("mon")
    tss = grp.getgrnam("tss").gr_gid
    config = tmp_path / "tcsd.conf"
    config.write_text(f"port = {port}\nsystem_ps_file = {tmp_path}/ps/system.data\n")
    os.chown(config, 0, tss)
    config.chmod(0o640)
    (tmp_path / "ps").mkdir()
    shutil.chown(tmp_path / "ps", "tss", "tss")
    for part in (tmp_path, *tmp_path.parents[:2]):
        part.chmod(part.stat().st_mode | 0o011)
    daemon = subprocess.Popen(
        ["tcsd", "-e", "-f", "-c", os.fspath(config)],
        env={
            **os.environ,
            "TCSD_TCP_DEVICE_HOSTNAME": "127.0.0.1",
            "TCSD_TCP_DEVICE_PORT": str(tpm_port),
            "TCSD_FOREGROUND": "1",
        },
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        deadline = time.monotonic() + PATIENCE
        while not _listens(port):
            assert daemon.poll() is None, "tcsd has ended"
            assert time.monotonic() < deadline
            time.sleep(0.05)
        yield port, watch
    finally:
        daemon.terminate()
        daemon.wait(PATIENCE)
        watch.close()


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def run(port: int, home: Path, *command: str) -> subprocess.CompletedProcess[str]:
    """Run a client; tpm_version writes a few bytes of stale memory to standard error, with swtpm as well."""
    environment = {**os.environ, "TSS_TCSD_PORT": str(port), "HOME": os.fspath(home)}
    return subprocess.run(
        command,
        env=environment,
        capture_output=True,
        text=True,
        errors="replace",
        timeout=PATIENCE,
        check=False,
    )


def test_tcsd_starts_and_tpm_version_shows_our_vendor(
    tcsd_port: tuple[int, socket.socket], tmp_path: Path
) -> None:
    port, watch = tcsd_port
    commands = monitor(watch, "info")["commands"]
    assert isinstance(commands, int)
    assert commands >= 10, "TPM_Startup and the nine questions of tcsd's own start"
    done = run(port, tmp_path, "tpm_version")
    assert done.returncode == 0, done.stdout + done.stderr
    facts = dict(line.strip().split(":", 1) for line in done.stdout.splitlines() if ":" in line)
    assert {key.strip(): value.strip() for key, value in facts.items() if value} == {
        "Chip Version": "1.2.0.1",
        "Spec Level": "2",
        "Errata Revision": "3",
        "TPM Vendor ID": "BTPF",
        "TPM Version": "01010000",
        "Manufacturer Info": b"BTPF".hex(),
    }


def test_self_test_through_tcsd(tcsd_port: tuple[int, socket.socket], tmp_path: Path) -> None:
    done = run(tcsd_port[0], tmp_path, "tpm_selftest")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "70 61 73 73 65 64" in done.stdout or "706173736564" in done.stdout.replace(" ", "")
