# SPDX-License-Identifier: GPL-3.0-or-later
"""Delegation of the owner's and of keys' rights (Part 3, 19; Part 2, 20)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Self

from tests.tpm.client.constants import OWNER, Entity, Ord
from tests.tpm.client.pcr import UNBOUND, PcrInfoShort
from tests.tpm.client.tpm import Auth, Tpm
from tests.tpm.client.wire import Reader, Struct, flag, sized, u8, u16, u32

CREATE, ENABLE, ADMIN, INVALIDATE = 1, 2, 3, 4  # TPM_FAMILY_OPERATION
OWNER_RIGHTS, KEY_RIGHTS = 1, 2  # TPM_DEL_OWNER_BITS, TPM_DEL_KEY_BITS


@dataclass(frozen=True)
class DelegatePublic(Struct):
    """TPM_DELEGATE_PUBLIC (Part 2, 20.8) with its TPM_DELEGATIONS: `kind` is OWNER_RIGHTS or KEY_RIGHTS."""

    kind: int
    per1: int
    per2: int
    family: int
    verification: int
    row_label: int = 0
    pcr_info: PcrInfoShort = UNBOUND

    def encode(self) -> bytes:
        rights = u16(0x1A) + u32(self.kind) + u32(self.per1) + u32(self.per2)
        head = u16(0x1B) + u8(self.row_label) + self.pcr_info.encode()
        return head + rights + u32(self.family) + u32(self.verification)

    @classmethod
    def read(cls, source: Reader) -> Self:
        source.tag(0x1B)
        row_label, pcr_info = source.u8(), PcrInfoShort.read(source)
        source.tag(0x1A)
        kind, per1, per2 = source.u32(), source.u32(), source.u32()
        return cls(kind, per1, per2, source.u32(), source.u32(), row_label, pcr_info)


@dataclass(frozen=True)
class Family(Struct):
    """A row of the family table as TPM_Delegate_ReadTable gives it (TPM_FAMILY_TABLE_ENTRY)."""

    label: int
    number: int
    verification: int
    flags: int

    @classmethod
    def read(cls, source: Reader) -> Self:
        source.tag(0x25)
        return cls(source.u8(), source.u32(), source.u32(), source.u32())

    def encode(self) -> bytes:
        return u16(0x25) + u8(self.label) + u32(self.number) + u32(self.verification) + u32(self.flags)


@dataclass(frozen=True)
class Tables:
    """Families, and rows of the delegation table by their index."""

    families: tuple[Family, ...]
    rows: dict[int, DelegatePublic]


def manage(tpm: Tpm, owner: Auth, family: int, operation: int, data: bytes = b"") -> bytes:
    """TPM_Delegate_Manage (19.1); return the operation's answer."""
    answer = tpm.call(Ord.DELEGATE_MANAGE, u32(family) + u32(operation) + sized(data), owner)
    found = answer.sized()
    answer.end()
    return found


def create_family(tpm: Tpm, owner: Auth, label: int = 1) -> int:
    """Create a family and enable it; return its number."""
    number = int.from_bytes(manage(tpm, owner, 0, CREATE, u8(label)))
    manage(tpm, owner, number, ENABLE, flag(True))
    return number


def create_key_delegation(tpm: Tpm, auth: Auth, key: int, public: DelegatePublic, secret: bytes) -> bytes:
    """TPM_Delegate_CreateKeyDelegation (19.2); return the TPM_DELEGATE_KEY_BLOB."""
    session = tpm.session_for(auth, Entity.KEY_HANDLE, key)
    parameters = public.encode() + session.encrypt(secret)
    answer = tpm.call(Ord.DELEGATE_CREATE_KEY_DELEGATION, parameters, session, handles=[key])
    blob = answer.sized()
    answer.end()
    return blob


def create_owner_delegation(
    tpm: Tpm, owner: Auth, public: DelegatePublic, secret: bytes, increment: bool = False
) -> bytes:
    """TPM_Delegate_CreateOwnerDelegation (19.3); return the TPM_DELEGATE_OWNER_BLOB."""
    session = tpm.session_for(owner, Entity.OWNER, OWNER)
    parameters = flag(increment) + public.encode() + session.encrypt(secret)
    answer = tpm.call(Ord.DELEGATE_CREATE_OWNER_DELEGATION, parameters, session)
    blob = answer.sized()
    answer.end()
    return blob


def load_owner_delegation(tpm: Tpm, owner: Auth, row: int, blob: bytes) -> None:
    """TPM_Delegate_LoadOwnerDelegation (19.4); without an owner `owner` is None."""
    tpm.call(Ord.DELEGATE_LOAD_OWNER_DELEGATION, u32(row) + sized(blob), owner).end()


def read_table(tpm: Tpm) -> Tables:
    """TPM_Delegate_ReadTable (19.5)."""
    answer = tpm.call(Ord.DELEGATE_READ_TABLE)
    families, rows = Reader(answer.sized()), Reader(answer.sized())
    answer.end()
    return Tables(tuple(_all(families)), dict(_rows(rows)))


def _all(source: Reader) -> Iterator[Family]:
    while source.at < len(source.data):
        yield Family.read(source)


def _rows(source: Reader) -> Iterator[tuple[int, DelegatePublic]]:
    while source.at < len(source.data):
        yield source.u32(), DelegatePublic.read(source)


def update_verification(tpm: Tpm, owner: Auth, blob: bytes) -> bytes:
    """TPM_Delegate_UpdateVerification (19.6); `blob` is a delegation or the index of a row as four bytes."""
    answer = tpm.call(Ord.DELEGATE_UPDATE_VERIFICATION, sized(blob), owner)
    found = answer.sized()
    answer.end()
    return found


def verify_delegation(tpm: Tpm, blob: bytes) -> None:
    """TPM_Delegate_VerifyDelegation (19.7)."""
    tpm.call(Ord.DELEGATE_VERIFY_DELEGATION, sized(blob)).end()
