# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import struct

import pytest

from bootproof.tpm.codes import Rc
from bootproof.tpm.commands.table import COMMANDS
from tests.tpm.conftest import Bench


def capability(bench: Bench, area: int, sub: bytes | str = b"") -> tuple[int, str]:
    raw = bytes.fromhex(sub) if isinstance(sub, str) else sub
    code, body = bench.ask(0x65, struct.pack(">II", area, len(raw)) + raw)
    if code:
        return code, ""
    assert struct.unpack_from(">I", body)[0] == len(body) - 4
    return code, body[4:].hex()


def test_ordinals_are_those_of_the_table(bench: Bench) -> None:
    for ordinal in [*range(0x200), 0x4000000A, 0x4000000B, 0x20001000]:
        expected = "01" if ordinal in COMMANDS else "00"
        assert capability(bench, 1, struct.pack(">I", ordinal)) == (0, expected)


@pytest.mark.parametrize(
    ("number", "value"),
    [
        (0x101, "00000018"),
        (0x102, "00000001"),
        (0x103, b"BTPF".hex()),
        (0x104, "00000014"),
        (0x10D, "00000010"),
        (0x115, "000f4240" * 4),
        (0x120, "02faf08005f5e10011e1a300"),
        (0x111, "00"),
        (0x124, "00001000"),
    ],
)
def test_properties(bench: Bench, number: int, value: str) -> None:
    assert capability(bench, 5, struct.pack(">I", number)) == (0, value)


def test_flags_of_a_new_tpm_are_those_that_firmware_has_seen(bench: Bench) -> None:
    assert capability(bench, 4, "00000108") == (0, "001f0001000100010000000000000000010000000000")
    assert capability(bench, 4, "00000109") == (0, "00200000000000")


def test_versions(bench: Bench) -> None:
    assert capability(bench, 6) == (0, "01010000")
    assert capability(bench, 0x1A) == (0, "0030" + "01020001" + "0002" + "03" + b"BTPF".hex() + "0000")


@pytest.mark.parametrize(
    ("area", "sub", "value"),
    [
        (7, "", "0000"),
        (8, "00000001 0003 0001 0000000c 00000800 00000002 00000000", "01"),
        (0x0D, "", ""),
        (0x14, "00000001", "0000"),
        (2, "00000001", "01"),
        (3, "0001", "01"),
        (9, "00000001", "00"),
        (0x15, "0004", "01"),
        (0x18, "01010003", "01"),
        (0x18, "01010004", "00"),
    ],
)
def test_areas(bench: Bench, area: int, sub: str, value: str) -> None:
    assert capability(bench, area, sub) == (0, value)


@pytest.mark.parametrize(
    ("area", "sub", "code"),
    [
        (0, "", Rc.BAD_MODE),
        (0x10, "00000001", Rc.BAD_MODE),
        (0x1B, "", Rc.BAD_MODE),
        (0xFFFFFFFF, "", Rc.BAD_MODE),
        (1, "", Rc.BAD_MODE),
        (1, "0000", Rc.BAD_MODE),
        (4, "0000010a", Rc.BAD_MODE),
        (5, "00000100", Rc.BAD_MODE),
        (5, "0000000101", Rc.BAD_MODE),
        (8, "00000001", Rc.BAD_PARAM_SIZE),
        (0x0C, "00000001", Rc.INVALID_KEYHANDLE),
        (0x11, "10000001", Rc.BADINDEX),
        (0x14, "00000003", Rc.BAD_PARAMETER),
        (0x18, "02010003", Rc.BAD_PARAMETER),
    ],
)
def test_codes(bench: Bench, area: int, sub: str, code: Rc) -> None:
    assert capability(bench, area, sub) == (code, "")


def test_lengths(bench: Bench) -> None:
    assert bench.code(0x65, "00000006 ffffffff") == Rc.SIZE
    assert bench.code(0x65, "00000006 00000001") == Rc.BAD_PARAM_SIZE
    assert bench.code(0x65, "00000006 00000000 00") == Rc.BAD_PARAM_SIZE
