# SPDX-License-Identifier: GPL-3.0-or-later
"""Ordinals of the specification that this TPM refuses with BAD_ORDINAL, and why it may."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from bootproof.tpm.command import Row
from bootproof.tpm.ordinals import Ord


@dataclass(frozen=True)
class Absent(Row):
    """`status` is "optional", "deleted" (by the specification itself) or "signal" (of the hardware)."""

    status: str
    why: str


_NO_MAINTENANCE: Final = "no manufacturer has a key for copies of the SRK"

ABSENT: Final = (
    Absent(
        Ord.DAA_JOIN,
        "TPM_DAA_Join",
        "26.1",
        "optional",
        "no direct anonymous attestation",
        handles=1,
        owner_right=23,
    ),
    Absent(
        Ord.DAA_SIGN,
        "TPM_DAA_Sign",
        "26.2",
        "optional",
        "no direct anonymous attestation",
        handles=1,
        owner_right=0,
    ),
    Absent(
        Ord.CREATE_MAINTENANCE_ARCHIVE,
        "TPM_CreateMaintenanceArchive",
        "12.1",
        "optional",
        _NO_MAINTENANCE,
        owner_right=21,
    ),
    Absent(
        Ord.LOAD_MAINTENANCE_ARCHIVE,
        "TPM_LoadMaintenanceArchive",
        "12.2",
        "optional",
        _NO_MAINTENANCE,
        owner_right=20,
    ),
    Absent(
        Ord.KILL_MAINTENANCE_FEATURE,
        "TPM_KillMaintenanceFeature",
        "12.3",
        "optional",
        _NO_MAINTENANCE,
        owner_right=19,
    ),
    Absent(Ord.LOAD_MANU_MAINT_PUB, "TPM_LoadManuMaintPub", "12.4", "optional", _NO_MAINTENANCE),
    Absent(Ord.READ_MANU_MAINT_PUB, "TPM_ReadManuMaintPub", "12.5", "optional", _NO_MAINTENANCE),
    Absent(Ord.INIT, "TPM_Init", "3.1", "signal", "comes from the platform: INIT on the control channel"),
    Absent(
        Ord.FIELD_UPGRADE,
        "TPM_FieldUpgrade",
        "15.1",
        "optional",
        "a new version is a new program",
        owner_right=6,
    ),
    Absent(
        Ord.SET_REDIRECTION,
        "TPM_SetRedirection",
        "9.3",
        "optional",
        "no redirected input and output",
        owner_right=7,
    ),
    Absent(Ord.GET_CAPABILITY_SIGNED, "TPM_GetCapabilitySigned", "28.1", "deleted", "had no use", handles=1),
    Absent(
        Ord.GET_ORDINAL_AUDIT_STATUS,
        "TPM_GetOrdinalAuditStatus",
        "28.2",
        "deleted",
        "GetAuditDigest lists them",
    ),
    Absent(Ord.CERTIFY_SELF_TEST, "TPM_CertifySelfTest", "28.3", "deleted", "had no use", handles=1),
    Absent(Ord.GET_AUDIT_EVENT, "TPM_GetAuditEvent", "", "deleted", "TPM 1.1's log of events"),
    Absent(Ord.GET_AUDIT_EVENT_SIGNED, "TPM_GetAuditEventSigned", "", "deleted", "TPM 1.1's log of events"),
)
