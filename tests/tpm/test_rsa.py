# SPDX-License-Identifier: GPL-3.0-or-later
"""RSA as TPM 1.2 uses it, on whatever version of `cryptography` is there, and by our own arithmetic."""

from __future__ import annotations

import math
from contextlib import suppress
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import utils
from hypothesis import given, settings
from hypothesis import strategies as st

from bootproof.tpm.codes import Rc, TpmError
from bootproof.tpm.crypto import padding
from bootproof.tpm.crypto.rsa import PrivateKey, PublicKey

DIGEST = bytes(range(20))
SIZES = [512, 768, 1024, 1536, 2048]


@pytest.fixture(scope="module", params=SIZES)
def key(request: pytest.FixtureRequest) -> PrivateKey:
    return PrivateKey.generate(request.param)


@pytest.fixture(scope="module")
def small() -> PrivateKey:
    return PrivateKey.generate(512)


def again(key: PrivateKey) -> PrivateKey:
    """Return the key as it is made from what a TPM stores."""
    return PrivateKey(key.public.modulus, key.prime, key.public.exponent)


def refused(code: Rc) -> Any:
    return pytest.raises(TpmError, match=code.name)


def test_a_key_has_the_size_that_was_asked_for(key: PrivateKey) -> None:
    bits = key.size * 8
    assert int.from_bytes(key.public.modulus).bit_length() == bits
    assert len(key.prime) * 16 == bits
    assert int.from_bytes(key.public.modulus) % int.from_bytes(key.prime) == 0


def test_a_stored_key_is_the_same_key(key: PrivateKey) -> None:
    stored = again(key)
    assert stored.sign_sha1(DIGEST) == key.sign_sha1(DIGEST)
    assert stored.decrypt_oaep(key.public.encrypt_oaep(b"data")) == b"data"
    assert stored.decrypt_pkcs1(key.public.encrypt_pkcs1(b"data")) == b"data"


def test_signatures_are_those_of_rfc_8017(key: PrivateKey) -> None:
    info = padding.SHA1_INFO + DIGEST
    expected = key.raw(int.from_bytes(padding.pkcs1_signature(info, key.size)))
    assert key.sign_sha1(DIGEST) == key.sign_bare(info) == expected
    assert key.public.verify_sha1(DIGEST, expected)
    assert not key.public.verify_sha1(DIGEST[::-1], expected)
    assert not key.public.verify_sha1(DIGEST, expected[1:])
    assert not key.public.verify_sha1(DIGEST, b"\xff" * key.size)


def test_bare_signatures_do_not_need_the_library(key: PrivateKey, monkeypatch: pytest.MonkeyPatch) -> None:
    """Versions of `cryptography` without NoDigestInfo: the same signature by our own arithmetic."""
    data = b"not a digest"
    signature = key.sign_bare(data)
    monkeypatch.delattr(utils, "NoDigestInfo", raising=False)
    assert key.sign_bare(data) == signature
    with refused(Rc.BAD_DATASIZE):
        key.sign_bare(bytes(key.size - 10))


def test_old_versions_validate_keys_without_being_asked(
    key: PrivateKey, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`unsafe_skip_rsa_key_validation` is unknown to them."""
    from cryptography.hazmat.primitives.asymmetric import rsa

    original = rsa.RSAPrivateNumbers.private_key

    def private_key(numbers: rsa.RSAPrivateNumbers) -> rsa.RSAPrivateKey:
        return original(numbers)

    try:
        monkeypatch.setattr(rsa.RSAPrivateNumbers, "private_key", private_key)
    except TypeError:
        pytest.skip("a class of this version of cryptography cannot be changed")
    assert again(key).sign_sha1(DIGEST) == key.sign_sha1(DIGEST)


def test_the_public_exponent_3() -> None:
    for bits in (512, 1024):
        key = PrivateKey.generate(bits, 3)
        assert key.public.exponent == 3
        assert again(key).public.verify_sha1(DIGEST, again(key).sign_sha1(DIGEST))


@pytest.mark.parametrize("prime", [b"", b"\0", b"\1", b"\2", bytes(64), b"\xff" * 64])
def test_a_prime_that_does_not_belong_to_the_modulus(small: PrivateKey, prime: bytes) -> None:
    with refused(Rc.DECRYPT_ERROR):
        PrivateKey(small.public.modulus, prime)
    with refused(Rc.DECRYPT_ERROR):
        PrivateKey(small.public.modulus, small.public.modulus)


def test_what_is_too_long_is_not_encrypted(key: PrivateKey) -> None:
    assert again(key).decrypt_oaep(key.public.encrypt_oaep(bytes(key.size - 42))) == bytes(key.size - 42)
    with refused(Rc.ENCRYPT_ERROR):
        key.public.encrypt_oaep(bytes(key.size - 41))
    with refused(Rc.ENCRYPT_ERROR):
        key.public.encrypt_pkcs1(bytes(key.size - 10))


def test_what_was_not_encrypted_is_not_decrypted(key: PrivateKey) -> None:
    for data in (b"", bytes(key.size - 1), bytes(key.size), b"\xff" * key.size, key.raw(5), key.raw(7)):
        with refused(Rc.DECRYPT_ERROR):
            key.decrypt_oaep(data)
        with refused(Rc.DECRYPT_ERROR):
            key.decrypt_pkcs1(data)


@settings(max_examples=60, deadline=None)
@given(st.binary(max_size=22), st.binary(min_size=20, max_size=20))
def test_oaep_comes_back(data: bytes, seed: bytes) -> None:
    encoded = padding.oaep_with_seed(data, 64, b"TCPA", seed)
    assert len(encoded) == 64
    assert padding.remove_oaep(encoded, b"TCPA") == data
    with pytest.raises(ValueError, match="OAEP"):
        padding.remove_oaep(encoded, b"other")


@settings(max_examples=60, deadline=None)
@given(st.binary(max_size=53))
def test_pkcs1_comes_back(data: bytes) -> None:
    assert padding.remove_pkcs1(padding.pkcs1_encryption(data, 64)) == data


@settings(max_examples=200, deadline=None)
@given(st.binary(min_size=64, max_size=64))
def test_paddings_refuse_by_valueerror_only(data: bytes) -> None:
    with suppress(ValueError):
        assert len(padding.remove_oaep(data, b"TCPA")) <= 64 - 42
    with suppress(ValueError):
        assert len(padding.remove_pkcs1(data)) <= 64 - 11


@settings(max_examples=50, deadline=None)
@given(st.binary(max_size=64), st.binary(max_size=64))
def test_any_modulus_and_prime_make_a_key_or_are_refused(modulus: bytes, prime: bytes) -> None:
    try:
        key = PrivateKey(modulus, prime)
    except TpmError as error:
        assert error.rc == Rc.DECRYPT_ERROR
    else:
        assert math.gcd(int.from_bytes(modulus), int.from_bytes(prime)) > 1
        assert key.size == len(modulus)


def test_small_primes_make_a_modulus_of_exactly_that_size() -> None:
    for exponent in (3, 17, 65537):
        p, q = padding.small_primes(512, exponent)
        assert (p * q).bit_length() == 512
        assert math.gcd((p - 1) * (q - 1), exponent) == 1


def test_an_even_modulus_is_no_public_key() -> None:
    with refused(Rc.BAD_KEY_PROPERTY):
        PublicKey(b"\xff" * 127 + b"\xfe", 2).encrypt_oaep(b"data")
