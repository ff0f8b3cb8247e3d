# SPDX-License-Identifier: GPL-3.0-or-later
"""Delegation (Part 2, 20): what the owner, or who may use a key, lets others do."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from bootproof.tpm.codes import DIGEST_SIZE, Rc, TpmError
from bootproof.tpm.limits import FAMILY_ROWS
from bootproof.tpm.ordinals import Ord
from bootproof.tpm.structures.pcrinfo import PcrInfoShort
from bootproof.tpm.wire import (
    Structure,
    digest,
    listed,
    nested,
    sized32,
    structure,
    structure_tag,
    uint8,
    uint32,
)

OWNER_BITS: Final = 1  # TPM_DEL_OWNER_BITS (20.2): the rights are of the owner
KEY_BITS: Final = 2  # TPM_DEL_KEY_BITS: they are of a key
OWNER_BLOB_TAG: Final = 0x002A
KEY_BLOB_TAG: Final = 0x0027

# Bits of per1 (20.2.1), from 31 down; per2 has none
_OWNERS_RIGHTS: Final = (
    Ord.KEY_CONTROL_OWNER,
    Ord.SET_ORDINAL_AUDIT_STATUS,
    Ord.DIR_WRITE_AUTH,
    Ord.CMK_APPROVE_MA,
    Ord.NV_WRITE_VALUE,
    Ord.CMK_CREATE_TICKET,
    Ord.NV_READ_VALUE,
    Ord.DELEGATE_LOAD_OWNER_DELEGATION,
    Ord.DAA_JOIN,
    Ord.AUTHORIZE_MIGRATION_KEY,
    Ord.CREATE_MAINTENANCE_ARCHIVE,
    Ord.LOAD_MAINTENANCE_ARCHIVE,
    Ord.KILL_MAINTENANCE_FEATURE,
    Ord.OWNER_READ_INTERNAL_PUB,
    Ord.RESET_LOCK_VALUE,
    Ord.OWNER_CLEAR,
    Ord.DISABLE_OWNER_CLEAR,
    Ord.NV_DEFINE_SPACE,
    Ord.OWNER_SET_DISABLE,
    Ord.SET_CAPABILITY,
    Ord.MAKE_IDENTITY,
    Ord.ACTIVATE_IDENTITY,
    Ord.OWNER_READ_PUBEK,
    Ord.DISABLE_PUBEK_READ,
    Ord.SET_REDIRECTION,
    Ord.FIELD_UPGRADE,
    Ord.DELEGATE_UPDATE_VERIFICATION,
    Ord.CREATE_COUNTER,
    Ord.RELEASE_COUNTER_OWNER,
    Ord.DELEGATE_MANAGE,
    Ord.DELEGATE_CREATE_OWNER_DELEGATION,
    Ord.DAA_SIGN,
)
# The same for keys (20.2.3), from 28 down
_KEYS_RIGHTS: Final = (
    Ord.CMK_CONVERT_MIGRATION,
    Ord.TICK_STAMP_BLOB,
    Ord.CHANGE_AUTH_ASYM_START,
    Ord.CHANGE_AUTH_ASYM_FINISH,
    Ord.CMK_CREATE_KEY,
    Ord.MIGRATE_KEY,
    Ord.LOAD_KEY2,
    Ord.ESTABLISH_TRANSPORT,
    Ord.RELEASE_TRANSPORT_SIGNED,
    Ord.QUOTE2,
    Ord.SEALX,
    Ord.MAKE_IDENTITY,
    Ord.ACTIVATE_IDENTITY,
    Ord.GET_AUDIT_DIGEST_SIGNED,
    Ord.SIGN,
    Ord.CERTIFY_KEY2,
    Ord.CERTIFY_KEY,
    Ord.CREATE_WRAP_KEY,
    Ord.CMK_CREATE_BLOB,
    Ord.CREATE_MIGRATION_BLOB,
    Ord.CONVERT_MIGRATION_BLOB,
    Ord.DELEGATE_CREATE_KEY_DELEGATION,
    Ord.CHANGE_AUTH,
    Ord.GET_PUBKEY,
    Ord.UNBIND,
    Ord.QUOTE,
    Ord.UNSEAL,
    Ord.SEAL,
    Ord.LOAD_KEY,
)
RIGHTS: Final[dict[int, dict[int, int]]] = {
    kind: {ordinal: 1 << bit for bit, ordinal in enumerate(reversed(ordinals))}
    for kind, ordinals in ((OWNER_BITS, _OWNERS_RIGHTS), (KEY_BITS, _KEYS_RIGHTS))
}
"""TPM_DELEGATIONS: by its kind the bit of `per1` that stands for each ordinal."""


@structure
class Delegations(Structure):
    """TPM_DELEGATIONS (20.2): which commands."""

    tag: int = structure_tag(default=0x001A)
    kind: int = uint32()
    per1: int = uint32()
    per2: int = uint32()

    def check(self, kind: int) -> None:
        """BAD_PARAMETER unless they are of that kind, and all of their bits have a meaning."""
        if self.kind != kind or self.per2 or self.per1 & ~sum(RIGHTS[kind].values()):
            raise TpmError(Rc.BAD_PARAMETER)

    def allow(self, kind: int, ordinal: int) -> bool:
        """Whether the command is among them."""
        return self.kind == kind and bool(self.per1 & RIGHTS[kind].get(ordinal, 0))

    def cover(self, other: Delegations) -> bool:
        """Whether they leave nothing out that the others allow."""
        return not (other.per1 & ~self.per1 or other.per2 & ~self.per2)


@structure
class DelegatePublic(Structure):
    """TPM_DELEGATE_PUBLIC (20.5): label, when and what is allowed, which family and which count of it."""

    tag: int = structure_tag(default=0x001B)
    label: int = uint8()
    pcr_info: PcrInfoShort = nested(PcrInfoShort)
    permissions: Delegations = nested(Delegations)
    family: int = uint32()
    verification: int = uint32()


@structure
class DelegateSensitive(Structure):
    """TPM_DELEGATE_SENSITIVE (20.7): the delegate's authorisation data."""

    tag: int = structure_tag(default=0x0026)
    auth: bytes = digest()


@structure
class OwnerBlob(Structure):
    """TPM_DELEGATE_OWNER_BLOB (20.8); `additional` is the first counter block of the encryption."""

    tag: int = structure_tag(default=OWNER_BLOB_TAG)
    public: DelegatePublic = nested(DelegatePublic)
    integrity: bytes = digest()
    additional: bytes = sized32()
    sensitive: bytes = sized32()


@structure
class KeyBlob(Structure):
    """TPM_DELEGATE_KEY_BLOB (20.9): the same for the key whose TPM_STORE_PUBKEY has that digest."""

    tag: int = structure_tag(default=KEY_BLOB_TAG)
    public: DelegatePublic = nested(DelegatePublic)
    integrity: bytes = digest()
    key_digest: bytes = digest()
    additional: bytes = sized32()
    sensitive: bytes = sized32()


@structure
class Family(Structure):
    """TPM_FAMILY_TABLE_ENTRY (20.3): delegations that are shut, and made void, together."""

    ENABLED = 1
    ADMIN_LOCK = 2  # without an owner nothing about it can be changed

    tag: int = structure_tag(default=0x0025)
    label: int = uint8()
    number: int = uint32()
    verification: int = uint32(default=1)
    flags: int = uint32(default=0)

    def has(self, flag: int) -> bool:
        """Whether that flag is set."""
        return bool(self.flags & flag)

    def with_flag(self, flag: int, value: bool) -> Family:
        """Return the family with that flag set or not."""
        return replace(self, flags=self.flags | flag if value else self.flags & ~flag)

    def need_enabled(self) -> None:
        """DISABLED_CMD."""
        if not self.has(self.ENABLED):
            raise TpmError(Rc.DISABLED_CMD)


@structure
class DelegateRow(Structure):
    """TPM_DELEGATE_TABLE_ROW (20.6) with its index: an owner's right that lies in the TPM."""

    index: int = uint32()
    public: DelegatePublic = nested(DelegatePublic)
    auth: bytes = digest(default=bytes(DIGEST_SIZE))


@structure
class DelegateTables(Structure):
    """The family and the delegate table; family numbers are never given twice."""

    last_family: int = uint32(default=0)
    families: tuple[Family, ...] = listed(Family, default=())
    rows: tuple[DelegateRow, ...] = listed(DelegateRow, default=())

    def family(self, number: int) -> Family:
        """BADINDEX."""
        for family in self.families:
            if family.number == number:
                return family
        raise TpmError(Rc.BADINDEX)

    def row(self, index: int) -> DelegateRow:
        """BADINDEX."""
        for row in self.rows:
            if row.index == index:
                return row
        raise TpmError(Rc.BADINDEX)

    def with_new_family(self, label: int) -> DelegateTables:
        """Return the tables with one more family, which is not enabled; NOSPACE."""
        if len(self.families) >= FAMILY_ROWS:
            raise TpmError(Rc.NOSPACE)
        number = self.last_family + 1
        return replace(self, last_family=number, families=(*self.families, Family(label, number)))

    def with_family(self, changed: Family) -> DelegateTables:
        """Return the tables with that family instead of the one of its number."""
        families = (changed if old.number == changed.number else old for old in self.families)
        return replace(self, families=tuple(families))

    def without_family(self, number: int) -> DelegateTables:
        """Return the tables without that family and its rows."""
        families = tuple(family for family in self.families if family.number != number)
        return replace(
            self,
            families=families,
            rows=tuple(row for row in self.rows if row.public.family != number),
        )

    def with_row(self, new: DelegateRow) -> DelegateTables:
        """Return the tables with that row instead of the one of its index, if there is one."""
        others = (row for row in self.rows if row.index != new.index)
        return replace(self, rows=tuple(sorted((*others, new), key=lambda row: row.index)))

    def owner_cleared(self) -> DelegateTables:
        """Return what is left without the owner (Part 3, 6.2)."""
        return DelegateTables(last_family=self.last_family)
