# SPDX-License-Identifier: GPL-3.0-or-later
"""Migration between two emulators as QEMU does it, with a directory each or with one for both."""

from __future__ import annotations

import itertools
import socket
import struct
from dataclasses import dataclass
from pathlib import Path

import pytest

from bootproof.tpm.persistence.store import Kind
from tests.tpm.client.nv import Nv, NvPublic
from tests.tpm.conftest import CONTROL, STARTUP_CLEAR, Emulator, Start, exchange, request

OK, FAIL = bytes(4), bytes.fromhex("00000009")
INIT, STOP = struct.pack(">II", 2, 0), struct.pack(">I", 0x0E)
RESUME = struct.pack(">II", 2, 1)
LOCK_STORAGE = struct.pack(">II", 0x13, 10)
PCR_READ, EXTEND = request(0x15, "00000001"), request(0x14, "00000001" + "11" * 20)
CMD_ENABLE, CMD_DISABLE = request(0x4000000A, "0020"), request(0x4000000A, "0100")
PRESENT = request(0x4000000A, "0008")
SAVE_STATE = request(0x98)
INCOMING = ("--migration", "incoming,release-lock-outgoing")
OUTGOING = ("--migration", "release-lock-outgoing")
KEY = ("--key", "file={}/key,format=hex")


@dataclass
class Side:
    """An emulator with QEMU's two connections."""

    emulator: Emulator
    control: socket.socket
    data: socket.socket

    def ask(self, request_: bytes) -> bytes:
        return exchange(self.control, request_)

    def command(self, request_: bytes) -> bytes:
        """Return the result code and what follows it."""
        return exchange(self.data, request_)[6:]

    def fetch(self) -> list[bytes]:
        """Return all state blobs, as QEMU fetches them."""
        blobs = []
        for kind in Kind:
            self.control.sendall(struct.pack(">IIII", 0x0C, 1, kind, 0))
            head = self.control.recv(16, socket.MSG_WAITALL)
            code, _flags, length, _ = struct.unpack(">IIII", head)
            assert code in (0, 0x800)
            blobs.append(self.control.recv(length, socket.MSG_WAITALL) if length else b"")
        return blobs

    def put(self, blobs: list[bytes]) -> None:
        """Hand state blobs over, as QEMU does."""
        assert self.ask(STOP) == OK
        for kind, blob in zip(Kind, blobs, strict=True):
            if blob:
                assert self.ask(struct.pack(">IIII", 0x0D, 0, kind, len(blob)) + blob) == OK

    def kill(self) -> None:
        self.emulator.process.kill()
        self.emulator.process.wait()
        self.close()

    def close(self) -> None:
        self.control.close()
        self.data.close()


class Hosts:
    """Starts emulators; `shared` says whether they have one directory."""

    def __init__(self, start: Start, where: Path, *options: str) -> None:
        self._start, self._where, self._options = start, where, options
        self._numbers = itertools.count()
        self.sides: list[Side] = []

    def begin(self, *options: str, state: str = "shared") -> Side:
        at = self._where / str(next(self._numbers))
        at.mkdir()
        (at / "key").write_text("00112233445566778899aabbccddeeff")
        state_option = ("--tpmstate", f"dir={self._where / state}")
        emulator = self._start(*state_option, *CONTROL, *self._options, *options, at=at)
        control = emulator.connect("ctrl")
        data, theirs = socket.socketpair()
        with theirs:
            socket.send_fds(control, [struct.pack(">I", 0x10)], [theirs.fileno()])
        assert control.recv(4) == OK
        data.settimeout(control.gettimeout())
        self.sides.append(Side(emulator, control, data))
        return self.sides[-1]

    def begin_source(self, *options: str, state: str = "shared") -> Side:
        """Return a TPM with permanent and volatile state that is not that of a new one."""
        side = self.begin(*options, state=state)
        assert side.ask(INIT) == OK
        for command in (STARTUP_CLEAR, CMD_ENABLE, EXTEND):
            assert side.command(command)[:4] == OK
        return side


@pytest.fixture(params=[(), KEY], ids=["plain", "encrypted"])
def hosts(start: Start, tmp_path: Path, request: pytest.FixtureRequest) -> Hosts:
    return Hosts(start, tmp_path, *request.param)


def goes_on(side: Side, before: bytes) -> None:
    """The TPM of `side` has that PCR, and permanent state that it can change."""
    assert side.command(PCR_READ) == before
    assert side.command(PRESENT)[:4] == OK, "commands for presence are enabled, as they were at the source"
    assert side.command(CMD_DISABLE)[:4] == OK
    assert side.command(CMD_ENABLE)[:4] == OK
    assert side.command(EXTEND)[:4] == OK


@pytest.mark.parametrize("saved", [False, True])
def test_a_tpm_moves_to_another_directory(hosts: Hosts, saved: bool) -> None:
    source = hosts.begin_source(state="one")
    before = source.command(PCR_READ)
    if saved:
        assert source.command(SAVE_STATE)[:4] == OK
    target = hosts.begin("--migration", "incoming", state="two")
    target.put(source.fetch())
    assert target.ask(RESUME) == OK
    goes_on(target, before)
    goes_on(source, before)


def test_a_tpm_moves_on_shared_storage_and_back(hosts: Hosts) -> None:
    source = hosts.begin_source(*OUTGOING)
    before = source.command(PCR_READ)
    target = hosts.begin(*INCOMING)
    assert target.ask(STOP) == OK, "the destination is up while the source has the state"
    target.put(source.fetch())
    assert target.ask(RESUME) == OK
    assert source.ask(struct.pack(">I", 3)) == OK
    assert source.emulator.wait() == 0
    goes_on(target, before)
    before = target.command(PCR_READ)
    again = hosts.begin(*INCOMING)
    again.put(target.fetch())
    assert again.ask(RESUME) == OK
    goes_on(again, before)


@pytest.mark.parametrize("with_request", [False, True], ids=["by the next command", "by LOCK_STORAGE"])
@pytest.mark.parametrize("got", [0, 1, 2, 3])
def test_a_migration_that_fails_leaves_the_source_as_it_was(
    hosts: Hosts, got: int, with_request: bool
) -> None:
    """The destination is killed when it has got so many of the state blobs."""
    source = hosts.begin_source(*OUTGOING)
    before = source.command(PCR_READ)
    assert source.command(SAVE_STATE)[:4] == OK
    target = hosts.begin(*INCOMING)
    blobs = source.fetch()
    target.put([blob if number < got else b"" for number, blob in enumerate(blobs)])
    target.kill()
    if with_request:
        assert source.ask(LOCK_STORAGE) == OK
    goes_on(source, before)
    assert source.ask(STOP) + source.ask(INIT) == OK + OK
    assert source.command(STARTUP_CLEAR)[:4] == OK, "what the destination left behind is gone"
    assert source.command(PCR_READ)[4:] == bytes(20)
    target = hosts.begin(*INCOMING)
    target.put(source.fetch())
    assert target.ask(RESUME) == OK, "the next attempt may succeed"


def test_the_state_is_used_by_one_at_a_time(hosts: Hosts) -> None:
    source = hosts.begin_source()
    target = hosts.begin("--migration", "incoming")
    assert target.ask(INIT) == FAIL, "nobody has released it: that needs an option"
    source.fetch()
    assert target.ask(LOCK_STORAGE) == FAIL
    assert source.command(PCR_READ)[:4] == OK


def test_who_was_overtaken_does_not_go_on(hosts: Hosts) -> None:
    source = hosts.begin_source(*OUTGOING)
    target = hosts.begin(*INCOMING)
    target.put(source.fetch())
    assert target.ask(RESUME) == OK
    assert source.command(EXTEND) == source.ask(LOCK_STORAGE) == FAIL, "the destination has it"
    assert target.command(CMD_DISABLE)[:4] == OK
    assert target.ask(struct.pack(">I", 3)) == OK
    assert target.emulator.wait() == 0
    assert source.command(EXTEND) == source.ask(LOCK_STORAGE) == FAIL, "the destination has had it"
    assert source.ask(STOP) + source.ask(INIT) == OK + OK
    assert source.command(STARTUP_CLEAR)[:4] == OK
    assert source.command(PRESENT)[:4] == b"\0\0\0\3", "the destination's state is the newer one"


def test_an_incoming_tpm_that_nothing_comes_to_uses_what_is_there(hosts: Hosts) -> None:
    source = hosts.begin_source()
    source.emulator.stop()
    target = hosts.begin(*INCOMING)
    assert target.ask(INIT) == OK
    assert target.command(STARTUP_CLEAR)[:4] == OK
    assert target.command(PRESENT)[:4] == OK


def test_the_lock_is_given_up_after_the_last_blob_and_not_before(hosts: Hosts) -> None:
    source = hosts.begin_source(*OUTGOING)
    target = hosts.begin(*INCOMING)
    source.ask(struct.pack(">IIII", 0x0C, 1, Kind.SAVED, 0))
    assert target.ask(LOCK_STORAGE) == FAIL
    source.fetch()
    assert target.ask(LOCK_STORAGE) == OK


# secrets ----------------------------------------------------------------------------------------------

AREA, VALUE = 0x1000, b"nobody else may know"
DEFINE = request(0xCC, NvPublic(AREA, Nv.OWNER_READ | Nv.OWNER_WRITE, len(VALUE)).encode() + bytes(20))
WRITE = request(0xCD, struct.pack(">III", AREA, 0, len(VALUE)) + VALUE)
READ = request(0xCF, struct.pack(">III", AREA, 0, len(VALUE)))
WRAP = ("--migration-key", "file={}/key", "--log", "file={}/log,level=1")


def where_it_is(folder: Path) -> list[str]:
    """Return the files that VALUE is in, after checking that nobody else can read what is there."""
    files = [path for path in folder.rglob("*") if path.is_file() and path.name not in ("key", "log")]
    assert {path.stat().st_mode & 0o077 for path in files} == {0}
    return sorted({path.name for path in folder.rglob("*") if path.is_file() and VALUE in path.read_bytes()})


@pytest.mark.parametrize("protected", [False, True])
def test_a_secret_is_where_the_keys_let_it_be(start: Start, tmp_path: Path, protected: bool) -> None:
    hosts = Hosts(start, tmp_path, *((*KEY, *WRAP) if protected else ()))
    source = hosts.begin_source(*OUTGOING)
    for command in (DEFINE, WRITE, SAVE_STATE):
        assert source.command(command)[:4] == OK
    target = hosts.begin(*INCOMING)
    blobs = source.fetch()
    assert any(VALUE in blob for blob in blobs) is not protected
    target.put(blobs)
    assert source.command(EXTEND) == FAIL
    assert target.ask(RESUME) == OK
    assert target.command(READ)[8:] == VALUE
    assert target.command(CMD_DISABLE)[:4] == OK
    assert source.ask(LOCK_STORAGE) == FAIL
    assert where_it_is(tmp_path) == ([] if protected else ["tpm12.permanent", "tpm12.permanent.previous"])


def test_a_destination_needs_the_migration_key(start: Start, tmp_path: Path) -> None:
    source = Hosts(start, tmp_path, *WRAP).begin_source(state="one")
    blob = source.fetch()[0]
    (tmp_path / "other").mkdir()
    target = Hosts(start, tmp_path / "other").begin("--migration", "incoming")
    assert target.ask(struct.pack(">IIII", 0x0D, 0, 1, len(blob)) + blob) == bytes.fromhex("0000000d")
