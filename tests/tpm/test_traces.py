# SPDX-License-Identifier: GPL-3.0-or-later
"""What SeaBIOS, OVMF, Linux and QEMU said to swtpm, said to the emulator over its sockets.

The recordings are of swtpm 0.7.1 (tests/data/vtpm). Our answers must be the same bytes, but for: who
made the TPM (VERSION_VAL), random bytes, one more bit in the mask of GET_CAPABILITY, the opaque state blobs.
"""

from __future__ import annotations

import re
import socket
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.tpm.conftest import CONTROL, STATE, Start, exchange

DATA = Path(__file__).parents[1] / "data" / "vtpm"
STATE_BLOB = re.compile(r"(GET|SET)_STATEBLOB")


@dataclass(frozen=True)
class Line:
    """One request and its recorded answer; `cut` where the recording leaves bytes out."""

    what: str
    channel: str
    request: str
    answer: str
    cut: bool = False


def read(path: Path) -> list[Line]:
    lines: list[Line] = []
    pending: tuple[str, str] | None = None
    for text in path.read_text().splitlines():
        if "\t" in text:
            what, request, answer = text.split("\t")
            lines.append(Line(what, "data", request, answer))
        elif " CTRL -> " in text:
            words = text.split(" CTRL -> ")[1].split()
            pending = words[0], words[2]
        elif " CTRL  <- " in text and pending is not None:
            answer = text.split(" CTRL  <- ")[1].strip()
            lines.append(Line(pending[0], "ctrl", pending[1], answer, bool(STATE_BLOB.match(pending[0]))))
            pending = None
    return lines


def random_bytes(ours: str, theirs: str) -> None:
    assert len(ours) == len(theirs)
    assert ours[:28] == theirs[:28]
    assert ours[28:] != theirs[28:]


def vendor(ours: str, theirs: str) -> None:
    assert ours[:36] == theirs[:36]
    assert ours[40:46] == theirs[40:46]
    assert ours[46:54] == b"BTPF".hex()
    assert len(ours) == len(theirs)


def wider_mask(ours: str, theirs: str) -> None:
    assert int(ours, 16) & int(theirs, 16) == int(theirs, 16)


DIFFERENT_ON_PURPOSE: list[tuple[str, Callable[[str, str], None]]] = [
    ("GetRandom", random_bytes),
    ("cap=VERSION_VAL", vendor),
    ("GET_CAPABILITY", wider_mask),
]


def compare(line: Line, ours: str) -> None:
    for mark, check in DIFFERENT_ON_PURPOSE:
        if mark in line.what:
            check(ours, line.answer)
            return
    assert ours == line.answer, line.what


def state_blob(control: socket.socket, line: Line, blobs: dict[str, str]) -> None:
    """Play a request about a state blob with our own blob in the place of swtpm's."""
    if line.what == "GET_STATEBLOB":
        answer = exchange(control, bytes.fromhex(line.request)).hex()
        assert answer[:8] == line.answer[:8]
        assert answer[8:16] == line.answer[8:16]
        assert answer[16:24] == answer[24:32]
        blobs[line.request[16:24]] = answer[32:]
    else:
        kind = line.request[16:24]
        size = len(blobs[kind]) // 2
        assert (
            exchange(control, bytes.fromhex(line.request[:24] + f"{size:08x}" + blobs[kind])).hex()
            == line.answer
        )


@pytest.mark.parametrize("name", ["qemu_bios12", "qemu_ovmf12", "qemu_sv1"])
def test_recorded_boots(start: Start, name: str) -> None:
    lines = read(DATA / f"{name}.log")
    assert len(lines) > 20
    emulator = start(*STATE, *CONTROL)
    ours, theirs = socket.socketpair()
    blobs: dict[str, str] = {}
    with emulator.connect("ctrl") as control, ours:
        for line in lines:
            if line.what == "SET_DATAFD":
                socket.send_fds(control, [bytes.fromhex(line.request)], [theirs.fileno()])
                theirs.close()
                compare(line, control.recv(100).hex())
            elif line.cut:
                state_blob(control, line, blobs)
            else:
                peer = ours if line.channel == "data" else control
                compare(line, exchange(peer, bytes.fromhex(line.request)).hex())
        assert lines[-1].what == "SHUTDOWN"
        assert emulator.wait() == 0
