# SPDX-License-Identifier: GPL-3.0-or-later
"""The one table of commands. Sections: Part 3 of the TPM Main Specification 1.2, revision 116."""

from __future__ import annotations

from typing import Final

from bootproof.tpm.codes import Ord
from bootproof.tpm.command import Command, In
from bootproof.tpm.commands import admin, capability, crypto, integrity, presence, sessions, ticks
from bootproof.tpm.wire import Nothing

_ROWS: Final = (
    Command(
        Ord.STARTUP, "TPM_Startup", "3.2", admin.startup, admin.StartupIn, In.OFF | In.POST_INIT | In.FAILED
    ),
    Command(Ord.SAVE_STATE, "TPM_SaveState", "3.3", admin.save_state, Nothing, In.OFF),
    Command(0x50, "TPM_SelfTestFull", "4.1", admin.self_test, Nothing, In.OFF),
    Command(0x53, "TPM_ContinueSelfTest", "4.2", admin.self_test, Nothing, In.OFF),
    Command(0x54, "TPM_GetTestResult", "4.3", admin.get_test_result, Nothing, In.OFF | In.FAILED),
    Command(
        0x65,
        "TPM_GetCapability",
        "7.1",
        capability.get_capability,
        capability.GetCapabilityIn,
        In.OFF | In.FAILED,
    ),
    Command(0x46, "TPM_GetRandom", "13.6", crypto.get_random, crypto.GetRandomIn),
    Command(0x47, "TPM_StirRandom", "13.7", crypto.stir_random, crypto.BytesIn),
    Command(Ord.SHA1_START, "TPM_SHA1Start", "13.1", crypto.sha1_start, Nothing, In.OFF, keeps_sha1=True),
    Command(
        Ord.SHA1_UPDATE,
        "TPM_SHA1Update",
        "13.2",
        crypto.sha1_update,
        crypto.BytesIn,
        In.OFF,
        keeps_sha1=True,
    ),
    Command(
        Ord.SHA1_COMPLETE,
        "TPM_SHA1Complete",
        "13.3",
        crypto.sha1_complete,
        crypto.BytesIn,
        In.OFF,
        keeps_sha1=True,
    ),
    Command(
        Ord.SHA1_COMPLETE_EXTEND,
        "TPM_SHA1CompleteExtend",
        "13.4",
        crypto.sha1_complete_extend,
        crypto.CompleteExtendIn,
        In.OFF,
        keeps_sha1=True,
    ),
    Command(0x14, "TPM_Extend", "16.1", integrity.extend, integrity.ExtendIn, In.OFF),
    Command(0x15, "TPM_PCRRead", "16.2", integrity.pcr_read, integrity.PcrReadIn),
    Command(0xC8, "TPM_PCR_Reset", "16.4", integrity.pcr_reset, integrity.PcrResetIn, In.OFF),
    Command(0xBA, "TPM_FlushSpecific", "22.1", sessions.flush_specific, sessions.FlushIn, In.OFF),
    Command(0xF1, "TPM_GetTicks", "23.1", ticks.get_ticks, Nothing),
    Command(
        0x4000000A,
        "TSC_PhysicalPresence",
        "6.6",
        presence.physical_presence,
        presence.PresenceIn,
        In.OFF,
    ),
    Command(
        0x4000000B,
        "TSC_ResetEstablishmentBit",
        "6.7",
        presence.reset_establishment_bit,
        Nothing,
        In.OFF,
    ),
)

COMMANDS: Final[dict[int, Command]] = {int(row.ordinal): row for row in _ROWS}
