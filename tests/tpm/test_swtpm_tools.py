# SPDX-License-Identifier: GPL-3.0-or-later
"""swtpm's own tools, side by side: they cannot tell our emulator from the one that they are made for."""

from __future__ import annotations

import json
import os
import re
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.ports import free_port
from tests.tpm.conftest import PATIENCE, ROOT

pytestmark = pytest.mark.skipif(
    shutil.which("swtpm") is None or shutil.which("swtpm_ioctl") is None,
    reason="swtpm and swtpm_ioctl (Debian: swtpm, swtpm-tools) are not installed",
)
OURS = [sys.executable, "-m", "bootproof.tpm"]
PROGRAMS = {"swtpm": ["swtpm"], "ours": OURS}
Run = tuple[int, str]


def wait_for_listener(path: Path) -> None:
    """Wait until somebody listens at the socket: it is there a moment before that."""
    deadline = time.monotonic() + PATIENCE
    while True:
        with socket.socket(socket.AF_UNIX) as probe:
            if probe.connect_ex(os.fspath(path)) == 0:
                return
        assert time.monotonic() < deadline
        time.sleep(0.01)


class Emulators:
    """swtpm and ours, started with the same options; `{}` becomes a directory of each one's own."""

    def __init__(self, tmp_path: Path) -> None:
        self.at = {name: tmp_path / name for name in PROGRAMS}
        self.processes: list[subprocess.Popen[bytes]] = []
        for path in self.at.values():
            path.mkdir()
            (path / "state").mkdir()

    def start(self, *options: str) -> None:
        for name, program in PROGRAMS.items():
            words = [word.replace("{}", os.fspath(self.at[name])) for word in options]
            command = [*program, "socket", "--tpmstate", f"dir={self.at[name]}/state", *words]
            self.processes.append(subprocess.Popen(command, cwd=ROOT))
        for path in self.at.values():
            wait_for_listener(path / "ctrl")

    def stop(self) -> None:
        for process in self.processes:
            process.terminate()
            process.wait(PATIENCE)
        self.processes.clear()

    def ask(self, *words: str) -> dict[str, Run]:
        """Let swtpm_ioctl ask both; return exit code and output for each."""
        answers: dict[str, Run] = {}
        for name, path in self.at.items():
            done = subprocess.run(
                [
                    "swtpm_ioctl",
                    "--unix",
                    f"{path}/ctrl",
                    *(word.replace("{}", os.fspath(path)) for word in words),
                ],
                capture_output=True,
                text=True,
                timeout=PATIENCE,
                check=False,
            )
            answers[name] = done.returncode, (done.stdout + done.stderr).replace(os.fspath(path), "{}")
        return answers

    def both(self, *words: str) -> Run:
        """As ask, where the answers are the same."""
        answers = self.ask(*words)
        assert answers["ours"] == answers["swtpm"], words
        return answers["ours"]


@pytest.fixture
def emulators(tmp_path: Path) -> Iterator[Emulators]:
    made = Emulators(tmp_path)
    yield made
    made.stop()


CTRL = ("--ctrl", "type=unixio,path={}/ctrl", "--flags", "startup-clear")


def test_swtpm_ioctl_gets_the_same_answers(emulators: Emulators) -> None:
    emulators.start(*CTRL)
    ways = [
        *(["-l", "0"], ["-l", "4"], ["-l", "0"], ["-l", "5"], ["-e"], ["-g"], ["-b", "0"], ["-b", "4096"]),
        *(["-h", "some data"], ["-e"], ["-r", "2"], ["-e"], ["-r", "3"], ["-e"], ["-v"]),
        *(["--info", "1"], ["--info", "0"], ["--info", "8"]),
        *(["--save", "permanent", "{}/permanent"], ["--save", "volatile", "{}/volatile"]),
        *(["--load", "permanent", "{}/permanent"], ["--stop"], ["-v"], ["-h", "x"], ["-b", "3072"]),
        *(["--load", "permanent", "{}/permanent"], ["--load", "volatile", "{}/volatile"]),
        *(["-i"], ["-e"], ["-b", "0"], ["--stop"], ["--stop"], ["-i"], ["-s"]),
    ]
    codes = {emulators.both(*words)[0] for words in ways}
    assert codes == {0, 1}
    for process in emulators.processes:
        assert process.wait(PATIENCE) == 0


def test_what_swtpm_ioctl_shows_and_where_it_differs(emulators: Emulators) -> None:
    emulators.start(*CTRL)
    answers = emulators.ask("-c")
    masks = {name: int(text.split()[-1], 16) for name, (_, text) in answers.items()}
    assert masks["ours"] & masks["swtpm"] == masks["swtpm"]
    assert emulators.ask("-C") == {
        "swtpm": (1, "TPM result from PTM_CANCEL_TPM_CMD: 0x9\n"),
        "ours": (0, ""),
    }
    details = {name: json.loads(text) for name, (_, text) in emulators.ask("--info", "3").items()}
    for part in ("TPMSpecification", "TPMAttributes"):
        assert set(details["ours"][part]) == set(details["swtpm"][part])
    for kind in ("permanent", "volatile", "savestate"):
        emulators.both("--save", kind, "{}/blob")
        empty = [(path / "blob").stat().st_size == 0 for path in emulators.at.values()]
        assert empty == [kind == "savestate"] * 2


def test_a_dynamic_launch_from_standard_input(emulators: Emulators) -> None:
    emulators.start(*CTRL, "--server", "type=unixio,path={}/data")
    emulators.both("-e")
    data = bytes(range(256)) * 100
    values = set()
    for path in emulators.at.values():
        subprocess.run(
            ["swtpm_ioctl", "--unix", f"{path}/ctrl", "-h", "-"], input=data, check=True, timeout=PATIENCE
        )
        with socket.socket(socket.AF_UNIX) as peer:
            peer.settimeout(PATIENCE)
            peer.connect(os.fspath(path / "data"))
            peer.sendall(bytes.fromhex("00c10000000e0000001500000011"))
            values.add(peer.recv(100))
    assert len(values) == 1
    assert values.pop()[6:10] == bytes(4)


def test_over_tcp(tmp_path: Path) -> None:
    """Each call is a connection of its own; --terminate looks at the data connection, as in swtpm."""
    port, data = free_port(), tmp_path / "data"
    options = ["--ctrl", f"type=tcp,port={port}", "--server", f"type=unixio,path={data}", "-t"]
    emulator = subprocess.Popen([*OURS, "socket", "--tpmstate", f"dir={tmp_path}", *options], cwd=ROOT)
    ask = ["swtpm_ioctl", "--tcp", f"127.0.0.1:{port}"]
    deadline = time.monotonic() + PATIENCE
    while subprocess.run([*ask, "-c"], check=False, capture_output=True, timeout=PATIENCE).returncode:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    for words in (["-i"], ["-l", "3"], ["-e"]):
        subprocess.run([*ask, *words], check=True, capture_output=True, timeout=PATIENCE)
    assert emulator.poll() is None
    with socket.socket(socket.AF_UNIX) as peer:
        peer.settimeout(PATIENCE)
        peer.connect(os.fspath(data))
        peer.sendall(bytes.fromhex("00c10000000c000000990001"))
        assert peer.recv(100).hex() == "00c40000000a00000000"
    assert emulator.wait(PATIENCE) == 0


def test_print_states(emulators: Emulators) -> None:
    def names() -> list[list[str]]:
        found = []
        for name, program in PROGRAMS.items():
            command = [*program, "socket", "--tpmstate", f"dir={emulators.at[name]}/state", "--print-states"]
            text = subprocess.run(
                command, cwd=ROOT, check=True, capture_output=True, timeout=PATIENCE
            ).stdout
            states = json.loads(text)
            assert states["type"] == "swtpm"
            assert all(row["size"] > 0 for row in states["states"])
            found.append([row["name"] for row in states["states"]])
        return found

    assert names() == [[], []]
    emulators.start(*CTRL, "--server", "type=unixio,path={}/data")
    emulators.both("-v")
    emulators.both("-h", "so that there is permanent state")
    emulators.stop()
    assert names() == [["permall", "volatilestate"]] * 2


@pytest.mark.skipif(
    shutil.which("swtpm_setup") is None, reason="swtpm_setup (Debian: swtpm-tools) is missing"
)
@pytest.mark.parametrize("key", [False, True], ids=["plain", "encrypted"])
def test_swtpm_setup_makes_a_tpm_of_ours(tmp_path: Path, key: bool) -> None:
    state, log = tmp_path / "state", tmp_path / "log"
    state.mkdir()
    (tmp_path / "key").write_text("0123456789abcdef" * 4)
    (tmp_path / "emulator").write_text(
        f'#!/bin/sh\ncd "{ROOT}" && exec "{sys.executable}" -m bootproof.tpm "$@"\n'
    )
    (tmp_path / "emulator").chmod(0o755)
    command = ["swtpm_setup", "--tpmstate", os.fspath(state), "--tpm", f"{tmp_path}/emulator socket"]
    secret = ["--keyfile", f"{tmp_path}/key", "--cipher", "aes-256-cbc"] if key else []
    done = subprocess.run(
        [*command, "--createek", "--logfile", os.fspath(log), *secret],
        capture_output=True,
        text=True,
        timeout=6 * PATIENCE,
        check=False,
    )
    assert done.returncode == 0, done.stderr + log.read_text()
    assert "Successfully created EK" in log.read_text()
    assert re.fullmatch(r"BTPFTPM\x00\x00.[\x00\x01].*", _text(state / "tpm12.permanent"), re.DOTALL)
    assert (state / "tpm12.permanent").read_bytes()[10] == key


def _text(path: Path) -> str:
    return path.read_bytes().decode("latin-1")
