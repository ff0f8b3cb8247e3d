# SPDX-License-Identifier: GPL-3.0-or-later
"""TPM_SetCapability (Part 3, 7.2), side by side with swtpm."""

from __future__ import annotations

from dataclasses import fields

from bootproof.tpm import launch
from bootproof.tpm.state import PermanentFlags
from tests.tpm.client import admin, integrity, owner
from tests.tpm.client.capability import Cap, Prop, SetCap, get_capability, number, set_capability, set_flag
from tests.tpm.client.constants import SRK, Code
from tests.tpm.client.keys import get_pub_key
from tests.tpm.client.prepared import OWNER_SECRET, Owned
from tests.tpm.client.subjects import Ours, Subject
from tests.tpm.client.tpm import Tpm, refused
from tests.tpm.client.wire import u32

pytest_plugins = ("tests.tpm.client.fixtures",)

PERM, STCLEAR, STANY = SetCap.PERM_FLAGS, SetCap.STCLEAR_FLAGS, SetCap.STANY_FLAGS
WRONG = b"not the owner's key."
BY_OWNER = [(4, False), (5, True), (6, False), (17, True), (20, True)]  # flag, a value that it can take
NAMES = [field.name for field in fields(PermanentFlags)]


def flag(tpm: Tpm, index: int) -> bool:
    """Return a permanent flag by its number in Part 2, 7.1, the first being 1."""
    return bool(get_capability(tpm, Cap.FLAG, u32(0x108))[1 + index])


def test_set_capability_of_the_owners_flags(both_owned: Owned) -> None:
    tpm = both_owned.tpm
    with refused(Code.AUTHFAIL):
        set_flag(tpm, WRONG, PERM, *BY_OWNER[0])
    for index, value in BY_OWNER:
        with refused(Code.AUTHFAIL):
            set_flag(tpm, None, PERM, index, value)
        set_flag(tpm, OWNER_SECRET, PERM, index, value)
        assert flag(tpm, index) == value
    both_owned.subject.power_cycle()
    assert all(flag(tpm, index) == value for index, value in BY_OWNER)


def test_set_capability_of_flags_with_one_way_only(both_owned: Owned) -> None:
    for index, value in ((5, False), (6, True)):
        with refused(Code.BAD_PARAMETER):
            set_flag(both_owned.tpm, OWNER_SECRET, PERM, index, value)


def test_set_capability_of_other_permanent_flags(both_owned: Owned) -> None:
    admin.assert_presence(both_owned.tpm)
    for index in (0, *range(7, 17), 19, 21, 0x100):
        for auth in (None, OWNER_SECRET):
            with refused(Code.BAD_PARAMETER):
                set_flag(both_owned.tpm, auth, PERM, index, True)


def test_set_capability_disable_by_owner_or_presence(both_owned: Owned) -> None:
    tpm = both_owned.tpm
    with refused(Code.AUTHFAIL):
        set_flag(tpm, None, PERM, 1, True)
    set_flag(tpm, OWNER_SECRET, PERM, 1, True)
    with refused(Code.DISABLED):
        integrity.pcr_read(tpm, 0)
    for index, value in BY_OWNER[:-1]:
        with refused(Code.DISABLED):
            set_flag(tpm, OWNER_SECRET, PERM, index, value)
    admin.assert_presence(tpm)
    with refused(Code.DISABLED):
        set_flag(tpm, None, PERM, 3, True)
    set_flag(tpm, None, PERM, 1, False)
    integrity.pcr_read(tpm, 0)


def test_set_capability_deactivated_by_presence(both: Subject) -> None:
    tpm = both.tpm
    with refused(Code.AUTHFAIL):
        set_flag(tpm, None, PERM, 3, True)
    admin.assert_presence(tpm)
    set_flag(tpm, None, PERM, 3, True)
    both.power_cycle()
    with refused(Code.DEACTIVATED):
        integrity.pcr_read(tpm, 0)
    admin.assert_presence(tpm)
    with refused(Code.DEACTIVATED):
        set_flag(tpm, None, PERM, 2, False)
    with refused(Code.DEACTIVATED):
        set_flag(tpm, None, STCLEAR, 2, True)
    set_flag(tpm, None, PERM, 3, False)
    both.power_cycle()
    integrity.pcr_read(tpm, 0)


def test_set_capability_ownership_by_presence_while_there_is_no_owner(both: Subject) -> None:
    with refused(Code.AUTHFAIL):
        set_flag(both.tpm, None, PERM, 2, False)
    admin.assert_presence(both.tpm)
    set_flag(both.tpm, None, PERM, 2, False)
    assert not flag(both.tpm, 2)


def test_set_capability_ownership_of_an_owned_tpm(both_owned: Owned) -> None:
    with refused(Code.OWNER_SET):
        set_flag(both_owned.tpm, OWNER_SECRET, PERM, 2, False)


def test_set_capability_established_from_trusted_localities(ours: Ours) -> None:
    ours.emulator.commit_flags(established=True)
    with refused(Code.BAD_LOCALITY):
        set_flag(ours.tpm, None, PERM, 18, False)
    ours.set_locality(3)
    with refused(Code.BAD_PARAMETER):
        set_flag(ours.tpm, None, PERM, 18, True)
    set_flag(ours.tpm, None, PERM, 18, False)
    assert not flag(ours.tpm, 18)


def test_set_capability_lets_everyone_read_the_srk(both_owned: Owned) -> None:
    tpm = both_owned.tpm
    with refused(Code.INVALID_KEYHANDLE):
        get_pub_key(tpm, bytes(20), SRK)
    set_flag(tpm, OWNER_SECRET, PERM, 17, True)
    assert get_pub_key(tpm, bytes(20), SRK).modulus == both_owned.made.srk.public.modulus


def test_set_capability_restrict_delegate(both_owned: Owned) -> None:
    tpm = both_owned.tpm
    with refused(Code.AUTHFAIL):
        set_capability(tpm, None, SetCap.PERM_DATA, u32(23), u32(3))
    for short in (b"", b"\1", b"\0" * 5):
        with refused(Code.BAD_PARAMETER):
            set_capability(tpm, OWNER_SECRET, SetCap.PERM_DATA, u32(23), short)
    set_capability(tpm, OWNER_SECRET, SetCap.PERM_DATA, u32(23), u32(0x40000000))
    assert number(tpm, Prop.CMK_RESTRICTION) == 0x40000000


def test_set_capability_of_other_permanent_data(both_owned: Owned) -> None:
    for index in (*range(23), 24, 26):
        with refused(Code.BAD_PARAMETER):
            set_capability(both_owned.tpm, OWNER_SECRET, SetCap.PERM_DATA, u32(index), u32(1))


def test_set_capability_disable_force_clear_by_anybody(both: Subject) -> None:
    tpm = both.tpm
    with refused(Code.BAD_PARAMETER):
        set_flag(tpm, None, STCLEAR, 2, False)
    set_flag(tpm, None, STCLEAR, 2, True)
    admin.assert_presence(tpm)
    with refused(Code.CLEAR_DISABLED):
        owner.force_clear(tpm)


def test_set_capability_deferred_presence(both: Subject) -> None:
    tpm = both.tpm

    def defer(bits: int) -> None:
        set_capability(tpm, None, SetCap.STCLEAR_DATA, u32(6), u32(bits))

    with refused(Code.BAD_PRESENCE):
        defer(1)
    defer(0)
    admin.assert_presence(tpm)
    defer(3)
    admin.physical_presence(tpm, admin.Presence.NOT_PRESENT)
    defer(1)
    defer(1)
    with refused(Code.BAD_PRESENCE):
        defer(3)
    both.power_cycle()
    with refused(Code.BAD_PRESENCE):
        defer(1)


def test_set_capability_ends_the_trusted_system(ours: Ours) -> None:
    launch.hash_start(ours.emulator)
    assert ours.emulator.os_present
    with refused(Code.BAD_LOCALITY):
        set_flag(ours.tpm, None, STANY, 4, False)
    ours.set_locality(4)
    with refused(Code.BAD_PARAMETER):
        set_flag(ours.tpm, None, STANY, 4, True)
    set_flag(ours.tpm, None, STANY, 4, False)
    assert not ours.emulator.os_present


UNSETTABLE = [
    (STCLEAR, 1, b"\1", Code.BAD_PARAMETER),
    (STCLEAR, 5, b"\1", Code.BAD_PARAMETER),
    (STANY, 1, b"\1", Code.BAD_PARAMETER),
    (SetCap.STCLEAR_DATA, 2, u32(1), Code.BAD_PARAMETER),
    (SetCap.STANY_DATA, 1, b"", Code.BAD_PARAMETER),
    (SetCap.VENDOR, 1, b"", Code.BAD_PARAMETER),
    (PERM, 4, b"", Code.BAD_PARAMETER),
    (PERM, 4, b"\0\0", Code.BAD_PARAMETER),
    (0, 1, b"\1", Code.BAD_MODE),
    (8, 1, b"\1", Code.BAD_MODE),
]


def test_set_capability_of_what_cannot_be_set(both_owned: Owned) -> None:
    for area, index, value, code in UNSETTABLE:
        for auth in (None, OWNER_SECRET):
            with refused(code):
                set_capability(both_owned.tpm, auth, area, u32(index), value)


def test_set_capability_wants_the_number_of_a_field(both_owned: Owned) -> None:
    for sub in (b"", b"\0\1", b"\0\0\0\1\0"):
        with refused(Code.BAD_PARAMETER):
            set_capability(both_owned.tpm, OWNER_SECRET, PERM, sub, b"\1")


def test_the_numbers_are_those_of_the_structure() -> None:
    assert [NAMES[index] for index in (1, 2, 3, 4, 5, 6, 17, 18, 20)] == [
        "disable",
        "ownership",
        "deactivated",
        "read_pubek",
        "disable_owner_clear",
        "allow_maintenance",
        "read_srk_pub",
        "established",
        "disable_full_da_logic_info",
    ]
