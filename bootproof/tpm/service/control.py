# SPDX-License-Identifier: GPL-3.0-or-later
"""The control channel that QEMU's `-tpmdev emulator` speaks, seen from the emulator: bytes in, bytes out.

Requests are a UINT32 command and its parameters, responses have no command. Big endian throughout. What can
be asked: requests.py.
"""

from __future__ import annotations

import logging
import struct
import time
from typing import Final, Protocol

from bootproof.tpm.codes import Rc, TpmError
from bootproof.tpm.machine import Tpm
from bootproof.tpm.persistence.container import (
    Kind,
    MissingKeyError,
    StateError,
    TakenError,
    UnreadableError,
    WrongKeyError,
)
from bootproof.tpm.service.blobs import Keys
from bootproof.tpm.service.handover import Handover
from bootproof.tpm.service.requests import REQUESTS, Request, cancel, result

_LOG: Final = logging.getLogger("vtpm")
_UINT32: Final = struct.Struct(">I")
_LONGEST_BODY: Final = 1 << 20
_PADDING: Final = 3
_ENOUGH: Final = 1 << 18  # bytes of responses to send before further requests are looked at
GRACE_SECONDS: Final = 5.0  # of silence in the middle of a request
_STATE_ERRORS: Final = {
    UnreadableError: Rc.IOERROR,
    MissingKeyError: Rc.KEYNOTFOUND,
    WrongKeyError: Rc.DECRYPT_ERROR,
}


class Transport(Protocol):
    """What the control channel asks of the server around it. `busy`: a command is being executed."""

    busy: bool

    def take_data_fd(self, descriptor: int) -> bool:
        """Serve commands on that socket from now on; False if there is a data client already."""

    def shut_down(self) -> None:
        """End the process after the response has left."""

    def cancel(self) -> None:
        """End the command that is being executed; it is answered with FAIL."""


class ProtocolError(Exception):
    """The peer does not speak this protocol; the connection is of no use any more."""


class ControlChannel:
    """One control connection: `feed` takes bytes as they arrive and returns the responses.

    Descriptors that came with the bytes are put into `descriptors` before. `paused` says that there are
    more requests to answer when these responses have been sent: feed nothing then. `delayed`: there is one
    that has to wait for the end of a command. `deadline`, on the monotonic clock, is when to give the
    connection up because a request stays incomplete.
    """

    def __init__(
        self,
        tpm: Tpm,
        transport: Transport,
        keys: Keys | None = None,
        handover: Handover | None = None,
    ) -> None:
        self.tpm = tpm
        self.transport = transport
        self.keys = keys or Keys()
        self.handover = handover or Handover(tpm)
        self.descriptors: list[int] = []
        self.blobs: dict[tuple[bool, Kind], bytes] = {}  # as of offset 0: later parts belong to that
        self.paused = False
        self.delayed = False
        self.deadline: float | None = None
        self._buffer = bytearray()
        self._padding_may_follow = False

    def feed(self, data: bytes) -> bytes:
        """Return the responses to complete requests; ProtocolError if they cannot be told."""
        self._buffer += data
        if len(self._buffer) > 2 * _LONGEST_BODY:
            raise ProtocolError("too many requests at once")
        answers = bytearray()
        self.deadline = None
        self.delayed = False
        while not (paused := len(answers) >= _ENOUGH) and (response := self._next()) is not None:
            answers += response
        self.paused = paused
        if self._buffer and not paused and not self.delayed and not self._only_padding():
            self.deadline = time.monotonic() + GRACE_SECONDS
        return bytes(answers)

    def _only_padding(self) -> bool:
        """Say whether nothing has come but zeros that belong to the request before."""
        return self._padding_may_follow and len(self._buffer) <= _PADDING and not any(self._buffer)

    def _next(self) -> bytes | None:
        """Take one complete request from the buffer and return its response, None if there is none yet."""
        buffer = self._buffer
        if self._padding_may_follow and buffer[:4] == b"\0\0\0\0":
            del buffer[:_PADDING]
        if len(buffer) < _UINT32.size:
            return None
        (code,) = _UINT32.unpack_from(buffer)
        request = REQUESTS.get(code)
        if request is None:
            _LOG.warning("unknown control command %#x", code)
            buffer.clear()
            return result(Rc.BAD_ORDINAL)
        if self.transport.busy and request.answer is not cancel:
            self.delayed = True
            return None
        end = self._end(request)
        if end is None:
            return None
        self._padding_may_follow = request.padded and end == _UINT32.size + 1
        parameters = bytes(buffer[_UINT32.size : end])
        del buffer[:end]
        return self._answer(request, parameters)

    def _end(self, request: Request) -> int | None:
        """Return where the request at the start of the buffer ends, None if that is not known or not here
        yet.
        """
        size = len(self._buffer)
        end = _UINT32.size + request.fixed
        if request.padded and size == _UINT32.size + 1:
            return size
        if size < end:
            return None
        if request.counted:
            (count,) = _UINT32.unpack_from(self._buffer, end - _UINT32.size)
            if count > _LONGEST_BODY:
                raise ProtocolError(f"{request.name} announces {count} bytes")
            end += count
        return end if size >= end else None

    def _answer(self, request: Request, parameters: bytes) -> bytes:
        try:
            if request.stored:
                self.handover.hold()
            return request.answer(self, parameters)
        except TpmError as error:
            return result(error.rc)
        except TakenError as error:
            _LOG.error("%s: %s", request.name, error)
            return result(Rc.FAIL)
        except StateError as error:
            _LOG.error("%s: the state %s", request.name, error)
            return result(_STATE_ERRORS.get(type(error), Rc.BAD_PARAMETER))
        except OSError as error:
            _LOG.error("%s: %s", request.name, error)
            return result(Rc.IOERROR)
        except Exception:
            _LOG.exception("%s failed in a way that it should not", request.name)
            return result(Rc.FAIL)


def documentation() -> list[tuple[str, str, str]]:
    """Return code, name and remarks of every request, for docs/vtpm.md."""
    return [(f"{code:02x}", row.name, row.answer.__doc__ or "") for code, row in REQUESTS.items()]
