# SPDX-License-Identifier: GPL-3.0-or-later
"""The endorsement key (Part 3, 14)."""

from __future__ import annotations

import hmac
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Final

from bootproof.tpm.clearing import clear, without_owner
from bootproof.tpm.codes import DIGEST_SIZE, Rc, TpmError
from bootproof.tpm.command import Auditing, Command
from bootproof.tpm.commands.presence import need_presence
from bootproof.tpm.numbers import Algorithm, AuthUsage, EncScheme, Handle, KeyUsage, Payload, SigScheme
from bootproof.tpm.ordinals import Ord
from bootproof.tpm.sessions import new_nonce
from bootproof.tpm.state import StoredKey
from bootproof.tpm.structures.keys import (
    DEFAULT_EXPONENT,
    KEY12_HEAD,
    Key,
    KeyParameters,
    Pubkey,
    StoreAsymKey,
    rsa_parameters,
    sha1,
)
from bootproof.tpm.wire import Nothing, Structure, boolean, digest, nested, structure, uint32

if TYPE_CHECKING:
    from bootproof.tpm.call import Call
    from bootproof.tpm.machine import Tpm

_EK_BITS: Final = 2048


@structure
class CreateEkIn(Structure):
    """TPM_CreateEndorsementKeyPair: what kind of key."""

    anti_replay: bytes = digest()
    parameters: KeyParameters = nested(KeyParameters)


@structure
class CreateRevocableEkIn(Structure):
    """TPM_CreateRevocableEK: what kind of key, and who chooses the secret that revokes it."""

    anti_replay: bytes = digest()
    parameters: KeyParameters = nested(KeyParameters)
    generate_reset: bool = boolean()
    reset: bytes = digest()


@structure
class RevocableEkOut(Structure):
    """The public EK, the digest that proves that this TPM answered, the secret that revokes the EK."""

    public: Pubkey = nested(Pubkey)
    checksum: bytes = digest()
    reset: bytes = digest()


@structure
class RevokeTrustIn(Structure):
    """TPM_RevokeTrust: the secret of TPM_CreateRevocableEK."""

    reset: bytes = digest()


@structure
class InternalPubIn(Structure):
    """TPM_OwnerReadInternalPub: the handle of the EK or the SRK, which the HMAC covers."""

    handle: int = uint32()


@structure
class PubkeyOut(Structure):
    """A public key."""

    public: Pubkey = nested(Pubkey)


@structure
class PubekOut(Structure):
    """The public EK, and a digest that proves that this TPM answered now."""

    public: Pubkey = nested(Pubkey)
    checksum: bytes = digest()


@structure
class ReadPubekIn(Structure):
    """TPM_ReadPubek."""

    anti_replay: bytes = digest()


def make_ek(tpm: Tpm, parameters: KeyParameters) -> StoredKey:
    """Generate an endorsement key; BAD_KEY_PROPERTY unless it is RSA with 2048 bits (14.1)."""
    wanted = rsa_parameters(parameters)
    if wanted.bits != _EK_BITS or wanted.primes != 2 or wanted.public_exponent != DEFAULT_EXPONENT:
        raise TpmError(Rc.BAD_KEY_PROPERTY)
    private = tpm.make_key(_EK_BITS, DEFAULT_EXPONENT)
    kind = KeyParameters(Algorithm.RSA, EncScheme.OAEP_SHA1_MGF1, SigScheme.NONE, parameters.parameters)
    key = Key(KEY12_HEAD, KeyUsage.STORAGE, 0, AuthUsage.ALWAYS, kind, b"", private.public.modulus, b"")
    none = bytes(DIGEST_SIZE)
    return StoredKey(0, key, StoreAsymKey(Payload.ASYM, none, none, key.public_digest(), private.prime))


def create_endorsement_key_pair(tpm: Tpm, args: CreateEkIn) -> PubekOut:
    """DISABLED_CMD if there is one already, BAD_KEY_PROPERTY. Its encryption scheme does not matter."""
    _install_ek(tpm, args.parameters, revocable=False, reset=tpm.permanent.ek_reset)
    return _pubek(tpm, args.anti_replay)


def create_revocable_ek(tpm: Tpm, args: CreateRevocableEkIn) -> RevocableEkOut:
    """As TPM_CreateEndorsementKeyPair, for a key that TPM_RevokeTrust can remove."""
    reset = new_nonce() if args.generate_reset else args.reset
    _install_ek(tpm, args.parameters, revocable=True, reset=reset)
    made = _pubek(tpm, args.anti_replay)
    return RevocableEkOut(made.public, made.checksum, reset)


def _install_ek(tpm: Tpm, parameters: KeyParameters, *, revocable: bool, reset: bytes) -> None:
    permanent = tpm.permanent
    if permanent.ek is not None:
        raise TpmError(Rc.DISABLED_CMD)
    ek = make_ek(tpm, parameters)
    flags = replace(permanent.flags, cekp_used=True, enable_revoke_ek=revocable)
    tpm.commit(replace(permanent, ek=ek, ek_reset=reset, flags=flags))


def revoke_trust(tpm: Tpm, args: RevokeTrustIn) -> None:
    """Remove the EK, the owner and all NV areas.

    PERMANENTEK for an EK that cannot be revoked, AUTHFAIL for another secret, BAD_PRESENCE.
    """
    if not tpm.permanent.flags.enable_revoke_ek:
        raise TpmError(Rc.PERMANENTEK)
    if not hmac.compare_digest(args.reset, tpm.permanent.ek_reset):
        raise TpmError(Rc.AUTHFAIL)
    need_presence(tpm)
    left = without_owner(tpm)
    flags = replace(left.flags, nv_locked=False, cekp_used=False)
    nv = tpm.permanent.nv.trust_revoked()
    clear(tpm, replace(left, ek=None, ek_reset=bytes(DIGEST_SIZE), nv=nv, flags=flags))


def read_pubek(tpm: Tpm, args: ReadPubekIn) -> PubekOut:
    """DISABLED_CMD once the owner has taken that right away, NO_ENDORSEMENT."""
    if not tpm.permanent.flags.read_pubek:
        raise TpmError(Rc.DISABLED_CMD)
    return _pubek(tpm, args.anti_replay)


def _pubek(tpm: Tpm, anti_replay: bytes) -> PubekOut:
    public = tpm.keys.ek().key.pubkey()
    return PubekOut(public, sha1(public.encode(), anti_replay))


def disable_pubek_read(call: Call, _args: Nothing) -> None:
    """Only the owner reads the public EK from now on; AUTHFAIL."""
    call.owner()
    call.tpm.commit_flags(read_pubek=False)


def owner_read_pubek(call: Call, _args: Nothing) -> PubkeyOut:
    """AUTHFAIL, NO_ENDORSEMENT."""
    call.owner()
    return PubkeyOut(call.tpm.keys.ek().key.pubkey())


def owner_read_internal_pub(call: Call, args: InternalPubIn) -> PubkeyOut:
    """AUTHFAIL; BAD_PARAMETER for another key than EK and SRK."""
    call.owner()
    if args.handle == Handle.EK:
        return PubkeyOut(call.tpm.keys.ek().key.pubkey())
    if args.handle == Handle.SRK:
        return PubkeyOut(call.tpm.keys.srk().key.pubkey())
    raise TpmError(Rc.BAD_PARAMETER)


def _internal_key(args: InternalPubIn) -> tuple[int, ...]:
    return (args.handle,)


_OWNERS: Final = partial(Command, auths=(1,), needs_owner=True)
ROWS: Final = (
    Command(
        Ord.CREATE_ENDORSEMENT_KEY_PAIR,
        "TPM_CreateEndorsementKeyPair",
        "14.1",
        create_endorsement_key_pair,
        CreateEkIn,
    ),
    Command(
        Ord.CREATE_REVOCABLE_EK, "TPM_CreateRevocableEK", "14.2", create_revocable_ek, CreateRevocableEkIn
    ),
    Command(Ord.REVOKE_TRUST, "TPM_RevokeTrust", "14.3", revoke_trust, RevokeTrustIn),
    Command(Ord.READ_PUBEK, "TPM_ReadPubek", "14.4", read_pubek, ReadPubekIn, audit=Auditing.ON),
    _OWNERS(
        Ord.OWNER_READ_INTERNAL_PUB,
        "TPM_OwnerReadInternalPub",
        "14.5",
        owner_read_internal_pub,
        InternalPubIn,
        logged_keys=_internal_key,
        owner_right=18,
    ),
    _OWNERS(
        Ord.OWNER_READ_PUBEK,
        "TPM_OwnerReadPubek",
        "27.6",
        owner_read_pubek,
        Nothing,
        audit=Auditing.ON,
        owner_right=9,
    ),
    _OWNERS(
        Ord.DISABLE_PUBEK_READ,
        "TPM_DisablePubekRead",
        "27.7",
        disable_pubek_read,
        Nothing,
        audit=Auditing.ON,
        owner_right=8,
    ),
)
