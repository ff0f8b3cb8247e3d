# SPDX-License-Identifier: GPL-3.0-or-later
"""Delegations of the owner and of keys, for tests."""

from __future__ import annotations

from tests.tpm.client import delegation, owner
from tests.tpm.client.constants import SRK, Adip, Entity
from tests.tpm.client.delegation import (
    OWNER_RIGHTS,
    DelegatePublic,
)
from tests.tpm.client.prepared import OWNER_SECRET
from tests.tpm.client.sessions import Session
from tests.tpm.client.tpm import Tpm

SECRET, DIGEST = b"the delegate's key..", bytes(range(20))


READ_INTERNAL_PUB, MANAGE, CREATE_OWNER = 1 << 18, 1 << 2, 1 << 1
LOAD_OWNER, UPDATE, MAKE_IDENTITY = 1 << 24, 1 << 5, 1 << 11


def owners(family: int, rights: int = READ_INTERNAL_PUB, count: int = 1) -> DelegatePublic:
    return DelegatePublic(OWNER_RIGHTS, rights, 0, family, count)


def owner_blob(tpm: Tpm, public: DelegatePublic) -> bytes:
    return delegation.create_owner_delegation(tpm, OWNER_SECRET, public, SECRET)


def read(tpm: Tpm, session: Session | bytes) -> None:
    """Do what READ_INTERNAL_PUB allows."""
    owner.owner_read_internal_pub(tpm, session, SRK)


def as_owner(tpm: Tpm, blob: bytes, adip: Adip = Adip.XOR) -> Session:
    return tpm.dsap(Entity.DEL_OWNER_BLOB, 0, blob, SECRET, adip=adip)
