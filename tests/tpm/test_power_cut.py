# SPDX-License-Identifier: GPL-3.0-or-later
"""Nothing acknowledged is lost when the power goes, as far as a file system keeps what fsync promises."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from bootproof.tpm.commands.table import COMMANDS
from bootproof.tpm.machine import Tpm
from bootproof.tpm.persistence.container import pack
from bootproof.tpm.persistence.store import Kind, StateDirectory
from tests.tpm.conftest import STARTUP_CLEAR, request

FILE = "tpm12.permanent"


class File:
    """The content of a file as it was at the last fsync, and as it is."""

    def __init__(self, content: bytes = b"") -> None:
        self.synced = content
        self.current = content


class ForgetfulDisk:
    """A disk that remembers for sure only what an fsync has confirmed, and of names only those before the
    last fsync of the directory; of later changes of names it keeps the first ones, of data all or nothing.
    """

    def __init__(self, monkeypatch: pytest.MonkeyPatch, directory: Path) -> None:
        self.names = {path.name: File(path.read_bytes()) for path in directory.iterdir()}
        self.pending: list[Callable[[dict[str, File]], object]] = []
        self.open: dict[int, File] = {}
        self.found: set[bytes | None] = set()
        for name in ("open", "write", "fsync", "link", "replace", "unlink"):
            monkeypatch.setattr(os, name, self._follow(getattr(os, name), getattr(self, f"_{name}")))
        self.cut()

    def cut(self) -> None:
        """Note everything that can be in the state's file if the power goes now."""
        names = dict(self.names)
        for change in (None, *self.pending):
            if change is not None:
                change(names)
            file = names.get(FILE)
            self.found |= {None} if file is None else {file.synced, file.current}

    def _follow(self, real: Callable[..., Any], note: Callable[..., None]) -> Callable[..., Any]:
        def wrapper(*arguments: Any, **named: Any) -> Any:
            result = real(*arguments, **named)
            note(result, *arguments)
            self.cut()
            return result

        return wrapper

    def _now(self) -> dict[str, File]:
        names = dict(self.names)
        for change in self.pending:
            change(names)
        return names

    def _open(self, handle: int, name: str, flags: int, *_: object) -> None:
        if flags & os.O_CREAT:
            file = self.open[handle] = File()
            self.pending.append(lambda names: names.update({name: file}))

    def _write(self, count: int, handle: int, data: bytes) -> None:
        self.open[handle].current += bytes(data[:count])

    def _fsync(self, _result: None, handle: int) -> None:
        if handle in self.open:
            self.open[handle].synced = self.open[handle].current
        else:
            self.names = self._now()
            self.pending.clear()

    def _link(self, _result: None, name: str, other: str) -> None:
        file = self._now()[name]
        self.pending.append(lambda names: names.update({other: file}))

    def _replace(self, _result: None, name: str, other: str) -> None:
        file = self._now()[name]
        self.pending += [lambda names: names.update({other: file}), lambda names: names.pop(name, None)]

    def _unlink(self, _result: None, name: str) -> None:
        self.pending.append(lambda names: names.pop(name, None))


@pytest.mark.parametrize("states", [[b"first"], [b"first", b"second"], [b"first", b"second", b"third"]])
def test_the_power_may_go_at_any_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, states: list[bytes]
) -> None:
    directory = StateDirectory(tmp_path / "state")
    for state in states[:-1]:
        directory.save(Kind.PERMANENT, state)
    with monkeypatch.context() as patch:
        disk = ForgetfulDisk(patch, directory.path)
        directory.save(Kind.PERMANENT, states[-1])
        new = pack(Kind.PERMANENT, states[-1])
        old = pack(Kind.PERMANENT, states[-2]) if len(states) > 1 else None
        assert disk.found == {old, new}
        disk.found.clear()
        disk.cut()
        assert disk.found == {new}, "when save returns the new state is there for sure"
    directory.close()


def test_the_power_may_go_while_a_command_gives_saved_state_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """There is the state before the command, or the one after: never one without either."""
    directory = StateDirectory(tmp_path / "state")
    tpm = Tpm(COMMANDS, directory)
    tpm.power_on()
    for command in (STARTUP_CLEAR, request(0x98)):
        assert tpm.execute(command)[6:10] == bytes(4)
    before = tpm.permanent
    assert before.saved
    with monkeypatch.context() as patch:
        disk = ForgetfulDisk(patch, directory.path)
        assert tpm.execute(request(0x4000000A, "0020"))[6:10] == bytes(4)
        after = replace(before, saved=b"", flags=replace(before.flags, presence_cmd_enable=True))
        assert disk.found == {pack(Kind.PERMANENT, state.encode()) for state in (before, after)}
    directory.close()
