# SPDX-License-Identifier: GPL-3.0-or-later
"""Signatures and quotes (Part 3, 13.5, 16.3 and 16.5)."""

from __future__ import annotations

from dataclasses import dataclass

from tests.tpm.client.constants import VERSION_1_1, Ord
from tests.tpm.client.pcr import Composite, PcrInfoShort, Selection
from tests.tpm.client.tpm import Auth, Tpm
from tests.tpm.client.wire import flag, sha1, sized, u16


def sign(tpm: Tpm, auth: Auth, key: int, data: bytes) -> bytes:
    """TPM_Sign (13.5); what `data` must be depends on the key's scheme."""
    answer = tpm.call(Ord.SIGN, sized(data), auth, handles=[key])
    signature = answer.sized()
    answer.end()
    return signature


def info_digest(data: bytes, replay: bytes) -> bytes:
    """Return what a key with the INFO scheme signs: the SHA-1 of a TPM_SIGN_INFO (Part 2, 11.4).

    For TPM_Sign, `replay` is the nonceOdd of the command's first session.
    """
    return sha1(u16(0x05), b"SIGN", replay, sized(data))


@dataclass(frozen=True)
class Quote:
    """The PCRs and the signature over the TPM_QUOTE_INFO that `signed_digest` computes."""

    composite: Composite
    signature: bytes

    def signed_digest(self, nonce: bytes) -> bytes:
        return sha1(VERSION_1_1, b"QUOT", sha1(self.composite.encode()), nonce)


def quote(tpm: Tpm, auth: Auth, key: int, nonce: bytes, selection: Selection) -> Quote:
    """TPM_Quote (16.3)."""
    answer = tpm.call(Ord.QUOTE, nonce + selection.encode(), auth, handles=[key])
    made = Quote(Composite.read(answer), answer.sized())
    answer.end()
    return made


@dataclass(frozen=True)
class Quote2:
    """The PCR_INFO_SHORT, the version if it was asked for, and the signature."""

    info: PcrInfoShort
    version_info: bytes
    signature: bytes

    def signed_digest(self, nonce: bytes) -> bytes:
        return sha1(u16(0x36), b"QUT2", nonce, self.info.encode(), self.version_info)


def quote2(
    tpm: Tpm, auth: Auth, key: int, nonce: bytes, selection: Selection, version: bool = False
) -> Quote2:
    """TPM_Quote2 (16.5)."""
    answer = tpm.call(Ord.QUOTE2, nonce + selection.encode() + flag(version), auth, handles=[key])
    made = Quote2(PcrInfoShort.read(answer), answer.sized(), answer.sized())
    answer.end()
    return made
