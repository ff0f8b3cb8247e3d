# SPDX-License-Identifier: GPL-3.0-or-later
"""What the TPM signs (Part 2, 11, 12 and 15)."""

from __future__ import annotations

from typing import Final

from bootproof.tpm.numbers import VERSION_1_1
from bootproof.tpm.ordinals import Ord
from bootproof.tpm.structures.keys import Key, KeyParameters, Pubkey, sha1
from bootproof.tpm.structures.pcrinfo import PcrInfoShort
from bootproof.tpm.wire import (
    Structure,
    boolean,
    digest,
    nested,
    raw,
    sized32,
    structure,
    structure_tag,
    uint8,
    uint16,
    uint32,
)

SIGN: Final = b"SIGN"  # `fixed` of TPM_Sign
TICK_STAMP: Final = b"TSTP"  # ... and of TPM_TickStampBlob


@structure
class CertifyInfo(Structure):
    """TPM_CERTIFY_INFO (11.1): what there is to know of a key of TPM 1.1.

    `pubkey_digest` is of the modulus alone; `pcr_info` is a TPM_PCR_INFO or nothing.
    """

    version: bytes = raw(4)
    usage: int = uint16()
    flags: int = uint32()
    auth_usage: int = uint8()
    parameters: KeyParameters = nested(KeyParameters)
    pubkey_digest: bytes = digest()
    nonce: bytes = digest()
    parent_pcr: bool = boolean()
    pcr_info: bytes = sized32()


@structure
class CertifyInfo2(Structure):
    """TPM_CERTIFY_INFO2 (11.2): the same of any key; `pcr_info` is a TPM_PCR_INFO_SHORT or nothing."""

    tag: int = structure_tag(default=0x0029)
    fill: int = uint8()
    payload: int = uint8()
    usage: int = uint16()
    flags: int = uint32()
    auth_usage: int = uint8()
    parameters: KeyParameters = nested(KeyParameters)
    pubkey_digest: bytes = digest()
    nonce: bytes = digest()
    parent_pcr: bool = boolean()
    pcr_info: bytes = sized32()
    migration_authority: bytes = sized32()


@structure
class CmkMigrationAuth(Structure):
    """TPM_CMK_MIGAUTH (5.16): who may migrate a key. Digests of a TPM_MSA_COMPOSITE and a TPM_PUBKEY."""

    tag: int = structure_tag(default=0x0033)
    authorities: bytes = digest()
    public: bytes = digest()


def certify_info(key: Key, nonce: bytes, parent_pcr: bool, pcr_info: bytes) -> CertifyInfo:
    """Return the statement on a key in the layout of TPM 1.1."""
    return CertifyInfo(
        VERSION_1_1,
        key.usage,
        key.flags,
        key.auth_usage,
        key.parameters,
        sha1(key.public),
        nonce,
        parent_pcr,
        pcr_info,
    )


def certify_info2(
    key: Key, nonce: bytes, *, payload: int, parent_pcr: bool, pcr_info: bytes, authority: bytes
) -> CertifyInfo2:
    """Return the statement on a key in the layout of TPM 1.2."""
    return CertifyInfo2(
        0,
        payload,
        key.usage,
        key.flags,
        key.auth_usage,
        key.parameters,
        sha1(key.public),
        nonce,
        parent_pcr,
        pcr_info,
        authority,
    )


@structure
class QuoteInfo(Structure):
    """TPM_QUOTE_INFO (11.3)."""

    version: bytes = raw(4, default=VERSION_1_1)
    fixed: bytes = raw(4, default=b"QUOT")
    composite: bytes = digest(default=bytes(20))
    external: bytes = digest(default=bytes(20))


@structure
class QuoteInfo2(Structure):
    """TPM_QUOTE_INFO2 (11.4); a TPM_CAP_VERSION_INFO may follow."""

    tag: int = structure_tag(default=0x0036)
    fixed: bytes = raw(4)
    external: bytes = digest()
    info: PcrInfoShort = nested(PcrInfoShort)


@structure
class SignInfo(Structure):
    """TPM_SIGN_INFO (11.5)."""

    tag: int = structure_tag(default=0x0005)
    fixed: bytes = raw(4)
    replay: bytes = digest()
    data: bytes = sized32()


@structure
class IdentityContents(Structure):
    """TPM_IDENTITY_CONTENTS (12.5): binds an identity to its label and its certificate authority."""

    version: bytes = raw(4)
    ordinal: int = uint32()
    label_digest: bytes = digest()
    public: Pubkey = nested(Pubkey)


def identity_contents(label_digest: bytes, public: Pubkey) -> IdentityContents:
    """Return what a new identity signs."""
    return IdentityContents(VERSION_1_1, Ord.MAKE_IDENTITY, label_digest, public)
