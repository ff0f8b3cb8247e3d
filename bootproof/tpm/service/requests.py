# SPDX-License-Identifier: GPL-3.0-or-later
"""What can be asked on the control channel: a table of requests, and for each the function that answers.

The layouts are those of the `ptm_*` structures (QEMU's backends/tpm/tpm_ioctl.h). Result codes are those of
the TPM.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from bootproof.tpm import launch, limits
from bootproof.tpm.codes import Rc, TpmError
from bootproof.tpm.commands.presence import reset_established
from bootproof.tpm.persistence.container import Kind
from bootproof.tpm.service.blobs import make_blob, take_blob
from bootproof.tpm.state import Volatile

if TYPE_CHECKING:
    from bootproof.tpm.service.control import ControlChannel

_UINT32: Final = struct.Struct(">I")
_NON_FATAL: Final = 0x800  # TPM_NON_FATAL: QEMU takes it for "there is no such state"
_DELETE_VOLATILE: Final = 1
_SPECIFICATION, _ATTRIBUTES = 1, 2
_DECRYPTED: Final = 1  # flag of a request for a state blob
_ENCRYPTED: Final = 2  # flag of a state blob: the state key is needed to read it
_FILE_KEY, _MIGRATION_KEY = 1, 2
_ATTEMPT: Final = 0.01  # seconds
_MOST_ATTEMPTS: Final = 1000


@dataclass(frozen=True)
class Request:
    """A row of the table: `fixed` bytes of parameters, then as many as the last UINT32 of them says if
    `counted`.

    `padded` marks one byte in four, of which some clients send only the one; `bit` is the request's number
    in the mask that GET_CAPABILITY answers; `stored` says that the state directory is used.
    """

    name: str
    fixed: int
    answer: Callable[[ControlChannel, bytes], bytes]
    bit: int | None = None
    counted: bool = False
    padded: bool = False
    stored: bool = False


_NO_BLOB: Final = struct.pack(">IIII", _NON_FATAL, 0, 0, 0)
_KINDS: Final = {int(kind): kind for kind in Kind}


def result(code: int) -> bytes:
    """Return a response that is nothing but a result code."""
    return _UINT32.pack(code)


def _need(condition: bool) -> None:
    """BAD_ORDINAL for a request that does not fit the present state, as swtpm answers."""
    if not condition:
        raise TpmError(Rc.BAD_ORDINAL)


def _get_capability(_channel: ControlChannel, _parameters: bytes) -> bytes:
    """Answer the mask, eight bytes, no result code."""
    return struct.pack(">Q", sum(1 << row.bit for row in REQUESTS.values() if row.bit is not None))


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
    return result(Rc.SUCCESS)


def _shutdown(channel: ControlChannel, _parameters: bytes) -> bytes:
    """Switch off and end the process."""
    channel.tpm.power_off()
    channel.transport.shut_down()
    return result(Rc.SUCCESS)


def _stop(channel: ControlChannel, _parameters: bytes) -> bytes:
    """Switch off; commands are answered with FAIL until INIT."""
    channel.tpm.power_off()
    return result(Rc.SUCCESS)


def _get_established(channel: ControlChannel, _parameters: bytes) -> bytes:
    """Answer result, the flag, three bytes of padding."""
    return struct.pack(">I?3x", Rc.SUCCESS, channel.tpm.permanent.flags.established)


def _reset_established(channel: ControlChannel, parameters: bytes) -> bytes:
    """BAD_LOCALITY unless the locality is 3 or 4."""
    _need(channel.tpm.running)
    reset_established(channel.tpm, parameters[0])
    return result(Rc.SUCCESS)


def _set_locality(channel: ControlChannel, parameters: bytes) -> bytes:
    """BAD_LOCALITY; five or eight bytes long. The locality outlives INIT."""
    channel.tpm.set_locality(parameters[0])
    return result(Rc.SUCCESS)


def _hash_start(channel: ControlChannel, _parameters: bytes) -> bytes:
    """Begin a dynamic launch: PCR 17 to 22 zero, the flag set."""
    _need(channel.tpm.running)
    launch.hash_start(channel.tpm)
    return result(Rc.SUCCESS)


def _hash_data(channel: ControlChannel, parameters: bytes) -> bytes:
    """SHA_THREAD without HASH_START."""
    _need(channel.tpm.running)
    launch.hash_data(channel.tpm, parameters[_UINT32.size :])
    return result(Rc.SUCCESS)


def _hash_end(channel: ControlChannel, _parameters: bytes) -> bytes:
    """Extend PCR 17 with the SHA-1 of the data."""
    _need(channel.tpm.running)
    launch.hash_end(channel.tpm)
    return result(Rc.SUCCESS)


def cancel(channel: ControlChannel, _parameters: bytes) -> bytes:
    """A command that generates a key is answered with FAIL at once and has changed nothing; others are too
    short. The one request that does not wait for the end of a command.
    """
    channel.transport.cancel()
    return result(Rc.SUCCESS)


def _store_volatile(channel: ControlChannel, _parameters: bytes) -> bytes:
    """Write the volatile state to the state directory."""
    _need(channel.tpm.running)
    channel.tpm.store.save(Kind.VOLATILE, channel.tpm.snapshot().encode())
    return result(Rc.SUCCESS)


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
        channel.handover.hold()
        channel.blobs[decrypted, kind] = make_blob(channel.tpm, kind, channel.keys, decrypted)
        channel.handover.note_fetched(kind)
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
    return result(Rc.SUCCESS)


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
    return result(Rc.SUCCESS)


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


def _lock_storage(channel: ControlChannel, parameters: bytes) -> bytes:
    """Lock the state directory again, after a migration that did not take place: so many attempts, one in
    ten milliseconds, 1000 at most. FAIL if another emulator has it, or has changed the state.
    """
    attempts = min(int.from_bytes(parameters), _MOST_ATTEMPTS)
    channel.handover.hold(attempts * _ATTEMPT)
    return result(Rc.SUCCESS)


REQUESTS: Final[dict[int, Request]] = {
    0x01: Request("GET_CAPABILITY", 0, _get_capability),
    0x02: Request("INIT", 4, _init, bit=0, stored=True),
    0x03: Request("SHUTDOWN", 0, _shutdown, bit=1),
    0x04: Request("GET_TPMESTABLISHED", 0, _get_established, bit=2),
    0x05: Request("SET_LOCALITY", 4, _set_locality, bit=3, padded=True),
    0x06: Request("HASH_START", 0, _hash_start, bit=4, stored=True),
    0x07: Request("HASH_DATA", 4, _hash_data, counted=True, stored=True),
    0x08: Request("HASH_END", 0, _hash_end, stored=True),
    0x09: Request("CANCEL", 0, cancel, bit=5),
    0x0A: Request("STORE_VOLATILE", 0, _store_volatile, bit=6, stored=True),
    0x0B: Request("RESET_TPMESTABLISHED", 4, _reset_established, bit=7, padded=True, stored=True),
    0x0C: Request("GET_STATEBLOB", 12, _get_state_blob, bit=8),
    0x0D: Request("SET_STATEBLOB", 12, _set_state_blob, bit=9, counted=True, stored=True),
    0x0E: Request("STOP", 0, _stop, bit=10),
    0x0F: Request("GET_CONFIG", 0, _get_config, bit=11),
    0x10: Request("SET_DATAFD", 0, _set_data_fd, bit=12),
    0x11: Request("SET_BUFFERSIZE", 4, _set_buffer_size, bit=13),
    0x12: Request("GET_INFO", 16, _get_info, bit=14),
    0x13: Request("LOCK_STORAGE", 4, _lock_storage, bit=16),
}
