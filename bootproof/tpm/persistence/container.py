# SPDX-License-Identifier: GPL-3.0-or-later
"""Containers: states with a checksum and, if there is a key, encrypted. All numbers big endian:

    8   magic "BTPFTPM\\0"
    2   layout version (state.LAYOUT_VERSION)
    1   protection: 0 none, 1 encrypted with the state key, 2 encrypted with the migration key
    1   kind: 1 permanent, 2 volatile, 3 saved
    4   length of the body in bytes
    32  SHA-256 over the 16 bytes above and the body
    n   body: a structure of state.py, or that encrypted (encryption.py); for protection 2 a container,
        encrypted

The checksum is there to tell damage from a wrong key; what keeps changes out is the tag of the encryption.
"""

from __future__ import annotations

import hashlib
import struct
from enum import IntEnum
from typing import Final

from bootproof.tpm.persistence.encryption import StateKey, StateKeyError
from bootproof.tpm.state import LAYOUT_VERSION

_MAGIC: Final = b"BTPFTPM\0"
_HEAD: Final = struct.Struct(">8sHBBI")
_ASSOCIATED: Final = struct.Struct(">8sHBB")  # the head without the length: what the encryption covers
_DIGEST: Final = hashlib.sha256().digest_size


class Protection(IntEnum):
    """What is done to the body."""

    NONE = 0
    STATE_KEY = 1
    MIGRATION_KEY = 2


class Kind(IntEnum):
    """What a container holds; the numbers are those of the control channel's state blobs."""

    PERMANENT = 1
    VOLATILE = 2
    SAVED = 3


class StateError(Exception):
    """The state cannot be used; the message is one line that says what to do."""


class DamagedError(StateError):
    """What is there is not a whole state."""


class UnreadableError(StateError):
    """The disk does not return the state."""


class MissingKeyError(StateError):
    """The state is encrypted, and there is no key."""


class TakenError(StateError):
    """Another emulator uses the state, or has used it meanwhile."""


class WrongKeyError(StateError):
    """The state is encrypted with another key, or not encrypted although there is a key."""


def pack(kind: Kind, payload: bytes, key: StateKey | None = None) -> bytes:
    """Put a payload into a container, encrypted if there is a key."""
    return _build(kind, payload, Protection.NONE if key is None else Protection.STATE_KEY, key)


def unpack(kind: Kind, data: bytes, key: StateKey | None = None, plain_too: bool = False) -> bytes:
    """Return the payload; StateError says why this is not a sound container of that kind for that key.

    With a key, a container that is not encrypted is taken only if `plain_too` says so.
    """
    protection, associated, body = _take_apart(kind, data)
    if protection == Protection.NONE:
        if key is not None and not plain_too:
            raise WrongKeyError("is not encrypted, but a key is given; leave the key out to use it")
        return body
    if protection != Protection.STATE_KEY:
        raise StateError(
            "is not protected in the way of a state in a file; load it through the control channel"
        )
    return _decrypt(key, "--key", associated, body)


def wrap(kind: Kind, container: bytes, key: StateKey) -> bytes:
    """Encrypt a container with the migration key, into a container again."""
    return _build(kind, container, Protection.MIGRATION_KEY, key)


def unwrap(kind: Kind, data: bytes, key: StateKey | None) -> bytes:
    """Return the container that is in one encrypted with the migration key, or just that one; StateError."""
    protection, associated, body = _take_apart(kind, data)
    if protection != Protection.MIGRATION_KEY:
        return data
    return _decrypt(key, "--migration-key", associated, body)


def _build(kind: Kind, payload: bytes, protection: Protection, key: StateKey | None) -> bytes:
    associated = _ASSOCIATED.pack(_MAGIC, LAYOUT_VERSION, protection, kind)
    body = payload if key is None else key.encrypt(associated, payload)
    head = _HEAD.pack(_MAGIC, LAYOUT_VERSION, protection, kind, len(body))
    return head + hashlib.sha256(head + body).digest() + body


def _take_apart(kind: Kind, data: bytes) -> tuple[int, bytes, bytes]:
    """Return protection, the part of the head that encryption covers, and the body of a sound container."""
    if len(data) < _HEAD.size + _DIGEST or not data.startswith(_MAGIC):
        raise DamagedError("is not a state of this emulator")
    _, version, protection, found, length = _HEAD.unpack_from(data)
    head, digest = data[: _HEAD.size], data[_HEAD.size :][:_DIGEST]
    body = data[_HEAD.size + _DIGEST :]
    if len(body) != length or hashlib.sha256(head + body).digest() != digest:
        raise DamagedError("is damaged (length or checksum wrong)")
    if version != LAYOUT_VERSION:
        age = "an older" if version < LAYOUT_VERSION else "a newer"
        raise StateError(
            f"was written by {age} version of this program (layout {version}, this one knows "
            f"{LAYOUT_VERSION}); use that version, or move the state away to start with a new TPM"
        )
    if found != kind:
        raise DamagedError(f"holds state of kind {found} where {kind.name.lower()} state is expected")
    return protection, data[: _ASSOCIATED.size], body


def _decrypt(key: StateKey | None, option: str, associated: bytes, body: bytes) -> bytes:
    if key is None:
        raise MissingKeyError(f"is encrypted; give {option} with the key that it was written with")
    try:
        return key.decrypt(associated, body)
    except StateKeyError as error:
        raise WrongKeyError(str(error)) from None
