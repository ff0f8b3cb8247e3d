# SPDX-License-Identifier: GPL-3.0-or-later
"""A TPM 1.2 (swtpm) with TrouSerS' tcsd in front of it, for the length of a test."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bootproof import process
from tests.ports import free_port, free_ports

_PATIENCE = 20.0


@contextmanager
def swtpm(state: Path) -> Iterator[int]:
    """Run a TPM 1.2 that has had its Startup; yield the port it takes commands on."""
    port, control = free_ports(2)
    argv = [
        "swtpm", "socket", "--tpmstate", f"dir={state}",
        "--server", f"type=tcp,port={port},bindaddr=127.0.0.1",
        "--ctrl", f"type=tcp,port={control},bindaddr=127.0.0.1", "--flags", "not-need-init,startup-clear",
    ]  # fmt: skip
    with process.running(argv) as child:
        _wait_for(child, port)
        yield port


def command(port: int, request: bytes) -> bytes:
    """Send one TPM command and return the response."""
    with socket.create_connection(("127.0.0.1", port), _PATIENCE) as connection:
        connection.sendall(request)
        return connection.recv(4096)


@contextmanager
def tcsd(place: Path, tpm_port: int) -> Iterator[int]:
    """Run tcsd on the TPM at `tpm_port`; yield the port it listens on."""
    port = free_port()
    configuration = place / "tcsd.conf"
    configuration.write_text(f"port = {port}\nnum_threads = 4\nsystem_ps_file = {place}/system.data\n")
    # tcsd insists on root:tss and 0640, and becomes tss itself; for that an ordinary user needs a namespace
    script = 'chown root:tss "$1" && chmod 640 "$1" && exec tcsd -e -f -c "$1"'
    argv = ["sh", "-c", script, "tcsd", str(configuration)]
    if os.geteuid() != 0:
        argv = ["unshare", "--map-root-user", "--map-auto", *argv]
    where = {"TCSD_TCP_DEVICE_HOSTNAME": "127.0.0.1", "TCSD_TCP_DEVICE_PORT": str(tpm_port)}
    with process.running(argv, env=where) as child:
        _wait_for(child, port)
        yield port


@contextmanager
def folder() -> Iterator[Path]:
    """Make a folder that tcsd, which becomes the user tss, can reach and write into."""
    path = Path(tempfile.mkdtemp(prefix="tss"))
    path.chmod(0o777)
    try:
        yield path
    finally:
        shutil.rmtree(path)


def _wait_for(child: subprocess.Popen[bytes], port: int) -> None:
    deadline = time.monotonic() + _PATIENCE
    while time.monotonic() < deadline:
        assert child.poll() is None, f"{child.args!r} ended with status {child.returncode}"
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
        except ConnectionRefusedError:
            time.sleep(0.02)
        else:
            return
    raise TimeoutError(f"{child.args!r} does not listen on port {port}")
