# SPDX-License-Identifier: GPL-3.0-or-later
"""The control channel, without sockets. Layouts: QEMU's tpm_ioctl.h; recorded answers: test_traces.py."""

from __future__ import annotations

import json
import struct

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bootproof.tpm.codes import Rc
from bootproof.tpm.persistence.container import pack
from bootproof.tpm.persistence.store import Kind
from bootproof.tpm.service.control import ControlChannel, ProtocolError
from bootproof.tpm.state import Permanent
from tests.tpm.conftest import STARTUP_CLEAR, Bench

NEEDED_BY_QEMU = 0x340F | 0x300  # for TPM 1.2, and to migrate


class FakeTransport:
    def __init__(self) -> None:
        self.taken: list[int] = []
        self.ended = False
        self.cancelled = False
        self.busy = False
        self.has_client = False

    def take_data_fd(self, descriptor: int) -> bool:
        self.taken.append(descriptor)
        return not self.has_client

    def shut_down(self) -> None:
        self.ended = True

    def cancel(self) -> None:
        self.cancelled = True


class Side:
    def __init__(self, bench: Bench) -> None:
        self.bench = bench
        self.transport = FakeTransport()
        self.channel = ControlChannel(bench.tpm, self.transport)

    def ask(self, text: str) -> str:
        return self.channel.feed(bytes.fromhex(text)).hex()


@pytest.fixture
def side(bench: Bench) -> Side:
    return Side(bench)


def test_capabilities_include_what_qemu_needs(side: Side) -> None:
    mask = int(side.ask("00000001"), 16)
    assert mask & NEEDED_BY_QEMU == NEEDED_BY_QEMU
    assert mask == 0x17FFF


def test_init_is_a_power_cycle(side: Side) -> None:
    assert side.ask("00000002 00000000") == "00000000"
    assert side.bench.tpm.post_init
    assert side.bench.tpm.running


def test_stop_and_shutdown_switch_off(side: Side) -> None:
    assert side.ask("0000000e") == "00000000"
    assert not side.bench.tpm.running
    assert not side.transport.ended
    assert side.ask("00000003") == "00000000"
    assert side.transport.ended


@pytest.mark.parametrize("request_", ["00000005 03", "00000005 03000000"])
def test_both_forms_of_set_locality(side: Side, request_: str) -> None:
    assert side.ask(request_) == "00000000"
    assert side.bench.tpm.locality == 3
    assert side.ask("00000004") == "0000000000000000"


def test_padding_that_comes_late_is_padding(side: Side) -> None:
    assert side.ask("00000005 02") == "00000000"
    assert side.ask("000000") == ""
    assert side.channel.deadline is None, "nothing is missing"
    assert side.ask("00000004") == "0000000000000000"


def test_requests_in_pieces_and_in_one_piece(side: Side) -> None:
    assert [side.ask(part) for part in ("00", "0000", "0200", "0000", "00")] == ["", "", "", "", "00000000"]
    assert side.ask("00000005 01000000 00000004 00000009") == "00000000" + "0000000000000000" + "00000000"


def test_localities_that_do_not_exist(side: Side) -> None:
    assert side.ask("00000005 05000000") == "0000003d"
    side.bench.tpm.highest_locality = 3
    assert side.ask("00000005 04000000") == "0000003d"


def test_locality_outlives_init_because_qemu_says_it_once(side: Side) -> None:
    side.ask("00000005 02000000")
    side.ask("00000002 00000000")
    assert side.bench.tpm.locality == 2


def test_the_established_flag(side: Side) -> None:
    assert [side.ask(code) for code in ("00000006", "00000007 00000003 616263", "00000008")] == [
        "00000000"
    ] * 3
    assert side.ask("00000004") == "0000000001000000"
    assert side.bench.pcr(17).hex() == "ccd5bd41458de644ac34a2478b58ff819bef5acf"
    assert side.ask("0000000b 00000000") == "0000003d"
    assert side.ask("0000000b 03") == "00000000"
    assert side.ask("00000004") == "0000000000000000"


@pytest.mark.parametrize(("request_", "code"), [("00000007 00000000", "0000001a"), ("00000008", "0000001a")])
def test_hash_requests_out_of_turn(side: Side, request_: str, code: str) -> None:
    assert side.ask(request_) == code
    side.ask("00000002 00000000")
    assert side.ask(request_) == "00000026"
    side.ask("0000000e")
    assert side.ask(request_) == "0000000a"


def test_buffer_size(side: Side) -> None:
    assert side.ask("00000011 00000000") == "00000000 00001000 00000c00 00001000".replace(" ", "")
    assert side.ask("00000011 00000c00") == "0000000a"
    side.ask("0000000e")
    for wanted, size in (("00000f80", "00000f80"), ("00000001", "00000c00"), ("ffffffff", "00001000")):
        assert side.ask("00000011" + wanted) == f"00000000{size}00000c0000001000"


def blob(side: Side, kind: int, offset: int = 0) -> tuple[int, int, bytes]:
    answer = bytes.fromhex(side.ask(f"0000000c 00000001 {kind:08x} {offset:08x}"))
    code, _flags, total, length = struct.unpack_from(">IIII", answer)
    assert length == len(answer) - 16
    return code, total, answer[16:]


def put(side: Side, kind: int, data: bytes, flags: int = 0) -> str:
    return side.ask(f"0000000d {flags:08x} {kind:08x} {len(data):08x}" + data.hex())


def test_a_snapshot_is_taken_and_restored_elsewhere(side: Side) -> None:
    bench = side.bench
    for body in ("0020", "0008"):
        bench.code(0x4000000A, body)
    bench.code(0x14, "00000007" + "11" * 20)
    nonce = bench.tpm.tick_nonce
    blobs = {kind: blob(side, kind) for kind in (1, 2)}
    assert blob(side, 3) == (0x800, 0, b"")
    assert blob(side, 2, offset=10)[2] == blobs[2][2][10:]

    other = Side(Bench())
    for kind, (code, total, data) in blobs.items():
        assert (code, total) == (0, len(data))
        assert put(other, kind, data) == "00000000"
    assert other.ask("00000002 00000001") == "00000000"
    assert other.bench.pcr(7) == bench.pcr(7)
    assert other.bench.tpm.stclear == bench.tpm.stclear
    assert other.bench.tpm.permanent == bench.tpm.permanent
    assert other.bench.tpm.tick_nonce == nonce
    assert other.bench.code(0x99, "0001") == Rc.INVALID_POSTINIT
    other.ask("00000002 00000000")
    assert other.bench.tpm.post_init, "the snapshot is used once"


def test_saved_state_travels_as_well(side: Side) -> None:
    side.bench.code(0x14, "00000007" + "11" * 20)
    value = side.bench.pcr(7)
    side.bench.code(0x98)
    saved = blob(side, 3)[2]
    other = Side(Bench())
    assert put(other, 3, saved) == "00000000"
    assert other.bench.start(kind=2) == Rc.SUCCESS
    assert other.bench.pcr(7) == value


def test_blobs_that_are_refused(side: Side) -> None:
    good = blob(side, 1)[2]
    assert put(side, 1, good) == "0000000a", "not while the TPM runs"
    side.ask("0000000e")
    before = dict(side.bench.store.content)
    for kind, data in ((1, good[:-1]), (2, good), (9, good), (1, b"")):
        assert put(side, kind, data) == "00000003"
    assert side.bench.store.content == before
    assert put(side, 1, good) == "00000000"


def test_unknown_kinds_of_state_are_absent(side: Side) -> None:
    assert blob(side, 9) == (0x800, 0, b"")


def test_stored_volatile_state_is_resumed(side: Side) -> None:
    side.bench.code(0x14, "00000007" + "11" * 20)
    value = side.bench.pcr(7)
    assert side.ask("0000000a") == "00000000"
    other = Side(Bench(side.bench.store))
    assert other.ask("00000002 00000000") == "00000000"
    assert other.bench.pcr(7) == value
    assert other.ask("00000002 00000001") == "00000000"
    assert Kind.VOLATILE not in side.bench.store.content


def test_descriptors(side: Side) -> None:
    assert side.ask("00000010") == "00000003"
    side.channel.descriptors = [41]
    assert side.ask("00000010") == "00000000"
    assert side.transport.taken == [41]
    side.channel.descriptors = [42]
    side.transport.has_client = True
    assert side.ask("00000010") == "0000001f"


def test_information(side: Side) -> None:
    answer = bytes.fromhex(side.ask("00000012 0000000000000003 00000000 00000000"))
    code, total, length = struct.unpack_from(">III", answer)
    assert (code, total) == (0, length)
    info = json.loads(answer[12:].rstrip(b"\0"))
    assert info["TPMSpecification"] == {"family": "1.2", "level": 2, "revision": 116}
    assert info["TPMAttributes"]["manufacturer"] == "id:" + b"BTPF".hex().upper()


def test_requests_without_effect(side: Side) -> None:
    assert side.ask("00000009") == "00000000"
    assert side.ask("0000000f") == "0000000000000000"
    assert side.ask("00000013 00000000") == "00000000"
    assert side.ask("000000ff 12345678") == "0000000a"
    assert side.ask("00000009") == "00000000"


def test_a_body_without_end_ends_the_connection(side: Side) -> None:
    with pytest.raises(ProtocolError):
        side.ask("00000007 7fffffff")


@settings(max_examples=300)
@given(
    st.lists(st.binary(max_size=40) | st.integers(1, 0x13).map(lambda code: code.to_bytes(4)), max_size=6)
)
def test_arbitrary_bytes(parts: list[bytes]) -> None:
    side = Side(Bench())
    try:
        for part in parts:
            side.channel.feed(part)
    except ProtocolError:
        return
    assert side.bench.tpm.execute(STARTUP_CLEAR)[:2] == b"\x00\xc4"


# whole requests, generated ----------------------------------------------------------------------------

_FIXED = {
    **dict.fromkeys((0x01, 0x03, 0x04, 0x06, 0x08, 0x09, 0x0A, 0x0E, 0x0F, 0x10), 0),
    **dict.fromkeys((0x02, 0x11, 0x13), 4),
    0x12: 16,
}
_NUMBER = st.sampled_from([0, 1, 2, 3, 4, 5, 48, 4096, 0xFFFFFFFF]).map(lambda number: number.to_bytes(4))
_CONTAINERS = st.builds(
    lambda kind, payload, cut: pack(kind, payload)[: cut or None],
    st.sampled_from(Kind),
    st.sampled_from([Permanent().encode(), b""]) | st.binary(max_size=60),
    st.integers(-3, 0),
)


def _plain(code: int, words: int) -> st.SearchStrategy[bytes]:
    numbers = st.lists(_NUMBER, min_size=words, max_size=words)
    return numbers.map(lambda content: code.to_bytes(4) + b"".join(content))


def _counted(body: bytes) -> bytes:
    return len(body).to_bytes(4) + body


REQUEST = st.one_of(
    *(_plain(code, size // 4) for code, size in _FIXED.items()),
    st.tuples(st.sampled_from([0x05, 0x0B]), st.integers(0, 255)).map(
        lambda pair: struct.pack(">IB3x", *pair)
    ),
    st.binary(max_size=300).map(lambda body: b"\0\0\0\x07" + _counted(body)),
    _plain(0x0C, 3),
    st.builds(
        lambda flags, kind, body: b"\0\0\0\x0d" + flags + kind + _counted(body),
        *(_NUMBER, _NUMBER, _CONTAINERS | st.binary(max_size=60)),
    ),
)


def _response_size(code: int, answers: bytes) -> int:
    """Return how long the response at the start is, from the layouts in QEMU's tpm_ioctl.h."""
    result = int.from_bytes(answers[:4])
    if code == 0x0C and result in (0, 0x800):
        return 16 + int.from_bytes(answers[12:16])
    if code == 0x12 and result == 0:
        return 12 + int.from_bytes(answers[8:12])
    if code == 0x11 and result == 0:
        return 16
    return 8 if code in (0x01, 0x04, 0x0F) else 4


@settings(max_examples=300)
@given(st.lists(REQUEST, max_size=12), st.lists(st.integers(1, 80), max_size=8))
def test_every_whole_request_has_one_whole_response(requests: list[bytes], cuts: list[int]) -> None:
    """However the bytes are cut; and the TPM answers commands after it."""
    side = Side(Bench())
    stream = b"".join(requests)
    answers = bytearray()
    for cut in [*cuts, len(stream)]:
        answers += side.channel.feed(stream[:cut])
        stream = stream[cut:]
        assert side.channel.paused or stream or side.channel.deadline is None
    while side.channel.paused:
        answers += side.channel.feed(b"")
    for sent in requests:
        size = _response_size(int.from_bytes(sent[:4]), bytes(answers))
        assert len(answers) >= size
        del answers[:size]
    assert not answers
    side.bench.tpm.power_on()
    assert side.bench.tpm.execute(STARTUP_CLEAR)[:2] == b"\x00\xc4"
