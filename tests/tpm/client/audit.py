# SPDX-License-Identifier: GPL-3.0-or-later
"""Auditing (Part 3, 8.1 to 8.3; Part 2, 14)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from tests.tpm.client.constants import Ord
from tests.tpm.client.ticks import Counter
from tests.tpm.client.tpm import Auth, Tpm
from tests.tpm.client.wire import flag, sha1, sized, u16, u32


@dataclass(frozen=True)
class AuditDigest:
    """What TPM_GetAuditDigest answers."""

    counter: Counter
    digest: bytes
    more: bool
    ordinals: tuple[int, ...]


def get_audit_digest(tpm: Tpm, start: int = 0) -> AuditDigest:
    """TPM_GetAuditDigest (8.1): the audited ordinals from `start` on."""
    answer = tpm.call(Ord.GET_AUDIT_DIGEST, u32(start))
    counter, digest, more = Counter.read(answer), answer.digest(), bool(answer.u8())
    listed = answer.sized()
    answer.end()
    ordinals = tuple(int.from_bytes(listed[at : at + 4]) for at in range(0, len(listed), 4))
    return AuditDigest(counter, digest, more, ordinals)


@dataclass(frozen=True)
class SignedAudit:
    """What TPM_GetAuditDigestSigned answers."""

    counter: Counter
    digest: bytes
    ordinal_digest: bytes
    signature: bytes

    def signed_digest(self, replay: bytes) -> bytes:
        data = self.digest + self.counter.encode() + self.ordinal_digest
        return sha1(u16(0x05), b"ADIG", replay, sized(data))


def get_audit_digest_signed(
    tpm: Tpm, auth: Auth, key: int, replay: bytes, close: bool = False
) -> SignedAudit:
    """TPM_GetAuditDigestSigned (8.2)."""
    answer = tpm.call(Ord.GET_AUDIT_DIGEST_SIGNED, flag(close) + replay, auth, handles=[key])
    made = SignedAudit(Counter.read(answer), answer.digest(), answer.digest(), answer.sized())
    answer.end()
    return made


def set_ordinal_audit_status(tpm: Tpm, owner: Auth, ordinal: int, audited: bool) -> None:
    """TPM_SetOrdinalAuditStatus (8.3)."""
    tpm.call(Ord.SET_ORDINAL_AUDIT_STATUS, u32(ordinal) + flag(audited), owner).end()


def get_ordinal_audit_status(tpm: Tpm, ordinal: int) -> bool:
    """TPM_GetOrdinalAuditStatus (deprecated, of TPM 1.1)."""
    answer = tpm.call(Ord.GET_ORDINAL_AUDIT_STATUS, u32(ordinal))
    audited = bool(answer.u8())
    answer.end()
    return audited


def extended(digest: bytes, counter: Counter, ordinal: int, covered_in: bytes, covered_out: bytes) -> bytes:
    """Return the audit digest after a successful command: TPM_AUDIT_EVENT_IN and _OUT (Part 2, 14.1, 14.2).

    `covered_in` and `covered_out` are the parameters that the authorisation covers.
    """
    before = u16(0x12) + sha1(u32(ordinal), covered_in) + counter.encode()
    digest = sha1(digest, before)
    return sha1(digest, u16(0x13) + sha1(u32(0), u32(ordinal), covered_out) + counter.encode())


def ordinal_list_digest(ordinals: Sequence[int]) -> bytes:
    """Return the SHA-1 of a list of ordinals."""
    return sha1(b"".join(u32(ordinal) for ordinal in ordinals))
