# SPDX-License-Identifier: GPL-3.0-or-later
"""TSS programs of our own that migrate keys. What they print is compared."""

from __future__ import annotations

from hashlib import sha1

from tests.tss.tspi import (
    NO_OUTPUT,
    Key,
    Kind,
    Policy,
    Session,
    call,
    data,
    number,
    refused,
    set_data,
    two_data,
)

MIGRATE, REWRAP, RESTRICT_APPROVE_DOUBLE = 0x20, 0x21, 0x24
# attributes of migration data: flag and sub-flag
_MSA_LIST, _AUTHORITY, _DESTINATION, _SOURCE = (0x10, 0x103), (0x10, 0x104), (0x10, 0x105), (0x10, 0x106)
_XOR_BLOB, _MIGRATION_TICKET = (0x10, 0x101), (0x20, 0)
_AUTHORITY_DIGEST, _APPROVAL = (0x30, 0x301), (0x30, 0x302)
_SIGNED_DIGEST, _SIGNATURE = (0x50, 0x501), (0x50, 0x502)
# attributes of a key
_KEY_APPROVAL, _KEY_AUTHORITY = (0x400, 0x10), (0x400, 0x20)


def rewrap(tss: Session) -> None:
    """Migrate a key to another parent at once."""
    srk = tss.srk()
    key = tss.key(Key.SIGNING | Key.MIGRATABLE, srk, "usage", "migration")
    parent = tss.key(Key.STORAGE, srk)
    ticket = data("Tspi_TPM_AuthorizeMigrationTicket", tss.tpm, parent, REWRAP)
    random_, blob = two_data("Tspi_Key_CreateMigrationBlob", key, srk, len(ticket), ticket)
    print("rewrapped", len(ticket), len(random_), len(blob))
    moved = number("Tspi_Context_LoadKeyByBlob", tss.context, parent, len(blob), blob)
    tss.give_secret(moved, "usage")
    tss.sign(moved)
    other = tss.key(Key.SIGNING, srk, "usage")
    create = "Tspi_Key_CreateMigrationBlob"
    arguments = (srk, len(ticket), ticket, *NO_OUTPUT, *NO_OUTPUT)
    tss.give_secret(other, "migration", Policy.MIGRATION)
    refused("a key that may not migrate", create, other, *arguments)
    tss.give_secret(key, "wrong", Policy.MIGRATION)
    refused("a wrong migration secret", create, key, *arguments)
    damaged = ticket[:-1] + bytes([ticket[-1] ^ 1])
    tss.give_secret(key, "migration", Policy.MIGRATION)
    refused("a forged ticket", create, key, srk, len(damaged), damaged, *NO_OUTPUT, *NO_OUTPUT)


def migrate(tss: Session) -> None:
    """Migrate a key by way of a migration authority's key."""
    srk = tss.srk()
    key = tss.key(Key.SIGNING | Key.MIGRATABLE, srk, "usage", "migration")
    parent = tss.key(Key.STORAGE, srk)
    ticket = data("Tspi_TPM_AuthorizeMigrationTicket", tss.tpm, parent, MIGRATE)
    random_, blob = two_data("Tspi_Key_CreateMigrationBlob", key, srk, len(ticket), ticket)
    print("created", len(random_), len(blob))
    moved = tss.blank_key(Key.SIGNING | Key.MIGRATABLE, "usage", "migration")
    call("Tspi_Key_ConvertMigrationBlob", moved, parent, len(random_), random_, len(blob), blob)
    call("Tspi_Key_LoadKey", moved, parent)
    tss.sign(moved)


def certified(tss: Session) -> None:
    """A certified migratable key: only with its authority's signature does it go elsewhere."""
    srk = tss.srk()
    authority = tss.key(Key.SIGNING, srk, "authority")
    authority_key = data("Tspi_Key_GetPubKey", authority)
    approved = tss.new(Kind.MIGRATION)
    set_data(approved, *_MSA_LIST, authority_key)
    call("Tspi_TPM_CMKSetRestrictions", tss.tpm, 0xC0000000)
    call("Tspi_TPM_CMKApproveMA", tss.tpm, approved)
    flags = Key.SIGNING | Key.CERTIFIED_MIGRATABLE | Key.MIGRATABLE | Key.KEY12
    key = tss.blank_key(flags, "usage", "migration")
    set_data(key, *_KEY_APPROVAL, tss.attribute(approved, *_APPROVAL))
    set_data(key, *_KEY_AUTHORITY, tss.attribute(approved, *_AUTHORITY_DIGEST))
    call("Tspi_Key_CreateKey", key, srk, 0)
    call("Tspi_Key_LoadKey", key, srk)
    tss.sign(key)
    parent = tss.key(Key.STORAGE, srk, "parent")
    parent_key, public = data("Tspi_Key_GetPubKey", parent), data("Tspi_Key_GetPubKey", key)
    digest = sha1(b"".join(sha1(one).digest() for one in (authority_key, parent_key, public))).digest()
    to_sign = tss.new(Kind.HASH, 1)
    call("Tspi_Hash_SetHashValue", to_sign, len(digest), digest)
    signature = data("Tspi_Hash_Sign", to_sign, authority)
    for what, value in (
        (_AUTHORITY, authority_key),
        (_DESTINATION, parent_key),
        (_SOURCE, public),
        (_SIGNED_DIGEST, digest),
        (_SIGNATURE, signature),
    ):
        set_data(approved, *what, value)
    call("Tspi_TPM_CMKCreateTicket", tss.tpm, authority, approved)
    ticket = data("Tspi_TPM_AuthorizeMigrationTicket", tss.tpm, parent, RESTRICT_APPROVE_DOUBLE)
    set_data(approved, *_MIGRATION_TICKET, ticket)
    random = data("Tspi_Key_CMKCreateBlob", key, srk, approved)
    print("created", len(random), len(tss.attribute(approved, *_XOR_BLOB)))
    arguments = (approved, len(random), random)
    call("Tspi_Key_CMKConvertMigration", key, parent, *arguments)
    call("Tspi_Key_LoadKey", key, parent)
    tss.sign(key)


PROGRAMS = (rewrap, migrate, certified)
