# SPDX-License-Identifier: GPL-3.0-or-later
"""New keys: which properties go together (Part 2, 5.8.1 and 10), and generating, wrapping, unwrapping."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

from bootproof.tpm.codes import Rc, TpmError
from bootproof.tpm.keys import LoadedKey
from bootproof.tpm.numbers import AuthUsage, EncScheme, KeyFlag, KeyUsage, Payload, SigScheme
from bootproof.tpm.structures.keys import Key, RsaParameters, StoreAsymKey, rsa_parameters
from bootproof.tpm.structures.pcrinfo import (
    PcrInfo,
    PcrInfoLong,
    composite_hash,
    release_condition,
)

if TYPE_CHECKING:
    from bootproof.tpm.crypto.rsa import PrivateKey
    from bootproof.tpm.machine import Tpm

BITS: Final = (512, 768, 1024, 1536, 2048)
STORAGE_BITS: Final = 2048
_PRIMES: Final = 2
_OAEP, _NO_ENC = EncScheme.OAEP_SHA1_MGF1, EncScheme.NONE
_ANY_SIGNATURE: Final = (SigScheme.PKCS1_SHA1, SigScheme.PKCS1_DER, SigScheme.PKCS1_INFO)
# TPM_KEY_USAGE: the encryption and the signature schemes that a key for it can have (Part 2, 5.8.1)
_SCHEMES: Final[dict[int, tuple[tuple[int, ...], tuple[int, ...]]]] = {
    KeyUsage.SIGNING: ((_NO_ENC,), _ANY_SIGNATURE),
    KeyUsage.STORAGE: ((_OAEP,), (SigScheme.NONE,)),
    KeyUsage.IDENTITY: ((_NO_ENC,), (SigScheme.PKCS1_SHA1,)),
    KeyUsage.AUTHCHANGE: ((_OAEP,), (SigScheme.NONE,)),
    KeyUsage.BIND: ((_OAEP, EncScheme.PKCS1), (SigScheme.NONE,)),
    KeyUsage.LEGACY: ((_OAEP, EncScheme.PKCS1), _ANY_SIGNATURE),
    KeyUsage.MIGRATE: ((_OAEP,), (SigScheme.NONE,)),
}
_SMALLEST: Final = {KeyUsage.STORAGE: STORAGE_BITS, KeyUsage.IDENTITY: 2048, KeyUsage.MIGRATE: 2048}


def check_parameters(key: Key) -> RsaParameters:
    """Return the RSA parameters of a key that can be made or loaded; BAD_KEY_PROPERTY, INVALID_KEYUSAGE,
    INAPPROPRIATE_ENC, INAPPROPRIATE_SIG, BAD_PARAMETER.
    """
    rsa = rsa_parameters(key.parameters)
    schemes = _SCHEMES.get(key.usage)
    if schemes is None:
        raise TpmError(Rc.INVALID_KEYUSAGE)
    if key.parameters.encryption not in schemes[0]:
        raise TpmError(Rc.INAPPROPRIATE_ENC)
    if key.parameters.signature not in schemes[1]:
        raise TpmError(Rc.INAPPROPRIATE_SIG)
    if rsa.bits not in BITS or rsa.primes != _PRIMES or rsa.bits < _SMALLEST.get(KeyUsage(key.usage), 0):
        raise TpmError(Rc.BAD_KEY_PROPERTY)
    if int.from_bytes(rsa.exponent) not in (0, 65537):
        raise TpmError(Rc.BAD_KEY_PROPERTY)
    if key.auth_usage not in tuple(AuthUsage):
        raise TpmError(Rc.BAD_PARAMETER)
    return rsa


def generate(key: Key) -> PrivateKey:
    """Generate an RSA key as the parameters of `key` say."""
    from bootproof.tpm.crypto.rsa import PrivateKey

    return PrivateKey.generate(rsa_parameters(key.parameters).bits)


def note_creation(tpm: Tpm, key: Key) -> Key:
    """Return the key with the PCR values of now as those of its creation (Part 3, 10.4)."""
    if not key.pcr_info:
        return key
    release_condition(key.pcr_info)
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


def unwrap(tpm: Tpm, parent: LoadedKey, key: Key) -> StoreAsymKey:
    """Return the secret of a wrapped key after checking that it belongs to it.

    DECRYPT_ERROR; FAIL where the public part was changed, or the key was made by another TPM.
    """
    try:
        secret = StoreAsymKey.decode(parent.rsa.decrypt_oaep(key.encrypted))
    except TpmError as error:
        raise TpmError(Rc.DECRYPT_ERROR) from error
    if secret.public_digest != key.public_digest():
        raise TpmError(Rc.FAIL)
    if not key.has(KeyFlag.MIGRATABLE) and secret.migration_auth != tpm.permanent.tpm_proof:
        raise TpmError(Rc.FAIL)
    return secret


def payload_is_loadable(payload: int) -> bool:
    """Whether a key with that payload can be loaded (Part 2, 4.2)."""
    return payload in (Payload.ASYM, Payload.MIGRATE_RESTRICTED, Payload.MIGRATE_EXTERNAL)
