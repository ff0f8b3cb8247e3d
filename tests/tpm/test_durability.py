# SPDX-License-Identifier: GPL-3.0-or-later
"""Nothing acknowledged is ever lost: the program is killed, every system call fails in turn, the disk is
full. When the power goes: test_power_cut.py.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import random
import signal
import socket
import struct
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from bootproof.tpm.commands.table import COMMANDS
from bootproof.tpm.machine import Tpm
from bootproof.tpm.persistence.container import pack
from bootproof.tpm.persistence.store import Kind, StateDirectory
from bootproof.tpm.service.control import ControlChannel
from bootproof.tpm.state import Permanent, PermanentFlags
from tests.tpm.client.nv import Nv, NvPublic
from tests.tpm.conftest import PATIENCE, ROOT, STARTUP_CLEAR, exchange, request
from tests.tpm.test_control import FakeTransport

OK = bytes.fromhex("00c40000000a00000000")
IOERROR = bytes.fromhex("00c40000000a0000001f")
SAVE_STATE = request(0x98)
STARTUP_STATE = request(0x99, "0002")
CMD_ENABLE = request(0x4000000A, "0020")
PCR = 10
FILE = "tpm12.permanent"
AREA, SIZE = 0x1000, 20
ROUNDS = 300
LIVES = 10  # of one state; without an owner an area can be written 64 times


def extend(number: int) -> bytes:
    return request(0x14, struct.pack(">I20s", PCR, number.to_bytes(20)))


# killed under load ------------------------------------------------------------------------------------

_LAUNCHER = """
import json, os, resource, sys
from bootproof.tpm.service.program import main
for line in sys.stdin:
    arguments, limit = json.loads(line)
    child = os.fork()
    if not child:
        if limit:
            resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
        os._exit(main(arguments))
    print(child, flush=True)
    print(os.waitpid(child, 0)[1], flush=True)
"""


class Launcher:
    """Starts emulators from a process that has everything imported, in milliseconds."""

    def __init__(self) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", _LAUNCHER],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def start(self, *arguments: str, limit: int = 0) -> int:
        """Return the process id; `limit` is the largest size of a file in bytes."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(json.dumps((["socket", *arguments], limit)) + "\n")
        self.process.stdin.flush()
        return int(self.process.stdout.readline())

    def ended(self) -> int:
        """Wait for the end of the emulator and return its status, as of wait(2)."""
        assert self.process.stdout is not None
        return int(self.process.stdout.readline())

    def close(self) -> None:
        self.process.communicate(timeout=PATIENCE)


@pytest.fixture
def launcher() -> Iterator[Launcher]:
    made = Launcher()
    yield made
    made.close()


def connect(path: Path) -> socket.socket:
    deadline = time.monotonic() + PATIENCE
    while True:
        peer = socket.socket(socket.AF_UNIX)
        peer.settimeout(PATIENCE)
        try:
            peer.connect(os.fspath(path))
        except OSError:
            peer.close()
            assert time.monotonic() < deadline
            time.sleep(0.0005)
        else:
            return peer


@dataclass(frozen=True)
class Known:
    """What can be seen of the permanent state: the saved value of the PCR, if there is one, an NV area."""

    saved: bytes | None = None
    area: bytes = b"\xff" * SIZE


def found(directory: StateDirectory) -> Known:
    """Return what a new TPM finds in that directory."""
    tpm = Tpm(COMMANDS, directory)
    tpm.power_on()
    saved = None
    if tpm.execute(STARTUP_STATE) == OK:
        saved = tpm.execute(request(0x15, struct.pack(">I", PCR)))[10:]
    tpm.power_on()
    assert tpm.execute(STARTUP_CLEAR) == OK
    return Known(saved, tpm.execute(request(0xCF, struct.pack(">III", AREA, 0, SIZE)))[14:])


def define_area(directory: StateDirectory) -> None:
    """Define an NV area that can be used without authorisation, because nothing is locked yet."""
    tpm = Tpm(COMMANDS, directory)
    tpm.power_on()
    assert tpm.execute(STARTUP_CLEAR) == OK
    public = NvPublic(AREA, Nv.OWNER_READ | Nv.OWNER_WRITE, SIZE).encode()
    assert tpm.execute(request(0xCC, public + bytes(20))) == OK


class Load:
    """Commands that change permanent state, each with the state that it leads to, in one step: a write after
    SaveState changes the area and gives the saved state up.
    """

    def __init__(self, chance: random.Random, known: Known) -> None:
        self._chance = chance
        self._pcr = bytes(20)
        self.states = [known]

    def next(self) -> bytes:
        """Return a command; `states` has its effect."""
        state, number = self.states[-1], self._chance.randbytes(20)
        what = self._chance.choice(("extend", "write") if state.saved else ("save", "write"))
        if what == "save":
            self.states.append(replace(state, saved=self._pcr))
            return SAVE_STATE
        if what == "write":
            self.states.append(Known(None, number))
            return request(0xCD, struct.pack(">III", AREA, 0, SIZE) + number)
        self._pcr = hashlib.sha1(self._pcr + number).digest()
        self.states.append(replace(state, saved=None))
        return request(0x14, struct.pack(">I", PCR) + number)


def load_until_killed(peer: socket.socket, pid: int, load: Load, chance: random.Random) -> list[Known]:
    """Change the state some times, then kill the emulator; return which states can be on disk."""
    for _ in range(chance.randint(1, 5)):
        began = time.monotonic()
        peer.sendall(load.next())
        assert peer.recv(100)[6:10] == bytes(4)
    usual = time.monotonic() - began
    peer.sendall(load.next())
    time.sleep(chance.choice((0.0, 0.5, 1.0, 2.0)) * chance.random() * usual)
    os.kill(pid, signal.SIGKILL)
    answer = b""
    with suppress(ConnectionResetError):
        answer = peer.recv(100)
    return load.states[-1:] if answer[6:10] == bytes(4) else load.states[-2:]


def test_killed_at_random_points_it_loses_nothing(launcher: Launcher, tmp_path: Path) -> None:
    chance = random.Random(20261122)
    acknowledged = 0
    for turn in range(ROUNDS):
        state, data = tmp_path / f"s{turn // LIVES}", tmp_path / "d"
        if turn % LIVES == 0:
            directory = StateDirectory(state)
            define_area(directory)
            known = found(directory)
            directory.close()
        pid = launcher.start(
            *("--tpmstate", f"dir={state}", "--server", f"type=unixio,path={data}"),
            *("--flags", "startup-clear"),
        )
        with connect(data) as peer:
            possible = load_until_killed(peer, pid, Load(chance, replace(known, saved=None)), chance)
        assert launcher.ended() == signal.SIGKILL
        acknowledged += len(possible) == 1
        directory = StateDirectory(state)
        known = found(directory)
        directory.close()
        assert known in possible
    assert 0 < acknowledged < ROUNDS, "all kills hit, or none: the test has lost its aim"


def test_a_disk_that_takes_no_more_changes_nothing(launcher: Launcher, tmp_path: Path) -> None:
    state, data = tmp_path / "s", tmp_path / "d"
    arguments = ("--tpmstate", f"dir={state}", "--server", f"type=unixio,path={data}")
    for limit in (0, 20):
        pid = launcher.start(*arguments, "--log", "file=-", "--flags", "startup-clear", limit=limit)
        with connect(data) as peer:
            assert exchange(peer, SAVE_STATE) == (IOERROR if limit else OK)
            assert exchange(peer, extend(1))[6:10] == bytes(4)
        os.kill(pid, signal.SIGTERM)
        assert launcher.ended() == 0
    assert sorted(path.name for path in state.iterdir()) == ["lock", FILE, f"{FILE}.previous"]
    directory = StateDirectory(state)
    assert found(directory).saved is None
    directory.close()


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 64 kB that is full."""
    where = tmp_path / "small"
    where.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=64k", "none", os.fspath(where)],
        capture_output=True,
        check=False,
    )
    if mounted.returncode:
        pytest.skip("mounting a tmpfs needs root")
    yield where
    subprocess.run(["umount", "--lazy", os.fspath(where)], check=True)


def test_a_full_file_system(small_disk: Path) -> None:
    directory = StateDirectory(small_disk / "state")
    tpm = Tpm(COMMANDS, directory)
    tpm.power_on()
    assert tpm.execute(STARTUP_CLEAR) == OK
    assert tpm.execute(SAVE_STATE) == OK
    ballast = small_disk / "ballast"
    with ballast.open("wb") as file, suppress(OSError):
        file.write(bytes(1 << 20))
    before = directory.load(Kind.PERMANENT)
    assert tpm.execute(extend(1)) == IOERROR
    assert directory.load(Kind.PERMANENT) == before == tpm.permanent.encode()
    ballast.unlink()
    assert tpm.execute(extend(1))[6:10] == bytes(4)
    assert directory.load(Kind.PERMANENT) == tpm.permanent.encode() != before
    directory.close()


class Counting:
    """A store that remembers what was saved, or takes nothing at all."""

    def __init__(self, inner: StateDirectory, failing: bool = False) -> None:
        self._inner = inner
        self._failing = failing
        self.load = inner.load
        self.remove = inner.remove
        self.saved: list[bytes] = []

    def save(self, kind: Kind, payload: bytes) -> None:
        if self._failing:
            raise OSError(errno.ENOSPC, "No space left on device")
        self.saved.append(payload)
        self._inner.save(kind, payload)


# every system call fails in turn ----------------------------------------------------------------------

CALLS = ("open", "fchmod", "write", "fsync", "link", "replace", "unlink")


@contextmanager
def failing(monkeypatch: pytest.MonkeyPatch, turn: int, for_good: bool) -> Iterator[list[str]]:
    """Let the call with that number fail, and all after it if `for_good`; yield the names of the calls."""
    calls: list[str] = []

    def wrap(name: str, real: Callable[..., Any]) -> Callable[..., Any]:
        def wrapper(*arguments: Any, **named: Any) -> Any:
            calls.append(name)
            if len(calls) == turn or (for_good and len(calls) > turn):
                raise OSError(errno.EIO, "Input/output error")
            return real(*arguments, **named)

        return wrapper

    with monkeypatch.context() as patch:
        for name in CALLS:
            patch.setattr(os, name, wrap(name, getattr(os, name)))
        yield calls


def control(tpm: Tpm, code: int, body: bytes = b"") -> bytes:
    return ControlChannel(tpm, FakeTransport()).feed(struct.pack(">I", code) + body)


def take_blob(tpm: Tpm) -> bytes:
    """Take a blob of a TPM that differs from this one, and switch on again."""
    tpm.power_off()
    blob = pack(Kind.PERMANENT, Permanent(flags=PermanentFlags(fips=True)).encode())
    return control(tpm, 0x0D, struct.pack(">III", 0, Kind.PERMANENT, len(blob)) + blob)


ACTIONS: dict[str, Callable[[Tpm], bytes]] = {
    "a command that saves": lambda tpm: tpm.execute(SAVE_STATE)[6:10],
    "a command that gives saved state up": lambda tpm: tpm.execute(extend(7))[6:10],
    "a permanent flag": lambda tpm: tpm.execute(CMD_ENABLE)[6:10],
    "a permanent flag after SaveState": lambda tpm: tpm.execute(CMD_ENABLE)[6:10],
    "a dynamic launch": lambda tpm: control(tpm, 0x06),
    "a state blob": take_blob,
    "INIT that deletes the volatile state": lambda tpm: control(tpm, 0x02, struct.pack(">I", 1)),
    "STORE_VOLATILE": lambda tpm: control(tpm, 0x0A),
}


def prepared(path: Path, action: str) -> tuple[StateDirectory, Tpm]:
    """Return a TPM with a state and a previous one, so that the action has something to change."""
    directory = StateDirectory(path)
    tpm = Tpm(COMMANDS, directory)
    tpm.power_on()
    assert tpm.execute(STARTUP_CLEAR) == OK
    for number in range(2):
        assert tpm.execute(extend(number))[6:10] == bytes(4)
        assert tpm.execute(SAVE_STATE) == OK
    if action in ("a command that saves", "a permanent flag"):  # without saved state to give up first
        assert tpm.execute(extend(9))[6:10] == bytes(4)
    assert control(tpm, 0x0A) == bytes(4)
    if action == "STORE_VOLATILE":
        tpm.pcrs.extend(PCR, bytes(20), 0)
    return directory, tpm


def test_the_saved_state_goes_together_with_what_a_command_changes(tmp_path: Path) -> None:
    directory, tpm = prepared(tmp_path, "a permanent flag after SaveState")
    tpm.store = store = Counting(directory)
    flags = replace(tpm.permanent.flags, presence_cmd_enable=True)
    after = replace(tpm.permanent, saved=b"", flags=flags)
    assert tpm.execute(CMD_ENABLE) == OK
    assert tpm.permanent == after
    assert store.saved == [tpm.permanent.encode()]
    assert tpm.execute(extend(1))[6:10] == bytes(4)
    assert len(store.saved) == 1, "and what is volatile writes nothing again"
    directory.close()


def test_a_command_that_the_disk_made_fail_did_not_happen(tmp_path: Path) -> None:
    """Extend writes after it was executed, because the saved state goes; all of it is undone."""
    directory, tpm = prepared(tmp_path, "a command that gives saved state up")
    assert tpm.execute(request(0x0A))[6:10] == bytes(4)
    assert tpm.execute(SAVE_STATE) == OK
    before = tpm.snapshot(), tpm.permanent, directory.load(Kind.PERMANENT)
    tpm.store = Counting(directory, failing=True)
    assert tpm.execute(request(0x0A)) == tpm.execute(extend(3)) == tpm.execute(request(0xA0)) == IOERROR
    assert replace(tpm.snapshot(), ticks=before[0].ticks) == before[0]
    assert (tpm.permanent, directory.load(Kind.PERMANENT), tpm.sha1) == (*before[1:], None)
    tpm.store = directory
    tpm.power_on()
    assert tpm.execute(STARTUP_STATE) == OK
    directory.close()


@pytest.mark.parametrize("for_good", [False, True], ids=["once", "for good"])
@pytest.mark.parametrize("action", ACTIONS)
def test_whatever_fails_memory_and_disk_agree(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, action: str, for_good: bool
) -> None:
    turn, failures = 0, 0
    while True:
        turn += 1
        directory, tpm = prepared(tmp_path / str(turn), action)
        kinds = (Kind.PERMANENT, Kind.VOLATILE)
        before = {kind: directory.load(kind) for kind in kinds}
        pcrs = tpm.pcrs.encode()
        with failing(monkeypatch, turn, for_good) as calls:
            code = ACTIONS[action](tpm)
        after = {kind: directory.load(kind) for kind in kinds}
        assert after[Kind.PERMANENT] == tpm.permanent.encode()
        if code == bytes(4):
            assert after != before
        else:
            assert code == IOERROR[6:10]
            assert after == before
            assert tpm.pcrs.encode() == pcrs
            failures += 1
        assert ACTIONS[action](tpm) in (bytes(4), bytes(3) + b"\x03"), (
            "it goes on when the disk is well again"
        )
        assert directory.load(Kind.PERMANENT) == tpm.permanent.encode()
        directory.close()
        if len(calls) < turn:
            break
    assert failures >= len({"open", "write", "fsync", "link", "replace"})
