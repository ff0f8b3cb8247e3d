# SPDX-License-Identifier: GPL-3.0-or-later
"""Commands other than GetCapability and physical presence; test_swtpm.py compares the codes with swtpm's."""

from __future__ import annotations

import hashlib
import struct
import time
from dataclasses import replace
from typing import cast

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bootproof.tpm import launch
from bootproof.tpm.codes import Rc
from bootproof.tpm.commands.table import COMMANDS
from tests.tpm.client import admin, signing
from tests.tpm.client.prepared import USAGE, Owned
from tests.tpm.client.subjects import Ours, Subject
from tests.tpm.client.tpm import refused
from tests.tpm.conftest import Bench, MemoryStore, request

pytest_plugins = ("tests.tpm.client.fixtures",)

ZEROS, ONES, DIGEST = bytes(20), b"\xff" * 20, b"\x22" * 20
EXTEND, PCR_READ, PCR_RESET, STARTUP, SAVE = 0x14, 0x15, 0xC8, 0x99, 0x98


def extend(bench: Bench, index: int, digest: bytes = DIGEST) -> int:
    return bench.code(EXTEND, struct.pack(">I", index) + digest)


def selection(*indices: int) -> bytes:
    return b"\0\3" + sum(1 << index for index in indices).to_bytes(3, "little")


class TestFrames:
    def test_a_tpm_without_power_answers_fail_to_anything(self) -> None:
        bench = Bench()
        for bytes_ in (b"", b"\0", request(0xF1), bytes.fromhex("80010000000a00000181")):
            assert bench.tpm.execute(bytes_).hex() == "00c40000000a00000009"

    def test_a_tpm2_probe_gets_a_tpm12_error(self, bench: Bench) -> None:
        probe = bytes.fromhex("8001000000160000017a000000060000012900000001")
        assert bench.tpm.execute(probe).hex() == "00c40000000a0000000a"

    @pytest.mark.parametrize(
        "text", ["", "00c1", "00c10000000a000000", "00c10000000b00000050", "00c1ffffffff00000050"]
    )
    def test_lengths_that_do_not_match(self, bench: Bench, text: str) -> None:
        assert bench.tpm.execute(bytes.fromhex(text)).hex() == "00c40000000a00000019"

    def test_a_command_longer_than_the_buffer(self, bench: Bench) -> None:
        bench.tpm.buffer_size = 3072
        assert bench.code(0x47, struct.pack(">I", 3058) + bytes(3058)) == Rc.SUCCESS
        assert bench.code(0x47, struct.pack(">I", 3059) + bytes(3059)) == Rc.BAD_PARAM_SIZE

    @pytest.mark.parametrize("tag", [0x0000, 0x00C2, 0x00C3, 0x00C4, 0x8001])
    def test_wrong_tags(self, bench: Bench, tag: int) -> None:
        assert bench.code(0x50, tag=tag) == Rc.BADTAG

    @pytest.mark.parametrize("ordinal", sorted(COMMANDS))
    def test_a_byte_too_many(self, bench: Bench, ordinal: int) -> None:
        row = COMMANDS[ordinal]
        body = bytes(60) if row.plain else bytes(2000 + 45 * row.auths[-1])
        malformed = Rc.BAD_PARAM_SIZE, Rc.BAD_PARAMETER, Rc.INVALID_STRUCTURE, Rc.BAD_KEY_PROPERTY
        expected = (Rc.NOSRK,) if row.needs_owner else malformed
        assert bench.code(ordinal, body, tag=0x00C1 + row.auths[-1]) in expected

    def test_an_unforeseen_fault_ends_the_command_not_the_process(self, bench: Bench) -> None:
        bench.tpm.pcrs.values = []
        assert bench.code(PCR_READ, "00000000") == Rc.FAIL

    @settings(max_examples=400)
    @given(st.binary(max_size=80))
    def test_arbitrary_bytes(self, data: bytes) -> None:
        answer = _SHARED.tpm.execute(data)
        assert answer[:2] == b"\x00\xc4"
        assert int.from_bytes(answer[2:6]) == len(answer) <= 4096

    @settings(max_examples=400)
    @given(
        ordinal=st.sampled_from(sorted(COMMANDS)), body=st.binary(max_size=300), locality=st.integers(0, 4)
    )
    def test_arbitrary_parameters(self, ordinal: int, body: bytes, locality: int) -> None:
        _SHARED.tpm.locality = locality
        if _SHARED.tpm.failed or _SHARED.tpm.post_init:
            _SHARED.start()
        code, parameters = _SHARED.ask(ordinal, body)
        assert code in set(Rc)
        assert code != Rc.FAIL
        assert len(parameters) <= 4086


_SHARED = Bench()
_SHARED.start()


class TestStartup:
    @pytest.mark.parametrize("ordinal", sorted(set(COMMANDS) - {STARTUP}))
    def test_everything_else_must_wait_for_it(self, ordinal: int) -> None:
        bench = Bench()
        bench.tpm.power_on()
        assert bench.code(ordinal) == Rc.INVALID_POSTINIT

    def test_only_once(self, bench: Bench) -> None:
        assert bench.code(STARTUP, "0001") == Rc.INVALID_POSTINIT
        assert bench.code(STARTUP, "00") == Rc.BAD_PARAM_SIZE

    def test_an_unknown_type_changes_nothing(self) -> None:
        bench = Bench()
        assert bench.start(kind=5) == Rc.BAD_PARAMETER
        assert bench.code(STARTUP, "0001") == Rc.SUCCESS

    def test_pcrs_of_a_new_start(self, bench: Bench) -> None:
        extend(bench, 3)
        bench.start()
        for index in range(24):
            assert bench.pcr(index) == (ONES if 17 <= index <= 22 else ZEROS)

    def test_deactivated(self, bench: Bench) -> None:
        assert bench.start(kind=3) == Rc.SUCCESS
        assert bench.ask(0x65, "00000004 00000004 00000109")[1].hex() == "00000007" + "00200100000000"
        for ordinal in (0xF1, PCR_READ, 0x46, 0x47):
            assert bench.code(ordinal, "00000000" if ordinal == PCR_READ else b"") == Rc.DEACTIVATED
        assert bench.ask(EXTEND, bytes(4) + DIGEST) == (Rc.SUCCESS, ZEROS)
        assert bench.tpm.pcrs.values[0] == hashlib.sha1(ZEROS + DIGEST).digest()
        for ordinal in (0x50, 0x53, 0x54, SAVE, 0xA0):
            assert bench.code(ordinal) == Rc.SUCCESS
        assert bench.start(kind=1) == Rc.SUCCESS
        assert bench.code(0xF1) == Rc.SUCCESS

    def test_a_disabled_tpm(self, bench: Bench) -> None:
        bench.tpm.commit_flags(disable=True)
        assert bench.code(PCR_READ, "00000000") == Rc.DISABLED
        assert bench.ask(EXTEND, bytes(4) + DIGEST) == (Rc.SUCCESS, ZEROS)
        assert bench.code(0x65, "00000006 00000000") == Rc.SUCCESS


class TestSavedState:
    def test_pcrs_and_flags_come_back_those_that_can_be_reset_do_not(self, bench: Bench) -> None:
        for index in (0, 15, 16, 23):
            assert extend(bench, index) == Rc.SUCCESS
        bench.code(0x4000000A, "0020")
        bench.code(0x4000000A, "0008")
        assert bench.code(SAVE) == Rc.SUCCESS
        again = Bench(bench.store)
        assert again.start(kind=2) == Rc.SUCCESS
        expected = hashlib.sha1(ZEROS + DIGEST).digest()
        assert [again.pcr(index) for index in (0, 15, 16, 23)] == [expected, expected, ZEROS, ZEROS]
        assert again.pcr(17) == ONES
        assert again.tpm.stclear.physical_presence

    def test_it_can_be_used_once(self, bench: Bench) -> None:
        bench.code(SAVE)
        assert bench.start(kind=2) == Rc.SUCCESS
        assert bench.start(kind=2) == Rc.FAILEDSELFTEST

    @pytest.mark.parametrize("body", ["00000000", "00"])
    def test_any_other_command_gives_it_up(self, bench: Bench, body: str) -> None:
        bench.code(SAVE)
        bench.code(SAVE)
        bench.code(PCR_READ, body)
        assert bench.start(kind=2) == Rc.FAILEDSELFTEST

    def test_a_failed_tpm_says_who_it_is_and_no_more(self, bench: Bench) -> None:
        assert bench.start(kind=2) == Rc.FAILEDSELFTEST
        for sub in ("00000006 00000000", "0000001a 00000000", "00000005 00000004 00000103"):
            assert bench.code(0x65, sub) == Rc.SUCCESS
        for sub in ("00000001 00000004 00000014", "00000005 00000004 00000101", "00000010 00000000"):
            assert bench.code(0x65, sub) == Rc.FAILEDSELFTEST
        assert bench.ask(0x54)[1][4:] == b"failed"
        for ordinal in set(COMMANDS) - {0x54, 0x65, STARTUP}:
            assert bench.code(ordinal) == Rc.FAILEDSELFTEST
        assert bench.code(STARTUP, "0001") == Rc.INVALID_POSTINIT
        assert bench.start() == Rc.SUCCESS
        assert bench.ask(0x54)[1][4:] == b"passed"


class TestSelfTests:
    def test_self_test_full_tries_the_endorsement_key(self, ours_owned: Owned) -> None:
        admin.self_test_full(ours_owned.tpm)
        admin.continue_self_test(ours_owned.tpm)
        assert admin.get_test_result(ours_owned.tpm) == b"passed"
        emulator = cast("Ours", ours_owned.subject).emulator
        assert emulator.permanent.ek is not None
        broken = replace(emulator.permanent.ek.key, public=b"\xc1" * 256)
        emulator.permanent = replace(emulator.permanent, ek=replace(emulator.permanent.ek, key=broken))
        admin.continue_self_test(ours_owned.tpm)
        for again in (admin.self_test_full, admin.continue_self_test):
            with refused(Rc.FAILEDSELFTEST):
                again(ours_owned.tpm)
        assert admin.get_test_result(ours_owned.tpm) == b"failed"

    @pytest.mark.parametrize("ordinal", [0x50, 0x53])
    def test_hashes_that_are_wrong_are_noticed(
        self, bench: Bench, monkeypatch: pytest.MonkeyPatch, ordinal: int
    ) -> None:
        monkeypatch.setattr("bootproof.tpm.selftest._HMAC_DATA", b"other data")
        assert bench.code(ordinal) == Rc.FAILEDSELFTEST
        assert bench.code(PCR_READ, bytes(4)) == Rc.FAILEDSELFTEST


def test_startup_state_brings_keys_and_sessions_back(both_owned: Owned) -> None:
    """As GetCapability(STARTUP_EFFECT) says."""
    tpm, key = both_owned.tpm, both_owned.signing()
    session = tpm.oiap(USAGE)
    admin.save_state(tpm)
    both_owned.subject.power_cycle(admin.Startup.STATE)
    signing.sign(tpm, session, key, DIGEST)
    both_owned.subject.power_cycle()
    with refused(Rc.INVALID_KEYHANDLE):
        signing.sign(tpm, USAGE, key, DIGEST)


def test_reset_ends_authorisation_sessions(both: Subject) -> None:
    session = both.tpm.oiap()
    admin.reset(both.tpm)
    assert both.tpm.code(0xBA, struct.pack(">II", session.handle, 2)) == Rc.INVALID_AUTHHANDLE


class TestPcrs:
    def test_extend(self, bench: Bench) -> None:
        expected = hashlib.sha1(ZEROS + DIGEST).digest()
        assert bench.ask(EXTEND, bytes(4) + DIGEST) == (Rc.SUCCESS, expected)
        assert bench.pcr(0) == expected

    @pytest.mark.parametrize("ordinal", [EXTEND, PCR_READ])
    def test_pcrs_that_do_not_exist(self, bench: Bench, ordinal: int) -> None:
        for index in (24, 255, 0xFFFFFFFF):
            body = struct.pack(">I", index) + (DIGEST if ordinal == EXTEND else b"")
            assert bench.code(ordinal, body) == Rc.BADINDEX

    @pytest.mark.parametrize(
        ("locality", "extendable", "resettable"),
        [
            (0, set(), set()),
            (1, {20}, set()),
            (2, {17, 18, 19, 20, 21, 22}, {20, 21, 22}),
            (3, {17, 18, 19, 20}, set()),
            (4, {17, 18}, {17, 18, 19, 20}),
        ],
    )
    def test_dynamic_pcrs(
        self, bench: Bench, locality: int, extendable: set[int], resettable: set[int]
    ) -> None:
        bench.tpm.locality = locality
        for index in range(17, 23):
            assert extend(bench, index) == (Rc.SUCCESS if index in extendable else Rc.BAD_LOCALITY)
            code = bench.code(PCR_RESET, selection(index))
            assert code == (Rc.SUCCESS if index in resettable else Rc.NOTLOCAL)
            if index in resettable:
                assert bench.pcr(index) == ONES
        for index in (16, 23):
            assert extend(bench, index) == Rc.SUCCESS
            assert bench.code(PCR_RESET, selection(index)) == Rc.SUCCESS
            assert bench.pcr(index) == ZEROS
        for index in range(16):
            assert bench.code(PCR_RESET, selection(index)) == Rc.NOTRESETABLE

    def test_a_reset_is_all_or_nothing(self, bench: Bench) -> None:
        extend(bench, 16)
        for other, code in ((15, Rc.NOTRESETABLE), (17, Rc.NOTLOCAL)):
            assert bench.code(PCR_RESET, selection(16, other)) == code
            assert bench.pcr(16) != ZEROS

    @pytest.mark.parametrize("body", ["0000", "00020000", "0003000000", "000400000001"])
    def test_selections_that_select_nothing(self, bench: Bench, body: str) -> None:
        assert bench.code(PCR_RESET, body) == Rc.INVALID_PCR_INFO


class TestDynamicLaunch:
    def test_it_fills_pcr_17(self, bench: Bench) -> None:
        launch.hash_start(bench.tpm)
        assert [bench.pcr(index) for index in (16, 17, 22)] == [ZEROS] * 3
        launch.hash_data(bench.tpm, b"ab")
        launch.hash_data(bench.tpm, b"c")
        launch.hash_end(bench.tpm)
        assert bench.pcr(17) == hashlib.sha1(ZEROS + hashlib.sha1(b"abc").digest()).digest()
        assert bench.pcr(18) == ZEROS
        assert bench.tpm.permanent.flags.established
        bench.tpm.locality = 2
        assert extend(bench, 17) == Rc.SUCCESS
        bench.tpm.locality = 4
        assert bench.code(PCR_RESET, selection(19)) == Rc.SUCCESS
        assert bench.pcr(19) == ZEROS

    def test_until_it_has_filled_pcr_17_nobody_else_can(self, bench: Bench) -> None:
        """PC Client TIS 1.3, 7.2: nobody must make it look as if a launch had measured something else."""
        launch.hash_start(bench.tpm)
        for locality in (2, 3):
            bench.tpm.locality = locality
            assert extend(bench, 17) == Rc.BAD_LOCALITY
            assert extend(bench, 18) == Rc.SUCCESS
        bench.tpm.locality = 4
        assert extend(bench, 17) == Rc.SUCCESS


class TestRandomAndHashes:
    def test_random_bytes_are_random_and_fit(self, bench: Bench) -> None:
        first, second = (bench.ask(0x46, "00000020")[1] for _ in range(2))
        assert len(first) == 36
        assert first[4:] != second[4:]
        assert bench.ask(0x46, "00000000") == (Rc.SUCCESS, bytes(4))
        assert len(bench.ask(0x46, "ffffffff")[1]) == 4086

    def test_stirring(self, bench: Bench) -> None:
        assert bench.code(0x47, "00000002 aabb") == Rc.SUCCESS
        assert bench.code(0x47, "00000003 aabb") == Rc.BAD_PARAM_SIZE

    def test_sha1_of_several_parts(self, bench: Bench) -> None:
        assert bench.ask(0xA0) == (Rc.SUCCESS, struct.pack(">I", 4032))
        assert bench.code(0xA1, struct.pack(">I", 128) + bytes(128)) == Rc.SUCCESS
        assert bench.ask(0xA2, "00000003 616263") == (Rc.SUCCESS, hashlib.sha1(bytes(128) + b"abc").digest())
        assert bench.code(0xA2, "00000000") == Rc.SHA_THREAD

    def test_complete_and_extend(self, bench: Bench) -> None:
        bench.code(0xA0)
        value = hashlib.sha1(b"abc").digest()
        answer = bench.ask(0xA3, "00000008 00000003 616263")
        assert answer == (Rc.SUCCESS, value + hashlib.sha1(ZEROS + value).digest())

    @pytest.mark.parametrize(
        ("ordinal", "body", "code"),
        [
            (0xA1, struct.pack(">I", 65) + bytes(65), Rc.SHA_ERROR),
            (0xA2, struct.pack(">I", 65) + bytes(65), Rc.SHA_ERROR),
            (0xA3, bytes.fromhex("00000018 00000000"), Rc.BADINDEX),
            (0xA3, bytes.fromhex("00000011 00000000"), Rc.BAD_LOCALITY),
            (PCR_READ, bytes(4), Rc.SUCCESS),
        ],
    )
    def test_what_ends_the_thread(self, bench: Bench, ordinal: int, body: bytes, code: Rc) -> None:
        bench.code(0xA0)
        assert bench.code(ordinal, body) == code
        assert bench.code(0xA1, bytes(4)) == Rc.SHA_THREAD


class TestTicks:
    def test_they_count_microseconds_under_a_nonce_for_each_start(self, bench: Bench) -> None:
        def ticks() -> tuple[int, bytes]:
            code, body = bench.ask(0xF1)
            tag, count, rate, nonce = struct.unpack(">HQH20s", body)
            assert (code, tag, rate) == (Rc.SUCCESS, 0x14, 1)
            return count, nonce

        count, nonce = ticks()
        time.sleep(0.02)
        later, same = ticks()
        assert later - count >= 20_000
        assert same == nonce
        bench.start()
        assert ticks()[1] != nonce


class TestFlush:
    @pytest.mark.parametrize(
        ("resource", "code"),
        [
            (1, Rc.BAD_PARAMETER),
            (2, Rc.INVALID_AUTHHANDLE),
            (4, Rc.INVALID_AUTHHANDLE),
            (3, Rc.INVALID_RESOURCE),
        ],
    )
    def test_there_is_nothing_to_flush(self, bench: Bench, resource: int, code: Rc) -> None:
        assert bench.code(0xBA, struct.pack(">II", 1, resource)) == code


class TestPermanentState:
    def test_volatile_commands_write_nothing(self, bench: Bench) -> None:
        extend(bench, 1)
        for ordinal in (0x50, 0x53, 0x54, 0xF1, 0xA0):
            bench.code(ordinal)
        bench.start()
        assert bench.store.writes == 0

    def test_a_full_disk_leaves_the_tpm_as_it_was(self) -> None:
        store = MemoryStore()
        bench = Bench(store)
        bench.start()
        store.failing = True
        assert bench.code(SAVE) == Rc.IOERROR
        assert bench.code(0x4000000A, "0020") == Rc.IOERROR
        assert not bench.tpm.permanent.flags.presence_cmd_enable
        store.failing = False
        assert bench.code(0x4000000A, "0020") == Rc.SUCCESS
        assert Bench(store).tpm.permanent.flags.presence_cmd_enable
