# SPDX-License-Identifier: GPL-3.0-or-later
"""Delegation (Part 2, 20): what the owner, or who may use a key, lets others do."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from bootproof.tpm.codes import DIGEST_SIZE, Rc, TpmError
from bootproof.tpm.limits import FAMILY_ROWS
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


@structure
class Delegations(Structure):
    """TPM_DELEGATIONS (20.2): which commands; a bit of `per1` each (Row.right), `per2` has none."""

    tag: int = structure_tag(default=0x001A)
    kind: int = uint32()
    per1: int = uint32()
    per2: int = uint32()

    def allow(self, kind: int, right: int) -> bool:
        """Whether they are of that kind, and that bit of `per1` is among them."""
        return self.kind == kind and bool(self.per1 & right)

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

    def need_room(self) -> None:
        """NOSPACE unless there can be one more family."""
        if len(self.families) >= FAMILY_ROWS:
            raise TpmError(Rc.NOSPACE)

    def with_new_family(self, label: int) -> DelegateTables:
        """Return the tables with one more family, which is not enabled."""
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
