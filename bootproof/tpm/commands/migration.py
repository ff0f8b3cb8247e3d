# SPDX-License-Identifier: GPL-3.0-or-later
"""Moving migratable keys to another parent, here or on another TPM (Part 3, 11.1 to 11.4)."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Final

from bootproof.tpm import migration, numbers
from bootproof.tpm.codes import Rc, TpmError
from bootproof.tpm.command import Auditing, Command
from bootproof.tpm.entities import Entity
from bootproof.tpm.numbers import EncScheme, KeyUsage, Payload, Protocol
from bootproof.tpm.ordinals import Ord
from bootproof.tpm.structures.keys import DEFAULT_EXPONENT, Pubkey, rsa_parameters, sha1
from bootproof.tpm.structures.migration import MigrationKeyAuth, Scheme
from bootproof.tpm.wire import Structure, nested, sized32, structure, uint16, uint32

if TYPE_CHECKING:
    from bootproof.tpm.call import Call

_SMALLEST_TARGET: Final = 2048  # bits


@structure
class CreateBlobIn(Structure):
    """TPM_CreateMigrationBlob: parent, migrate or rewrap, the owner's ticket, the key's encrypted part."""

    parent: int = uint32()
    scheme: int = uint16()
    ticket: MigrationKeyAuth = nested(MigrationKeyAuth)
    encrypted: bytes = sized32()


@structure
class BlobOut(Structure):
    """The key encrypted for its destination, and what it is combined with (nothing after a rewrap)."""

    random: bytes = sized32()
    encrypted: bytes = sized32()


@structure
class ConvertBlobIn(Structure):
    """TPM_ConvertMigrationBlob: the new parent, and what TPM_CreateMigrationBlob returned."""

    parent: int = uint32()
    encrypted: bytes = sized32()
    random: bytes = sized32()


@structure
class EncryptedOut(Structure):
    """A key's encrypted part."""

    encrypted: bytes = sized32()


@structure
class AuthorizeIn(Structure):
    """TPM_AuthorizeMigrationKey: a scheme and a destination."""

    scheme: int = uint16()
    key: Pubkey = nested(Pubkey)


@structure
class TicketOut(Structure):
    """The owner's ticket."""

    ticket: MigrationKeyAuth = nested(MigrationKeyAuth)


@structure
class MigrateKeyIn(Structure):
    """TPM_MigrateKey: the authority's key, a destination, something encrypted for the former."""

    authority: int = uint32()
    target: Pubkey = nested(Pubkey)
    encrypted: bytes = sized32()


def create_migration_blob(call: Call, args: CreateBlobIn) -> BlobOut:
    """INVALID_KEYHANDLE, AUTHFAIL; INVALID_KEYUSAGE for a parent that is no storage key; DECRYPT_ERROR,
    INVALID_STRUCTURE; BAD_MIGRATION for a certified migration key; AUTH2FAIL, also for a key that may not
    migrate; AUTHFAIL for a ticket that the owner did not give; BAD_PARAMETER for another scheme.
    """
    last = call.count - 1
    parent = call.use_key(args.parent, 0 if last else None)
    parent.need_usage(KeyUsage.STORAGE)
    secret = migration.open_key(parent, args.encrypted)
    if secret.payload != Payload.ASYM:
        raise TpmError(Rc.BAD_MIGRATION)
    entity = Entity(numbers.Entity.KEY, sha1(args.encrypted), secret.migration_auth)
    call.authorize(entity, last, Protocol.OIAP)
    migration.check_ticket(call.tpm, args.ticket)
    if args.scheme == Scheme.MIGRATE:
        hidden = migration.hide(secret, Payload.MIGRATE, secret.migration_auth, args.ticket.key)
        return BlobOut(*hidden)
    if args.scheme == Scheme.REWRAP:
        return BlobOut(b"", migration.encrypt(args.ticket.key, secret.encode()))
    raise TpmError(Rc.BAD_PARAMETER)


def convert_migration_blob(call: Call, args: ConvertBlobIn) -> EncryptedOut:
    """INVALID_KEYHANDLE, AUTHFAIL; INVALID_KEYUSAGE for a parent that is no storage key; DECRYPT_ERROR;
    BAD_PARAMETER for random bytes of another length; INVALID_STRUCTURE; BAD_MIGRATION for another payload.
    """
    parent = call.use_key(args.parent)
    parent.need_usage(KeyUsage.STORAGE)
    secret = migration.uncover(parent, args.encrypted, args.random)
    if secret.payload != Payload.MIGRATE:
        raise TpmError(Rc.BAD_MIGRATION)
    return EncryptedOut(parent.rsa.public.encrypt_oaep(replace(secret, payload=Payload.ASYM).encode()))


def authorize_migration_key(call: Call, args: AuthorizeIn) -> TicketOut:
    """BAD_KEY_PROPERTY for a destination below 2048 bits or with another exponent than 65537, AUTHFAIL,
    INAPPROPRIATE_ENC unless it is for OAEP.
    """
    rsa = rsa_parameters(args.key.parameters)
    if rsa.bits < _SMALLEST_TARGET or rsa.public_exponent != DEFAULT_EXPONENT:
        raise TpmError(Rc.BAD_KEY_PROPERTY)
    call.owner()
    if args.key.parameters.encryption != EncScheme.OAEP_SHA1_MGF1:
        raise TpmError(Rc.INAPPROPRIATE_ENC)
    proof = migration.ticket_digest(call.tpm, args.key, args.scheme)
    return TicketOut(MigrationKeyAuth(args.key, args.scheme, proof))


def migrate_key(call: Call, args: MigrateKeyIn) -> EncryptedOut:
    """INVALID_KEYHANDLE, AUTHFAIL; INVALID_KEYUSAGE for a key that is not for migration; DECRYPT_ERROR;
    BAD_KEY_PROPERTY, INAPPROPRIATE_ENC for a destination that cannot be used; ENCRYPT_ERROR.
    """
    authority = call.use_key(args.authority)
    authority.need_usage(KeyUsage.MIGRATE)
    data = authority.rsa.decrypt_oaep(args.encrypted)
    return EncryptedOut(migration.encrypt(args.target, data))


_ROW = partial(Command, needs_owner=True)

ROWS: Final = (
    _ROW(
        Ord.CREATE_MIGRATION_BLOB,
        "TPM_CreateMigrationBlob",
        "11.1",
        create_migration_blob,
        CreateBlobIn,
        auths=(1, 2),
        handles=1,
        audit=Auditing.ON,
        key_right=9,
    ),
    _ROW(
        Ord.CONVERT_MIGRATION_BLOB,
        "TPM_ConvertMigrationBlob",
        "11.2",
        convert_migration_blob,
        ConvertBlobIn,
        auths=(0, 1),
        handles=1,
        audit=Auditing.ON,
        key_right=8,
    ),
    _ROW(
        Ord.AUTHORIZE_MIGRATION_KEY,
        "TPM_AuthorizeMigrationKey",
        "11.3",
        authorize_migration_key,
        AuthorizeIn,
        auths=(1,),
        audit=Auditing.ON,
        owner_right=22,
    ),
    _ROW(
        Ord.MIGRATE_KEY,
        "TPM_MigrateKey",
        "11.4",
        migrate_key,
        MigrateKeyIn,
        auths=(0, 1),
        handles=1,
        key_right=23,
    ),
)
