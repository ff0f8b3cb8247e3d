# SPDX-License-Identifier: GPL-3.0-or-later
"""What TPM 1.2 needs of RSA and `cryptography` does not offer: small keys, and paddings by themselves.

Encodings are those of RFC 8017 (PKCS #1 2.2), 7.1.1, 7.2.1 and 9.2. ValueError for one that is wrong.
"""

from __future__ import annotations

import hashlib
import hmac
import math
import os
import secrets
from typing import Final

_HASH_SIZE: Final = 20
OAEP_OVERHEAD: Final = 2 * _HASH_SIZE + 2
PKCS1_OVERHEAD: Final = 11
SHA1_INFO: Final = bytes.fromhex("3021300906052b0e03021a05000414")  # DigestInfo before a SHA-1 digest
_ROUNDS: Final = 40


def mgf1(seed: bytes, size: int) -> bytes:
    """Return `size` bytes of mask from SHA-1 (RFC 8017, B.2.1)."""
    blocks = range(-(-size // _HASH_SIZE))
    mask = b"".join(
        hashlib.sha1(seed + count.to_bytes(4), usedforsecurity=False).digest() for count in blocks
    )
    return mask[:size]


def xor(left: bytes, right: bytes) -> bytes:
    """Return the bytes of both, combined; they are equally long."""
    return (int.from_bytes(left) ^ int.from_bytes(right)).to_bytes(len(left))


def oaep(data: bytes, size: int, label: bytes) -> bytes:
    """Return the encoding for a modulus of `size` bytes, with a random seed."""
    return oaep_with_seed(data, size, label, os.urandom(_HASH_SIZE))


def oaep_with_seed(data: bytes, size: int, label: bytes, seed: bytes) -> bytes:
    """Return the encoding for a modulus of `size` bytes."""
    label_hash = hashlib.sha1(label, usedforsecurity=False).digest()
    fill = bytes(size - len(data) - OAEP_OVERHEAD)
    block = label_hash + fill + b"\1" + data
    masked = xor(block, mgf1(seed, len(block)))
    return b"\0" + xor(seed, mgf1(masked, _HASH_SIZE)) + masked


def remove_oaep(encoded: bytes, label: bytes) -> bytes:
    """Return the data."""
    masked_seed, masked = encoded[1 : 1 + _HASH_SIZE], encoded[1 + _HASH_SIZE :]
    seed = xor(masked_seed, mgf1(masked, _HASH_SIZE))
    block = xor(masked, mgf1(seed, len(masked)))
    label_hash = hashlib.sha1(label, usedforsecurity=False).digest()
    rest = block[_HASH_SIZE:].lstrip(b"\0")
    if encoded[0] or not hmac.compare_digest(block[:_HASH_SIZE], label_hash) or rest[:1] != b"\1":
        raise ValueError("not an OAEP encoding")
    return rest[1:]


def pkcs1_signature(data: bytes, size: int) -> bytes:
    """Return the encoding of block type 1."""
    return b"\0\1" + b"\xff" * (size - len(data) - 3) + b"\0" + data


def pkcs1_encryption(data: bytes, size: int) -> bytes:
    """Return the encoding of block type 2."""
    fill = bytes(secrets.randbelow(255) + 1 for _ in range(size - len(data) - 3))
    return b"\0\2" + fill + b"\0" + data


def remove_pkcs1(encoded: bytes) -> bytes:
    """Return the data of block type 2."""
    end = encoded.find(b"\0", 2)
    if encoded[:2] != b"\0\2" or end < PKCS1_OVERHEAD - 1:
        raise ValueError("not a PKCS #1 encryption block")
    return encoded[end + 1 :]


def small_primes(bits: int, exponent: int) -> tuple[int, int]:
    """Return two primes for a modulus of exactly `bits` bits that go with the exponent."""
    while True:
        p, q = _prime(bits // 2, exponent), _prime(bits // 2, exponent)
        if p != q and (p * q).bit_length() == bits:
            return p, q


def _prime(bits: int, exponent: int) -> int:
    while True:
        number = secrets.randbits(bits) | 3 << (bits - 2) | 1
        if math.gcd(number - 1, exponent) == 1 and _is_prime(number):
            return number


def _is_prime(number: int) -> bool:
    """Miller and Rabin's test (FIPS 186-4, C.3.1)."""
    odd, twos = number - 1, 0
    while odd % 2 == 0:
        odd, twos = odd // 2, twos + 1
    for _ in range(_ROUNDS):
        power = pow(secrets.randbelow(number - 3) + 2, odd, number)
        if power in (1, number - 1):
            continue
        for _ in range(twos - 1):
            power = power * power % number
            if power == number - 1:
                break
        else:
            return False
    return True
