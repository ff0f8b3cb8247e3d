# SPDX-License-Identifier: GPL-3.0-or-later
"""The way of a command: header, handles, parameters, authorisations; and back, with every HMAC checked.

Part 1, 13 (authorisation protocols) and Part 3, 1.3 (which parameters the digests cover).
"""

from __future__ import annotations

import os
import struct
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from enum import IntEnum
from typing import Final

from tests.tpm.client.constants import HANDLES, WELL_KNOWN, Adip, Code, Entity, Ord, Tag
from tests.tpm.client.sessions import Session
from tests.tpm.client.wire import Reader, sha1, u16, u32

Execute = Callable[[bytes], bytes]
# A secret (a session is opened for the one command), a session that is open already, or no authorisation.
Auth = bytes | Session | None

_HEADER: Final = struct.Struct(">HII")
_TRAILER: Final = 41  # nonceEven, continueAuthSession, HMAC


class TpmCodeError(Exception):
    """The TPM refused a command; `rc` is its result code, `request` what was sent."""

    def __init__(self, rc: int, ordinal: int, request: bytes = b"") -> None:
        self.rc = rc
        self.ordinal = ordinal
        self.request = request
        super().__init__(f"{_name(Ord, ordinal)} ({ordinal:#x}): {_name(Code, rc)} ({rc:#x})")


def _name(kind: type[IntEnum], value: int) -> str:
    return next((member.name for member in kind if member == value), "unknown")


class ResponseError(AssertionError):
    """A response that no TPM may give: a wrong tag, length or HMAC."""


def expect(condition: bool, what: str) -> None:
    """Judge a response."""
    if not condition:
        raise ResponseError(what)


class Tpm:
    """A TPM behind a function that takes the bytes of a command and returns those of the response.

    `random(n)` makes the nonces. Tests make wrong commands with `alter`, which changes the parameters of an
    ordinal before they are authorised, and `tamper`, which changes whole requests.
    """

    def __init__(self, execute: Execute, random: Callable[[int], bytes] = os.urandom) -> None:
        self._execute = execute
        self.random = random
        self.alter: Callable[[int, bytes], bytes] | None = None
        self.tamper: Callable[[bytes], bytes] | None = None
        self._sent = b""

    def send(self, request: bytes) -> bytes:
        """Return the response to these bytes, whatever they are."""
        self._sent = request if self.tamper is None else self.tamper(request)
        return self._execute(self._sent)

    def raw(self, ordinal: int, body: bytes = b"", tag: int = Tag.COMMAND) -> tuple[int, bytes]:
        """Send a body without authorisation as it is; return the result code and the response's body."""
        answer = self.send(_HEADER.pack(tag, _HEADER.size + len(body), ordinal) + body)
        tag, rc = _check_header(answer)
        expect(tag == Tag.RESPONSE, f"response tag {tag:#x}")
        return rc, answer[_HEADER.size :]

    def code(self, ordinal: int, body: bytes = b"", tag: int = Tag.COMMAND) -> int:
        """Return only the result code."""
        return self.raw(ordinal, body, tag)[0]

    def call(
        self,
        ordinal: int,
        parameters: bytes = b"",
        *auths: Auth,
        handles: Sequence[int] = (),
    ) -> Reader:
        """Run a command and return its handles and parameters; TpmCodeError if it is refused.

        A secret in `auths` gets a session of its own; None stands for an authorisation that is left out.
        """
        if self.alter is not None:
            parameters = self.alter(ordinal, parameters)
        opened = [self.oiap(auth) if isinstance(auth, bytes) else auth for auth in auths]
        sessions = [session for session in opened if session is not None]
        temporary = [session for auth, session in zip(auths, opened, strict=True) if isinstance(auth, bytes)]
        for session in temporary:
            assert session is not None
            session.temporary = True
            session.keep = False
        body = b"".join(u32(handle) for handle in handles) + parameters
        digest = sha1(u32(ordinal), parameters)
        for session in sessions:
            body += session.authorise(digest, self.random(20))
        try:
            answer = self.send(
                _HEADER.pack(Tag.COMMAND + len(sessions), _HEADER.size + len(body), ordinal) + body
            )
            return self._judge(ordinal, answer, sessions)
        except TpmCodeError:
            for session in sessions:
                if session.temporary and session.open:
                    self.raw(Ord.FLUSH_SPECIFIC, u32(session.handle) + u32(2))
                    session.open = False
            raise

    def _judge(self, ordinal: int, answer: bytes, sessions: Sequence[Session]) -> Reader:
        """Check the response's form and its HMACs, and roll the nonces."""
        tag, rc = _check_header(answer)
        if rc:
            expect(tag == Tag.RESPONSE and len(answer) == _HEADER.size, f"error response {answer.hex()}")
            raise TpmCodeError(rc, ordinal, self._sent)
        expect(tag == Tag.RESPONSE + len(sessions), f"response tag {tag:#x}")
        end = len(answer) - _TRAILER * len(sessions)
        expect(end >= _HEADER.size, f"short response {answer.hex()}")
        body = answer[_HEADER.size : end]
        covered = body[4 * HANDLES.get(ordinal, (0, 0))[1] :]
        digest = sha1(u32(rc), u32(ordinal), covered)
        trailers = Reader(answer[end:])
        for session in sessions:
            wrong = session.verify(digest, trailers.take(_TRAILER))
            expect(not wrong, f"{_name(Ord, ordinal)}: {wrong}")
        return Reader(body)

    # sessions (Part 3, 18) ------------------------------------------------------------------------

    def oiap(self, secret: bytes = WELL_KNOWN, keep: bool = True) -> Session:
        """TPM_OIAP: a session that can authorise any entity; `session.key` is the secret it proves next."""
        answer = self.call(Ord.OIAP)
        session = Session(answer.u32(), secret, answer.digest(), keep)
        answer.end()
        return session

    def osap(
        self,
        entity: int,
        value: int,
        secret: bytes = WELL_KNOWN,
        keep: bool = True,
        adip: Adip = Adip.XOR,
    ) -> Session:
        """TPM_OSAP: a session bound to one entity, which can carry new secrets."""
        odd = self.random(20)
        answer = self.call(Ord.OSAP, u16(adip << 8 | entity) + u32(value) + odd)
        handle, even = answer.u32(), answer.digest()
        shared = Session.shared_secret(secret, answer.digest(), odd)
        answer.end()
        return Session(handle, shared, even, keep, adip=adip)

    def dsap(
        self,
        entity: int,
        value: int,
        blob: bytes,
        secret: bytes,
        keep: bool = True,
        adip: Adip = Adip.XOR,
    ) -> Session:
        """TPM_DSAP: a session for what was delegated; `value` is the key's handle (0 for the owner), `blob`
        the delegation, or the index of its row as four bytes; `secret` the delegation's.
        """
        odd = self.random(20)
        parameters = u16(adip << 8 | entity) + u32(value) + odd + u32(len(blob)) + blob
        answer = self.call(Ord.DSAP, parameters)
        handle, even = answer.u32(), answer.digest()
        shared = Session.shared_secret(secret, answer.digest(), odd)
        answer.end()
        return Session(handle, shared, even, keep, adip=adip)

    def session_for(self, auth: Auth, entity: Entity, value: int) -> Session:
        """Return `auth` as a session that can carry new secrets: itself, or an OSAP for one command."""
        if isinstance(auth, Session):
            return auth
        assert auth is not None, "this command has no form without authorisation"
        session = self.osap(entity, value, auth, keep=False)
        session.temporary = True
        return session


def _check_header(answer: bytes) -> tuple[int, int]:
    """Return tag and result code of a response."""
    expect(len(answer) >= _HEADER.size, f"a response of {len(answer)} bytes: {answer.hex()}")
    tag, size, rc = _HEADER.unpack_from(answer)
    expect(size == len(answer), f"paramSize {size}, there are {len(answer)} bytes")
    return tag, rc


@contextmanager
def refused(rc: int) -> Iterator[None]:
    """Expect that what is done here is refused with that code."""
    try:
        yield
    except TpmCodeError as error:
        expect(error.rc == rc, f"{error}, not {_name(Code, rc)} ({rc:#x})")
    else:
        raise ResponseError(f"not refused; {_name(Code, rc)} ({rc:#x}) was expected")
