# SPDX-License-Identifier: GPL-3.0-or-later
"""The endorsement key (Part 3, 14)."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

from bootproof.tpm.codes import DIGEST_SIZE, Rc, TpmError
from bootproof.tpm.command import Command
from bootproof.tpm.numbers import Algorithm, EncScheme, KeyUsage, Payload, SigScheme
from bootproof.tpm.ordinals import Ord
from bootproof.tpm.sessions import new_nonce
from bootproof.tpm.state import StoredKey
from bootproof.tpm.structures.keys import (
    KEY12_HEAD,
    Key,
    KeyParameters,
    Pubkey,
    StoreAsymKey,
    rsa_parameters,
    sha1,
)
from bootproof.tpm.wire import Structure, digest, nested, structure

if TYPE_CHECKING:
    from bootproof.tpm.machine import Tpm

_EK_BITS: Final = 2048


@structure
class CreateEkIn(Structure):
    """TPM_CreateEndorsementKeyPair: what kind of key."""

    anti_replay: bytes = digest()
    parameters: KeyParameters = nested(KeyParameters)


@structure
class PubekOut(Structure):
    """The public EK, and a digest that proves that this TPM answered now."""

    public: Pubkey = nested(Pubkey)
    checksum: bytes = digest()


@structure
class ReadPubekIn(Structure):
    """TPM_ReadPubek."""

    anti_replay: bytes = digest()


def make_ek(parameters: KeyParameters) -> StoredKey:
    """Generate an endorsement key; BAD_KEY_PROPERTY unless it is RSA with 2048 bits."""
    from bootproof.tpm.crypto.rsa import DEFAULT_EXPONENT, PrivateKey

    wanted = rsa_parameters(parameters)
    exponent = int.from_bytes(wanted.exponent) or DEFAULT_EXPONENT
    if wanted.bits != _EK_BITS or wanted.primes != 2 or exponent != DEFAULT_EXPONENT:
        raise TpmError(Rc.BAD_KEY_PROPERTY)
    private = PrivateKey.generate(_EK_BITS)
    kind = KeyParameters(Algorithm.RSA, EncScheme.OAEP_SHA1_MGF1, SigScheme.NONE, parameters.parameters)
    key = Key(KEY12_HEAD, KeyUsage.STORAGE, 0, 0, kind, b"", private.public.modulus, b"")
    none = bytes(DIGEST_SIZE)
    return StoredKey(0, key, StoreAsymKey(Payload.ASYM, none, none, key.public_digest(), private.prime))


def create_endorsement_key_pair(tpm: Tpm, args: CreateEkIn) -> PubekOut:
    """DISABLED_CMD if there is one already, BAD_KEY_PROPERTY."""
    if tpm.permanent.ek is not None:
        raise TpmError(Rc.DISABLED_CMD)
    ek = make_ek(args.parameters)
    flags = replace(tpm.permanent.flags, cekp_used=True, enable_revoke_ek=False)
    tpm.commit(replace(tpm.permanent, ek=ek, tpm_proof=new_nonce(), flags=flags))
    return _pubek(ek, args.anti_replay)


def read_pubek(tpm: Tpm, args: ReadPubekIn) -> PubekOut:
    """DISABLED_CMD once the owner has taken that right away, NO_ENDORSEMENT."""
    if not tpm.permanent.flags.read_pubek:
        raise TpmError(Rc.DISABLED_CMD)
    if tpm.permanent.ek is None:
        raise TpmError(Rc.NO_ENDORSEMENT)
    return _pubek(tpm.permanent.ek, args.anti_replay)


def _pubek(ek: StoredKey, anti_replay: bytes) -> PubekOut:
    public = ek.key.pubkey()
    return PubekOut(public, sha1(public.encode(), anti_replay))


ROWS: Final = (
    Command(
        Ord.CREATE_ENDORSEMENT_KEY_PAIR,
        "TPM_CreateEndorsementKeyPair",
        "14.1",
        create_endorsement_key_pair,
        CreateEkIn,
    ),
    Command(Ord.READ_PUBEK, "TPM_ReadPubek", "14.4", read_pubek, ReadPubekIn),
)
