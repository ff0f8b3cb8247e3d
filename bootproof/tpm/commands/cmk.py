# SPDX-License-Identifier: GPL-3.0-or-later
"""Certified migration: keys that move only where an authority agrees (Part 3, 11.5 to 11.10)."""

from __future__ import annotations

import hmac
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Final

from bootproof.tpm import keygen, migration
from bootproof.tpm.codes import Rc, TpmError
from bootproof.tpm.command import Command
from bootproof.tpm.commands.migration import BlobOut, EncryptedOut
from bootproof.tpm.numbers import Algorithm, EncScheme, KeyFlag, KeyUsage, Payload, Protocol, SigScheme
from bootproof.tpm.ordinals import Ord
from bootproof.tpm.sessions import hmac_sha1
from bootproof.tpm.structures.certify import CmkMigrationAuth
from bootproof.tpm.structures.keys import Key, Pubkey, StoreAsymKey, sha1
from bootproof.tpm.structures.migration import (
    AuthorityApproval,
    CmkAuth,
    MigrationKeyAuth,
    Restrictions,
    Scheme,
    SignatureTicket,
    authorities,
)
from bootproof.tpm.wire import Structure, digest, nested, sized32, structure, uint16, uint32

if TYPE_CHECKING:
    from bootproof.tpm.call import Call
    from bootproof.tpm.keys import LoadedKey
    from bootproof.tpm.machine import Tpm


@structure
class SetRestrictionsIn(Structure):
    """TPM_CMK_SetRestrictions: a TPM_CMK_DELEGATE."""

    restriction: int = uint32()


@structure
class ApproveIn(Structure):
    """TPM_CMK_ApproveMA: the digest of a TPM_MSA_COMPOSITE."""

    authorities: bytes = digest()


@structure
class ProofOut(Structure):
    """An HMAC that only this TPM can make."""

    value: bytes = digest()


@structure
class CreateKeyIn(Structure):
    """TPM_CMK_CreateKey: parent, encrypted secret, the key wanted, an approval, and of whom."""

    parent: int = uint32()
    usage_auth: bytes = digest()
    key: Key = nested(Key)
    approval: bytes = digest()
    authorities: bytes = digest()


@structure
class KeyOut(Structure):
    """A key."""

    key: Key = nested(Key)


@structure
class CreateTicketIn(Structure):
    """TPM_CMK_CreateTicket: who signed which digest how."""

    verifier: Pubkey = nested(Pubkey)
    signed: bytes = digest()
    signature: bytes = sized32()


@structure
class CreateBlobIn(Structure):
    """TPM_CMK_CreateBlob: parent, the owner's ticket, which key, its authorities, and their agreement."""

    parent: int = uint32()
    scheme: int = uint16()
    ticket: MigrationKeyAuth = nested(MigrationKeyAuth)
    source: bytes = digest()
    authorities: bytes = sized32()
    restriction: bytes = sized32()
    signature_ticket: bytes = sized32()
    encrypted: bytes = sized32()


@structure
class ConvertIn(Structure):
    """TPM_CMK_ConvertMigration: parent, the authorities' agreement, what TPM_CMK_CreateBlob returned."""

    parent: int = uint32()
    restriction: CmkAuth = nested(CmkAuth)
    signature_ticket: bytes = digest()
    key: Key = nested(Key)
    authorities: bytes = sized32()
    random: bytes = sized32()


def _proof(tpm: Tpm, statement: Structure) -> bytes:
    return hmac_sha1(tpm.permanent.tpm_proof, statement.encode())


def _need_ticket(tpm: Tpm, members: list[bytes], signed: bytes, ticket: bytes) -> None:
    """MA_TICKET_SIGNATURE unless one of the authorities has signed that digest."""
    if not any(
        hmac.compare_digest(_proof(tpm, SignatureTicket(member, signed)), ticket) for member in members
    ):
        raise TpmError(Rc.MA_TICKET_SIGNATURE)


def _need_parent(parent: LoadedKey) -> None:
    """INVALID_KEYUSAGE unless it is a storage key that stays."""
    parent.need_usage(KeyUsage.STORAGE)
    if parent.key.has(KeyFlag.MIGRATABLE):
        raise TpmError(Rc.INVALID_KEYUSAGE)


def set_restrictions(call: Call, args: SetRestrictionsIn) -> None:
    """AUTHFAIL."""
    call.owner()
    permanent = call.tpm.permanent
    call.tpm.commit(replace(permanent, restrictions=Restrictions(args.restriction)))


def approve_ma(call: Call, args: ApproveIn) -> ProofOut:
    """AUTHFAIL."""
    call.owner()
    return ProofOut(_proof(call.tpm, AuthorityApproval(args.authorities)))


def create_key(call: Call, args: CreateKeyIn) -> KeyOut:
    """BAD_MODE for a session that is not OSAP, AUTHFAIL; BAD_VERSION, BAD_KEY_PROPERTY, NOTFIPS;
    INVALID_KEYUSAGE for a parent that is no storage key or may migrate, and for a key that may not, or that
    is for identities or authorisation changes; MA_AUTHORITY for authorities that the owner did not approve;
    INVALID_STRUCTURE for a TPM_KEY; INVALID_PCR_INFO.
    """
    tpm, wanted = call.tpm, args.key
    parent = call.use_key(args.parent, protocol=Protocol.OSAP)
    keygen.check_parameters(wanted, tpm.permanent.flags.fips)
    _need_parent(parent)
    if not wanted.has(KeyFlag.MIGRATABLE) or not wanted.has(KeyFlag.MIGRATE_AUTHORITY):
        raise TpmError(Rc.INVALID_KEYUSAGE)
    approval = _proof(tpm, AuthorityApproval(args.authorities))
    if not hmac.compare_digest(approval, args.approval):
        raise TpmError(Rc.MA_AUTHORITY)
    if wanted.usage in (KeyUsage.IDENTITY, KeyUsage.AUTHCHANGE):
        raise TpmError(Rc.INVALID_KEYUSAGE)
    if not wanted.is_key12:
        raise TpmError(Rc.INVALID_STRUCTURE)
    usage_auth = call.decrypt_auth(args.usage_auth)
    call.end_session()
    noted = keygen.note_creation(tpm, wanted)
    private = keygen.generate(tpm, wanted)
    key = replace(noted, public=private.public.modulus, encrypted=b"")
    secret = StoreAsymKey(
        Payload.MIGRATE_RESTRICTED,
        usage_auth,
        _proof(tpm, CmkMigrationAuth(args.authorities, key.pubkey().digest())),
        key.public_digest(),
        private.prime,
    )
    return KeyOut(keygen.wrap(parent, key, secret))


def create_ticket(call: Call, args: CreateTicketIn) -> ProofOut:
    """AUTHFAIL; for the key that signed BAD_KEY_PROPERTY, INAPPROPRIATE_ENC if it encrypts, INVALID_KEYUSAGE
    if it does not sign SHA-1 digests; BAD_SIGNATURE.
    """
    call.owner()
    parameters = args.verifier.parameters
    if parameters.algorithm != Algorithm.RSA:
        raise TpmError(Rc.BAD_KEY_PROPERTY)
    if parameters.encryption != EncScheme.NONE:
        raise TpmError(Rc.INAPPROPRIATE_ENC)
    if parameters.signature not in (SigScheme.PKCS1_SHA1, SigScheme.PKCS1_INFO):
        raise TpmError(Rc.INVALID_KEYUSAGE)
    if not migration.public_key(args.verifier).verify_sha1(args.signed, args.signature):
        raise TpmError(Rc.BAD_SIGNATURE)
    return ProofOut(_proof(call.tpm, SignatureTicket(args.verifier.digest(), args.signed)))


def create_blob(call: Call, args: CreateBlobIn) -> BlobOut:
    """AUTHFAIL; INVALID_KEYUSAGE for a parent that is no storage key or may migrate; DECRYPT_ERROR; AUTHFAIL
    for a ticket that the owner did not give; INVALID_STRUCTURE for another payload or no authorities;
    MA_AUTHORITY for authorities that are not the key's; then as the ticket's scheme wants it.
    """
    tpm = call.tpm
    parent = call.use_key(args.parent)
    _need_parent(parent)
    secret = migration.open_key(parent, args.encrypted)
    migration.check_ticket(tpm, args.ticket)
    if secret.payload not in (Payload.MIGRATE_RESTRICTED, Payload.MIGRATE_EXTERNAL):
        raise TpmError(Rc.INVALID_STRUCTURE)
    members = authorities(args.authorities)
    bound = CmkMigrationAuth(sha1(args.authorities), args.source)
    if not hmac.compare_digest(_proof(tpm, bound), secret.migration_auth):
        raise TpmError(Rc.MA_AUTHORITY)
    if args.ticket.scheme == Scheme.RESTRICT_MIGRATE:
        _check_authority_as_destination(args, members)
    elif args.ticket.scheme == Scheme.RESTRICT_APPROVE:
        _check_approved_destination(tpm, args, members)
    else:
        raise TpmError(Rc.BAD_PARAMETER)
    label_digest = sha1(bound.authorities, args.source)
    return BlobOut(*migration.hide(secret, Payload.CMK_MIGRATE, label_digest, args.ticket.key))


def _check_authority_as_destination(args: CreateBlobIn, members: list[bytes]) -> None:
    """Check that the key goes to an authority (11.9, 8): MA_TICKET_SIGNATURE if not, BAD_KEY_PROPERTY,
    INAPPROPRIATE_ENC, INVALID_KEYUSAGE for its key, BAD_PARAMETER for an agreement, which is not needed.
    """
    if args.ticket.key.digest() not in members:
        raise TpmError(Rc.MA_TICKET_SIGNATURE)
    parameters = args.ticket.key.parameters
    if parameters.algorithm != Algorithm.RSA:
        raise TpmError(Rc.BAD_KEY_PROPERTY)
    if parameters.encryption != EncScheme.OAEP_SHA1_MGF1:
        raise TpmError(Rc.INAPPROPRIATE_ENC)
    if parameters.signature != SigScheme.NONE:
        raise TpmError(Rc.INVALID_KEYUSAGE)
    if args.restriction or args.signature_ticket:
        raise TpmError(Rc.BAD_PARAMETER)


def _check_approved_destination(tpm: Tpm, args: CreateBlobIn, members: list[bytes]) -> None:
    """Check that an authority agreed to the destination (11.9, 9): MA_TICKET_SIGNATURE, MA_DESTINATION,
    MA_SOURCE.
    """
    _need_ticket(tpm, members, sha1(args.restriction), args.signature_ticket)
    agreed = CmkAuth.decode(args.restriction)
    if agreed.destination != args.ticket.key.digest():
        raise TpmError(Rc.MA_DESTINATION)
    if agreed.source != args.source:
        raise TpmError(Rc.MA_SOURCE)


def convert_migration(call: Call, args: ConvertIn) -> EncryptedOut:
    """AUTHFAIL; INVALID_KEYUSAGE for a parent that is no storage key or may migrate, and for a key that is
    not certified to migrate; DECRYPT_ERROR; BAD_PARAMETER for random bytes of another length;
    INVALID_STRUCTURE; AUTHFAIL for other authorities or another key than those that it was sent with;
    BAD_MIGRATION for another payload; MA_TICKET_SIGNATURE, MA_DESTINATION, MA_SOURCE.
    """
    tpm, key = call.tpm, args.key
    parent = call.use_key(args.parent)
    parent.need_usage(KeyUsage.STORAGE)
    secret = migration.uncover(parent, key.encrypted, args.random)
    bound = CmkMigrationAuth(sha1(args.authorities), key.pubkey().digest())
    members = authorities(args.authorities)
    if not hmac.compare_digest(sha1(bound.authorities, bound.public), secret.migration_auth):
        raise TpmError(Rc.AUTHFAIL)
    _need_parent(parent)
    if secret.payload != Payload.CMK_MIGRATE:
        raise TpmError(Rc.BAD_MIGRATION)
    _need_ticket(tpm, members, sha1(args.restriction.encode()), args.signature_ticket)
    if args.restriction.destination != parent.key.pubkey().digest():
        raise TpmError(Rc.MA_DESTINATION)
    _need_halves_to_match(key, secret.private)
    if not key.has(KeyFlag.MIGRATABLE) or not key.has(KeyFlag.MIGRATE_AUTHORITY):
        raise TpmError(Rc.INVALID_KEYUSAGE)
    if args.restriction.source != bound.public:
        raise TpmError(Rc.MA_SOURCE)
    ours = replace(secret, payload=Payload.MIGRATE_EXTERNAL, migration_auth=_proof(tpm, bound))
    return EncryptedOut(parent.rsa.public.encrypt_oaep(ours.encode()))


def _need_halves_to_match(key: Key, prime: bytes) -> None:
    """DECRYPT_ERROR unless the prime is one of the key's; BAD_KEY_PROPERTY."""
    from bootproof.tpm.crypto.rsa import PrivateKey

    public = migration.public_key(key.pubkey())
    PrivateKey(public.modulus, prime, public.exponent)


_OWNERS = partial(Command, auths=(1,), needs_owner=True)
_PARENTS = partial(Command, auths=(1,), handles=1, needs_owner=True)

ROWS: Final = (
    _OWNERS(
        Ord.CMK_SET_RESTRICTIONS, "TPM_CMK_SetRestrictions", "11.5", set_restrictions, SetRestrictionsIn
    ),
    _OWNERS(Ord.CMK_APPROVE_MA, "TPM_CMK_ApproveMA", "11.6", approve_ma, ApproveIn, owner_right=28),
    _PARENTS(Ord.CMK_CREATE_KEY, "TPM_CMK_CreateKey", "11.7", create_key, CreateKeyIn, key_right=24),
    _OWNERS(
        Ord.CMK_CREATE_TICKET, "TPM_CMK_CreateTicket", "11.8", create_ticket, CreateTicketIn, owner_right=26
    ),
    _PARENTS(Ord.CMK_CREATE_BLOB, "TPM_CMK_CreateBlob", "11.9", create_blob, CreateBlobIn, key_right=10),
    _PARENTS(
        Ord.CMK_CONVERT_MIGRATION,
        "TPM_CMK_ConvertMigration",
        "11.10",
        convert_migration,
        ConvertIn,
        key_right=28,
    ),
)
