# SPDX-License-Identifier: GPL-3.0-or-later
"""What the tests of authorisation sessions have in common."""

from __future__ import annotations

from tests.tpm.client import owner
from tests.tpm.client.constants import (
    SRK,
    Code,
    Ord,
    Resource,
)
from tests.tpm.client.sessions import Session
from tests.tpm.client.tpm import Tpm
from tests.tpm.client.wire import u32

DIGEST = bytes(range(20))


NO_HANDLE = 0x02123456


def ask_owner(tpm: Tpm, session: Session) -> None:
    """Do what only the owner may."""
    owner.owner_read_internal_pub(tpm, session, SRK)


def is_open(tpm: Tpm, session: Session) -> bool:
    """Whether the TPM knows the session, which is closed by this question."""
    code = tpm.code(Ord.FLUSH_SPECIFIC, u32(session.handle) + u32(Resource.AUTH))
    assert code in (Code.SUCCESS, Code.INVALID_AUTHHANDLE)
    return code == Code.SUCCESS
