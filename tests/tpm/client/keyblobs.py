# SPDX-License-Identifier: GPL-3.0-or-later
"""Keys as they travel: TPM_KEY, TPM_KEY12, TPM_PUBKEY and what they consist of (Part 2, 10)."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Self

from cryptography.hazmat.primitives.asymmetric import rsa

from tests.tpm.client.constants import (
    VERSION_1_1,
    Algorithm,
    AuthUsage,
    EncScheme,
    KeyFlags,
    KeyUsage,
    SigScheme,
)
from tests.tpm.client.wire import Reader, Struct, sized, sized_struct, u8, u16, u32

_TAG_KEY12 = 0x0028
EXPONENT = 65537


@dataclass(frozen=True)
class KeyParms(Struct):
    """TPM_KEY_PARMS (10.1); `parms` is the encoded TPM_RSA_KEY_PARMS or TPM_SYMMETRIC_KEY_PARMS."""

    algorithm: int
    enc_scheme: int
    sig_scheme: int
    parms: bytes

    @classmethod
    def rsa(cls, bits: int, enc_scheme: int, sig_scheme: int, exponent: bytes = b"") -> Self:
        return cls(Algorithm.RSA, enc_scheme, sig_scheme, u32(bits) + u32(2) + sized(exponent))

    @classmethod
    def symmetric(cls, algorithm: int, enc_scheme: int, bits: int = 128, iv: bytes = b"") -> Self:
        return cls(algorithm, enc_scheme, SigScheme.NONE, u32(bits) + u32(128) + sized(iv))

    @property
    def bits(self) -> int:
        return Reader(self.parms).u32()

    @property
    def exponent(self) -> int:
        """Return the public exponent; nothing stands for 65537."""
        source = Reader(self.parms)
        source.take(8)
        return int.from_bytes(source.sized()) or EXPONENT

    def encode(self) -> bytes:
        return u32(self.algorithm) + u16(self.enc_scheme) + u16(self.sig_scheme) + sized(self.parms)

    @classmethod
    def read(cls, source: Reader) -> Self:
        return cls(source.u32(), source.u16(), source.u16(), source.sized())


@dataclass(frozen=True)
class PubKey(Struct):
    """TPM_PUBKEY (10.5); `modulus` is big endian."""

    parms: KeyParms
    modulus: bytes

    def encode(self) -> bytes:
        return self.parms.encode() + sized(self.modulus)

    @classmethod
    def read(cls, source: Reader) -> Self:
        return cls(KeyParms.read(source), source.sized())

    @classmethod
    def of(cls, key: rsa.RSAPublicKey, enc_scheme: int, sig_scheme: int) -> Self:
        size = key.key_size // 8
        return cls(KeyParms.rsa(key.key_size, enc_scheme, sig_scheme), key.public_numbers().n.to_bytes(size))

    @property
    def key(self) -> rsa.RSAPublicKey:
        return rsa.RSAPublicNumbers(self.parms.exponent, int.from_bytes(self.modulus)).public_key()


@dataclass(frozen=True)
class Key(Struct):
    """TPM_KEY (10.2), or TPM_KEY12 (10.3) if `key12`.

    `pcr_info` is the encoded PCR_INFO or PCR_INFO_LONG, or nothing; `modulus` and `enc_data` are empty in
    the description of a key that is still to be made.
    """

    usage: int
    flags: int
    auth_usage: int
    parms: KeyParms
    pcr_info: bytes = b""
    modulus: bytes = b""
    enc_data: bytes = b""
    key12: bool = False
    version: bytes = VERSION_1_1

    def encode(self) -> bytes:
        head = u16(_TAG_KEY12) + u16(0) if self.key12 else self.version
        public = u16(self.usage) + u32(self.flags) + u8(self.auth_usage) + self.parms.encode()
        return head + public + sized_struct(self.pcr_info) + sized(self.modulus) + sized(self.enc_data)

    @classmethod
    def read(cls, source: Reader) -> Self:
        head = source.take(4)
        usage, flags, auth_usage = source.u16(), source.u32(), source.u8()
        parms, pcr_info = KeyParms.read(source), source.sized()
        modulus, enc_data = source.sized(), source.sized()
        key12 = head[:2] == u16(_TAG_KEY12)
        version = VERSION_1_1 if key12 else head
        return cls(usage, flags, auth_usage, parms, pcr_info, modulus, enc_data, key12, version)

    @property
    def public(self) -> PubKey:
        return PubKey(self.parms, self.modulus)

    def changed(self, **fields: object) -> Self:
        """Return a copy with other fields."""
        return replace(self, **fields)  # type: ignore[arg-type]


# The schemes that each usage demands (Part 2, 5.8.1); signing keys may have any signature scheme.
_SCHEMES = {
    KeyUsage.SIGNING: (EncScheme.NONE, SigScheme.SHA1),
    KeyUsage.STORAGE: (EncScheme.OAEP, SigScheme.NONE),
    KeyUsage.IDENTITY: (EncScheme.NONE, SigScheme.SHA1),
    KeyUsage.AUTH_CHANGE: (EncScheme.OAEP, SigScheme.NONE),
    KeyUsage.BIND: (EncScheme.OAEP, SigScheme.NONE),
    KeyUsage.LEGACY: (EncScheme.OAEP, SigScheme.SHA1),
    KeyUsage.MIGRATE: (EncScheme.OAEP, SigScheme.NONE),
}


def template(
    usage: KeyUsage,
    flags: int = KeyFlags.NONE,
    auth_usage: int = AuthUsage.ALWAYS,
    *,
    bits: int = 2048,
    sig_scheme: int | None = None,
    enc_scheme: int | None = None,
    pcr_info: Struct | None = None,
    key12: bool = False,
) -> Key:
    """Return the description of a key to be made, with the usual schemes for its usage."""
    enc, sig = _SCHEMES[usage]
    parms = KeyParms.rsa(
        bits,
        enc if enc_scheme is None else enc_scheme,
        sig if sig_scheme is None else sig_scheme,
    )
    info = b"" if pcr_info is None else pcr_info.encode()
    return Key(usage, flags, auth_usage, parms, info, key12=key12)
