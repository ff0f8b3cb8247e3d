# SPDX-License-Identifier: GPL-3.0-or-later
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bootproof.appliance.devicemapper import DeviceMapperError, Target, pack_request, parse_answer

# as Linux 6.12 answered for two targets; the second one's offset counts from the start of the data
HEADER = struct.Struct("=3I I I I i I I I Q 128s 129s 7s")
TARGET = struct.Struct("=Q Q i I 16s")


def answer(*targets: tuple[int, int, bytes, bytes], flags: int = 0, count: int | None = None) -> bytes:
    body = b""
    for first, length, kind, text in targets:
        size = (TARGET.size + len(text) + 1 + 7) // 8 * 8
        body += (TARGET.pack(first, length, 0, len(body) + size, kind) + text).ljust(size, b"\0")
    number = len(targets) if count is None else count
    header = HEADER.pack(4, 48, 0, 16384, HEADER.size, number, 1, flags, 0, 0, 254, b"name", b"", b"")
    return (header + body).ljust(16384, b"\0")


def test_targets_are_read_in_order() -> None:
    data = answer((0, 800, b"verity", b"V"), (800, 8, b"linear", b"7:0 0"))
    assert parse_answer(data) == [Target(0, 800, "verity", "V"), Target(800, 8, "linear", "7:0 0")]


def test_no_targets() -> None:
    assert parse_answer(answer()) == []


def test_a_table_that_did_not_fit_is_an_error() -> None:
    with pytest.raises(DeviceMapperError, match="larger than the buffer"):
        parse_answer(answer(flags=1 << 8))


def test_a_chain_that_leaves_the_answer_is_an_error() -> None:
    data = bytearray(answer((0, 1, b"verity", b"V"), (1, 1, b"verity", b"V")))
    struct.pack_into("=I", data, HEADER.size + 20, 1 << 20)
    with pytest.raises(DeviceMapperError, match="outside"):
        parse_answer(bytes(data))


@given(st.binary(max_size=1000), st.integers(0, 1 << 32 - 1))
def test_arbitrary_answers_end_in_targets_or_an_error(body: bytes, count: int) -> None:
    header = HEADER.pack(4, 0, 0, 0, HEADER.size, count, 0, 0, 0, 0, 0, b"", b"", b"")
    for data in (body, header + body):
        try:
            parse_answer(data)
        except DeviceMapperError:
            continue


@pytest.mark.parametrize("table", [True, False])
def test_request_is_the_kernels_structure(table: bool) -> None:
    fields = HEADER.unpack_from(pack_request("bootproof-base", table=table))
    assert fields[:5] == (4, 0, 0, 16384, 312)
    assert bool(fields[7] & 1 << 4) is table
    assert fields[11].rstrip(b"\0") == b"bootproof-base"
