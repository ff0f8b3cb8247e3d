# SPDX-License-Identifier: GPL-3.0-or-later
"""Ordinals of the specification that this TPM refuses with BAD_ORDINAL, and why it may."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from bootproof.tpm.ordinals import Ord


@dataclass(frozen=True)
class Absent:
    """A row: `status` is "optional" or "deleted" (by the specification itself)."""

    ordinal: Ord
    name: str
    section: str
    status: str
    why: str


ABSENT: Final = (
    Absent(Ord.DAA_JOIN, "TPM_DAA_Join", "26.1", "optional", "no direct anonymous attestation"),
    Absent(Ord.DAA_SIGN, "TPM_DAA_Sign", "26.2", "optional", "no direct anonymous attestation"),
    Absent(Ord.INIT, "TPM_Init", "3.1", "signal", "comes from the platform: INIT on the control channel"),
    Absent(Ord.FIELD_UPGRADE, "TPM_FieldUpgrade", "15.1", "optional", "a new version is a new program"),
    Absent(Ord.SET_REDIRECTION, "TPM_SetRedirection", "9.3", "optional", "no redirected input and output"),
)
