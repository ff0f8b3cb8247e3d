# SPDX-License-Identifier: GPL-3.0-or-later
"""RSA keys with the paddings of TPM 1.2 (Part 1, 31): OAEP with SHA-1 and the label "TCPA", PKCS #1 v1.5.

Bytes are big endian. Importing `cryptography` takes longer than a TPM may take to start, so this module
imports it at the first key. What `cryptography` does not do (keys below 1024 bits, signatures without
DigestInfo in old versions) is in `padding`.
"""

from __future__ import annotations

import math
import secrets
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final

from bootproof.tpm.codes import Rc, TpmError
from bootproof.tpm.crypto import padding
from bootproof.tpm.structures.keys import DEFAULT_EXPONENT

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric import rsa

_SMALLEST_OF_LIBRARY: Final = 1024
_EXPONENTS_OF_LIBRARY: Final = (3, DEFAULT_EXPONENT)
_OAEP_LABEL: Final = b"TCPA"


def _oaep() -> Any:
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.asymmetric import padding as paddings

    return paddings.OAEP(paddings.MGF1(hashes.SHA1()), hashes.SHA1(), _OAEP_LABEL)  # noqa: S303


def _pkcs1() -> Any:
    from cryptography.hazmat.primitives.asymmetric import padding as paddings

    return paddings.PKCS1v15()


def _no_digest_info() -> Any:
    """Return how the library signs data that are not wrapped in a DigestInfo; None in old versions."""
    from cryptography.hazmat.primitives.asymmetric import utils

    kind = getattr(utils, "NoDigestInfo", None)
    return None if kind is None else kind()


def _unvalidated(numbers: rsa.RSAPrivateNumbers) -> rsa.RSAPrivateKey:
    """Return the key without the primality tests, which cost more than a hundred signatures."""
    try:
        return numbers.private_key(unsafe_skip_rsa_key_validation=True)
    except TypeError:  # before version 39 there is no such choice
        return numbers.private_key()


def _primes(bits: int, exponent: int) -> tuple[int, int]:
    """Return the primes of a key that the library makes for its own exponent; they go with this one, too."""
    from cryptography.hazmat.primitives.asymmetric import rsa

    while True:
        numbers = rsa.generate_private_key(DEFAULT_EXPONENT, bits).private_numbers()
        if math.gcd((numbers.p - 1) * (numbers.q - 1), exponent) == 1:
            return numbers.p, numbers.q


def _unit(modulus: int) -> int:
    """Return a random number that has an inverse."""
    while True:
        number = secrets.randbelow(modulus - 1) + 1
        if math.gcd(number, modulus) == 1:
            return number


class PublicKey:
    """A modulus and an exponent."""

    def __init__(self, modulus: bytes, exponent: int = DEFAULT_EXPONENT) -> None:
        self.modulus = modulus
        self.exponent = exponent
        self._n = int.from_bytes(modulus)

    @property
    def size(self) -> int:
        """Length of the modulus in bytes."""
        return len(self.modulus)

    @cached_property
    def _key(self) -> rsa.RSAPublicKey | None:
        from cryptography.hazmat.primitives.asymmetric import rsa

        if self._n.bit_length() < _SMALLEST_OF_LIBRARY:
            return None
        try:
            return rsa.RSAPublicNumbers(self.exponent, self._n).public_key()
        except ValueError as error:
            raise TpmError(Rc.BAD_KEY_PROPERTY) from error

    def raw(self, number: int) -> bytes:
        """Return number ** exponent mod modulus."""
        return pow(number, self.exponent, self._n).to_bytes(self.size)

    def encrypt_oaep(self, data: bytes) -> bytes:
        """ENCRYPT_ERROR if the data are too long for the key."""
        if len(data) > self.size - padding.OAEP_OVERHEAD:
            raise TpmError(Rc.ENCRYPT_ERROR)
        if self._key is None:
            return self.raw(int.from_bytes(padding.oaep(data, self.size, _OAEP_LABEL)))
        return self._key.encrypt(data, _oaep())

    def encrypt_pkcs1(self, data: bytes) -> bytes:
        """ENCRYPT_ERROR if the data are too long for the key."""
        if len(data) > self.size - padding.PKCS1_OVERHEAD:
            raise TpmError(Rc.ENCRYPT_ERROR)
        if self._key is None:
            return self.raw(int.from_bytes(padding.pkcs1_encryption(data, self.size)))
        return self._key.encrypt(data, _pkcs1())

    def verify_sha1(self, value: bytes, signature: bytes) -> bool:
        """Whether this is the PKCS #1 signature over that SHA-1 digest."""
        if len(signature) != self.size or int.from_bytes(signature) >= self._n:
            return False
        expected = padding.pkcs1_signature(padding.SHA1_INFO + value, self.size)
        return self.raw(int.from_bytes(signature)) == expected


class PrivateKey:
    """An RSA key of two primes."""

    def __init__(self, modulus: bytes, prime: bytes, exponent: int = DEFAULT_EXPONENT) -> None:
        """DECRYPT_ERROR if the prime does not divide the modulus, as with a blob that was tampered with."""
        self.public = PublicKey(modulus, exponent)
        self.prime = prime
        n, self._p = int.from_bytes(modulus), int.from_bytes(prime)
        if self._p < 2 or n % self._p:
            raise TpmError(Rc.DECRYPT_ERROR)
        self._q = n // self._p
        try:
            self._d = pow(exponent, -1, math.lcm(self._p - 1, self._q - 1))
            self._d_p, self._d_q = self._d % (self._p - 1), self._d % (self._q - 1)
            self._q_inverse = pow(self._q, -1, self._p)
        except (ValueError, ZeroDivisionError) as error:
            raise TpmError(Rc.DECRYPT_ERROR) from error

    @classmethod
    def generate(cls, bits: int, exponent: int = DEFAULT_EXPONENT) -> PrivateKey:
        """Make a key; the exponent is an odd prime."""
        if bits < _SMALLEST_OF_LIBRARY:
            p, q = padding.small_primes(bits, exponent)
            return cls._of_primes(p, q, bits, exponent)
        from cryptography.hazmat.primitives.asymmetric import rsa

        if exponent not in _EXPONENTS_OF_LIBRARY:
            return cls._of_primes(*_primes(bits, exponent), bits, exponent)
        key = rsa.generate_private_key(exponent, bits)
        numbers = key.private_numbers()
        made = cls._of_primes(numbers.p, numbers.q, bits, exponent)
        made.__dict__["_key"] = key  # what the cached property would build, and old versions validate, again
        return made

    @classmethod
    def _of_primes(cls, p: int, q: int, bits: int, exponent: int) -> PrivateKey:
        return cls((p * q).to_bytes(bits // 8), p.to_bytes(bits // 16), exponent)

    @property
    def size(self) -> int:
        """Length of the modulus in bytes."""
        return self.public.size

    @cached_property
    def _key(self) -> rsa.RSAPrivateKey | None:
        """The library's key, None where it is too small; BAD_KEY_PROPERTY for one that it refuses."""
        from cryptography.hazmat.primitives.asymmetric import rsa

        p, q = self._p, self._q
        if (p * q).bit_length() < _SMALLEST_OF_LIBRARY:
            return None
        public = rsa.RSAPublicNumbers(self.public.exponent, p * q)
        numbers = rsa.RSAPrivateNumbers(p, q, self._d, self._d_p, self._d_q, self._q_inverse, public)
        try:
            return _unvalidated(numbers)
        except ValueError as error:
            raise TpmError(Rc.BAD_KEY_PROPERTY) from error

    def raw(self, number: int) -> bytes:
        """Return number ** private exponent mod modulus, by the Chinese remainder theorem.

        The number is blinded, because how long Python's `pow` takes depends on it and on the exponent.
        """
        p, q = self._p, self._q
        n = p * q
        factor = _unit(n)
        blinded = number * pow(factor, self.public.exponent, n) % n
        at_p, at_q = pow(blinded, self._d_p, p), pow(blinded, self._d_q, q)
        result = at_q + q * ((at_p - at_q) * self._q_inverse % p)
        return (result * pow(factor, -1, n) % n).to_bytes(self.size)

    def decrypt_oaep(self, data: bytes) -> bytes:
        """DECRYPT_ERROR for anything that was not encrypted for this key, BAD_DATASIZE if it is too long."""
        self._need_size(data)
        try:
            if self._key is None:
                return padding.remove_oaep(self.raw(int.from_bytes(data)), _OAEP_LABEL)
            return self._key.decrypt(data, _oaep())
        except ValueError as error:
            raise TpmError(Rc.DECRYPT_ERROR) from error

    def decrypt_pkcs1(self, data: bytes) -> bytes:
        """DECRYPT_ERROR for anything that was not encrypted for this key, BAD_DATASIZE if it is too long."""
        self._need_size(data)
        try:
            return padding.remove_pkcs1(self.raw(int.from_bytes(data)))
        except ValueError as error:
            raise TpmError(Rc.DECRYPT_ERROR) from error

    def sign_sha1(self, value: bytes) -> bytes:
        """Return the PKCS #1 v1.5 signature over a SHA-1 digest of 20 bytes."""
        if self._key is None:
            return self.sign_bare(padding.SHA1_INFO + value)
        from cryptography.hazmat.primitives import hashes
        from cryptography.hazmat.primitives.asymmetric import utils

        return self._key.sign(value, _pkcs1(), utils.Prehashed(hashes.SHA1()))  # noqa: S303

    def sign_bare(self, data: bytes) -> bytes:
        """Return the PKCS #1 v1.5 signature over the data as they are; BAD_DATASIZE if they are too long."""
        if len(data) > self.size - padding.PKCS1_OVERHEAD:
            raise TpmError(Rc.BAD_DATASIZE)
        bare = _no_digest_info()
        if self._key is None or bare is None:
            return self.raw(int.from_bytes(padding.pkcs1_signature(data, self.size)))
        return self._key.sign(data, _pkcs1(), bare)

    def _need_size(self, data: bytes) -> None:
        if len(data) > self.size:
            raise TpmError(Rc.BAD_DATASIZE)
        if len(data) < self.size or int.from_bytes(data) >= int.from_bytes(self.public.modulus):
            raise TpmError(Rc.DECRYPT_ERROR)
