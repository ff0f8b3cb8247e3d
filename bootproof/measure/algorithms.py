# SPDX-License-Identifier: GPL-3.0-or-later
"""Hash algorithms by the names used everywhere here (those of hashlib) and by TCG number.

Source: TCG Algorithm Registry, table "TPM_ALG_ID".
"""

from __future__ import annotations

import hashlib

BY_ID = {
    0x0004: "sha1",
    0x000B: "sha256",
    0x000C: "sha384",
    0x000D: "sha512",
    0x0012: "sm3_256",
    0x0027: "sha3_256",
    0x0028: "sha3_384",
    0x0029: "sha3_512",
}
SIZES = {
    "sha1": 20,
    "sha256": 32,
    "sha384": 48,
    "sha512": 64,
    "sm3_256": 32,
    "sha3_256": 32,
    "sha3_384": 48,
    "sha3_512": 64,
}
_HASHLIB = {"sm3_256": "sm3"}


def size(algorithm: str) -> int:
    """Return the digest size in bytes; an unknown name is a `ValueError`."""
    if algorithm not in SIZES:
        raise ValueError(f"unknown hash algorithm {algorithm!r}; known: {', '.join(SIZES)}")
    return SIZES[algorithm]


def digest(algorithm: str, data: bytes) -> bytes:
    """Hash `data`; an algorithm that is unknown, or that this machine's OpenSSL lacks, is a `ValueError`."""
    size(algorithm)
    return hashlib.new(_HASHLIB.get(algorithm, algorithm), data, usedforsecurity=False).digest()
