# SPDX-License-Identifier: GPL-3.0-or-later
"""Authorisation sessions: the table of those that are open (Part 1, 13)."""

from __future__ import annotations

import hmac
import os
from typing import Final

from bootproof.tpm.codes import DIGEST_SIZE
from bootproof.tpm.handles import HandleTable
from bootproof.tpm.limits import AUTH_SESSIONS
from bootproof.tpm.numbers import Protocol
from bootproof.tpm.state import Session

_HANDLE_PREFIX: Final = 0x02


def new_nonce() -> bytes:
    """Return 20 random bytes."""
    return os.urandom(DIGEST_SIZE)


def hmac_sha1(key: bytes, *parts: bytes) -> bytes:
    """Return HMAC-SHA-1 over the parts (RFC 2104)."""
    return hmac.digest(key, b"".join(parts), "sha1")


class SessionTable(HandleTable[Session]):
    """The open authorisation sessions."""

    def __init__(self) -> None:
        super().__init__(_HANDLE_PREFIX, AUTH_SESSIONS)

    def open(self, protocol: Protocol) -> Session:
        """Open one with a new handle and nonce, tied to nothing yet; RESOURCES if all are taken."""
        return self.add(lambda handle: Session(handle, protocol, new_nonce()))

    def close_where(self, identity: bytes) -> None:
        """Close all OSAP and DSAP sessions that are tied to that entity."""
        for session in self:
            if session.protocol != Protocol.OIAP and session.identity == identity:
                self.close(session.handle)
