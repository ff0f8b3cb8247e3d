# SPDX-License-Identifier: GPL-3.0-or-later
"""New keys: which properties go together (Part 2, 5.8.1 and 10), and generating, wrapping, unwrapping."""

from __future__ import annotations

import hmac
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from bootproof.tpm.codes import Rc, TpmError
from bootproof.tpm.keys import LoadedKey
from bootproof.tpm.numbers import AuthUsage, EncScheme, KeyFlag, KeyUsage, Payload, SigScheme, Tag
from bootproof.tpm.structures.keys import (
    DEFAULT_EXPONENT,
    Key,
    RsaParameters,
    StoreAsymKey,
    rsa_parameters,
)
from bootproof.tpm.structures.pcrinfo import (
    PcrInfo,
    PcrInfoLong,
    composite_hash,
    release_condition,
)

if TYPE_CHECKING:
    from bootproof.tpm.crypto.rsa import PrivateKey
    from bootproof.tpm.machine import Tpm

_SMALLEST, _LARGEST = 512, 2048
_FULL_SIZE: Final = 2048  # bits of every key that protects or vouches for others
_FIPS_SMALLEST: Final = 1024
_PRIMES: Final = 2
_EXPONENTS: Final = (3, 5, 7, 17, 257, DEFAULT_EXPONENT)  # those that new keys can have
_OAEP, _NO_ENC = EncScheme.OAEP_SHA1_MGF1, EncScheme.NONE
_SHA1, _DER, _INFO = SigScheme.PKCS1_SHA1, SigScheme.PKCS1_DER, SigScheme.PKCS1_INFO
# TPM_KEY_USAGE: the encryption and the signature schemes that a key for it can have (Part 2, 5.8.1)
_SCHEMES: Final[dict[int, tuple[tuple[int, ...], tuple[int, ...]]]] = {
    KeyUsage.SIGNING: ((_NO_ENC,), (_SHA1, _DER, _INFO)),
    KeyUsage.STORAGE: ((_OAEP,), (SigScheme.NONE,)),
    KeyUsage.IDENTITY: ((_NO_ENC,), (_SHA1,)),
    KeyUsage.AUTHCHANGE: ((_OAEP,), (SigScheme.NONE,)),
    KeyUsage.BIND: ((_OAEP, EncScheme.PKCS1), (SigScheme.NONE,)),
    KeyUsage.LEGACY: ((_OAEP, EncScheme.PKCS1), (_SHA1, _DER)),
    KeyUsage.MIGRATE: ((_OAEP,), (SigScheme.NONE,)),
}
_FULL_STRENGTH: Final = (KeyUsage.STORAGE, KeyUsage.IDENTITY, KeyUsage.MIGRATE)


_LOADABLE: Final = (Payload.ASYM, Payload.MIGRATE_RESTRICTED, Payload.MIGRATE_EXTERNAL)


@dataclass(frozen=True, slots=True)
class NewKey:
    """A key that was just made: as it leaves the TPM, and as it can be used at once."""

    wrapped: Key
    private: PrivateKey


def check_parameters(key: Key, fips: bool = False) -> RsaParameters:
    """Return the RSA parameters of a key that can be made or loaded.

    `fips`: the permanent flag of that name. BAD_KEY_PROPERTY, NOTFIPS.
    """
    rsa = rsa_parameters(key.parameters)
    if not _SMALLEST <= rsa.bits <= _LARGEST or rsa.bits % 16 or rsa.primes != _PRIMES:
        raise TpmError(Rc.BAD_KEY_PROPERTY)
    if fips and _is_below_fips(key, rsa):
        raise TpmError(Rc.NOTFIPS)
    encryption, signature = _SCHEMES.get(key.usage, ((), ()))
    if key.parameters.encryption not in encryption or key.parameters.signature not in signature:
        raise TpmError(Rc.BAD_KEY_PROPERTY)
    if key.usage in _FULL_STRENGTH and (rsa.bits != _FULL_SIZE or rsa.public_exponent != DEFAULT_EXPONENT):
        raise TpmError(Rc.BAD_KEY_PROPERTY)
    if key.auth_usage not in tuple(AuthUsage):
        raise TpmError(Rc.BAD_KEY_PROPERTY)
    return rsa


def _is_below_fips(key: Key, rsa: RsaParameters) -> bool:
    weak = rsa.bits < _FIPS_SMALLEST or key.usage == KeyUsage.LEGACY
    return weak or key.auth_usage == AuthUsage.NEVER


def check_pcr_info(key: Key) -> None:
    """INVALID_PCR_INFO unless the binding to PCRs is well formed, and of the layout that the key's is."""
    is_long = key.pcr_info[:2] == Tag.PCR_INFO_LONG.to_bytes(2)
    if key.pcr_info and is_long != key.is_key12:
        raise TpmError(Rc.INVALID_PCR_INFO)
    release_condition(key.pcr_info)


def generate(tpm: Tpm, key: Key) -> PrivateKey:
    """Generate an RSA key as the parameters of `key` say; BAD_KEY_PROPERTY for an unusual exponent, FAIL if
    that was cancelled.
    """
    rsa = rsa_parameters(key.parameters)
    if rsa.public_exponent not in _EXPONENTS:
        raise TpmError(Rc.BAD_KEY_PROPERTY)
    return tpm.make_key(rsa.bits, rsa.public_exponent)


def note_creation(tpm: Tpm, key: Key) -> Key:
    """Return the key with the PCR values of now as those of its creation (Part 3, 10.4)."""
    check_pcr_info(key)
    if not key.pcr_info:
        return key
    if key.is_key12:
        long = PcrInfoLong.decode(key.pcr_info)
        now = composite_hash(long.creation_selection, tpm.pcrs.values)
        noted = replace(long, digest_at_creation=now, locality_at_creation=1 << tpm.locality)
        return replace(key, pcr_info=noted.encode())
    info = PcrInfo.decode(key.pcr_info)
    now = composite_hash(info.selection, tpm.pcrs.values)
    return replace(key, pcr_info=replace(info, digest_at_creation=now).encode())


def wrap(parent: LoadedKey, key: Key, secret: StoreAsymKey) -> Key:
    """Return the key with its secret encrypted for the parent."""
    return replace(key, encrypted=parent.rsa.public.encrypt_oaep(secret.encode()))


def create(tpm: Tpm, parent: LoadedKey, wanted: Key, usage_auth: bytes, migration_auth: bytes) -> NewKey:
    """Generate a key below `parent`; INVALID_PCR_INFO, BAD_KEY_PROPERTY."""
    noted = note_creation(tpm, wanted)
    private = generate(tpm, wanted)
    key = replace(noted, public=private.public.modulus, encrypted=b"")
    secret = StoreAsymKey(Payload.ASYM, usage_auth, migration_auth, key.public_digest(), private.prime)
    return NewKey(wrap(parent, key, secret), private)


def unwrap(tpm: Tpm, parent: LoadedKey, key: Key) -> StoreAsymKey:
    """Return the secret of a wrapped key after checking that it belongs to it (Part 3, 10.5).

    DECRYPT_ERROR, BAD_DATASIZE; AUTHFAIL where the public part was changed; INVALID_STRUCTURE for a payload
    that is no key that can be loaded; INVALID_KEYUSAGE for one of another TPM.
    """
    decrypted = parent.rsa.decrypt_oaep(key.encrypted)
    try:
        secret = StoreAsymKey.decode(decrypted)
    except TpmError as error:
        raise TpmError(Rc.DECRYPT_ERROR) from error
    if secret.payload not in _LOADABLE:
        raise TpmError(Rc.INVALID_STRUCTURE)
    if not hmac.compare_digest(secret.public_digest, key.public_digest()):
        raise TpmError(Rc.AUTHFAIL)
    ours = hmac.compare_digest(secret.migration_auth, tpm.permanent.tpm_proof)
    if not key.has(KeyFlag.MIGRATABLE) and not ours:
        raise TpmError(Rc.INVALID_KEYUSAGE)
    return secret
