# SPDX-License-Identifier: GPL-3.0-or-later
"""The control channel that QEMU's `-tpmdev emulator` speaks, seen from the emulator: bytes in, bytes out.

Requests are a UINT32 command and its parameters, responses have no command. Big endian throughout. The
layouts are those of the `ptm_*` structures (QEMU's backends/tpm/tpm_ioctl.h). Result codes are those of the
TPM.
"""

from __future__ import annotations

import json
import logging
import struct
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Protocol

from bootproof.tpm import limits
from bootproof.tpm.codes import Rc, TpmError
from bootproof.tpm.commands.presence import reset_established
from bootproof.tpm.machine import Tpm
from bootproof.tpm.persistence.container import (
    Kind,
    MissingKeyError,
    StateError,
    UnreadableError,
    WrongKeyError,
)
from bootproof.tpm.service.blobs import Keys, make_blob, take_blob
from bootproof.tpm.state import Volatile

_LOG: Final = logging.getLogger("vtpm")
_UINT32: Final = struct.Struct(">I")
_LONGEST_BODY: Final = 1 << 20
_NON_FATAL: Final = 0x800  # TPM_NON_FATAL: QEMU takes it for "there is no such state"
_DELETE_VOLATILE: Final = 1
_SPECIFICATION, _ATTRIBUTES = 1, 2
_DECRYPTED: Final = 1  # flag of a request for a state blob
_ENCRYPTED: Final = 2  # flag of a state blob: the state key is needed to read it
_FILE_KEY, _MIGRATION_KEY = 1, 2
_PADDING: Final = 3
_ENOUGH: Final = 1 << 18  # bytes of responses to send before further requests are looked at
GRACE_SECONDS: Final = 5.0  # of silence in the middle of a request


class Transport(Protocol):
    """What the control channel asks of the server around it."""

    def take_data_fd(self, descriptor: int) -> bool:
        """Serve commands on that socket from now on; False if there is a data client already."""

    def shut_down(self) -> None:
        """End the process after the response has left."""


@dataclass(frozen=True)
class _Request:
    """A row of the table: `fixed` bytes of parameters, then as many as the last UINT32 of them says if
    `counted`.

    `padded` marks one byte in four, of which some clients send only the one; `bit` is the request's number
    in the mask that GET_CAPABILITY answers.
    """

    name: str
    fixed: int
    answer: Callable[[ControlChannel, bytes], bytes]
    bit: int | None = None
    counted: bool = False
    padded: bool = False


_NO_BLOB: Final = struct.pack(">IIII", _NON_FATAL, 0, 0, 0)
_KINDS: Final = {int(kind): kind for kind in Kind}
_STATE_ERRORS: Final = {
    UnreadableError: Rc.IOERROR,
    MissingKeyError: Rc.KEYNOTFOUND,
    WrongKeyError: Rc.DECRYPT_ERROR,
}


def _result(code: int) -> bytes:
    return _UINT32.pack(code)


class ProtocolError(Exception):
    """The peer does not speak this protocol; the connection is of no use any more."""


class ControlChannel:
    """One control connection: `feed` takes bytes as they arrive and returns the responses.

    Descriptors that came with the bytes are put into `descriptors` before. `paused` says that there are
    more requests to answer when these responses have been sent: feed nothing then. `deadline`, on the
    monotonic clock, is when to give the connection up because a request stays incomplete.
    """

    def __init__(self, tpm: Tpm, transport: Transport, keys: Keys | None = None) -> None:
        self.tpm = tpm
        self.transport = transport
        self.keys = keys or Keys()
        self.descriptors: list[int] = []
        self.blobs: dict[tuple[bool, Kind], bytes] = {}  # as of offset 0: later parts belong to that
        self.paused = False
        self.deadline: float | None = None
        self._buffer = bytearray()
        self._padding_may_follow = False

    def feed(self, data: bytes) -> bytes:
        """Return the responses to complete requests; ProtocolError if they cannot be told."""
        self._buffer += data
        answers = bytearray()
        self.deadline = None
        while not (paused := len(answers) >= _ENOUGH) and (response := self._next()) is not None:
            answers += response
        self.paused = paused
        if self._buffer and not paused and not self._only_padding():
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
        request = _REQUESTS.get(code)
        if request is None:
            _LOG.warning("unknown control command %#x", code)
            buffer.clear()
            return _result(Rc.BAD_ORDINAL)
        end = self._end(request)
        if end is None:
            return None
        self._padding_may_follow = request.padded and end == _UINT32.size + 1
        parameters = bytes(buffer[_UINT32.size : end])
        del buffer[:end]
        return self._answer(request, parameters)

    def _end(self, request: _Request) -> int | None:
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

    def _answer(self, request: _Request, parameters: bytes) -> bytes:
        try:
            return request.answer(self, parameters)
        except TpmError as error:
            return _result(error.rc)
        except StateError as error:
            _LOG.error("%s: the state %s", request.name, error)
            return _result(_STATE_ERRORS.get(type(error), Rc.BAD_PARAMETER))
        except OSError as error:
            _LOG.error("%s: %s", request.name, error)
            return _result(Rc.IOERROR)
        except Exception:
            _LOG.exception("%s failed in a way that it should not", request.name)
            return _result(Rc.FAIL)


def _need(condition: bool) -> None:
    """BAD_ORDINAL for a request that does not fit the present state, as swtpm answers."""
    if not condition:
        raise TpmError(Rc.BAD_ORDINAL)


def _get_capability(_channel: ControlChannel, _parameters: bytes) -> bytes:
    """Answer the mask, eight bytes, no result code."""
    return struct.pack(">Q", sum(1 << row.bit for row in _REQUESTS.values() if row.bit is not None))


def _init(channel: ControlChannel, parameters: bytes) -> bytes:
    """Switch on: start anew, or resume stored volatile state; bit 0 deletes that afterwards."""
    tpm = channel.tpm
    tpm.power_off()
    tpm.reload()
    stored = tpm.store.load(Kind.VOLATILE)
    tpm.power_on(None if stored is None else Volatile.decode(stored))
    if stored is not None and int.from_bytes(parameters) & _DELETE_VOLATILE:
        try:
            tpm.store.remove(Kind.VOLATILE)
        except OSError:
            tpm.power_off()
            raise
    return _result(Rc.SUCCESS)


def _shutdown(channel: ControlChannel, _parameters: bytes) -> bytes:
    """Switch off and end the process."""
    channel.tpm.power_off()
    channel.transport.shut_down()
    return _result(Rc.SUCCESS)


def _stop(channel: ControlChannel, _parameters: bytes) -> bytes:
    """Switch off; commands are answered with FAIL until INIT."""
    channel.tpm.power_off()
    return _result(Rc.SUCCESS)


def _get_established(channel: ControlChannel, _parameters: bytes) -> bytes:
    """Answer result, the flag, three bytes of padding."""
    return struct.pack(">I?3x", Rc.SUCCESS, channel.tpm.permanent.flags.established)


def _reset_established(channel: ControlChannel, parameters: bytes) -> bytes:
    """BAD_LOCALITY unless the locality is 3 or 4."""
    _need(channel.tpm.running)
    reset_established(channel.tpm, parameters[0])
    return _result(Rc.SUCCESS)


def _set_locality(channel: ControlChannel, parameters: bytes) -> bytes:
    """BAD_LOCALITY; five or eight bytes long. The locality outlives INIT."""
    channel.tpm.set_locality(parameters[0])
    return _result(Rc.SUCCESS)


def _hash_start(channel: ControlChannel, _parameters: bytes) -> bytes:
    """Begin a dynamic launch: PCR 17 to 22 zero, the flag set."""
    _need(channel.tpm.running)
    channel.tpm.hash_start()
    return _result(Rc.SUCCESS)


def _hash_data(channel: ControlChannel, parameters: bytes) -> bytes:
    """SHA_THREAD without HASH_START."""
    _need(channel.tpm.running)
    channel.tpm.hash_data(parameters[_UINT32.size :])
    return _result(Rc.SUCCESS)


def _hash_end(channel: ControlChannel, _parameters: bytes) -> bytes:
    """Extend PCR 17 with the SHA-1 of the data."""
    _need(channel.tpm.running)
    channel.tpm.hash_end()
    return _result(Rc.SUCCESS)


def _cancel(_channel: ControlChannel, _parameters: bytes) -> bytes:
    """Commands run to their end before the next byte is read, so there is never one to cancel."""
    return _result(Rc.SUCCESS)


def _store_volatile(channel: ControlChannel, _parameters: bytes) -> bytes:
    """Write the volatile state to the state directory."""
    _need(channel.tpm.running)
    channel.tpm.store.save(Kind.VOLATILE, channel.tpm.snapshot().encode())
    return _result(Rc.SUCCESS)


def _get_state_blob(channel: ControlChannel, parameters: bytes) -> bytes:
    """Answer result, flags, whole length, length here, data from `offset` on; NON_FATAL if there is no such
    state. Flag 1 of the request: not encrypted with the state key; 2 of the response: encrypted with it.
    """
    flags, number, offset = struct.unpack(">III", parameters)
    decrypted = bool(flags & _DECRYPTED)
    kind = _KINDS.get(number)
    if kind is None:
        return _NO_BLOB
    if not offset:
        _need(channel.tpm.running or kind != Kind.VOLATILE)
        channel.blobs[decrypted, kind] = make_blob(channel.tpm, kind, channel.keys, decrypted)
    blob = channel.blobs.get((decrypted, kind), b"")
    if not blob:
        return _NO_BLOB
    rest = blob[offset:]
    encrypted = 0 if decrypted or channel.keys.state is None else _ENCRYPTED
    return struct.pack(">IIII", Rc.SUCCESS, encrypted, len(blob), len(rest)) + rest


def _set_state_blob(channel: ControlChannel, parameters: bytes) -> bytes:
    """Take one whole blob; it has its effect at the next INIT. BAD_PARAMETER for one that is not sound,
    KEYNOTFOUND (d) or DECRYPT_ERROR (21) if the key for it is missing or another one.
    """
    _need(not channel.tpm.running)
    _flags, number, _length = struct.unpack_from(">III", parameters)
    kind = _KINDS.get(number)
    if kind is None:
        raise TpmError(Rc.BAD_PARAMETER)
    take_blob(channel.tpm, kind, parameters[12:], channel.keys)
    return _result(Rc.SUCCESS)


def _get_config(channel: ControlChannel, _parameters: bytes) -> bytes:
    """Answer result and flags: 1 for `--key`, 2 for `--migration-key`."""
    flags = _FILE_KEY if channel.keys.state is not None else 0
    flags |= _MIGRATION_KEY if channel.keys.migration is not None else 0
    return struct.pack(">II", Rc.SUCCESS, flags)


def _set_data_fd(channel: ControlChannel, _parameters: bytes) -> bytes:
    """BAD_PARAMETER unless exactly one descriptor came along, IOERROR if there is a data client already."""
    if len(channel.descriptors) != 1:
        raise TpmError(Rc.BAD_PARAMETER)
    if not channel.transport.take_data_fd(channel.descriptors.pop()):
        raise TpmError(Rc.IOERROR)
    return _result(Rc.SUCCESS)


def _set_buffer_size(channel: ControlChannel, parameters: bytes) -> bytes:
    """Answer result, size, smallest, largest; 0 only asks, and a running TPM can only be asked."""
    wanted = int.from_bytes(parameters)
    if wanted:
        _need(not channel.tpm.running)
        channel.tpm.buffer_size = min(max(wanted, limits.BUFFER_SIZE_MIN), limits.BUFFER_SIZE)
    return struct.pack(
        ">IIII", Rc.SUCCESS, channel.tpm.buffer_size, limits.BUFFER_SIZE_MIN, limits.BUFFER_SIZE
    )


def _get_info(_channel: ControlChannel, parameters: bytes) -> bytes:
    """Answer result, whole length, length here, and JSON text that ends with a zero byte."""
    flags, offset, _padding = struct.unpack(">QII", parameters)
    info: dict[str, object] = {}
    if flags & _SPECIFICATION:
        info["TPMSpecification"] = {
            "family": "1.2",
            "level": limits.SPEC_LEVEL,
            "revision": limits.SPEC_REVISION,
        }
    if flags & _ATTRIBUTES:
        major, minor = limits.FIRMWARE_VERSION
        info["TPMAttributes"] = {
            "manufacturer": f"id:{limits.MANUFACTURER.hex().upper()}",
            "version": f"id:{major:02X}{minor:02X}0000",
            "model": "bootproof",
        }
    text = json.dumps(info, separators=(",", ":")).encode() + b"\0"
    rest = text[offset:]
    return struct.pack(">III", Rc.SUCCESS, len(text), len(rest)) + rest


def _lock_storage(_channel: ControlChannel, _parameters: bytes) -> bytes:
    """The storage is locked for as long as the process lives, so the lock asked for is held."""
    return _result(Rc.SUCCESS)


_REQUESTS: Final[dict[int, _Request]] = {
    0x01: _Request("GET_CAPABILITY", 0, _get_capability),
    0x02: _Request("INIT", 4, _init, bit=0),
    0x03: _Request("SHUTDOWN", 0, _shutdown, bit=1),
    0x04: _Request("GET_TPMESTABLISHED", 0, _get_established, bit=2),
    0x05: _Request("SET_LOCALITY", 4, _set_locality, bit=3, padded=True),
    0x06: _Request("HASH_START", 0, _hash_start, bit=4),
    0x07: _Request("HASH_DATA", 4, _hash_data, counted=True),
    0x08: _Request("HASH_END", 0, _hash_end),
    0x09: _Request("CANCEL", 0, _cancel, bit=5),
    0x0A: _Request("STORE_VOLATILE", 0, _store_volatile, bit=6),
    0x0B: _Request("RESET_TPMESTABLISHED", 4, _reset_established, bit=7, padded=True),
    0x0C: _Request("GET_STATEBLOB", 12, _get_state_blob, bit=8),
    0x0D: _Request("SET_STATEBLOB", 12, _set_state_blob, bit=9, counted=True),
    0x0E: _Request("STOP", 0, _stop, bit=10),
    0x0F: _Request("GET_CONFIG", 0, _get_config, bit=11),
    0x10: _Request("SET_DATAFD", 0, _set_data_fd, bit=12),
    0x11: _Request("SET_BUFFERSIZE", 4, _set_buffer_size, bit=13),
    0x12: _Request("GET_INFO", 16, _get_info, bit=14),
    0x13: _Request("LOCK_STORAGE", 4, _lock_storage, bit=16),
}


def documentation() -> list[tuple[str, str, str]]:
    """Return code, name and remarks of every request, for docs/vtpm.md."""
    return [(f"{code:02x}", row.name, row.answer.__doc__ or "") for code, row in _REQUESTS.items()]
