# SPDX-License-Identifier: GPL-3.0-or-later
"""The state on disk: never half a state, never a silent new start, never two emulators on one directory."""

from __future__ import annotations

import hashlib
import logging
import os
import random
import signal
import stat
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bootproof.tpm.persistence.container import pack, unpack
from bootproof.tpm.persistence.store import LONGEST_STATE, Kind, StateDirectory, StateError, stored_states
from bootproof.tpm.state import LAYOUT_VERSION, Permanent, PermanentFlags
from tests.tpm.conftest import ROOT

OLD, NEW = b"the old state", b"the new state, which is longer"
FILE = "tpm12.permanent"


@pytest.fixture
def directory(tmp_path: Path) -> StateDirectory:
    return StateDirectory(tmp_path / "state")


def test_what_is_saved_is_loaded_by_the_next_process(directory: StateDirectory) -> None:
    assert directory.load(Kind.PERMANENT) is None
    directory.save(Kind.PERMANENT, OLD)
    directory.save(Kind.PERMANENT, NEW)
    directory.close()
    again = StateDirectory(directory.path)
    assert again.load(Kind.PERMANENT) == NEW
    previous = (directory.path / f"{FILE}.previous").read_bytes()
    assert unpack(Kind.PERMANENT, previous) == OLD
    again.remove(Kind.PERMANENT)
    assert again.load(Kind.PERMANENT) is None


def test_only_the_owner_may_look(directory: StateDirectory) -> None:
    directory.save(Kind.PERMANENT, OLD)
    assert stat.S_IMODE(directory.path.stat().st_mode) == 0o700
    for file in directory.path.iterdir():
        assert stat.S_IMODE(file.stat().st_mode) == 0o600


def test_a_second_emulator_is_told_who_is_there(directory: StateDirectory) -> None:
    with pytest.raises(StateError, match=f"in use by process {os.getpid()};"):
        StateDirectory(directory.path)
    directory.close()
    StateDirectory(directory.path).close()


@pytest.mark.parametrize("place", [0, 9, 11, 14, 20, 60, -1])
def test_a_damaged_file_is_refused_with_what_to_do(directory: StateDirectory, place: int) -> None:
    directory.save(Kind.PERMANENT, OLD)
    path = directory.path / FILE
    content = bytearray(path.read_bytes())
    content[place] ^= 1
    path.write_bytes(content)
    with pytest.raises(StateError, match=r"copy tpm12\.permanent\.previous over it .* or move both away"):
        directory.load(Kind.PERMANENT)
    assert path.read_bytes() == content


@pytest.mark.parametrize("length", [0, 8, 47, 50])
def test_a_short_file_is_refused(directory: StateDirectory, length: int) -> None:
    directory.save(Kind.PERMANENT, OLD)
    os.truncate(directory.path / FILE, length)
    with pytest.raises(StateError):
        directory.load(Kind.PERMANENT)


def test_a_missing_file_with_a_previous_one_is_refused(directory: StateDirectory) -> None:
    directory.save(Kind.PERMANENT, OLD)
    directory.save(Kind.PERMANENT, NEW)
    (directory.path / FILE).unlink()
    with pytest.raises(StateError, match="is missing"):
        directory.load(Kind.PERMANENT)


def test_a_state_of_another_kind_is_refused() -> None:
    with pytest.raises(StateError, match="kind 2 where permanent"):
        unpack(Kind.PERMANENT, pack(Kind.VOLATILE, b""))


@given(st.binary(max_size=200))
def test_arbitrary_bytes_are_no_state(data: bytes) -> None:
    with pytest.raises(StateError):
        unpack(Kind.PERMANENT, data)


def test_a_directory_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StateError, match="choose one that you can write"):
        StateDirectory(tmp_path / "file" / "state")


CALLS = ("open", "fchmod", "write", "fsync", "link", "replace")


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("turn", [1, 2, 3])
def test_any_failing_call_leaves_the_old_or_the_new_state(
    directory: StateDirectory, monkeypatch: pytest.MonkeyPatch, call: str, turn: int
) -> None:
    directory.save(Kind.PERMANENT, OLD)
    directory.save(Kind.PERMANENT, OLD)
    count = 0

    def failing(real: Callable[..., Any]) -> Callable[..., Any]:
        def wrapper(*arguments: Any, **named: Any) -> Any:
            nonlocal count
            count += 1
            if count == turn:
                raise OSError(5, "Input/output error")
            return real(*arguments, **named)

        return wrapper

    with monkeypatch.context() as patch:
        patch.setattr(os, call, failing(getattr(os, call)))
        try:
            directory.save(Kind.PERMANENT, NEW)
        except OSError:
            failed = True
        else:
            failed = False
    assert failed == (count >= turn)
    assert directory.load(Kind.PERMANENT) in ((OLD, NEW) if failed else (NEW,))
    directory.save(Kind.PERMANENT, NEW)
    assert directory.load(Kind.PERMANENT) == NEW


def test_the_content_is_on_disk_before_its_name_and_the_name_before_the_answer(
    directory: StateDirectory, monkeypatch: pytest.MonkeyPatch
) -> None:
    directory.save(Kind.PERMANENT, OLD)
    calls: list[str] = []

    def noting(name: str, real: Callable[..., Any]) -> Callable[..., Any]:
        def wrapper(*arguments: Any, **named: Any) -> Any:
            what = name
            if name == "fsync":
                what += " directory" if stat.S_ISDIR(os.fstat(arguments[0]).st_mode) else " file"
            calls.append(what)
            return real(*arguments, **named)

        return wrapper

    with monkeypatch.context() as patch:
        for name in ("write", "fsync", "link", "replace"):
            patch.setattr(os, name, noting(name, getattr(os, name)))
        directory.save(Kind.PERMANENT, NEW)
    assert calls == ["write", "fsync file", "link", "replace", "replace", "fsync directory"]


_WRITER = """
import sys
from pathlib import Path
from bootproof.tpm.persistence.store import Kind, StateDirectory
directory = StateDirectory(Path(sys.argv[1]))
number = 0
while True:
    number += 1
    directory.save(Kind.PERMANENT, number.to_bytes(4) * 500)
    sys.stdout.buffer.write(number.to_bytes(4))
    sys.stdout.buffer.flush()
"""


def test_kill_at_random_points_loses_nothing_that_was_acknowledged(tmp_path: Path) -> None:
    chance = random.Random(1)
    for turn in range(8):
        path = tmp_path / str(turn)
        writer = subprocess.Popen(
            [sys.executable, "-c", _WRITER, os.fspath(path)], cwd=ROOT, stdout=subprocess.PIPE
        )
        assert writer.stdout is not None
        acknowledged = writer.stdout.read(4 * chance.randint(1, 40))
        writer.send_signal(signal.SIGKILL)
        acknowledged += writer.stdout.read()
        writer.wait()
        writer.stdout.close()
        last = int.from_bytes(acknowledged[-4:])
        directory = StateDirectory(path)
        payload = directory.load(Kind.PERMANENT)
        directory.close()
        assert payload is not None
        assert payload in (last.to_bytes(4) * 500, (last + 1).to_bytes(4) * 500)


def test_a_state_of_another_layout_is_refused(directory: StateDirectory) -> None:
    directory.save(Kind.PERMANENT, OLD)
    path = directory.path / FILE
    content = path.read_bytes()
    for version, age in ((1, "an older"), (LAYOUT_VERSION + 1, "a newer")):
        head = content[:8] + version.to_bytes(2) + content[10:16]
        path.write_bytes(head + hashlib.sha256(head + OLD).digest() + OLD)
        with pytest.raises(
            StateError, match=f"was written by {age} version .*layout {version}, .* move the"
        ):
            directory.load(Kind.PERMANENT)


def test_a_state_that_could_not_be_loaded_is_not_saved(directory: StateDirectory) -> None:
    directory.save(Kind.PERMANENT, OLD)
    with pytest.raises(OSError, match="the state is too large"):
        directory.save(Kind.PERMANENT, bytes(LONGEST_STATE))
    assert directory.load(Kind.PERMANENT) == OLD
    directory.save(Kind.PERMANENT, bytes(LONGEST_STATE - 48))
    assert directory.load(Kind.PERMANENT) == bytes(LONGEST_STATE - 48)


def test_file_systems_without_hard_links(directory: StateDirectory, monkeypatch: pytest.MonkeyPatch) -> None:
    def none_here(*_arguments: Any, **_named: Any) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(os, "link", none_here)
    for state in (OLD, OLD, NEW):
        directory.save(Kind.PERMANENT, state)
    assert directory.load(Kind.PERMANENT) == NEW
    assert unpack(Kind.PERMANENT, (directory.path / f"{FILE}.previous").read_bytes()) == OLD


def test_what_others_put_there_is_not_followed(directory: StateDirectory, tmp_path: Path) -> None:
    """A link under the name of the file to be written: the file that it leads to stays as it is."""
    (tmp_path / "precious").write_text("precious")
    for name in (f"{FILE}.new", f"{FILE}.link"):
        (directory.path / name).symlink_to(tmp_path / "precious")
    directory.save(Kind.PERMANENT, OLD)
    directory.save(Kind.PERMANENT, NEW)
    assert (tmp_path / "precious").read_text() == "precious"
    assert directory.load(Kind.PERMANENT) == NEW
    other = tmp_path / "other"
    other.mkdir()
    (other / "lock").symlink_to(tmp_path / "precious")
    with pytest.raises(StateError, match=r"state directory .*other: "):
        StateDirectory(other)
    assert (tmp_path / "precious").read_text() == "precious"


def test_something_else_in_the_place_of_the_state(directory: StateDirectory) -> None:
    os.mkfifo(directory.path / FILE)
    with pytest.raises(StateError, match="is not a state of this emulator"):
        directory.load(Kind.PERMANENT)
    (directory.path / FILE).unlink()
    (directory.path / FILE).mkdir()
    with pytest.raises(StateError, match="Is a directory; make it readable"):
        directory.load(Kind.PERMANENT)


def test_a_directory_that_others_may_write_to_is_named(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(logging.getLogger("vtpm"), "propagate", True)
    tmp_path.chmod(0o777)
    with caplog.at_level(logging.WARNING, "vtpm"):
        StateDirectory(tmp_path).close()
    assert f"others may write to the state directory {tmp_path}; chmod 700 it" in caplog.text


def test_permanent_state_survives_its_encoding() -> None:
    state = Permanent(flags=PermanentFlags(established=True), saved=b"xyz")
    assert Permanent.decode(state.encode()) == state


def test_what_is_stored_is_listed(tmp_path: Path) -> None:
    assert stored_states(tmp_path, None) == []
    path = tmp_path / FILE
    path.write_bytes(pack(Kind.PERMANENT, Permanent(saved=b"xyz").encode()))
    assert stored_states(tmp_path, None) == [("permall", path.stat().st_size), ("savestate", 3)]
    for content, message in (
        (b"rubbish", "is not a state of this emulator"),
        (pack(Kind.PERMANENT, b"rubbish"), "has a sound checksum but cannot be read"),
    ):
        path.write_bytes(content)
        with pytest.raises(StateError, match=f"{FILE} {message}"):
            stored_states(tmp_path, None)
