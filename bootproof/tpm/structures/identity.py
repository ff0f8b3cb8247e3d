# SPDX-License-Identifier: GPL-3.0-or-later
"""What a certificate authority encrypts for an endorsement key (Part 2, 10.9 and 12)."""

from __future__ import annotations

from typing import Final

from bootproof.tpm.structures.pcrinfo import PcrInfoShort
from bootproof.tpm.wire import (
    Structure,
    digest,
    nested,
    sized16,
    sized32,
    structure,
    structure_tag,
    uint16,
    uint32,
)

EK_BLOB_TAG: Final = 0x000C
EK_TYPE_ACTIVATE: Final = 1


@structure
class SymmetricKey(Structure):
    """TPM_SYMMETRIC_KEY (10.9)."""

    algorithm: int = uint32()
    scheme: int = uint16()
    data: bytes = sized16()


@structure
class AsymCaContents(Structure):
    """TPM_ASYM_CA_CONTENTS (12.7), the layout of TPM 1.1; `identity` is the digest of the TPM_PUBKEY."""

    session_key: SymmetricKey = nested(SymmetricKey)
    identity: bytes = digest()


@structure
class EkBlob(Structure):
    """TPM_EK_BLOB (12.9); what is in the blob depends on the kind."""

    tag: int = structure_tag(default=EK_BLOB_TAG)
    kind: int = uint16()
    blob: bytes = sized32()


@structure
class EkBlobActivate(Structure):
    """TPM_EK_BLOB_ACTIVATE (12.10): as AsymCaContents, and the PCRs that there must be."""

    tag: int = structure_tag(default=0x002B)
    session_key: SymmetricKey = nested(SymmetricKey)
    identity: bytes = digest()
    pcr_info: PcrInfoShort = nested(PcrInfoShort)
