# SPDX-License-Identifier: GPL-3.0-or-later
"""Authorisation sessions: the table of those that are open (Part 1, 13)."""

from __future__ import annotations

import hmac
import os
from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import Final

from bootproof.tpm.codes import DIGEST_SIZE, Rc, TpmError
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


class SessionTable:
    """The open sessions by handle; a Session is replaced, never changed."""

    def __init__(self) -> None:
        self._open: dict[int, Session] = {}

    def __iter__(self) -> Iterator[Session]:
        """All of them, the oldest first."""
        return iter(list(self._open.values()))

    def __contains__(self, handle: int) -> bool:
        """Whether one of that handle is open."""
        return handle in self._open

    @property
    def free(self) -> int:
        """How many more can be opened."""
        return AUTH_SESSIONS - len(self._open)

    def get(self, handle: int) -> Session:
        """INVALID_AUTHHANDLE for one that is not open."""
        found = self._open.get(handle)
        if found is None:
            raise TpmError(Rc.INVALID_AUTHHANDLE)
        return found

    def open(self, protocol: Protocol) -> Session:
        """Open one with a new handle and nonce, tied to nothing yet; RESOURCES if all are taken."""
        if self.free < 1:
            raise TpmError(Rc.RESOURCES)
        handle = self._new_handle()
        session = Session(handle, protocol, new_nonce())
        self._open[handle] = session
        return session

    def insert(self, session: Session) -> Session:
        """Put a saved one back, under its old handle if that is free; RESOURCES if all are taken."""
        if self.free < 1:
            raise TpmError(Rc.RESOURCES)
        if session.handle in self._open:
            session = replace(session, handle=self._new_handle())
        self._open[session.handle] = session
        return session

    def _new_handle(self) -> int:
        while True:
            handle = _HANDLE_PREFIX << 24 | int.from_bytes(os.urandom(3))
            if handle not in self._open:
                return handle

    def update(self, session: Session) -> None:
        """Replace the one of that handle."""
        self._open[session.handle] = session

    def close(self, handle: int) -> None:
        """Close it, if it is open."""
        self._open.pop(handle, None)

    def close_where(self, identity: bytes) -> None:
        """Close all OSAP and DSAP sessions that are tied to that entity."""
        for session in self:
            if session.protocol != Protocol.OIAP and session.identity == identity:
                self.close(session.handle)

    def close_all(self) -> None:
        """Close all."""
        self._open.clear()

    def restore(self, sessions: Iterable[Session]) -> None:
        """Take all from a snapshot."""
        self._open = {session.handle: session for session in sessions}
