# SPDX-License-Identifier: GPL-3.0-or-later
"""Symmetric encryption: authorisation data (Part 1, 14.8) and transport sessions (Part 1, 18)."""

from __future__ import annotations

from bootproof.tpm.crypto.padding import mgf1, xor


def aes_ctr(key: bytes, counter: bytes, data: bytes) -> bytes:
    """Encrypt or decrypt with AES in counter mode; `counter` is the first counter block of 16 bytes."""
    from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

    worker = Cipher(algorithms.AES(key), modes.CTR(counter)).encryptor()
    return worker.update(data) + worker.finalize()


def aes_ofb(key: bytes, vector: bytes, data: bytes) -> bytes:
    """Encrypt or decrypt with AES in output feedback mode; `vector` has 16 bytes."""
    from cryptography.hazmat.primitives.ciphers import Cipher, algorithms

    try:
        from cryptography.hazmat.decrepit.ciphers.modes import OFB
    except ImportError:  # before cryptography 43
        from cryptography.hazmat.primitives.ciphers.modes import OFB

    worker = Cipher(algorithms.AES(key), OFB(vector)).encryptor()
    return worker.update(data) + worker.finalize()


def mgf1_xor(seed: bytes, data: bytes) -> bytes:
    """Encrypt or decrypt with a mask that MGF1 makes from the seed."""
    return xor(data, mgf1(seed, len(data)))
