# SPDX-License-Identifier: GPL-3.0-or-later
"""What a program outside the TPM computes with public keys (Part 1, 31: OAEP's label is "TCPA")."""

from __future__ import annotations

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, utils

from tests.tpm.client.keyblobs import PubKey

_LABEL = b"TCPA"


def oaep() -> padding.OAEP:
    return padding.OAEP(padding.MGF1(hashes.SHA1()), hashes.SHA1(), _LABEL)


def encrypt_oaep(key: PubKey, data: bytes) -> bytes:
    """Return TPM_ES_RSAESOAEP_SHA1_MGF1."""
    return key.key.encrypt(data, oaep())


def encrypt_pkcs1(key: PubKey, data: bytes) -> bytes:
    """Return TPM_ES_RSAESPKCSv15."""
    return key.key.encrypt(data, padding.PKCS1v15())


def signed(key: PubKey, signature: bytes, digest: bytes) -> bool:
    """Tell whether `signature` is that of a SHA-1 digest (the SHA1 and INFO schemes)."""
    if len(digest) != hashes.SHA1.digest_size:
        return False
    try:
        key.key.verify(signature, digest, padding.PKCS1v15(), utils.Prehashed(hashes.SHA1()))
    except InvalidSignature:
        return False
    return True


def signed_der(key: PubKey, signature: bytes, data: bytes) -> bool:
    """Tell whether `signature` is that of bytes which the caller made into a DigestInfo (the DER scheme)."""
    size = len(key.modulus)
    plain = pow(int.from_bytes(signature), key.parms.exponent, int.from_bytes(key.modulus)).to_bytes(size)
    return plain == b"\0\1" + b"\xff" * (size - len(data) - 3) + b"\0" + data


__all__ = ["encrypt_oaep", "encrypt_pkcs1", "oaep", "signed", "signed_der"]
