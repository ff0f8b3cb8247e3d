# SPDX-License-Identifier: GPL-3.0-or-later
"""Authenticated encryption of states at rest (`--key`) and on their way (`--migration-key`).

The cipher is AES in Galois/Counter Mode (NIST SP 800-38D) with a random nonce for every state written, of
128 or 256 bits as swtpm's `mode=` says. An encrypted payload, as the body of a container (store.py):

    1   where the key comes from: 0 given, 1 SHA-512 of a passphrase, 2 PBKDF2 of a passphrase
    16  salt of PBKDF2, zeros without
    12  nonce
    n   ciphertext, as long as the payload
    16  tag; it also covers the container's first 12 bytes, and the 17 bytes above
"""

from __future__ import annotations

import hashlib
import os
import struct
from contextlib import suppress
from dataclasses import dataclass
from enum import IntEnum
from pathlib import Path
from typing import Final

_HEAD: Final = struct.Struct(">B16s")
_SALT_SIZE: Final = 16
_NONCE_SIZE: Final = 12
_TAG_SIZE: Final = 16
_PBKDF2_ROUNDS: Final = 210_000  # of HMAC-SHA-512: a tenth of a second or two, once at start
_LONGEST_SECRET: Final = 4096  # bytes
KEY_SIZES: Final = {"aes-cbc": 16, "aes-128-cbc": 16, "aes-256-cbc": 32}  # swtpm's names, sizes in bytes


class Kdf(IntEnum):
    """How a key is made from what was read."""

    GIVEN = 0
    SHA512 = 1
    PBKDF2 = 2


_NAMES: Final = {
    Kdf.GIVEN: "a key (file= or fd=)",
    Kdf.SHA512: "a passphrase (pwdfile= or pwdfd=, kdf=sha512)",
    Kdf.PBKDF2: "a passphrase (pwdfile= or pwdfd=)",
}


class StateKeyError(Exception):
    """A key cannot be read or does not fit; the message is one line, or the end of one."""


@dataclass(frozen=True)
class KeySource:
    """What `--key` or `--migration-key` says: exactly one of `file` and `descriptor` is given."""

    option: str
    file: Path | None
    descriptor: int | None
    kdf: Kdf
    size: int  # of the AES key, in bytes
    binary: bool = False
    remove: bool = False


class StateKey:
    """A key for states; `secret` is the AES key, or the passphrase if `kdf` makes one of it."""

    def __init__(self, secret: bytes, kdf: Kdf, size: int) -> None:
        self._secret = secret
        self._kdf = kdf
        self._size = size
        self._salt = os.urandom(_SALT_SIZE) if kdf == Kdf.PBKDF2 else bytes(_SALT_SIZE)
        self._derived: dict[bytes, bytes] = {}

    def encrypt(self, associated: bytes, payload: bytes) -> bytes:
        """Return the encrypted payload; `associated` is authenticated with it."""
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM

        head = _HEAD.pack(self._kdf, self._salt)
        nonce = os.urandom(_NONCE_SIZE)
        cipher = AESGCM(self._key(self._salt))
        return head + nonce + cipher.encrypt(nonce, payload, associated + head)

    def decrypt(self, associated: bytes, body: bytes) -> bytes:
        """Return the payload; StateKeyError if this key is not the one, or somebody has changed the body."""
        from cryptography.exceptions import InvalidTag
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM

        if len(body) < _HEAD.size + _NONCE_SIZE + _TAG_SIZE:
            raise StateKeyError("is too short for an encrypted state")
        kdf, salt = _HEAD.unpack_from(body)
        if kdf != self._kdf:
            wanted = _NAMES.get(kdf, "something newer than this program")
            raise StateKeyError(
                f"is encrypted with {wanted}, but {_NAMES[self._kdf]} was given; give the right one"
            )
        nonce, text = body[_HEAD.size :][:_NONCE_SIZE], body[_HEAD.size + _NONCE_SIZE :]
        cipher = AESGCM(self._key(salt))
        try:
            payload: bytes = cipher.decrypt(nonce, text, associated + body[: _HEAD.size])
        except InvalidTag:
            raise StateKeyError(
                "is encrypted with another key or passphrase, or another mode=, than the one given; "
                "give the one that it was written with"
            ) from None
        self._salt = salt  # go on with it: to derive a key takes time
        return payload

    def _key(self, salt: bytes) -> bytes:
        if self._kdf == Kdf.GIVEN:
            return self._secret
        if self._kdf == Kdf.SHA512:
            return hashlib.sha512(self._secret).digest()[: self._size]
        if salt not in self._derived:
            self._derived = {
                salt: hashlib.pbkdf2_hmac("sha512", self._secret, salt, _PBKDF2_ROUNDS, self._size)
            }
        return self._derived[salt]


def read_key(source: KeySource) -> StateKey:
    """Read the key or passphrase and, if so wished, remove its file; StateKeyError says what is wrong."""
    where = f"{source.option}: {source.file or f'descriptor {source.descriptor}'}"
    try:
        data = _read_all(source)
        if source.remove and source.file is not None:
            source.file.unlink()
    except OSError as error:
        raise StateKeyError(f"{where}: {error.strerror}; give a key file that can be read") from None
    if not data or len(data) > _LONGEST_SECRET:
        raise StateKeyError(
            f"{where}: is {'longer than 4096 bytes' if data else 'empty'}; put the key there"
        )
    if source.kdf != Kdf.GIVEN:
        return StateKey(data, source.kdf, source.size)
    key = data if source.binary else _from_hex(data)
    if len(key) != source.size:
        form = f"{source.size} bytes" if source.binary else f"{2 * source.size} hexadecimal digits"
        raise StateKeyError(f"{where}: does not hold {form}, the key for that mode=; see --help")
    return StateKey(key, source.kdf, source.size)


def _from_hex(data: bytes) -> bytes:
    """Return the bytes of the first word, nothing if these are no hexadecimal digits."""
    with suppress(ValueError, IndexError):
        return bytes.fromhex(data.decode("ascii").split()[0].removeprefix("0x"))
    return b""


def _read_all(source: KeySource) -> bytes:
    """Return the content up to one byte more than is allowed; a descriptor that was given is closed."""
    handle = source.descriptor
    if source.file is not None:
        handle = os.open(source.file, os.O_RDONLY | os.O_CLOEXEC)
    assert handle is not None
    with os.fdopen(handle, "rb", buffering=0) as file:
        data = b""
        while len(data) <= _LONGEST_SECRET and (part := file.read(_LONGEST_SECRET + 1 - len(data))):
            data += part
        return data
