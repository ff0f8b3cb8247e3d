# SPDX-License-Identifier: GPL-3.0-or-later
"""What plain and certified migration have in common (Part 3, 11)."""

from __future__ import annotations

import hmac
import os
from typing import TYPE_CHECKING, Final

from bootproof.tpm.codes import DIGEST_SIZE, Rc, TpmError
from bootproof.tpm.crypto.padding import mgf1, xor
from bootproof.tpm.numbers import EncScheme, KeyFlag, KeyUsage
from bootproof.tpm.structures.keys import Key, Pubkey, StoreAsymKey, rsa_parameters, sha1
from bootproof.tpm.structures.migration import MigrateAsymKey, MigrationKeyAuth, PrivateKeyBytes

if TYPE_CHECKING:
    from bootproof.tpm.crypto.rsa import PublicKey
    from bootproof.tpm.keys import LoadedKey
    from bootproof.tpm.machine import Tpm

_SMALLEST, _LARGEST = 512, 4096  # bits of a key from elsewhere
_LARGEST_EXPONENT: Final = 0xFFFFFFFF
# TPM_CMK_DELEGATE (Part 2, 5.17): the bit that lets certified migration keys of that use be delegated
_DELEGABLE: Final[dict[int, int]] = {
    KeyUsage.SIGNING: 1 << 31,
    KeyUsage.STORAGE: 1 << 30,
    KeyUsage.BIND: 1 << 29,
    KeyUsage.LEGACY: 1 << 28,
    KeyUsage.MIGRATE: 1 << 27,
}


def check_delegable(tpm: Tpm, key: Key) -> None:
    """INVALID_KEYUSAGE for a certified migration key that the owner does not let delegates use (11.5)."""
    allowed = tpm.permanent.restrictions.delegable & _DELEGABLE.get(key.usage, 0)
    if key.has(KeyFlag.MIGRATE_AUTHORITY) and not allowed:
        raise TpmError(Rc.INVALID_KEYUSAGE)


# keys from elsewhere ------------------------------------------------------------------------------


def public_key(pubkey: Pubkey, unusable: Rc = Rc.BAD_KEY_PROPERTY) -> PublicKey:
    """Return a key from elsewhere for use; BAD_KEY_PROPERTY unless its parameters are an RSA key's,
    `unusable` for a modulus that cannot be one.
    """
    from bootproof.tpm.crypto.rsa import PublicKey

    rsa = rsa_parameters(pubkey.parameters)
    exponent, modulus = rsa.public_exponent, int.from_bytes(pubkey.key)
    sized = _SMALLEST <= rsa.bits <= _LARGEST and rsa.bits == len(pubkey.key) * 8
    if not sized or not exponent % 2 or not 2 < exponent <= _LARGEST_EXPONENT:
        raise TpmError(Rc.BAD_KEY_PROPERTY)
    if modulus.bit_length() != rsa.bits or not modulus % 2:
        raise TpmError(unusable)
    return PublicKey(pubkey.key, exponent)


def encrypt(pubkey: Pubkey, data: bytes) -> bytes:
    """Encrypt for a key from elsewhere, as its parameters say; BAD_KEY_PROPERTY, INAPPROPRIATE_ENC,
    ENCRYPT_ERROR.
    """
    key = public_key(pubkey, Rc.ENCRYPT_ERROR)
    if pubkey.parameters.encryption == EncScheme.OAEP_SHA1_MGF1:
        return key.encrypt_oaep(data)
    if pubkey.parameters.encryption == EncScheme.PKCS1:
        return key.encrypt_pkcs1(data)
    raise TpmError(Rc.INAPPROPRIATE_ENC)


# the owner's ticket for a destination -------------------------------------------------------------


def ticket_digest(tpm: Tpm, key: Pubkey, scheme: int) -> bytes:
    """Return what makes a TPM_MIGRATIONKEYAUTH this TPM's own (11.3, 7)."""
    return sha1(key.encode(), scheme.to_bytes(2), tpm.permanent.tpm_proof)


def check_ticket(tpm: Tpm, ticket: MigrationKeyAuth) -> None:
    """AUTHFAIL for one that the owner of this TPM did not authorise."""
    if not hmac.compare_digest(ticket_digest(tpm, ticket.key, ticket.scheme), ticket.digest):
        raise TpmError(Rc.AUTHFAIL)


# the key itself -----------------------------------------------------------------------------------


def open_key(parent: LoadedKey, encrypted: bytes) -> StoreAsymKey:
    """Return a wrapped key's secret; DECRYPT_ERROR, BAD_DATASIZE, INVALID_STRUCTURE."""
    data = parent.rsa.decrypt_oaep(encrypted)
    try:
        return StoreAsymKey.decode(data)
    except TpmError as error:
        raise TpmError(Rc.INVALID_STRUCTURE) from error


def hide(secret: StoreAsymKey, payload: int, label_digest: bytes, target: Pubkey) -> tuple[bytes, bytes]:
    """Return random bytes and the key encrypted for `target`, of no use without them (11.1, 6).

    The private part's first 20 bytes are the seed of an OAEP encoding of the rest, and `label_digest` stands
    where the digest of the label is elsewhere. BAD_KEY_PROPERTY, INAPPROPRIATE_ENC, ENCRYPT_ERROR.
    """
    private = PrivateKeyBytes(secret.private).encode()
    seed, rest = private[:DIGEST_SIZE], private[DIGEST_SIZE:]
    content = MigrateAsymKey(payload, secret.usage_auth, secret.public_digest, rest).encode()
    encoded = _encode(content, label_digest, seed)
    random = os.urandom(len(encoded))
    return random, encrypt(target, xor(encoded, random))


def uncover(parent: LoadedKey, encrypted: bytes, random: bytes) -> StoreAsymKey:
    """Return the key that `hide` hid for `parent`, with that payload; the label's digest is where a key has
    its migration secret.

    DECRYPT_ERROR, BAD_DATASIZE, BAD_PARAMETER for random bytes of another length, INVALID_STRUCTURE.
    """
    decrypted = parent.rsa.decrypt_oaep(encrypted)
    if len(decrypted) != len(random):
        raise TpmError(Rc.BAD_PARAMETER)
    content, label_digest, seed = _decode(xor(decrypted, random))
    try:
        found = MigrateAsymKey.decode(content)
        prime = PrivateKeyBytes.decode(seed + found.private_rest).prime
    except TpmError as error:
        raise TpmError(Rc.INVALID_STRUCTURE) from error
    return StoreAsymKey(found.payload, found.usage_auth, label_digest, found.public_digest, prime)


def _encode(content: bytes, label_digest: bytes, seed: bytes) -> bytes:
    """Return the OAEP encoding (RFC 8017, 7.1.1) of just the length needed, with no zero byte first."""
    block = label_digest + b"\1" + content
    masked = xor(block, mgf1(seed, len(block)))
    return xor(seed, mgf1(masked, DIGEST_SIZE)) + masked


def _decode(encoded: bytes) -> tuple[bytes, bytes, bytes]:
    """Return content, digest of the label and seed of such an encoding; DECRYPT_ERROR."""
    masked_seed, masked = encoded[:DIGEST_SIZE], encoded[DIGEST_SIZE:]
    if len(masked) <= DIGEST_SIZE:
        raise TpmError(Rc.DECRYPT_ERROR)
    seed = xor(masked_seed, mgf1(masked, DIGEST_SIZE))
    block = xor(masked, mgf1(seed, len(masked)))
    content = block[DIGEST_SIZE:].lstrip(b"\0")
    if content[:1] != b"\1":
        raise TpmError(Rc.DECRYPT_ERROR)
    return content[1:], block[:DIGEST_SIZE], seed
