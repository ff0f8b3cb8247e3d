# SPDX-License-Identifier: GPL-3.0-or-later
"""Start-up, self tests, opt-in and physical presence (Part 3, 3 to 6.6)."""

from __future__ import annotations

from enum import IntEnum, IntFlag

from tests.tpm.client.constants import Ord
from tests.tpm.client.tpm import Auth, Tpm
from tests.tpm.client.wire import flag, sized, u16


class Startup(IntEnum):
    """TPM_STARTUP_TYPE (Part 2, 4.5)."""

    CLEAR = 1
    STATE = 2
    DEACTIVATED = 3


class Presence(IntFlag):
    """TPM_PHYSICAL_PRESENCE (Part 2, 4.9)."""

    LOCK = 0x0004
    PRESENT = 0x0008
    NOT_PRESENT = 0x0010
    CMD_ENABLE = 0x0020
    HW_ENABLE = 0x0040
    LIFETIME_LOCK = 0x0080
    CMD_DISABLE = 0x0100
    HW_DISABLE = 0x0200


def startup(tpm: Tpm, kind: int = Startup.CLEAR) -> None:
    """TPM_Startup (3.2)."""
    tpm.call(Ord.STARTUP, u16(kind)).end()


def save_state(tpm: Tpm) -> None:
    """TPM_SaveState (3.3)."""
    tpm.call(Ord.SAVE_STATE).end()


def self_test_full(tpm: Tpm) -> None:
    """TPM_SelfTestFull (4.1)."""
    tpm.call(Ord.SELF_TEST_FULL).end()


def continue_self_test(tpm: Tpm) -> None:
    """TPM_ContinueSelfTest (4.2)."""
    tpm.call(Ord.CONTINUE_SELF_TEST).end()


def get_test_result(tpm: Tpm) -> bytes:
    """TPM_GetTestResult (4.3)."""
    answer = tpm.call(Ord.GET_TEST_RESULT)
    text = answer.sized()
    answer.end()
    return text


def set_owner_install(tpm: Tpm, state: bool) -> None:
    """TPM_SetOwnerInstall (5.1)."""
    tpm.call(Ord.SET_OWNER_INSTALL, flag(state)).end()


def physical_enable(tpm: Tpm) -> None:
    """TPM_PhysicalEnable (5.3)."""
    tpm.call(Ord.PHYSICAL_ENABLE).end()


def physical_disable(tpm: Tpm) -> None:
    """TPM_PhysicalDisable (5.4)."""
    tpm.call(Ord.PHYSICAL_DISABLE).end()


def physical_set_deactivated(tpm: Tpm, state: bool) -> None:
    """TPM_PhysicalSetDeactivated (5.5): from the next start-up on."""
    tpm.call(Ord.PHYSICAL_SET_DEACTIVATED, flag(state)).end()


def set_temp_deactivated(tpm: Tpm, operator: Auth = None) -> None:
    """TPM_SetTempDeactivated (5.6): by the operator, or by physical presence."""
    tpm.call(Ord.SET_TEMP_DEACTIVATED, b"", operator).end()


def set_operator_auth(tpm: Tpm, secret: bytes) -> None:
    """TPM_SetOperatorAuth (5.7)."""
    tpm.call(Ord.SET_OPERATOR_AUTH, secret).end()


def physical_presence(tpm: Tpm, what: int) -> None:
    """TSC_PhysicalPresence (6.6)."""
    tpm.call(Ord.PHYSICAL_PRESENCE, u16(what)).end()


def assert_presence(tpm: Tpm) -> None:
    """Enable the command and say that somebody is there."""
    physical_presence(tpm, Presence.CMD_ENABLE)
    physical_presence(tpm, Presence.PRESENT)


def reset_establishment_bit(tpm: Tpm) -> None:
    """TSC_ResetEstablishmentBit (6.7): localities 3 and 4."""
    tpm.call(Ord.RESET_ESTABLISHMENT_BIT).end()


def reset(tpm: Tpm) -> None:
    """TPM_Reset (28.3, deprecated): end all authorisation sessions."""
    tpm.call(Ord.RESET).end()


def field_upgrade(tpm: Tpm, data: bytes, owner: Auth = None) -> bytes:
    """TPM_FieldUpgrade (8.4): the manufacturer's own."""
    return tpm.call(Ord.FIELD_UPGRADE, sized(data), owner).rest()
