# SPDX-License-Identifier: GPL-3.0-or-later
"""Names of TPM 1.2 commands (tpm_ordinal.h), to make transcripts readable."""

from __future__ import annotations

from typing import Final

_TABLE = """
    a=OIAP b=OSAP c=ChangeAuth d=TakeOwnership e=ChangeAuthAsymStart f=ChangeAuthAsymFinish
    10=ChangeAuthOwner 11=DSAP 12=CMK_CreateTicket 13=CMK_CreateKey 14=Extend 15=PcrRead 16=Quote
    17=Seal 18=Unseal 19=DirWriteAuth 1a=DirRead 1b=CMK_CreateBlob 1c=CMK_SetRestrictions
    1d=CMK_ApproveMA 1e=UnBind 1f=CreateWrapKey 20=LoadKey 21=GetPubKey 22=EvictKey 23=KeyControlOwner
    24=CMK_ConvertMigration 25=MigrateKey 28=CreateMigrationBlob 29=DAA_Join 2a=ConvertMigrationBlob
    2b=AuthorizeMigrationKey 2c=CreateMaintenanceArchive 2d=LoadMaintenanceArchive
    2e=KillMaintenanceFeature 2f=LoadManuMaintPub 30=ReadManuMaintPub 31=DAA_Sign 32=CertifyKey
    33=CertifyKey2 3c=Sign 3d=Sealx 3e=Quote2 3f=SetCapability 40=ResetLockValue 41=LoadKey2
    46=GetRandom 47=StirRandom 50=SelfTestFull 52=CertifySelfTest 53=ContinueSelfTest 54=GetTestResult
    5a=Reset 5b=OwnerClear 5c=DisableOwnerClear 5d=ForceClear 5e=DisableForceClear
    64=GetCapabilitySigned 65=GetCapability 66=GetCapabilityOwner 6e=OwnerSetDisable 6f=PhysicalEnable
    70=PhysicalDisable 71=SetOwnerInstall 72=PhysicalSetDeactivated 73=SetTempDeactivated
    74=SetOperatorAuth 75=SetOwnerPointer 78=CreateEndorsementKeyPair 79=MakeIdentity
    7a=ActivateIdentity 7c=ReadPubek 7d=OwnerReadPubek 7e=DisablePubekRead 7f=CreateRevocableEK
    80=RevokeTrust 81=OwnerReadInternalPub 82=GetAuditEvent 83=GetAuditEventSigned 85=GetAuditDigest
    86=GetAuditDigestSigned 8c=GetOrdinalAuditStatus 8d=SetOrdinalAuditStatus 96=Terminate_Handle
    97=Init 98=SaveState 99=Startup 9a=SetRedirection a0=SHA1Start a1=SHA1Update a2=SHA1Complete
    a3=SHA1CompleteExtend aa=FieldUpgrade b4=SaveKeyContext b5=LoadKeyContext b6=SaveAuthContext
    b7=LoadAuthContext b8=SaveContext b9=LoadContext ba=FlushSpecific c8=PCR_Reset cc=NV_DefineSpace
    cd=NV_WriteValue ce=NV_WriteValueAuth cf=NV_ReadValue d0=NV_ReadValueAuth
    d1=Delegate_UpdateVerification d2=Delegate_Manage d4=Delegate_CreateKeyDelegation
    d5=Delegate_CreateOwnerDelegation d6=Delegate_VerifyDelegation d8=Delegate_LoadOwnerDelegation
    db=Delegate_ReadTable dc=CreateCounter dd=IncrementCounter de=ReadCounter df=ReleaseCounter
    e0=ReleaseCounterOwner e6=EstablishTransport e7=ExecuteTransport e8=ReleaseTransportSigned
    f1=GetTicks f2=TickStampBlob 4000000a=PhysicalPresence 4000000b=ResetEstablishmentBit
"""
NAMES: Final = {int(number, 16): name for number, name in (entry.split("=") for entry in _TABLE.split())}
