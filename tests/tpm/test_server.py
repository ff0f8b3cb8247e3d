# SPDX-License-Identifier: GPL-3.0-or-later
"""The program as a process: sockets, signals, stuck clients, the background, what is left behind."""

from __future__ import annotations

import json
import os
import signal
import socket
import stat
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import pytest

from bootproof.tpm.commands.table import COMMANDS
from bootproof.tpm.machine import Tpm
from bootproof.tpm.service.connections import Connection
from bootproof.tpm.service.server import Server
from tests.ports import free_port
from tests.tpm.conftest import (
    CONTROL,
    DATA,
    PATIENCE,
    READY,
    ROOT,
    STARTUP_CLEAR,
    STATE,
    Emulator,
    MemoryStore,
    Start,
    exchange,
    request,
)

PCR_READ = request(0x15, "00000000")
EXTEND = request(0x14, "00000000" + "11" * 20)
OK = bytes.fromhex("00c40000000a00000000")
MONITOR = ("--monitor", "type=unixio,path={}/mon")


def monitor(peer: socket.socket, word: str) -> dict[str, object]:
    peer.sendall(word.encode() + b"\n")
    with peer.makefile("rb") as lines:
        answer: dict[str, object] = json.loads(lines.readline())
    return answer


def test_state_outlives_clients_and_a_second_client_waits(start: Start) -> None:
    emulator = start(*STATE, *DATA, *CONTROL, *READY)
    with emulator.connect("data") as first:
        value = exchange(first, EXTEND)[10:]
        with emulator.connect("data") as second:
            second.sendall(PCR_READ)
            second.settimeout(0.2)
            with pytest.raises(TimeoutError):
                second.recv(100)
            first.close()
            second.settimeout(PATIENCE)
            assert second.recv(100)[10:] == value
    for _ in range(20):
        with emulator.connect("data") as peer:
            assert exchange(peer, PCR_READ)[10:] == value


def test_everything_is_cleared_away_on_sigterm(start: Start) -> None:
    emulator = start(*STATE, *DATA, *CONTROL, *MONITOR, "--pid", "file={}/pid")
    with emulator.connect("ctrl") as control:
        assert len(exchange(control, bytes.fromhex("00000001"))) == 8
    for name in ("data", "ctrl", "mon"):
        assert stat.S_IMODE((emulator.at / name).stat().st_mode) == 0o600
    assert int((emulator.at / "pid").read_text()) == emulator.process.pid
    emulator.process.send_signal(signal.SIGTERM)
    assert emulator.wait() == 0
    assert sorted(path.name for path in emulator.at.iterdir()) == ["state"]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGHUP])
def test_other_signals_end_it_too(start: Start, number: signal.Signals) -> None:
    emulator = start(*STATE, *CONTROL)
    emulator.connect("ctrl").close()
    emulator.process.send_signal(number)
    assert emulator.wait() == 0
    assert emulator.errors() == ""


def test_as_the_launcher_starts_it(start: Start) -> None:
    """QEMU has one end of each pair, the emulator the other; both end together."""
    control, inherited = socket.socketpair()
    watch, watched = socket.socketpair()
    emulator = start(
        *STATE,
        "--ctrl",
        f"type=unixio,clientfd={inherited.fileno()}",
        "--monitor",
        f"type=unixio,clientfd={watched.fileno()}",
        "--terminate",
        pass_fds=(inherited.fileno(), watched.fileno()),
    )
    inherited.close()
    watched.close()
    control.settimeout(PATIENCE)
    data, theirs = socket.socketpair()
    socket.send_fds(control, [bytes.fromhex("00000010")], [theirs.fileno()])
    assert control.recv(100).hex() == "00000000"
    theirs.close()
    assert exchange(data, bytes.fromhex("80010000000a00000181")).hex() == "00c40000000a00000009"
    assert exchange(control, bytes.fromhex("0000000200000000")).hex() == "00000000"
    assert exchange(data, STARTUP_CLEAR) == OK
    value = exchange(data, EXTEND)[10:].hex()
    pcrs = monitor(watch, "pcrs")
    assert pcrs["algorithm"] == "sha1"
    assert isinstance(pcrs["pcrs"], dict)
    assert pcrs["pcrs"]["0"] == value
    assert pcrs["pcrs"]["17"] == "ff" * 20
    assert list(pcrs["pcrs"]) == [str(index) for index in range(24)]
    info = monitor(watch, "info")
    assert (info["manufacturer"], info["commands"], info["established"]) == ("BTPF", 3, False)
    assert "error" in monitor(watch, "write")
    control.close()
    assert emulator.wait() == 0
    data.close()
    watch.close()


def test_shutdown_ends_it(start: Start) -> None:
    emulator = start(*STATE, *CONTROL)
    with emulator.connect("ctrl") as control:
        assert exchange(control, bytes.fromhex("00000003")).hex() == "00000000"
        assert emulator.wait() == 0


def test_without_terminate_it_waits_for_the_next_client(start: Start) -> None:
    emulator = start(*STATE, *CONTROL)
    for _ in range(3):
        with emulator.connect("ctrl") as control:
            assert len(exchange(control, bytes.fromhex("00000001"))) == 8


def test_terminate_with_a_data_client(start: Start) -> None:
    emulator = start(*STATE, *DATA, *CONTROL, *READY, "-t")
    with emulator.connect("data") as peer:
        assert exchange(peer, PCR_READ)[:2] == b"\x00\xc4"
    assert emulator.wait() == 0


def test_a_second_data_descriptor_is_refused_and_closed(start: Start) -> None:
    emulator = start(*STATE, *DATA, *CONTROL)
    ours, theirs = socket.socketpair()
    with emulator.connect("data") as data, emulator.connect("ctrl") as control:
        assert exchange(data, PCR_READ).hex() == "00c40000000a00000009"
        socket.send_fds(control, [bytes.fromhex("00000010")], [theirs.fileno()])
        assert control.recv(100).hex() == "0000001f"
        theirs.close()
        ours.settimeout(PATIENCE)
        assert ours.recv(1) == b""
    ours.close()


def test_descriptors_that_nobody_asked_for_are_closed(start: Start) -> None:
    emulator = start(*STATE, *CONTROL)
    ours, theirs = socket.socketpair()
    ours.settimeout(PATIENCE)
    with ours, emulator.connect("ctrl") as control:
        socket.send_fds(control, [bytes.fromhex("00000004")], [theirs.fileno()])
        assert control.recv(100).hex() == "0000000000000000"
        theirs.close()
        control.close()
        assert ours.recv(1) == b""


class Flood:
    """Answers anything with more than a socket takes at once."""

    answer = bytes(range(256)) * 8192

    def feed(self, data: bytes) -> bytes:
        return self.answer


def test_an_answer_that_does_not_fit_is_sent_in_parts() -> None:
    server = Server(Tpm(COMMANDS, MemoryStore()))
    ours, theirs = socket.socketpair()
    closed: list[Connection] = []
    connection = Connection(server, theirs, Flood(), closed.append)
    ours.sendall(b"?")
    ours.setblocking(False)
    received = bytearray()
    deadline = time.monotonic() + PATIENCE
    while len(received) < len(Flood.answer):
        assert time.monotonic() < deadline
        for key, events in server.selector.select(0.1):
            key.data(events)
        with suppress(BlockingIOError):
            while part := ours.recv(65536):
                received += part
    assert bytes(received) == Flood.answer
    ours.close()
    connection.ready(0)
    assert closed == [connection]
    server.selector.close()


def test_a_signal_during_the_start_is_not_lost(start: Start) -> None:
    """Whenever it comes after the first file is there, nothing but the state stays behind."""
    for delay in (0.0, 0.002, 0.005, 0.01, 0.02):
        emulator = start(*STATE, *DATA, *CONTROL, *MONITOR, "--pid", "file={}/pid")
        deadline = time.monotonic() + PATIENCE
        while not (emulator.at / "state" / "lock").exists():
            assert time.monotonic() < deadline
            time.sleep(0.0005)
        time.sleep(delay)
        emulator.process.send_signal(signal.SIGINT)
        assert emulator.wait() == 0
        assert emulator.errors() == ""
        assert [path.name for path in emulator.at.iterdir()] == ["state"]


def test_clients_that_are_stuck_delay_nobody(start: Start) -> None:
    """One never reads its responses, one sends half a request; control and monitor go on."""
    emulator = start(*STATE, *DATA, *CONTROL, *MONITOR, *READY)
    with (
        emulator.connect("data") as flood,
        emulator.connect("ctrl") as control,
        emulator.connect("mon") as watch,
    ):
        flood.setblocking(False)
        big = request(0x46, "00001000")
        deadline = time.monotonic() + 3
        stalled = 0
        while stalled < 50 and time.monotonic() < deadline:
            try:
                flood.send(big)
                stalled = 0
            except BlockingIOError:
                stalled += 1
                time.sleep(0.002)
        assert exchange(control, bytes.fromhex("00000004")).hex() == "0000000000000000"
        control.sendall(b"\0\0")
        assert monitor(watch, "info")["running"] is True
    assert emulator.process.poll() is None


@pytest.mark.parametrize("text", ["00c1", "00c10000000b00000050", "00c1000000ff0000005000"])
def test_a_command_that_never_becomes_complete_is_answered(start: Start, text: str) -> None:
    emulator = start(*STATE, *DATA, *CONTROL, *READY)
    with emulator.connect("data") as peer:
        assert exchange(peer, bytes.fromhex(text)).hex() == "00c40000000a00000019"
        assert exchange(peer, PCR_READ)[6:10] == bytes(4)


def test_a_command_in_pieces(start: Start) -> None:
    emulator = start(*STATE, *DATA, *CONTROL, *READY)
    with emulator.connect("data") as peer:
        for byte in PCR_READ[:-1]:
            peer.sendall(bytes([byte]))
            time.sleep(0.005)
        assert exchange(peer, PCR_READ[-1:])[6:10] == bytes(4)


def test_tcp_and_disconnect(start: Start) -> None:
    port = free_port()
    emulator = start(*STATE, "--server", f"type=tcp,port={port},disconnect", *CONTROL, *READY)
    emulator.connect("ctrl").close()
    for _ in range(3):
        with socket.create_connection(("127.0.0.1", port), PATIENCE) as peer:
            assert exchange(peer, PCR_READ)[6:10] == bytes(4)
            assert peer.recv(1) == b""


def test_saved_state_outlives_the_process(start: Start) -> None:
    first = start(*STATE, *DATA, *CONTROL, *READY)
    with first.connect("data") as peer:
        value = exchange(peer, EXTEND)[10:]
        assert exchange(peer, request(0x98)) == OK
    first.stop()
    second = start(*STATE, *DATA, *CONTROL, "--flags", "startup-state", at=first.at)
    with second.connect("data") as peer:
        assert exchange(peer, PCR_READ)[10:] == value


def test_startup_state_without_a_saved_state_is_refused(start: Start) -> None:
    assert "TPM_Startup failed with code 0x1c" in refused(
        start(*STATE, *CONTROL, "--flags", "startup-state")
    )


def test_locality_in_the_stream_of_commands(start: Start) -> None:
    emulator = start(*STATE, *DATA, *CONTROL, *READY, "--locality", "allow-set-locality,reject-locality-4")
    with emulator.connect("data") as peer:
        assert exchange(peer, request(0x20001000, "03")) == OK
        assert exchange(peer, request(0x4000000B)) == OK
        assert exchange(peer, request(0x20001000, "04"))[-1] == 0x3D
    other = start(*STATE, *DATA, *CONTROL, *READY)
    with other.connect("data") as peer:
        assert exchange(peer, request(0x20001000, "03"))[-1] == 0x0A


def refused(emulator: Emulator) -> str:
    """Return the one line with which the program has refused to start."""
    assert emulator.wait() == 10
    lines = emulator.errors().splitlines()
    assert len(lines) == 1
    return lines[0]


def test_occupied_places_are_refused_in_one_line(start: Start) -> None:
    port = free_port()
    first = start(*STATE, "--server", f"type=tcp,port={port}", *CONTROL)
    first.connect("ctrl").close()
    assert f"in use by process {first.process.pid}" in refused(start(*STATE, *CONTROL, at=first.at))
    other = ("--tpmstate", "dir={}/other")
    assert "is served by a running process" in refused(start(*other, *CONTROL, at=first.at))
    assert f"port {port}: Address already in use" in refused(
        start(*other, "--server", f"type=tcp,port={port}", *READY, at=first.at)
    )
    first.connect("ctrl").close()


def test_a_stale_socket_is_replaced_but_a_file_is_not(start: Start, tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(os.fspath(tmp_path / "ctrl"))
    emulator = start(*STATE, *CONTROL, at=tmp_path)
    emulator.connect("ctrl").close()
    emulator.stop()
    (tmp_path / "ctrl").write_text("precious")
    assert "exists and is not a socket" in refused(start(*STATE, *CONTROL, at=tmp_path))
    assert (tmp_path / "ctrl").read_text() == "precious"


def test_wrong_descriptors_are_refused(start: Start, tmp_path: Path) -> None:
    with (tmp_path / "file").open("w") as file:
        number = file.fileno()
        argument = f"type=unixio,clientfd={number}"
        assert "is not a socket" in refused(start(*STATE, "--ctrl", argument, pass_fds=(number,)))
    assert "Bad file descriptor" in refused(start(*STATE, "--ctrl", "type=unixio,clientfd=999"))


def test_a_damaged_state_is_refused_and_left_alone(start: Start, tmp_path: Path) -> None:
    (tmp_path / "state").mkdir()
    (tmp_path / "state" / "tpm12.permanent").write_bytes(b"rubbish")
    assert "is not a state of this emulator; copy" in refused(start(*STATE, *CONTROL, at=tmp_path))
    assert (tmp_path / "state" / "tpm12.permanent").read_bytes() == b"rubbish"


def test_in_the_background(tmp_path: Path) -> None:
    arguments = [word.replace("{}", os.fspath(tmp_path)) for word in (*STATE, *DATA, *CONTROL, *READY)]
    command = [
        sys.executable,
        "-m",
        "bootproof.tpm",
        "socket",
        *arguments,
        "--daemon",
        f"--pid=file={tmp_path}/pid",
    ]
    begun = time.monotonic()
    subprocess.run(command, cwd=ROOT, check=True, timeout=PATIENCE)
    assert time.monotonic() - begun < PATIENCE / 2
    with socket.socket(socket.AF_UNIX) as peer:
        peer.connect(os.fspath(tmp_path / "data"))
        assert exchange(peer, PCR_READ)[6:10] == bytes(4)
    process = int((tmp_path / "pid").read_text())
    assert (tmp_path / "state" / "lock").read_text() == f"{process}\n"
    os.kill(process, signal.SIGTERM)
    deadline = time.monotonic() + PATIENCE
    while (tmp_path / "pid").exists():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_it_starts_without_the_rest_of_the_project() -> None:
    """Neither our own modules (but measure) nor the heavy libraries may come in, or start-up gets slow."""
    code = "import sys, bootproof.tpm.service.program; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True, capture_output=True, text=True)
    loaded = set(done.stdout.split())
    ours = {name for name in loaded if name.startswith("bootproof.")}
    assert {name for name in ours if not name.startswith(("bootproof.tpm", "bootproof.measure"))} == set()
    assert not loaded & {"pydantic", "typer", "rich", "cryptography", "asyncio"}
