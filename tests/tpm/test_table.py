# SPDX-License-Identifier: GPL-3.0-or-later
"""The rows of the command table, beside the specification's tables."""

from __future__ import annotations

import pytest

from bootproof.tpm.command import ALL_LOCALITIES, Auditing, In, Row
from bootproof.tpm.commands.absent import ABSENT
from bootproof.tpm.commands.table import COMMANDS
from bootproof.tpm.ordinals import Ord
from bootproof.tpm.structures.delegation import KEY_BITS, OWNER_BITS

# Part 2, 17: the columns of the table of ordinals, for commands that this TPM has
WITHOUT_OWNER = {
    *("TPM_Startup", "TPM_SaveState", "TPM_SelfTestFull", "TPM_ContinueSelfTest", "TPM_GetTestResult"),
    *("TPM_Reset", "TPM_SetOwnerInstall", "TPM_PhysicalEnable", "TPM_PhysicalDisable"),
    *("TPM_SetOperatorAuth", "TPM_PhysicalSetDeactivated", "TPM_SetTempDeactivated"),
    *("TPM_TakeOwnership", "TPM_ForceClear", "TPM_DisableForceClear", "TSC_PhysicalPresence"),
    *("TSC_ResetEstablishmentBit", "TPM_GetCapability", "TPM_SetCapability", "TPM_GetAuditDigest"),
    *("TPM_OIAP", "TPM_Terminate_Handle", "TPM_FlushSpecific", "TPM_SHA1Start", "TPM_SHA1Update"),
    *("TPM_SHA1Complete", "TPM_SHA1CompleteExtend", "TPM_GetRandom", "TPM_StirRandom", "TPM_Extend"),
    *("TPM_PCRRead", "TPM_PCR_Reset", "TPM_DirRead", "TPM_DirWriteAuth"),
    *("TPM_CreateEndorsementKeyPair", "TPM_CreateRevocableEK", "TPM_RevokeTrust", "TPM_ReadPubek"),
    *("TPM_NV_DefineSpace", "TPM_NV_WriteValue", "TPM_NV_ReadValue", "TPM_ReadCounter"),
    *("TPM_ReleaseCounter", "TPM_GetTicks", "TPM_Delegate_Manage", "TPM_Delegate_LoadOwnerDelegation"),
    *("TPM_Delegate_ReadTable", "TPM_SaveKeyContext", "TPM_LoadKeyContext", "TPM_SaveAuthContext"),
    *("TPM_LoadAuthContext",),
}
WHILE_OFF = {  # disabled, deactivated; NV without authorisation as long as nvLocked is not set
    *("TPM_Startup", "TPM_SaveState", "TPM_SelfTestFull", "TPM_ContinueSelfTest", "TPM_GetTestResult"),
    *("TPM_Reset", "TPM_PhysicalEnable", "TPM_OwnerSetDisable", "TSC_PhysicalPresence"),
    *("TSC_ResetEstablishmentBit", "TPM_GetCapability", "TPM_SetCapability", "TPM_OIAP", "TPM_OSAP"),
    *("TPM_DSAP", "TPM_Terminate_Handle", "TPM_FlushSpecific", "TPM_SHA1Start", "TPM_SHA1Update"),
    *("TPM_SHA1Complete", "TPM_SHA1CompleteExtend", "TPM_Extend", "TPM_PCR_Reset"),
    *("TPM_NV_DefineSpace", "TPM_NV_WriteValue", "TPM_NV_ReadValue"),
}
WHILE_DISABLED = WHILE_OFF | {"TPM_SetTempDeactivated"}
WHILE_DEACTIVATED = WHILE_OFF | {"TPM_PhysicalDisable", "TPM_PhysicalSetDeactivated", "TPM_TakeOwnership"}
WHILE_FAILED = {"TPM_Startup", "TPM_GetTestResult", "TPM_GetCapability"}
BEFORE_STARTUP = {"TPM_Startup"}
AUDITED = {  # column "Auditing": on from the start; maintenance is not there
    *("TPM_TakeOwnership", "TPM_ChangeAuthOwner", "TPM_CreateWrapKey", "TPM_CreateMigrationBlob"),
    *("TPM_ConvertMigrationBlob", "TPM_AuthorizeMigrationKey", "TPM_OwnerClear", "TPM_DisableOwnerClear"),
    *("TPM_ForceClear", "TPM_DisableForceClear", "TPM_OwnerSetDisable", "TPM_PhysicalEnable"),
    *("TPM_PhysicalDisable", "TPM_SetOwnerInstall", "TPM_PhysicalSetDeactivated"),
    *("TPM_SetTempDeactivated", "TPM_MakeIdentity", "TPM_ActivateIdentity", "TPM_ReadPubek"),
    *("TPM_OwnerReadPubek", "TPM_DisablePubekRead", "TPM_SetOrdinalAuditStatus"),
}
NEVER_AUDITED = {"TPM_GetAuditDigest", "TPM_GetAuditDigestSigned"}
# Part 2, 20.2.1: bits of per1, from 31 down
OWNERS_RIGHTS = (
    Ord.KEY_CONTROL_OWNER,
    Ord.SET_ORDINAL_AUDIT_STATUS,
    Ord.DIR_WRITE_AUTH,
    Ord.CMK_APPROVE_MA,
    Ord.NV_WRITE_VALUE,
    Ord.CMK_CREATE_TICKET,
    Ord.NV_READ_VALUE,
    Ord.DELEGATE_LOAD_OWNER_DELEGATION,
    Ord.DAA_JOIN,
    Ord.AUTHORIZE_MIGRATION_KEY,
    Ord.CREATE_MAINTENANCE_ARCHIVE,
    Ord.LOAD_MAINTENANCE_ARCHIVE,
    Ord.KILL_MAINTENANCE_FEATURE,
    Ord.OWNER_READ_INTERNAL_PUB,
    Ord.RESET_LOCK_VALUE,
    Ord.OWNER_CLEAR,
    Ord.DISABLE_OWNER_CLEAR,
    Ord.NV_DEFINE_SPACE,
    Ord.OWNER_SET_DISABLE,
    Ord.SET_CAPABILITY,
    Ord.MAKE_IDENTITY,
    Ord.ACTIVATE_IDENTITY,
    Ord.OWNER_READ_PUBEK,
    Ord.DISABLE_PUBEK_READ,
    Ord.SET_REDIRECTION,
    Ord.FIELD_UPGRADE,
    Ord.DELEGATE_UPDATE_VERIFICATION,
    Ord.CREATE_COUNTER,
    Ord.RELEASE_COUNTER_OWNER,
    Ord.DELEGATE_MANAGE,
    Ord.DELEGATE_CREATE_OWNER_DELEGATION,
    Ord.DAA_SIGN,
)
# Part 2, 20.2.3: the same for keys, from 28 down
KEYS_RIGHTS = (
    Ord.CMK_CONVERT_MIGRATION,
    Ord.TICK_STAMP_BLOB,
    Ord.CHANGE_AUTH_ASYM_START,
    Ord.CHANGE_AUTH_ASYM_FINISH,
    Ord.CMK_CREATE_KEY,
    Ord.MIGRATE_KEY,
    Ord.LOAD_KEY2,
    Ord.ESTABLISH_TRANSPORT,
    Ord.RELEASE_TRANSPORT_SIGNED,
    Ord.QUOTE2,
    Ord.SEALX,
    Ord.MAKE_IDENTITY,
    Ord.ACTIVATE_IDENTITY,
    Ord.GET_AUDIT_DIGEST_SIGNED,
    Ord.SIGN,
    Ord.CERTIFY_KEY2,
    Ord.CERTIFY_KEY,
    Ord.CREATE_WRAP_KEY,
    Ord.CMK_CREATE_BLOB,
    Ord.CREATE_MIGRATION_BLOB,
    Ord.CONVERT_MIGRATION_BLOB,
    Ord.DELEGATE_CREATE_KEY_DELEGATION,
    Ord.CHANGE_AUTH,
    Ord.GET_PUBKEY,
    Ord.UNBIND,
    Ord.QUOTE,
    Ord.UNSEAL,
    Ord.SEAL,
    Ord.LOAD_KEY,
)
ROWS: tuple[Row, ...] = (*COMMANDS.values(), *ABSENT)


@pytest.mark.parametrize("ordinal", sorted(COMMANDS))
def test_the_states_in_which_a_command_is_answered(ordinal: int) -> None:
    row = COMMANDS[ordinal]
    states = (
        not row.needs_owner,
        In.DISABLED in row.allowed,
        In.DEACTIVATED in row.allowed,
        In.FAILED in row.allowed,
        In.POST_INIT in row.allowed,
    )
    columns = WITHOUT_OWNER, WHILE_DISABLED, WHILE_DEACTIVATED, WHILE_FAILED, BEFORE_STARTUP
    assert states == tuple(row.name in column for column in columns)


def test_what_is_audited() -> None:
    audited = {row.name for row in COMMANDS.values() if row.audit is Auditing.ON}
    never = {row.name for row in COMMANDS.values() if row.audit is Auditing.NEVER}
    assert (audited, never) == (AUDITED, NEVER_AUDITED)


@pytest.mark.parametrize(
    ("kind", "rights"), [(OWNER_BITS, OWNERS_RIGHTS), (KEY_BITS, KEYS_RIGHTS)], ids=["owner", "key"]
)
def test_the_bits_that_delegate(kind: int, rights: tuple[Ord, ...]) -> None:
    wanted = {ordinal: 1 << bit for bit, ordinal in enumerate(reversed(rights))}
    assert {row.ordinal: row.right(kind) for row in ROWS if row.right(kind)} == wanted


def test_where_commands_come_from() -> None:
    bound = {row.name: row.localities for row in COMMANDS.values() if row.localities != ALL_LOCALITIES}
    assert bound == {"TSC_ResetEstablishmentBit": (3, 4)}


def test_the_columns_name_commands() -> None:
    named = WITHOUT_OWNER | WHILE_DISABLED | WHILE_DEACTIVATED
    assert named <= {row.name for row in COMMANDS.values()}
