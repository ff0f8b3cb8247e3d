# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import struct

import pytest

from bootproof.tpm.codes import Rc
from bootproof.tpm.commands.table import COMMANDS
from tests.tpm.client import admin, keys, nv, owner
from tests.tpm.client.capability import Cap, Prop, get_capability, handles, number
from tests.tpm.client.constants import Code, Resource
from tests.tpm.client.prepared import OWNER_SECRET, Owned
from tests.tpm.client.subjects import Ours, Subject
from tests.tpm.client.tpm import refused
from tests.tpm.client.wire import u16, u32
from tests.tpm.conftest import Bench

pytest_plugins = ("tests.tpm.client.fixtures",)


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
        (0x18, "01010002", "01"),
        (0x18, "01010003", "00"),
        (0x18, "01020003", "01"),
        (0x18, "01020004", "00"),
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


LIVE = [Prop.KEYS, Prop.AUTHSESS, Prop.TRANSESS, Prop.SESSIONS, Prop.OWNER, Prop.CONTEXT, Prop.COUNTERS]


def test_get_capability_properties_follow_the_state(both_owned: Owned) -> None:
    tpm = both_owned.tpm
    before = [number(tpm, prop) for prop in LIVE]
    assert before == [20, 16, 16, 32, 1, 128, 8]
    both_owned.signing()
    tpm.oiap()
    assert [number(tpm, prop) for prop in LIVE] == [19, 15, 16, 31, 1, 128, 8]


def test_get_capability_lists_of_handles(both_owned: Owned) -> None:
    tpm = both_owned.tpm
    key, session = both_owned.signing(), tpm.oiap()
    assert handles(tpm) == handles(tpm, Resource.KEY) == [key]
    assert handles(tpm, Resource.AUTH) == [session.handle]
    for empty in (Resource.TRANS, Resource.CONTEXT, Resource.COUNTER, Resource.DAA_TPM):
        assert handles(tpm, empty) == []
    for other in (Resource.HASH, Resource.DELEGATE, 0, 99):
        with refused(Code.BAD_PARAMETER):
            handles(tpm, other)


def test_get_capability_key_status(both_owned: Owned) -> None:
    tpm, key = both_owned.tpm, both_owned.signing()
    assert get_capability(tpm, Cap.KEY_STATUS, u32(key)) == b"\0"
    with refused(Code.INVALID_KEYHANDLE):
        get_capability(tpm, Cap.KEY_STATUS, u32(key ^ 1))


def test_get_capability_check_loaded_says_when_all_slots_are_taken(ours_owned: Owned) -> None:
    tpm = ours_owned.tpm
    parms = bytes.fromhex("00000001 0003 0001 0000000c 00000800 00000002 00000000")
    for _ in range(20):
        assert get_capability(tpm, Cap.CHECK_LOADED, parms) == b"\1"
        last = ours_owned.signing()
    assert get_capability(tpm, Cap.CHECK_LOADED, parms) == b"\0"
    keys.flush_specific(tpm, last, Resource.KEY)
    assert get_capability(tpm, Cap.CHECK_LOADED, parms) == b"\1"


@pytest.mark.parametrize(
    ("area", "size", "known"),
    [
        (Cap.ALG, 4, {1}),
        (Cap.PID, 2, {1, 2, 3, 4, 5, 6, 7}),
        (Cap.SYM_MODE, 4, set()),
        (Cap.TRANS_ALG, 4, {6, 7}),
        (Cap.TRANS_ES, 2, {4, 5}),
        (Cap.AUTH_ENCRYPT, 4, {6, 10}),
    ],
)
def test_get_capability_of_algorithms(both: Subject, area: Cap, size: int, known: set[int]) -> None:
    found = {value for value in range(16) if get_capability(both.tpm, area, value.to_bytes(size)) == b"\1"}
    assert found == known
    with refused(Code.BAD_MODE):
        get_capability(both.tpm, area, bytes(3))


def test_get_capability_nv(both_owned: Owned) -> None:
    tpm = both_owned.tpm
    nv.define_space(tpm, OWNER_SECRET, nv.NvPublic(0x21, nv.Nv.OWNER_WRITE, 5))
    assert get_capability(tpm, Cap.NV_LIST) == u32(0x21)
    assert nv.NvPublic.decode(get_capability(tpm, Cap.NV_INDEX, u32(0x21))).size == 5
    with refused(Code.BADINDEX):
        get_capability(tpm, Cap.NV_INDEX, u32(0x22))


def test_get_capability_owner(both_owned: Owned) -> None:
    """The version is the vendor's; of the flags, the first is the lowest bit."""
    tpm = both_owned.tpm
    found = owner.get_capability_owner(tpm, OWNER_SECRET)
    flags = get_capability(tpm, Cap.FLAG, u32(0x108))[2:]
    assert found.permanent_flags == sum(value << bit for bit, value in enumerate(flags))
    assert found.permanent_flags & 0b1111 == 0b0010
    assert (found.version[:2], found.volatile_flags) == (b"\1\2", 0)
    owner.disable_force_clear(tpm)
    assert owner.get_capability_owner(tpm, OWNER_SECRET).volatile_flags == 2
    with refused(Code.AUTHFAIL):
        owner.get_capability_owner(tpm, b"x" * 20)


def test_get_capability_da_logic_of_any_entity(both: Subject) -> None:
    for sub in (b"", u16(1), u16(2), u32(4)):
        answer = get_capability(both.tpm, Cap.DA_LOGIC, sub)
        assert answer.hex() == "0037000000000500390000000100000000" + "00000000"


def test_get_capability_flags_of_a_tpm_that_is_off(ours: Ours) -> None:
    admin.assert_presence(ours.tpm)
    admin.physical_disable(ours.tpm)
    assert get_capability(ours.tpm, Cap.FLAG, u32(0x108))[2] == 1
    assert number(ours.tpm, Prop.PCR) == 24
