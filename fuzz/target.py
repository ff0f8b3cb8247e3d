# SPDX-License-Identifier: GPL-3.0-or-later
"""What is fuzzed: an emulator with an owner and keys, and the actions that a script can have."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cache
from typing import Final

from bootproof.tpm.commands.table import COMMANDS
from bootproof.tpm.persistence.container import Kind
from bootproof.tpm.service.control import ControlChannel, ProtocolError
from bootproof.tpm.service.stream import CommandStream
from tests.tpm.client.constants import HANDLES, OPERATOR, OWNER, SRK, Entity, Tag
from tests.tpm.client.keys import load_key2
from tests.tpm.client.prepared import MIGRATION, OWNER_SECRET, USAGE, Made, prepare
from tests.tpm.client.subjects import Ours
from tests.tpm.client.tpm import ResponseError, Tpm, TpmCodeError
from tests.tpm.client.wire import ShortResponseError, u16

PATIENCE: Final = 10.0  # seconds that one action may take
SECRETS: Final = (bytes(20), OWNER_SECRET, USAGE, MIGRATION)
_WELL_KNOWN_HANDLES: Final = (SRK, OWNER, OPERATOR, 0x40000006, 0x40000003, 0, 0xFFFFFFFF)
_HEADER: Final = 10


class Crash(Exception):  # noqa: N818 - it is what is looked for
    """The emulator did what it must never do."""


class _Witness(logging.Handler):
    """Turns an exception that the emulator did not foresee, and logs, into a crash.

    An error without one is a refusal: of a state blob, say, that is no state.
    """

    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.seen: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        if record.exc_info:
            self.seen.append(logging.Formatter().format(record))


@dataclass(frozen=True)
class Raw:
    """Bytes on the data channel."""

    data: bytes


@dataclass(frozen=True)
class Control:
    """Bytes on the control channel."""

    data: bytes


@dataclass(frozen=True)
class Power:
    """TPM_Init, then TPM_Startup of that type; 0: none."""

    startup: int


@dataclass(frozen=True)
class Locality:
    """The commands that follow come from there."""

    number: int


@dataclass(frozen=True)
class Authorised:
    """A command as a client makes it: handles by their place among those that exist, and for each
    authorisation a secret and whether its session is an OSAP.
    """

    ordinal: int
    parameters: bytes
    handles: tuple[int, ...] = ()
    auths: tuple[tuple[int, bool], ...] = ()


Action = Raw | Control | Power | Locality | Authorised


@cache
def _prepared() -> tuple[dict[Kind, bytes], Made]:
    subject = Ours()
    made = prepare(subject.tpm)
    return subject.frozen(), made


class Target:
    """One emulator; `run` does actions and raises Crash."""

    busy = False

    def __init__(self) -> None:
        content, made = _prepared()
        self.subject = Ours(content)
        emulator = self.subject.emulator
        self._stream = CommandStream(emulator)
        self._control = ControlChannel(emulator, self)
        self._client = Tpm(self._send)
        self._handles = [load_key2(self.subject.tpm, bytes(20), key) for key in (made.signing, made.storage)]
        self._acts: dict[type, Callable[..., None]] = {
            Raw: self._raw,
            Control: self._answer_control,
            Power: self._power,
            Locality: self._locality,
            Authorised: self._authorised,
        }

    # the server around the control channel --------------------------------------------------------

    def take_data_fd(self, descriptor: int) -> bool:  # noqa: ARG002
        """There are no descriptors here."""
        return False

    def shut_down(self) -> None:
        """The process goes on; power is off."""

    def cancel(self) -> None:
        """Control requests do not come while a command is executed here."""

    # actions --------------------------------------------------------------------------------------

    def run(self, script: Iterable[Action]) -> None:
        """Do these actions; Crash if the emulator fails at one."""
        witness, log = _Witness(), logging.getLogger("vtpm")
        log.addHandler(witness)
        try:
            for action in script:
                started = time.monotonic()
                self._acts[type(action)](action)
                if witness.seen:
                    raise Crash(f"{action!r}: {witness.seen[0]}")
                if time.monotonic() - started > PATIENCE:
                    raise Crash(f"{action!r} took {time.monotonic() - started:.1f} s")
        finally:
            log.removeHandler(witness)

    def _send(self, request: bytes) -> bytes:
        """Send a whole request and check that what comes back is a response."""
        answer = self._stream.feed(request) or self._stream.give_up()
        tag, size, code = int.from_bytes(answer[:2]), int.from_bytes(answer[2:6]), answer[6:_HEADER]
        shape = size == len(answer) and Tag.RESPONSE <= tag <= Tag.AUTH2_RESPONSE
        if not shape or (code != bytes(4) and (size, tag) != (_HEADER, Tag.RESPONSE)):
            raise Crash(f"{request.hex()} was answered with {answer.hex()}")
        return answer

    def _raw(self, action: Raw) -> None:
        if action.data:
            self._send(action.data)

    def _answer_control(self, action: Control) -> None:
        try:
            self._control.feed(action.data)
            while self._control.paused:
                self._control.feed(b"")
        except ProtocolError:
            self._control = ControlChannel(self.subject.emulator, self)

    def _power(self, action: Power) -> None:
        self.subject.power_cycle(None)
        if action.startup:
            self._send(b"\0\xc1\0\0\0\x0c\0\0\0\x99" + u16(action.startup))

    def _locality(self, action: Locality) -> None:
        self.subject.set_locality(action.number % 5)

    def _authorised(self, action: Authorised) -> None:
        """Make sessions and send the command; a handle that the response brings joins the others."""
        known = (*_WELL_KNOWN_HANDLES, *self._handles[-16:])
        count = HANDLES.get(action.ordinal, (0, 0))[0]
        handles = [known[at % len(known)] for at in (*action.handles, 0, 0)[:count]]
        try:
            auths = [
                self._client.osap(Entity.KEY_HANDLE, handles[0], SECRETS[secret % len(SECRETS)], keep=False)
                if osap and handles
                else SECRETS[secret % len(SECRETS)]
                for secret, osap in action.auths
            ]
            answer = self._client.call(action.ordinal, action.parameters, *auths, handles=handles)
        except (TpmCodeError, ResponseError, ShortResponseError):
            return
        if HANDLES.get(action.ordinal, (0, 0))[1]:
            self._handles.append(answer.u32())


def memory() -> int:
    """Return the resident memory of this process in bytes."""
    with open("/proc/self/statm") as stream:  # noqa: PTH123
        return int(stream.read().split()[1]) * 4096


def ordinals() -> list[int]:
    """Return the ordinals of all commands."""
    return sorted(COMMANDS)
