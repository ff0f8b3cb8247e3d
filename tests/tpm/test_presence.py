# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import itertools

import pytest

from bootproof.tpm.codes import Rc
from tests.tpm.conftest import Bench

PRESENCE, RESET_BIT = 0x4000000A, 0x4000000B
OK, BAD = Rc.SUCCESS, Rc.BAD_PARAMETER


def tell(bench: Bench, *values: int) -> list[int]:
    return [bench.code(PRESENCE, value.to_bytes(2)) for value in values]


def test_it_must_be_enabled_first(bench: Bench) -> None:
    assert tell(bench, 0x08, 0x10, 0x04, 0x14) == [BAD] * 4
    assert tell(bench, 0x20, 0x08) == [OK, OK]
    assert bench.tpm.stclear.physical_presence
    assert tell(bench, 0x10) == [OK]
    assert not bench.tpm.stclear.physical_presence


def test_the_lock_holds_until_the_next_start(bench: Bench) -> None:
    assert tell(bench, 0x20, 0x08, 0x14, 0x08, 0x10, 0x14) == [OK, OK, OK, BAD, BAD, BAD]
    assert bench.tpm.stclear.physical_presence_lock
    assert not bench.tpm.stclear.physical_presence
    bench.start()
    assert tell(bench, 0x08) == [OK]


def test_the_lifetime_lock_holds_for_ever(bench: Bench) -> None:
    assert tell(bench, 0x20 | 0x80, 0x20, 0x100, 0x40, 0x200, 0x80) == [OK, BAD, BAD, BAD, BAD, BAD]
    again = Bench(bench.store)
    again.start()
    assert tell(again, 0x100, 0x08, 0x10) == [BAD, OK, OK]


def test_settings(bench: Bench) -> None:
    assert tell(bench, 0x60) == [OK]
    assert bench.tpm.permanent.flags.presence_hw_enable
    assert tell(bench, 0x300) == [OK]
    flags = bench.tpm.permanent.flags
    assert not flags.presence_hw_enable
    assert not flags.presence_cmd_enable
    assert tell(bench, 0x08) == [BAD]


@pytest.mark.parametrize(
    "value", [0, 0x01, 0x09, 0x11, 0x0C, 0x18, 0x1C, 0x28, 0x30, 0x120, 0x240, 0x400, 0x8000]
)
def test_contradictions_and_unknown_bits(bench: Bench, value: int) -> None:
    tell(bench, 0x20)
    before = bench.tpm.permanent, bench.tpm.stclear
    assert tell(bench, value) == [BAD]
    assert (bench.tpm.permanent, bench.tpm.stclear) == before


def test_every_value_gets_one_of_two_answers(bench: Bench) -> None:
    for value in itertools.chain(range(0x400), range(0x400, 0x10000, 0x3F7)):
        assert tell(bench, value)[0] in (OK, BAD)


def test_what_is_set_already_is_not_written_again(bench: Bench) -> None:
    tell(bench, 0x20, 0x20, 0x20)
    assert bench.store.writes == 1


@pytest.mark.parametrize(("locality", "code"), [(0, 0x3D), (1, 0x3D), (2, 0x3D), (3, 0), (4, 0)])
def test_the_establishment_bit_is_reset_from_trusted_localities(
    bench: Bench, locality: int, code: int
) -> None:
    bench.tpm.commit_flags(established=True)
    bench.tpm.locality = locality
    assert bench.code(RESET_BIT) == code
    assert bench.tpm.permanent.flags.established == bool(code)
