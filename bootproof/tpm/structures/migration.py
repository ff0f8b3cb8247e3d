# SPDX-License-Identifier: GPL-3.0-or-later
"""Keys on their way to another parent, and who may send them there (Part 2, 5.12 to 5.21 and 10.8)."""

from __future__ import annotations

from enum import IntEnum

from bootproof.tpm.codes import DIGEST_SIZE, Rc, TpmError
from bootproof.tpm.structures.keys import Pubkey
from bootproof.tpm.wire import (
    Structure,
    digest,
    listed,
    nested,
    sized32,
    structure,
    structure_tag,
    uint8,
    uint16,
    uint32,
)


class Scheme(IntEnum):
    """TPM_MIGRATE_SCHEME (4.10)."""

    MIGRATE = 1
    REWRAP = 2
    MAINT = 3
    RESTRICT_MIGRATE = 4
    RESTRICT_APPROVE = 5


@structure
class MigrationKeyAuth(Structure):
    """TPM_MIGRATIONKEYAUTH (5.12): the owner's ticket for a destination; the digest proves who made it."""

    key: Pubkey = nested(Pubkey)
    scheme: int = uint16()
    digest: bytes = digest()


@structure
class MigrateAsymKey(Structure):
    """TPM_MIGRATE_ASYMKEY (10.8): a key's secret without the first 20 bytes of its private part."""

    payload: int = uint8()
    usage_auth: bytes = digest()
    public_digest: bytes = digest()
    private_rest: bytes = sized32()


@structure
class PrivateKeyBytes(Structure):
    """TPM_STORE_PRIVKEY (10.7): one prime, with its length."""

    prime: bytes = sized32()


@structure
class Authority(Structure):
    """The digest of a migration authority's TPM_PUBKEY."""

    digest: bytes = digest()


@structure
class Authorities(Structure):
    """TPM_MSA_COMPOSITE (5.15): migration authorities, any of which may agree."""

    members: tuple[Authority, ...] = listed(Authority)


@structure
class CmkAuth(Structure):
    """TPM_CMK_AUTH (5.16): digests of the public keys of an authority, a destination, and a key to move."""

    authority: bytes = digest()
    destination: bytes = digest()
    source: bytes = digest()


@structure
class SignatureTicket(Structure):
    """TPM_CMK_SIGTICKET (5.20): that the key with digest `verifier` has signed the digest `signed`."""

    tag: int = structure_tag(default=0x0034)
    verifier: bytes = digest()
    signed: bytes = digest()


@structure
class AuthorityApproval(Structure):
    """TPM_CMK_MA_APPROVAL (5.21): what the owner approves, the digest of a TPM_MSA_COMPOSITE."""

    tag: int = structure_tag(default=0x0035)
    authorities: bytes = digest()


@structure
class Restrictions(Structure):
    """TPM_CMK_DELEGATE (5.17): the uses of certified migration keys that may be delegated, a bit each."""

    delegable: int = uint32(default=0)


def authorities(encoded: bytes) -> list[bytes]:
    """Return the digests in a TPM_MSA_COMPOSITE; INVALID_STRUCTURE for none, BAD_PARAM_SIZE."""
    if encoded[:4] == bytes(4):
        raise TpmError(Rc.INVALID_STRUCTURE)
    if len(encoded) % DIGEST_SIZE != len(bytes(4)):
        raise TpmError(Rc.BAD_PARAM_SIZE)
    return [member.digest for member in Authorities.decode(encoded).members]
