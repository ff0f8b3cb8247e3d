# SPDX-License-Identifier: GPL-3.0-or-later
"""Opting in and out (Part 3, 5), side by side with swtpm."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.tpm.client import admin, capability, integrity, owner
from tests.tpm.client.constants import Code, Entity, Ord
from tests.tpm.client.prepared import OWNER_SECRET, Owned
from tests.tpm.client.subjects import Ours, Subject
from tests.tpm.client.tpm import Tpm, refused
from tests.tpm.client.wire import u32

pytest_plugins = ("tests.tpm.client.fixtures",)

SECRET = b"operator's 20 bytes."
DISABLE, OWNERSHIP, DEACTIVATED, OPERATOR = 0, 1, 2, 13


def flag(tpm: Tpm, number: int, volatile: bool = False) -> bool:
    """Return a flag of the permanent flags, or of those of STCLEAR; the first has the number 0."""
    encoded = capability.get_capability(tpm, capability.Cap.FLAG, u32(0x109 if volatile else 0x108))
    return bool(encoded[2 + number])


NEEDING_PRESENCE: list[tuple[str, Callable[[Tpm], None]]] = [
    ("SetOwnerInstall", lambda tpm: admin.set_owner_install(tpm, False)),
    ("PhysicalEnable", admin.physical_enable),
    ("PhysicalDisable", admin.physical_disable),
    ("PhysicalSetDeactivated", lambda tpm: admin.physical_set_deactivated(tpm, True)),
    ("SetTempDeactivated", admin.set_temp_deactivated),
    ("SetOperatorAuth", lambda tpm: admin.set_operator_auth(tpm, SECRET)),
    ("ForceClear", owner.force_clear),
]


@pytest.mark.parametrize("run", [case[1] for case in NEEDING_PRESENCE], ids=[c[0] for c in NEEDING_PRESENCE])
def test_without_presence_they_are_refused(both: Subject, run: Callable[[Tpm], None]) -> None:
    with refused(Code.BAD_PRESENCE):
        run(both.tpm)
    admin.physical_presence(both.tpm, admin.Presence.CMD_ENABLE)
    with refused(Code.BAD_PRESENCE):
        run(both.tpm)
    admin.physical_presence(both.tpm, admin.Presence.PRESENT)
    run(both.tpm)


def test_set_owner_install(both: Subject) -> None:
    tpm = both.tpm
    admin.assert_presence(tpm)
    owner.create_ek(tpm)
    admin.set_owner_install(tpm, False)
    assert not flag(tpm, OWNERSHIP)
    with refused(Code.INSTALL_DISABLED):
        owner.take_ownership(tpm, OWNER_SECRET)
    admin.set_owner_install(tpm, True)
    assert flag(tpm, OWNERSHIP)


def test_set_owner_install_says_nothing_to_an_owned_tpm(both_owned: Owned) -> None:
    admin.set_owner_install(both_owned.tpm, False)
    assert flag(both_owned.tpm, OWNERSHIP)


@pytest.mark.parametrize("ordinal", [Ord.SET_OWNER_INSTALL, Ord.PHYSICAL_SET_DEACTIVATED])
def test_set_owner_install_and_physical_set_deactivated_want_a_bool(both: Subject, ordinal: int) -> None:
    admin.assert_presence(both.tpm)
    assert both.tpm.code(ordinal, b"\2") == Code.BAD_PARAMETER
    assert both.tpm.code(ordinal, b"") == Code.BAD_PARAM_SIZE
    assert both.tpm.code(ordinal, b"\0\0") == Code.BAD_PARAM_SIZE
    assert both.tpm.code(ordinal, b"\0") == 0


def test_owner_set_disable_switches_off_and_on(both_owned: Owned) -> None:
    tpm = both_owned.tpm
    with refused(Code.AUTHFAIL):
        owner.owner_set_disable(tpm, SECRET, True)
    owner.owner_set_disable(tpm, OWNER_SECRET, True)
    with refused(Code.DISABLED):
        integrity.pcr_read(tpm, 0)
    with refused(Code.DISABLED):
        owner.get_capability_owner(tpm, OWNER_SECRET)
    both_owned.subject.power_cycle()
    assert flag(tpm, DISABLE)
    owner.owner_set_disable(tpm, OWNER_SECRET, False)
    integrity.pcr_read(tpm, 0)


def test_owner_set_disable_needs_an_owner(both: Subject) -> None:
    with refused(Code.NOSRK):
        owner.owner_set_disable(both.tpm, OWNER_SECRET, True)


def test_physical_enable_and_physical_disable(both: Subject) -> None:
    tpm = both.tpm
    admin.assert_presence(tpm)
    admin.physical_disable(tpm)
    with refused(Code.DISABLED):
        admin.physical_disable(tpm)
    with refused(Code.DISABLED):
        admin.physical_set_deactivated(tpm, True)
    with refused(Code.DISABLED):
        admin.set_operator_auth(tpm, SECRET)
    with refused(Code.DISABLED):
        admin.set_owner_install(tpm, True)
    admin.physical_enable(tpm)
    assert not flag(tpm, DISABLE)
    integrity.pcr_read(tpm, 0)


def test_physical_set_deactivated_waits_for_the_next_start(both: Subject) -> None:
    tpm = both.tpm
    admin.assert_presence(tpm)
    admin.physical_set_deactivated(tpm, True)
    integrity.pcr_read(tpm, 0)
    both.power_cycle()
    with refused(Code.DEACTIVATED):
        integrity.pcr_read(tpm, 0)
    admin.assert_presence(tpm)
    admin.physical_set_deactivated(tpm, False)
    with refused(Code.DEACTIVATED):
        integrity.pcr_read(tpm, 0)
    both.power_cycle()
    integrity.pcr_read(tpm, 0)


def test_set_temp_deactivated_by_presence(both: Subject) -> None:
    tpm = both.tpm
    admin.assert_presence(tpm)
    admin.set_temp_deactivated(tpm)
    assert flag(tpm, 0, volatile=True)
    for again in (admin.set_temp_deactivated, lambda tpm: admin.set_operator_auth(tpm, SECRET)):
        with refused(Code.DEACTIVATED):
            again(tpm)
    both.power_cycle()
    integrity.pcr_read(tpm, 0)


def test_set_temp_deactivated_by_the_operator(both: Subject) -> None:
    tpm = both.tpm
    with refused(Code.NOOPERATOR):
        admin.set_temp_deactivated(tpm, SECRET)
    admin.assert_presence(tpm)
    admin.set_operator_auth(tpm, SECRET)
    assert flag(tpm, OPERATOR)
    both.power_cycle()
    with refused(Code.AUTHFAIL):
        admin.set_temp_deactivated(tpm, OWNER_SECRET)
    assert not flag(tpm, 0, volatile=True)
    admin.set_temp_deactivated(tpm, SECRET)
    assert flag(tpm, 0, volatile=True)


def test_set_temp_deactivated_works_in_a_disabled_tpm(both: Subject) -> None:
    tpm = both.tpm
    admin.assert_presence(tpm)
    admin.set_operator_auth(tpm, SECRET)
    admin.physical_disable(tpm)
    admin.set_temp_deactivated(tpm, SECRET)
    assert flag(tpm, 0, volatile=True)


def test_set_temp_deactivated_wants_an_oiap_session(both_owned: Owned) -> None:
    tpm = both_owned.tpm
    admin.assert_presence(tpm)
    admin.set_operator_auth(tpm, SECRET)
    session = tpm.osap(Entity.OWNER, 0x40000001, OWNER_SECRET)
    with refused(Code.BAD_MODE):
        admin.set_temp_deactivated(tpm, session)


def test_set_operator_auth_is_permanent(ours: Ours) -> None:
    admin.assert_presence(ours.tpm)
    admin.set_operator_auth(ours.tpm, SECRET)
    again = Ours(ours.frozen())
    admin.set_temp_deactivated(again.tpm, SECRET)
    assert flag(again.tpm, 0, volatile=True)


def test_presence_can_be_told_by_the_platform(ours: Ours) -> None:
    """TSC_PhysicalPresence enables the wire; the wire alone, or enabled without a signal, is nothing."""
    ours.emulator.presence_signal = True
    with refused(Code.BAD_PRESENCE):
        admin.physical_enable(ours.tpm)
    admin.physical_presence(ours.tpm, admin.Presence.HW_ENABLE)
    admin.physical_enable(ours.tpm)
    ours.emulator.presence_signal = False
    with refused(Code.BAD_PRESENCE):
        admin.physical_enable(ours.tpm)


def test_presence_told_by_command_ends_when_the_command_is_disabled(both: Subject) -> None:
    admin.assert_presence(both.tpm)
    admin.physical_presence(both.tpm, admin.Presence.CMD_DISABLE)
    with refused(Code.BAD_PRESENCE):
        admin.physical_enable(both.tpm)
