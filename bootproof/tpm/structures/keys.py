# SPDX-License-Identifier: GPL-3.0-or-later
"""Keys as they travel (Part 2, 10)."""

from __future__ import annotations

import hashlib
from typing import Final

from bootproof.tpm.codes import Rc, TpmError
from bootproof.tpm.numbers import VERSION_1_1, Algorithm, KeyFlag, Tag
from bootproof.tpm.wire import (
    Reader,
    Structure,
    digest,
    nested,
    raw,
    sized32,
    structure,
    uint8,
    uint16,
    uint32,
)

DEFAULT_EXPONENT: Final = 65537
_KNOWN_FLAGS: Final = sum(KeyFlag)
KEY12_HEAD: Final = Tag.KEY12.to_bytes(2) + b"\0\0"  # tag and fill, where TPM_KEY has its version


@structure
class KeyParameters(Structure):
    """TPM_KEY_PARMS (10.1); the parameters' layout depends on the algorithm."""

    algorithm: int = uint32()
    encryption: int = uint16()
    signature: int = uint16()
    parameters: bytes = sized32()

    def validate(self) -> None:
        """BAD_PARAM_SIZE, SIZE where an RSA key's parameters end too soon."""
        if self.algorithm == Algorithm.RSA:
            RsaParameters.read(Reader(self.parameters))


@structure
class RsaParameters(Structure):
    """TPM_RSA_KEY_PARMS (10.1.1): bits, number of primes, exponent (nothing stands for 65537)."""

    bits: int = uint32()
    primes: int = uint32(default=2)
    exponent: bytes = sized32(default=b"")

    @property
    def public_exponent(self) -> int:
        """The exponent as a number, which is big endian as all others are."""
        return int.from_bytes(self.exponent) or DEFAULT_EXPONENT


@structure
class SymmetricParameters(Structure):
    """TPM_SYMMETRIC_KEY_PARMS (10.1.2): lengths in bits."""

    key_length: int = uint32()
    block_size: int = uint32()
    iv: bytes = sized32()


def _check_head(found: bytes) -> None:
    """BAD_VERSION or, where it begins as tags do, BAD_KEY_PROPERTY for neither TPM_KEY 1.1 nor TPM_KEY12."""
    if found != KEY12_HEAD and found[:2] != VERSION_1_1[:2]:
        raise TpmError(Rc.BAD_VERSION if found[0] else Rc.BAD_KEY_PROPERTY)


@structure
class Key(Structure):
    """TPM_KEY (10.2) and TPM_KEY12 (10.3), which differ in their first four bytes only."""

    head: bytes = raw(4, check=_check_head)
    usage: int = uint16()
    flags: int = uint32()
    auth_usage: int = uint8()
    parameters: KeyParameters = nested(KeyParameters)
    pcr_info: bytes = sized32()
    public: bytes = sized32()
    encrypted: bytes = sized32()

    @property
    def is_key12(self) -> bool:
        """Whether it is a TPM_KEY12."""
        return self.head == KEY12_HEAD

    def validate(self) -> None:
        """BAD_KEY_PROPERTY for flags that there are not."""
        if self.flags & ~_KNOWN_FLAGS:
            raise TpmError(Rc.BAD_KEY_PROPERTY)

    def has(self, flag: KeyFlag) -> bool:
        """Whether that flag is set."""
        return bool(self.flags & flag)

    def public_digest(self) -> bytes:
        """Return SHA-1 over everything but the encrypted part (10.6, pubDataDigest)."""
        whole = self.encode()
        return sha1(whole[: len(whole) - 4 - len(self.encrypted)])

    def pubkey(self) -> Pubkey:
        """Return the public key alone."""
        return Pubkey(self.parameters, self.public)


@structure
class Pubkey(Structure):
    """TPM_PUBKEY (10.5); `key` is the modulus, big endian."""

    parameters: KeyParameters = nested(KeyParameters)
    key: bytes = sized32()

    def digest(self) -> bytes:
        """Return SHA-1 over the structure."""
        return sha1(self.encode())


@structure
class StoreAsymKey(Structure):
    """TPM_STORE_ASYMKEY (10.6): what a wrapped key's encrypted part holds; `private` is one prime."""

    payload: int = uint8()
    usage_auth: bytes = digest()
    migration_auth: bytes = digest()
    public_digest: bytes = digest()
    private: bytes = sized32()


def rsa_parameters(parameters: KeyParameters) -> RsaParameters:
    """Return the RSA part; BAD_KEY_PROPERTY where it is another algorithm or malformed."""
    if parameters.algorithm != Algorithm.RSA:
        raise TpmError(Rc.BAD_KEY_PROPERTY)
    try:
        return RsaParameters.decode(parameters.parameters)
    except TpmError as error:
        raise TpmError(Rc.BAD_KEY_PROPERTY) from error


@structure
class StorePubkey(Structure):
    """TPM_STORE_PUBKEY (10.4): the modulus alone."""

    key: bytes = sized32()


def sha1(*parts: bytes) -> bytes:
    """Return SHA-1 over the parts."""
    return hashlib.sha1(b"".join(parts), usedforsecurity=False).digest()
