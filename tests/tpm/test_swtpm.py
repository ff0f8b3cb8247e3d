# SPDX-License-Identifier: GPL-3.0-or-later
"""The same commands to swtpm's TPM 1.2 and to ours get the same result codes and mostly the same bytes.

Differences on purpose are named in `ignored`, with the reason, and in docs/vtpm.md.
"""

from __future__ import annotations

import random
import shutil
import socket
import struct
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from bootproof.tpm.commands.table import COMMANDS
from tests.tpm.conftest import CONTROL, DATA, PATIENCE, READY, STATE, Start, exchange, request

pytestmark = pytest.mark.skipif(shutil.which("swtpm") is None, reason="swtpm is not installed")

INIT = bytes.fromhex("0000000200000000")


class Pair:
    """A data and a control connection to each of the two."""

    def __init__(
        self, theirs: tuple[socket.socket, socket.socket], ours: tuple[socket.socket, socket.socket]
    ) -> None:
        self.sides = (theirs, ours)

    def control(self, data: bytes) -> list[bytes]:
        return [exchange(control, data) for _, control in self.sides]

    def command(self, data: bytes) -> list[bytes]:
        return [exchange(peer, data) for peer, _ in self.sides]


@pytest.fixture
def pair(start: Start, tmp_path: Path) -> Iterator[Pair]:
    emulator = start(*STATE, *DATA, *CONTROL, *READY)
    at = tmp_path / "swtpm"
    at.mkdir()
    program = subprocess.Popen(
        [
            *("swtpm", "socket", "--tpmstate", f"dir={at}", "--server", f"type=unixio,path={at}/data"),
            *("--ctrl", f"type=unixio,path={at}/ctrl", "--flags", "not-need-init,startup-clear"),
        ]
    )
    sockets = []
    try:
        for name in ("data", "ctrl"):
            peer = socket.socket(socket.AF_UNIX)
            peer.settimeout(PATIENCE)
            deadline = time.monotonic() + PATIENCE
            while peer.connect_ex(f"{at}/{name}"):
                assert time.monotonic() < deadline
                time.sleep(0.01)
            sockets.append(peer)
        ours = emulator.connect("data"), emulator.connect("ctrl")
        sockets.extend(ours)
        yield Pair((sockets[0], sockets[1]), ours)
    finally:
        for peer in sockets:
            peer.close()
        program.terminate()
        program.wait(PATIENCE)


def ignored(ordinal: int, body: bytes) -> str:
    """Return why the answers to this command may differ, or nothing."""
    if ordinal in (0x46, 0xF1):
        return "random bytes and time: only the codes are compared"
    if ordinal == 0x54:
        return "the text of GetTestResult is the vendor's own"
    if ordinal == 0x65 and (body[:4] == b"\0\0\0\x1a" or body[8:12] in (b"\0\0\1\3", b"\0\0\1\x23")):
        return "vendor, version, and the free NV space"
    return ""


def commands(chance: random.Random) -> Iterator[tuple[int, bytes]]:
    """Yield commands of this tier, most of them well formed, for as long as one likes."""
    number = struct.Struct(">I")
    while True:
        index = number.pack(chance.choice([*range(25), 255]))
        small = chance.randbytes(chance.choice([0, 1, 63, 64, 65, 128]))
        choices = [
            (0x14, index + chance.randbytes(20)),
            (0x15, index),
            (0x15, index),
            (0xC8, b"\0\3" + (1 << chance.randrange(24)).to_bytes(3, "little")),
            (0xC8, b"\0\3" + chance.choice([b"\0\0\x81", b"\0\0\0", b"\1\0\1"])),
            (0x50, b""),
            (0x53, b""),
            (0x54, b""),
            (0xF1, b""),
            (0x46, number.pack(chance.choice([0, 1, 20, 5000]))),
            (0x47, number.pack(len(small)) + small),
            (0xA0, b""),
            (0xA1, number.pack(len(small)) + small),
            (0xA2, number.pack(len(small)) + small),
            (0xA3, index + number.pack(len(small)) + small),
            (0x98, b""),
            (0x99, chance.choice([b"\0\1", b"\0\2", b"\0"])),
            (0xBA, number.pack(7) + number.pack(chance.choice([1, 2, 3, 4, 5, 6, 8, 11]))),
            (
                0x4000000A,
                chance.choice([0x08, 0x10, 0x14, 0x20, 0x40, 0x0C, 0x18, 0x30, 0x100, 0x200, 0]).to_bytes(2),
            ),
            (0x4000000B, b""),
            (0x65, number.pack(1) + number.pack(4) + number.pack(chance.choice([*COMMANDS, 1, 0x17A]))),
            (0x65, number.pack(4) + number.pack(4) + number.pack(chance.choice([0x107, 0x108, 0x109]))),
            (
                0x65,
                number.pack(5)
                + number.pack(4)
                + number.pack(chance.choice([*range(0x100, 0x119), 0x120, 0x124])),
            ),
            (0x65, number.pack(chance.choice([6, 7, 0x0D, 0x1A, 0, 0x13])) + number.pack(0)),
            (0x65, number.pack(0x11) + number.pack(4) + index),
        ]
        ordinal, body = chance.choice(choices)
        if chance.random() < 0.03:
            body += b"\0"
        yield ordinal, body


@pytest.mark.parametrize("seed", range(2))
def test_the_same_commands_get_the_same_answers(pair: Pair, seed: int) -> None:
    chance = random.Random(seed)
    stream = commands(chance)
    for _ in range(500):
        if chance.random() < 0.015:
            theirs, ours = pair.control(INIT)
            assert theirs == ours
            kind = chance.choice([1, 1, 1, 1, 2, 3]).to_bytes(2)
            theirs, ours = pair.command(request(0x99, kind))
            assert theirs == ours
        if chance.random() < 0.1:
            theirs, ours = pair.control(bytes.fromhex(f"00000005{chance.randrange(6):02x}000000"))
            assert theirs == ours
        ordinal, body = next(stream)
        theirs, ours = pair.command(request(ordinal, body))
        what = f"{ordinal:#x} {body.hex()}"
        if ignored(ordinal, body):
            assert theirs[6:10] == ours[6:10], what
        else:
            assert theirs.hex() == ours.hex(), what


def test_wrong_tags(pair: Pair) -> None:
    for tag in (0x00C2, 0x00C3, 0x00C4, 0x8001):
        theirs, ours = pair.command(request(0x50, tag=tag))
        assert theirs == ours
