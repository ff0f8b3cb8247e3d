# SPDX-License-Identifier: GPL-3.0-or-later
"""The locks of NV areas (Part 3, 20.2 to 20.5)."""

from __future__ import annotations

from collections.abc import Callable

from tests.tpm.areas import AREA, OTHER, SECRET, owned_area
from tests.tpm.client import admin, capability, nv
from tests.tpm.client.constants import Code
from tests.tpm.client.nv import Nv, NvPublic
from tests.tpm.client.prepared import OWNER_SECRET, Owned
from tests.tpm.client.subjects import Ours
from tests.tpm.client.tpm import refused

pytest_plugins = ("tests.tpm.client.fixtures",)


def test_nv_write_all(both_owned: Owned) -> None:
    tpm = owned_area(both_owned, Nv.OWNER_WRITE | Nv.WRITE_ALL, 4)
    for data in (b"123", b"1"):
        with refused(Code.NOT_FULLWRITE):
            nv.write_value(tpm, OWNER_SECRET, AREA, data)
    with refused(Code.NOSPACE):
        nv.write_value(tpm, OWNER_SECRET, AREA, b"123", offset=2)
    nv.write_value(tpm, OWNER_SECRET, AREA, b"1234")


def test_nv_write_define_locks_until_the_area_is_defined_again(both_owned: Owned) -> None:
    tpm = owned_area(both_owned, Nv.OWNER_WRITE | Nv.WRITE_DEFINE)
    nv.write_value(tpm, OWNER_SECRET, AREA, b"data")
    nv.write_value(tpm, OWNER_SECRET, AREA, b"")
    both_owned.subject.power_cycle()
    assert capability.nv_index(tpm, AREA).defined
    with refused(Code.AREA_LOCKED):
        nv.write_value(tpm, OWNER_SECRET, AREA, b"x")
    assert nv.read_value(tpm, None, AREA, 4) == b"data"
    nv.define_space(tpm, OWNER_SECRET, NvPublic(AREA, Nv.OWNER_WRITE | Nv.WRITE_DEFINE, 8, defined=True))
    assert not capability.nv_index(tpm, AREA).defined
    nv.write_value(tpm, OWNER_SECRET, AREA, b"x")


def test_nv_write_stclear_locks_until_the_next_start(both_owned: Owned) -> None:
    tpm = owned_area(both_owned, Nv.OWNER_WRITE | Nv.WRITE_ST_CLEAR)
    nv.write_value(tpm, OWNER_SECRET, AREA, b"")
    assert capability.nv_index(tpm, AREA).write_locked
    with refused(Code.AREA_LOCKED):
        nv.write_value(tpm, OWNER_SECRET, AREA, b"x")
    with refused(Code.AREA_LOCKED):
        nv.define_space(tpm, OWNER_SECRET, NvPublic(AREA, Nv.OWNER_WRITE, 8))
    both_owned.subject.power_cycle()
    assert not capability.nv_index(tpm, AREA).write_locked
    nv.write_value(tpm, OWNER_SECRET, AREA, b"x")


def test_nv_write_stclear_and_the_counter_of_global_locks_survive_save_state(both_owned: Owned) -> None:
    tpm = owned_area(both_owned, Nv.AUTH_WRITE | Nv.WRITE_ST_CLEAR)
    nv.define_space(tpm, OWNER_SECRET, NvPublic(OTHER, Nv.OWNER_WRITE | Nv.GLOBAL_LOCK, 8))
    nv.write_value_auth(tpm, SECRET, AREA, b"")
    nv.write_value(tpm, None, nv.INDEX0, b"")
    admin.save_state(tpm)
    both_owned.subject.power_cycle(admin.Startup.STATE)
    with refused(Code.AREA_LOCKED):
        nv.write_value_auth(tpm, SECRET, AREA, b"x")
    with refused(Code.AREA_LOCKED):
        nv.write_value(tpm, OWNER_SECRET, OTHER, b"x")


def test_nv_global_lock_locks_until_the_next_start(both_owned: Owned) -> None:
    tpm = owned_area(both_owned, Nv.OWNER_WRITE | Nv.GLOBAL_LOCK)
    nv.define_space(tpm, OWNER_SECRET, NvPublic(OTHER, Nv.AUTH_WRITE | Nv.GLOBAL_LOCK, 8), SECRET)
    nv.write_value(tpm, OWNER_SECRET, AREA, b"data")
    with refused(Code.BADINDEX):
        nv.write_value(tpm, None, nv.INDEX0, b"x")
    nv.write_value(tpm, None, nv.INDEX0, b"")
    actions: list[Callable[[], object]] = [
        lambda: nv.write_value(tpm, OWNER_SECRET, AREA, b"x"),
        lambda: nv.write_value_auth(tpm, SECRET, OTHER, b"x"),
        lambda: nv.define_space(tpm, OWNER_SECRET, NvPublic(AREA, Nv.OWNER_WRITE, 8)),
    ]
    for action in actions:
        with refused(Code.AREA_LOCKED):
            action()
    assert nv.read_value(tpm, None, AREA, 4) == b"data"
    both_owned.subject.power_cycle()
    nv.write_value(tpm, OWNER_SECRET, AREA, b"x")


def test_nv_global_lock_by_the_owner(both_owned: Owned) -> None:
    tpm = owned_area(both_owned, Nv.OWNER_WRITE | Nv.GLOBAL_LOCK)
    nv.write_value(tpm, OWNER_SECRET, nv.INDEX0, b"")
    with refused(Code.AREA_LOCKED):
        nv.write_value(tpm, OWNER_SECRET, AREA, b"x")


def test_nv_read_stclear_locks_until_a_write_or_the_next_start(both_owned: Owned) -> None:
    tpm = owned_area(both_owned, Nv.OWNER_WRITE | Nv.READ_ST_CLEAR)
    unlocks: list[Callable[[], object]] = [
        lambda: nv.write_value(tpm, OWNER_SECRET, AREA, b"new"),
        both_owned.subject.power_cycle,
    ]
    for unlock in unlocks:
        nv.read_value(tpm, None, AREA, 3)
        assert nv.read_value(tpm, None, AREA, 0) == b""
        assert capability.nv_index(tpm, AREA).read_locked
        with refused(Code.DISABLED_CMD):
            nv.read_value(tpm, None, AREA, 3)
        unlock()
        assert nv.read_value(tpm, None, AREA, 3) == b"new"


def test_nv_read_stclear_is_forgotten_with_the_area(both_owned: Owned) -> None:
    attributes = Nv.OWNER_WRITE | Nv.READ_ST_CLEAR
    tpm = owned_area(both_owned, attributes)
    nv.read_value(tpm, None, AREA, 0)
    nv.define_space(tpm, OWNER_SECRET, NvPublic(AREA, attributes, 8))
    assert not capability.nv_index(tpm, AREA).read_locked
    assert nv.read_value(tpm, None, AREA, 1) == b"\xff"


def test_nv_read_stclear_with_the_areas_secret(both_owned: Owned) -> None:
    tpm = owned_area(both_owned, Nv.AUTH_WRITE | Nv.AUTH_READ | Nv.READ_ST_CLEAR)
    assert nv.read_value_auth(tpm, SECRET, AREA, 0) == b""
    admin.save_state(tpm)
    both_owned.subject.power_cycle(admin.Startup.STATE)
    with refused(Code.DISABLED_CMD):
        nv.read_value_auth(tpm, SECRET, AREA, 1)
    nv.write_value_auth(tpm, SECRET, AREA, b"x")
    assert nv.read_value_auth(tpm, SECRET, AREA, 1) == b"x"


def test_nv_locks_without_their_attributes_lock_nothing(both_owned: Owned) -> None:
    tpm = owned_area(both_owned, Nv.OWNER_WRITE)
    nv.write_value(tpm, OWNER_SECRET, AREA, b"")
    nv.write_value(tpm, None, nv.INDEX0, b"")
    nv.read_value(tpm, None, AREA, 0)
    nv.write_value(tpm, OWNER_SECRET, AREA, b"data")
    assert nv.read_value(tpm, None, AREA, 4) == b"data"


def test_nv_locks_are_part_of_a_snapshot(ours_owned: Owned) -> None:
    tpm = owned_area(ours_owned, Nv.OWNER_WRITE | Nv.WRITE_ST_CLEAR | Nv.READ_ST_CLEAR)
    nv.write_value(tpm, OWNER_SECRET, AREA, b"")
    nv.read_value(tpm, None, AREA, 0)
    assert isinstance(ours_owned.subject, Ours)
    emulator = ours_owned.subject.emulator
    snapshot = emulator.snapshot()
    emulator.power_off()
    emulator.power_on(type(snapshot).decode(snapshot.encode()))
    with refused(Code.AREA_LOCKED):
        nv.write_value(tpm, OWNER_SECRET, AREA, b"x")
    with refused(Code.DISABLED_CMD):
        nv.read_value(tpm, None, AREA, 1)
