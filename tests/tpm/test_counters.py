# SPDX-License-Identifier: GPL-3.0-or-later
"""Monotonic counters (Part 3, 25)."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bootproof.tpm.codes import TpmError
from bootproof.tpm.limits import COUNTERS
from bootproof.tpm.structures.counters import Counters, incremented
from tests.tpm.client import admin, capability, ticks
from tests.tpm.client.capability import Prop
from tests.tpm.client.constants import OWNER, WELL_KNOWN, Code, Entity, Ord
from tests.tpm.client.prepared import OWNER_SECRET, Owned
from tests.tpm.client.subjects import Ours, Subject
from tests.tpm.client.ticks import Counter
from tests.tpm.client.tpm import Tpm, refused

pytest_plugins = ("tests.tpm.client.fixtures",)

SECRET = b"counter's 20 bytes.."
LABEL = b"boot"
NONE_ACTIVE = 0xFFFFFFFF
UNKNOWN = 100


def create(tpm: Tpm, label: bytes = LABEL) -> tuple[int, Counter]:
    return ticks.create_counter(tpm, OWNER_SECRET, label, SECRET)


def active(tpm: Tpm) -> int:
    return capability.number(tpm, Prop.ACTIVE_COUNTER)


def test_create_counter_starts_above_all_others(both_owned: Owned) -> None:
    tpm = both_owned.tpm
    first, value = create(tpm)
    assert value == Counter(LABEL, 1)
    for _ in range(3):
        ticks.increment_counter(tpm, SECRET, first)
    second, value = create(tpm, b"next")
    assert second != first
    assert value == ticks.read_counter(tpm, second) == Counter(b"next", 5)
    ticks.release_counter(tpm, SECRET, second)
    assert create(tpm)[1] == Counter(LABEL, 6)


def test_create_counter_until_there_is_no_room(both_owned: Owned) -> None:
    tpm = both_owned.tpm
    room = capability.number(tpm, Prop.COUNTERS)
    assert room == capability.number(tpm, Prop.MAX_COUNTERS)
    made = [create(tpm)[0] for _ in range(room)]
    assert len(set(made)) == room
    assert capability.number(tpm, Prop.COUNTERS) == 0
    with refused(Code.RESOURCES):
        create(tpm)
    ticks.release_counter(tpm, SECRET, made[1])
    assert create(tpm) == (made[1], Counter(LABEL, room + 1))


def test_create_counter_refuses(both_owned: Owned) -> None:
    tpm = both_owned.tpm
    with refused(Code.AUTHFAIL):
        ticks.create_counter(tpm, WELL_KNOWN, LABEL, SECRET)
    with refused(Code.BAD_MODE):
        tpm.call(Ord.CREATE_COUNTER, SECRET + LABEL, OWNER_SECRET)
    assert capability.number(tpm, Prop.COUNTERS) == capability.number(tpm, Prop.MAX_COUNTERS)


def test_create_counter_ends_the_session(both_owned: Owned) -> None:
    session = both_owned.tpm.osap(Entity.OWNER, OWNER, OWNER_SECRET)
    ticks.create_counter(both_owned.tpm, session, LABEL, SECRET)
    assert not session.open


def test_counters_without_an_owner(both: Subject) -> None:
    tpm = both.tpm
    auth = tpm.oiap(SECRET)
    with refused(Code.NOSRK):
        tpm.call(Ord.CREATE_COUNTER, SECRET + LABEL, auth)
    with refused(Code.NOSRK):
        ticks.increment_counter(tpm, SECRET, 0)
    with refused(Code.NOSRK):
        ticks.release_counter_owner(tpm, WELL_KNOWN, 0)
    with refused(Code.BAD_COUNTER):
        ticks.release_counter(tpm, SECRET, 0)
    with refused(Code.BAD_COUNTER):
        ticks.read_counter(tpm, 0)


def test_increment_counter(both_owned: Owned) -> None:
    tpm = both_owned.tpm
    number, _ = create(tpm)
    assert active(tpm) == NONE_ACTIVE
    assert ticks.increment_counter(tpm, SECRET, number) == Counter(LABEL, 2)
    assert active(tpm) == number
    session = tpm.osap(Entity.COUNTER, number, SECRET)
    assert ticks.increment_counter(tpm, session, number) == Counter(LABEL, 3)
    assert ticks.increment_counter(tpm, session, number) == ticks.read_counter(tpm, number)
    both_owned.subject.power_cycle()
    assert ticks.read_counter(tpm, number) == Counter(LABEL, 4)


def test_increment_counter_refuses(both_owned: Owned) -> None:
    tpm = both_owned.tpm
    number, _ = create(tpm)
    with refused(Code.AUTHFAIL):
        ticks.increment_counter(tpm, WELL_KNOWN, number)
    with refused(Code.BAD_COUNTER):
        ticks.increment_counter(tpm, SECRET, UNKNOWN)
    with refused(Code.BAD_COUNTER):
        tpm.osap(Entity.COUNTER, UNKNOWN, SECRET)
    assert active(tpm) == NONE_ACTIVE
    assert ticks.read_counter(tpm, number).count == 1


def test_increment_counter_only_one_between_two_starts(both_owned: Owned) -> None:
    tpm = both_owned.tpm
    first, second = create(tpm)[0], create(tpm)[0]
    ticks.increment_counter(tpm, SECRET, second)
    with refused(Code.BAD_COUNTER):
        ticks.increment_counter(tpm, SECRET, first)
    admin.save_state(tpm)
    both_owned.subject.power_cycle(admin.Startup.STATE)
    with refused(Code.BAD_COUNTER):
        ticks.increment_counter(tpm, SECRET, first)
    ticks.increment_counter(tpm, SECRET, second)
    both_owned.subject.power_cycle()
    assert active(tpm) == NONE_ACTIVE
    ticks.increment_counter(tpm, SECRET, first)


def test_increment_counter_only_one_in_a_snapshot_too(ours_owned: Owned) -> None:
    tpm = ours_owned.tpm
    first, second = create(tpm)[0], create(tpm)[0]
    ticks.increment_counter(tpm, SECRET, second)
    assert isinstance(ours_owned.subject, Ours)
    emulator = ours_owned.subject.emulator
    snapshot = emulator.snapshot()
    emulator.power_off()
    emulator.power_on(type(snapshot).decode(snapshot.encode()))
    with refused(Code.BAD_COUNTER):
        ticks.increment_counter(tpm, SECRET, first)


def test_release_counter(both_owned: Owned) -> None:
    tpm = both_owned.tpm
    number, _ = create(tpm)
    session = tpm.osap(Entity.COUNTER, number, SECRET)
    with refused(Code.AUTHFAIL):
        ticks.release_counter(tpm, WELL_KNOWN, number)
    ticks.release_counter(tpm, SECRET, number)
    with refused(Code.BAD_COUNTER):
        ticks.read_counter(tpm, number)
    again, _ = create(tpm)
    assert again == number
    with refused(Code.INVALID_AUTHHANDLE):
        ticks.increment_counter(tpm, session, again)


def test_release_counter_with_its_own_session(both_owned: Owned) -> None:
    tpm = both_owned.tpm
    number, _ = create(tpm)
    session = tpm.osap(Entity.COUNTER, number, SECRET)
    ticks.release_counter(tpm, session, number)
    assert not session.open


@pytest.mark.parametrize("by_owner", [True, False])
def test_release_counter_that_was_incremented_stops_all_until_the_next_start(
    both_owned: Owned, by_owner: bool
) -> None:
    tpm = both_owned.tpm
    first, second = create(tpm)[0], create(tpm)[0]
    ticks.increment_counter(tpm, SECRET, first)
    if by_owner:
        ticks.release_counter_owner(tpm, OWNER_SECRET, first)
    else:
        ticks.release_counter(tpm, SECRET, first)
    assert active(tpm) == NONE_ACTIVE
    with refused(Code.BAD_COUNTER):
        ticks.increment_counter(tpm, SECRET, second)
    both_owned.subject.power_cycle()
    ticks.increment_counter(tpm, SECRET, second)


def test_release_counter_owner(both_owned: Owned) -> None:
    tpm = both_owned.tpm
    number, _ = create(tpm)
    with refused(Code.AUTHFAIL):
        ticks.release_counter_owner(tpm, SECRET, number)
    with refused(Code.BAD_COUNTER):
        ticks.release_counter_owner(tpm, OWNER_SECRET, UNKNOWN)
    ticks.release_counter_owner(tpm, OWNER_SECRET, number)
    with refused(Code.BAD_COUNTER):
        ticks.read_counter(tpm, number)


def test_counters_go_with_the_owner_but_not_their_highest_value() -> None:
    counters = Counters()
    counters = counters.put(counters.new(SECRET, LABEL))
    counters = counters.put(incremented(counters.get(0)))
    left = counters.owner_cleared()
    assert left.free == COUNTERS
    assert left.new(SECRET, LABEL).count == 3


def test_counters_end_at_the_highest_number() -> None:
    counter = replace(Counters().new(SECRET, LABEL), count=0xFFFFFFFE)
    full = Counters().put(incremented(counter))
    with pytest.raises(TpmError):
        incremented(full.get(0))
    with pytest.raises(TpmError):
        full.new(SECRET, LABEL)


@given(data=st.binary(max_size=120))
def test_counters_of_any_bytes(data: bytes) -> None:
    try:
        counters = Counters.decode(data)
    except TpmError:
        return
    assert counters.encode() == data
