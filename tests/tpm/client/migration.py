# SPDX-License-Identifier: GPL-3.0-or-later
"""Migration of keys, plain and certified (Part 3, 11), and maintenance (12)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from tests.tpm.client.constants import Entity, Ord
from tests.tpm.client.keyblobs import Key, PubKey
from tests.tpm.client.tpm import Auth, Tpm
from tests.tpm.client.wire import Reader, flag, sha1, sized, u16, u32

MIGRATE, REWRAP, MAINT, RESTRICT_MIGRATE, RESTRICT_APPROVE = 1, 2, 3, 4, 5  # TPM_MIGRATE_SCHEME


@dataclass(frozen=True)
class Ticket:
    """TPM_MIGRATIONKEYAUTH (Part 2, 5.11), as the TPM made it."""

    encoded: bytes


def authorize_migration_key(tpm: Tpm, owner: Auth, scheme: int, key: PubKey) -> Ticket:
    """TPM_AuthorizeMigrationKey (11.3)."""
    answer = tpm.call(Ord.AUTHORIZE_MIGRATION_KEY, u16(scheme) + key.encode(), owner)
    return Ticket(answer.rest())


@dataclass(frozen=True)
class MigrationBlob:
    """An encrypted key on its way; `random` is empty after a rewrap."""

    random: bytes
    data: bytes

    @classmethod
    def of(cls, answer: Reader) -> MigrationBlob:
        made = cls(answer.sized(), answer.sized())
        answer.end()
        return made


def create_migration_blob(
    tpm: Tpm, parent_auth: Auth, key_auth: Auth, parent: int, scheme: int, ticket: Ticket, enc_data: bytes
) -> MigrationBlob:
    """TPM_CreateMigrationBlob (11.1); `key_auth` is the key's migration secret."""
    parameters = u16(scheme) + ticket.encoded + sized(enc_data)
    answer = tpm.call(Ord.CREATE_MIGRATION_BLOB, parameters, parent_auth, key_auth, handles=[parent])
    return MigrationBlob.of(answer)


def convert_migration_blob(tpm: Tpm, parent_auth: Auth, parent: int, blob: MigrationBlob) -> bytes:
    """TPM_ConvertMigrationBlob (11.2); return the key's new encData."""
    parameters = sized(blob.data) + sized(blob.random)
    return _data(tpm.call(Ord.CONVERT_MIGRATION_BLOB, parameters, parent_auth, handles=[parent]))


def migrate_key(tpm: Tpm, auth: Auth, authority: int, target: PubKey, data: bytes) -> bytes:
    """TPM_MigrateKey (11.4)."""
    return _data(tpm.call(Ord.MIGRATE_KEY, target.encode() + sized(data), auth, handles=[authority]))


def _data(answer: Reader) -> bytes:
    data = answer.sized()
    answer.end()
    return data


# certified migration --------------------------------------------------------------------------------


def msa_list(digests: Sequence[bytes]) -> bytes:
    """Return a TPM_MSA_COMPOSITE (Part 2, 5.13) of the digests of authorities' public keys."""
    return u32(len(digests)) + b"".join(digests)


def cmk_set_restrictions(tpm: Tpm, owner: Auth, restriction: int) -> None:
    """TPM_CMK_SetRestrictions (11.5)."""
    tpm.call(Ord.CMK_SET_RESTRICTIONS, u32(restriction), owner).end()


def cmk_approve_ma(tpm: Tpm, owner: Auth, digest: bytes) -> bytes:
    """TPM_CMK_ApproveMA (11.6); return the approval of the list with that digest."""
    answer = tpm.call(Ord.CMK_APPROVE_MA, digest, owner)
    approval = answer.digest()
    answer.end()
    return approval


def cmk_create_key(
    tpm: Tpm, parent_auth: Auth, parent: int, wanted: Key, secret: bytes, approval: bytes, digest: bytes
) -> Key:
    """TPM_CMK_CreateKey (11.7): a TPM_KEY12 with the flag MIGRATE_AUTHORITY."""
    session = tpm.session_for(parent_auth, Entity.KEY_HANDLE, parent)
    parameters = session.encrypt(secret) + wanted.encode() + approval + digest
    answer = tpm.call(Ord.CMK_CREATE_KEY, parameters, session, handles=[parent])
    key = Key.read(answer)
    answer.end()
    return key


def cmk_create_ticket(tpm: Tpm, owner: Auth, verifier: PubKey, signed: bytes, signature: bytes) -> bytes:
    """TPM_CMK_CreateTicket (11.8); return the ticket for a digest that `verifier` has signed."""
    answer = tpm.call(Ord.CMK_CREATE_TICKET, verifier.encode() + signed + sized(signature), owner)
    ticket = answer.digest()
    answer.end()
    return ticket


@dataclass(frozen=True)
class CmkAuth:
    """TPM_CMK_AUTH (Part 2, 5.16): which key may go from whom to whom."""

    authority_digest: bytes
    destination_digest: bytes
    source_digest: bytes

    def encode(self) -> bytes:
        return self.authority_digest + self.destination_digest + self.source_digest

    @property
    def digest(self) -> bytes:
        return sha1(self.encode())


def cmk_create_blob(
    tpm: Tpm,
    parent_auth: Auth,
    parent: int,
    scheme: int,
    ticket: Ticket,
    source_digest: bytes,
    authorities: bytes,
    restriction: CmkAuth | None,
    signature_ticket: bytes,
    enc_data: bytes,
) -> MigrationBlob:
    """TPM_CMK_CreateBlob (11.9)."""
    restrict = b"" if restriction is None else restriction.encode()
    parameters = u16(scheme) + ticket.encoded + source_digest + sized(authorities)
    parameters += sized(restrict) + sized(signature_ticket) + sized(enc_data)
    return MigrationBlob.of(tpm.call(Ord.CMK_CREATE_BLOB, parameters, parent_auth, handles=[parent]))


def cmk_convert_migration(
    tpm: Tpm,
    parent_auth: Auth,
    parent: int,
    restriction: CmkAuth,
    signature_ticket: bytes,
    key: Key,
    authorities: bytes,
    random: bytes,
) -> bytes:
    """TPM_CMK_ConvertMigration (11.10); return the key's new encData."""
    parameters = restriction.encode() + signature_ticket + key.encode() + sized(authorities) + sized(random)
    return _data(tpm.call(Ord.CMK_CONVERT_MIGRATION, parameters, parent_auth, handles=[parent]))


# maintenance, which a TPM need not have --------------------------------------------------------------


def create_maintenance_archive(tpm: Tpm, owner: Auth, random: bool = True) -> MigrationBlob:
    """TPM_CreateMaintenanceArchive (12.1)."""
    return MigrationBlob.of(tpm.call(Ord.CREATE_MAINTENANCE_ARCHIVE, flag(random), owner))


def load_maintenance_archive(tpm: Tpm, owner: Auth, data: bytes) -> None:
    """TPM_LoadMaintenanceArchive (12.2): the parameters are the manufacturer's own."""
    tpm.call(Ord.LOAD_MAINTENANCE_ARCHIVE, data, owner)


def kill_maintenance_feature(tpm: Tpm, owner: Auth) -> None:
    """TPM_KillMaintenanceFeature (12.3)."""
    tpm.call(Ord.KILL_MAINTENANCE_FEATURE, b"", owner).end()


def load_manu_maint_pub(tpm: Tpm, replay: bytes, key: PubKey) -> bytes:
    """TPM_LoadManuMaintPub (12.4); return the checksum."""
    return tpm.call(Ord.LOAD_MANU_MAINT_PUB, replay + key.encode()).digest()


def read_manu_maint_pub(tpm: Tpm, replay: bytes) -> bytes:
    """TPM_ReadManuMaintPub (12.5); return the checksum."""
    return tpm.call(Ord.READ_MANU_MAINT_PUB, replay).digest()
