# SPDX-License-Identifier: GPL-3.0-or-later
"""What the process keeps to itself, whose rights it has, and control clients that are stuck."""

from __future__ import annotations

import os
import resource
import signal
import socket
import stat
import struct
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from bootproof.tpm.persistence.store import Kind
from bootproof.tpm.service import control
from bootproof.tpm.service.blobs import Keys, make_blob
from bootproof.tpm.service.privileges import UserError, become
from bootproof.tpm.service.server import Server
from bootproof.tpm.service.sockets import prepare
from tests.tpm.conftest import (
    CONTROL,
    DATA,
    PATIENCE,
    READY,
    ROOT,
    STATE,
    Bench,
    Start,
    exchange,
    request,
)

PCR_READ = request(0x15, "00000000")
ROOT_ONLY = pytest.mark.skipif(os.geteuid() != 0, reason="only root may become somebody else")
PTRACE_ATTACH, PTRACE_DETACH = 16, 17


def status(pid: int, name: str) -> str:
    text = Path(f"/proc/{pid}/status").read_text()
    return next(line.split(":")[1].strip() for line in text.splitlines() if line.startswith(f"{name}:"))


def test_nobody_of_the_same_user_may_look_into_it(start: Start) -> None:
    """Only root may read the memory: the files of the process in /proc belong to it, not to the user."""
    emulator = start(*STATE, *DATA, *CONTROL, *READY)
    with emulator.connect("ctrl") as peer:
        exchange(peer, bytes.fromhex("00000001"))
        pid = emulator.process.pid
        limits = Path(f"/proc/{pid}/limits").read_text()
        assert [line.split()[4:6] for line in limits.splitlines() if "core file" in line] == [["0", "0"]]
        if os.geteuid():
            assert not os.access(f"/proc/{pid}/mem", os.R_OK)
        else:
            assert _attach_as_nobody(pid) == os.EX_NOPERM


def _attach_as_nobody(pid: int) -> int:
    """Try to debug a process of one's own, as `nobody`; return EX_NOPERM if that is forbidden."""
    code = (
        "import ctypes, os, sys\n"
        f"libc = ctypes.CDLL(None, use_errno=True)\nsys.exit({os.EX_NOPERM} if libc.ptrace("
        f"{PTRACE_ATTACH}, {pid}, 0, 0) else 0)"
    )
    return subprocess.run([sys.executable, "-c", code], check=False, user="nobody", cwd="/").returncode


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A directory that `nobody` may write to and reach."""
    with tempfile.TemporaryDirectory() as made:
        Path(made).chmod(0o777)
        yield Path(made)


@ROOT_ONLY
@pytest.mark.parametrize("user", ["nobody", "65534"])
def test_the_rights_of_another_user(start: Start, open_folder: Path, user: str) -> None:
    emulator = start(*STATE, *DATA, *CONTROL, *READY, "-r", user, "--pid", "file={}/pid", at=open_folder)
    with emulator.connect("ctrl") as peer:
        exchange(peer, bytes.fromhex("00000001"))
        for name, number in (("Uid", "65534"), ("Gid", "65534")):
            assert set(status(emulator.process.pid, name).split()) == {number}
        assert "0" not in status(emulator.process.pid, "Groups").split()
        assert _attach_as_nobody(emulator.process.pid) == os.EX_NOPERM
    with emulator.connect("data") as peer:
        assert exchange(peer, request(0x98))[6:10] == bytes(4)
    for path in open_folder.rglob("*"):
        assert path.stat().st_uid == 65534


def test_users_that_cannot_be_had(start: Start) -> None:
    with pytest.raises(UserError, match="knows no user nobody-here; give another one"):
        become("nobody-here")
    with pytest.raises(UserError, match="knows no user"):
        become("99999999999999999999")
    emulator = start(*STATE, *CONTROL, "--runas", "nobody-here")
    assert emulator.wait() == 10
    assert "--runas: this machine knows no user nobody-here" in emulator.errors()


@ROOT_ONLY
def test_sockets_with_an_owner_and_a_mode(start: Start) -> None:
    emulator = start(*STATE, "--ctrl", "type=unixio,path={}/ctrl,mode=0660,uid=nobody,gid=65534")
    emulator.connect("ctrl").close()
    found = (emulator.at / "ctrl").stat()
    assert (stat.S_IMODE(found.st_mode), found.st_uid, found.st_gid) == (0o660, 65534, 65534)


def test_a_loose_umask_does_not_matter(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "bootproof.tpm", "socket", "--tpmstate", f"dir={tmp_path}/a/state"]
    control_option = ["--ctrl", f"type=unixio,path={tmp_path}/ctrl"]
    process = subprocess.Popen([*command, *control_option], cwd=ROOT, umask=0)
    deadline = time.monotonic() + PATIENCE
    while not (tmp_path / "ctrl").exists():
        assert time.monotonic() < deadline
        time.sleep(0.01)
    assert stat.S_IMODE((tmp_path / "a" / "state").stat().st_mode) == 0o700
    assert stat.S_IMODE((tmp_path / "a" / "state" / "lock").stat().st_mode) == 0o600
    process.send_signal(signal.SIGTERM)
    assert process.wait(PATIENCE) == 0


def test_memory_is_locked_only_without_a_limit() -> None:
    """In a process of its own, which may not raise the limit."""
    code = (
        "import os, resource\n"
        "from bootproof.tpm.service.privileges import lock_memory\n"
        "if not os.geteuid(): os.setresuid(65534, 65534, 65534)\n"
        "resource.setrlimit(resource.RLIMIT_MEMLOCK, (65536, 65536))\n"
        "print(lock_memory(), bytes(1 << 22)[0])"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True, capture_output=True, text=True)
    assert done.stdout == "False 0\n"


@ROOT_ONLY
def test_memory_is_locked_where_that_is_allowed(start: Start) -> None:
    if not _may_lock():
        pytest.skip("this root may not raise RLIMIT_MEMLOCK (a container?)")
    emulator = start(*STATE, *DATA, *CONTROL, *READY)
    with emulator.connect("data") as peer:
        assert exchange(peer, PCR_READ)[6:10] == bytes(4)
        assert int(status(emulator.process.pid, "VmLck").split()[0]) > 1000


def _may_lock() -> bool:
    unlimited = resource.RLIM_INFINITY
    code = f"import resource, sys\nresource.setrlimit(resource.RLIMIT_MEMLOCK, ({unlimited}, {unlimited}))"
    return not subprocess.run(
        [sys.executable, "-c", code], check=False, stderr=subprocess.DEVNULL
    ).returncode


# control clients --------------------------------------------------------------------------------------


def test_half_a_request_does_not_keep_others_waiting(start: Start, tmp_path: Path) -> None:
    emulator = start(*STATE, *DATA, *CONTROL, *READY, "--log", "file={}/log,level=1")
    with (
        emulator.connect("ctrl") as stuck,
        emulator.connect("ctrl") as other,
        emulator.connect("data") as data,
    ):
        stuck.sendall(bytes.fromhex("0000000d000000000000000100000100"))
        other.sendall(bytes.fromhex("00000004"))
        begun = time.monotonic()
        assert exchange(data, PCR_READ)[6:10] == bytes(4)
        assert time.monotonic() - begun < control.GRACE_SECONDS
        assert other.recv(100).hex() == "0000000000000000"
        assert time.monotonic() - begun < control.GRACE_SECONDS + 3
        assert stuck.recv(1) == b""
    assert "half a request" in (emulator.at / "log").read_text()


def test_a_request_that_comes_slowly_is_served(start: Start) -> None:
    emulator = start(*STATE, *CONTROL)
    with emulator.connect("ctrl") as peer:
        for byte in bytes.fromhex("0000000200000000"):
            peer.sendall(bytes([byte]))
            time.sleep(0.1)
        assert peer.recv(100).hex() == "00000000"


def test_a_state_blob_of_many_chunks(start: Start) -> None:
    """It comes in pieces of the socket's choosing; what is no state is refused as a whole."""
    emulator = start(*STATE, *CONTROL, "--log", "file=-")
    with emulator.connect("ctrl") as peer:
        blob = os.urandom(200_000)
        peer.sendall(struct.pack(">IIII", 0x0D, 0, Kind.PERMANENT, len(blob)))
        for part in range(0, len(blob), 7001):
            peer.sendall(blob[part : part + 7001])
        assert peer.recv(100).hex() == "00000003"
        whole = exchange(peer, struct.pack(">IIII", 0x0C, 1, Kind.PERMANENT, 0))
        code, _flags, total, length = struct.unpack_from(">IIII", whole)
        assert (code, length, len(whole)) == (0, total, 16 + total)
        second = exchange(peer, struct.pack(">IIII", 0x0C, 1, Kind.PERMANENT, 100))
        assert second[16:] == whole[116:]
        assert exchange(peer, struct.pack(">IIII", 0x0D, 0, Kind.PERMANENT, total) + whole[16:]) == bytes(4)


def test_a_client_that_only_asks_costs_no_memory() -> None:
    """Eight kilobytes of requests could be answered with megabytes; they wait until the peer reads."""
    bench = Bench()
    bench.tpm.power_on()
    server = Server(bench.tpm)
    ours, theirs = socket.socketpair()
    server.serve_control(theirs)
    blob = make_blob(bench.tpm, Kind.VOLATILE, Keys(), decrypted=True)
    question = struct.pack(">IIII", 0x0C, 1, Kind.VOLATILE, 0)
    ours.setblocking(False)
    sent = serve_and(server, lambda: ours.send(question * 512), until=lambda _sent: False)
    assert sent > 8192
    connection = server._control
    assert connection is not None
    assert connection.feed.paused
    assert len(connection._unsent) < control._ENOUGH + len(blob) + 100
    wanted = sent // len(question) * (16 + len(blob))
    assert serve_and(server, lambda: len(ours.recv(1 << 20)), until=lambda count: count >= wanted) == wanted
    ours.close()


def serve_and(server: Server, act: Callable[[], int], until: Callable[[int], bool]) -> int:
    """Let the server work and `act` between its steps; return the sum of its results when nothing is left to
    do.
    """
    total, idle = 0, 0
    while idle < 50 and not until(total):
        try:
            total += act()
            idle = 0
        except BlockingIOError:
            idle += 1
        for key, events in server.selector.select(0.005):
            key.data(events)
    return total


def test_a_tcp_peer_whose_machine_is_gone_is_noticed() -> None:
    with (
        socket.create_server(("127.0.0.1", 0)) as listener,
        socket.create_connection(listener.getsockname()) as peer,
    ):
        prepare(peer)
        assert peer.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
        idle = peer.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE)
        interval = peer.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL)
        assert idle + 3 * interval <= 60
        assert peer.getblocking() is False
