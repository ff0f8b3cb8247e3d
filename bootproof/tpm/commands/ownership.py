# SPDX-License-Identifier: GPL-3.0-or-later
"""Taking ownership and giving it up (Part 3, 6.1 to 6.5)."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

from bootproof.tpm import clearing, numbers
from bootproof.tpm.codes import DIGEST_SIZE, Rc, TpmError
from bootproof.tpm.command import Auditing, Command, In
from bootproof.tpm.commands.presence import need_presence
from bootproof.tpm.entities import Entity
from bootproof.tpm.keys import LoadedKey
from bootproof.tpm.numbers import (
    AuthUsage,
    EncScheme,
    Handle,
    KeyFlag,
    KeyUsage,
    Payload,
    Protocol,
    SigScheme,
)
from bootproof.tpm.ordinals import Ord
from bootproof.tpm.sessions import new_nonce
from bootproof.tpm.state import Owner, StoredKey
from bootproof.tpm.structures.keys import Key, StoreAsymKey, rsa_parameters, sha1
from bootproof.tpm.wire import Nothing, Structure, nested, sized32, structure, uint16

if TYPE_CHECKING:
    from bootproof.tpm.call import Call
    from bootproof.tpm.crypto.rsa import PrivateKey
    from bootproof.tpm.machine import Tpm

_SRK_BITS: Final = 2048
_SRK_PRIMES: Final = 2


@structure
class TakeOwnershipIn(Structure):
    """TPM_TakeOwnership: authorisation data encrypted with the EK, and what SRK to make."""

    protocol: int = uint16()
    owner_auth: bytes = sized32()
    srk_auth: bytes = sized32()
    srk: Key = nested(Key)


@structure
class KeyOut(Structure):
    """A key."""

    key: Key = nested(Key)


def take_ownership(call: Call, args: TakeOwnershipIn) -> KeyOut:
    """OWNER_SET, INSTALL_DISABLED, NO_ENDORSEMENT, AUTHFAIL for a wrong HMAC or a session that is not OIAP,
    BAD_PARAMETER for another protocol, DECRYPT_ERROR, INVALID_KEYUSAGE for an SRK that is migratable or not
    for storage, BAD_KEY_PROPERTY for one that is unsuitable otherwise, and for a secret that is not 20 bytes
    long; NOTFIPS, BAD_VERSION, INVALID_PCR_INFO.
    """
    tpm = call.tpm
    ek = _check_that_owner_may_come(tpm)
    if call.session().protocol != Protocol.OIAP:
        raise TpmError(Rc.AUTHFAIL)
    if args.protocol != Protocol.OWNER:
        raise TpmError(Rc.BAD_PARAMETER)
    owner_auth = _secret(ek, args.owner_auth)
    call.authorize(Entity(numbers.Entity.OWNER, sha1(b"owner"), owner_auth))
    _check_srk(tpm, args.srk)
    srk_auth = _secret(ek, args.srk_auth)
    proof = new_nonce()
    srk = _make_srk(tpm, args.srk, srk_auth, proof)
    permanent = tpm.permanent
    flags = replace(permanent.flags, read_pubek=False)
    tpm.commit(replace(permanent, owner=Owner(owner_auth, srk), tpm_proof=proof, flags=flags))
    return KeyOut(srk.key)


def _check_that_owner_may_come(tpm: Tpm) -> PrivateKey:
    """Return the endorsement key."""
    if tpm.permanent.owner is not None:
        raise TpmError(Rc.OWNER_SET)
    if not tpm.permanent.flags.ownership:
        raise TpmError(Rc.INSTALL_DISABLED)
    if tpm.permanent.ek is None:
        raise TpmError(Rc.NO_ENDORSEMENT)
    return LoadedKey(tpm.permanent.ek).rsa


def _secret(ek: PrivateKey, encrypted: bytes) -> bytes:
    decrypted = ek.decrypt_oaep(encrypted)
    if len(decrypted) != DIGEST_SIZE:
        raise TpmError(Rc.BAD_KEY_PROPERTY)
    return decrypted


def _check_srk(tpm: Tpm, wanted: Key) -> None:
    """Check that what is wanted of the SRK is what it always is (6.1, action 8)."""
    if wanted.usage != KeyUsage.STORAGE or wanted.has(KeyFlag.MIGRATABLE):
        raise TpmError(Rc.INVALID_KEYUSAGE)
    rsa = rsa_parameters(wanted.parameters)
    schemes = wanted.parameters.encryption, wanted.parameters.signature
    sound = (
        schemes == (EncScheme.OAEP_SHA1_MGF1, SigScheme.NONE)
        and (rsa.bits, rsa.primes, rsa.exponent) == (_SRK_BITS, _SRK_PRIMES, b"")
        and wanted.auth_usage in tuple(AuthUsage)
    )
    if not sound:
        raise TpmError(Rc.BAD_KEY_PROPERTY)
    if tpm.permanent.flags.fips and wanted.auth_usage == AuthUsage.NEVER:
        raise TpmError(Rc.NOTFIPS)


def _make_srk(tpm: Tpm, wanted: Key, auth: bytes, proof: bytes) -> StoredKey:
    from bootproof.tpm.keygen import generate, note_creation

    noted = note_creation(tpm, wanted)
    private = generate(tpm, wanted)
    key = replace(noted, public=private.public.modulus, encrypted=b"")
    secret = StoreAsymKey(Payload.ASYM, auth, proof, key.public_digest(), private.prime)
    return StoredKey(Handle.SRK, key, secret)


def owner_clear(call: Call, _args: Nothing) -> None:
    """AUTHFAIL; CLEAR_DISABLED after TPM_DisableOwnerClear."""
    call.owner()
    tpm = call.tpm
    if tpm.permanent.flags.disable_owner_clear:
        raise TpmError(Rc.CLEAR_DISABLED)
    clearing.clear(tpm, clearing.without_owner(tpm))


def force_clear(tpm: Tpm, _args: Nothing) -> None:
    """BAD_PRESENCE; CLEAR_DISABLED after TPM_DisableForceClear."""
    need_presence(tpm)
    if tpm.stclear.disable_force_clear:
        raise TpmError(Rc.CLEAR_DISABLED)
    clearing.clear(tpm, clearing.without_owner(tpm))


def disable_owner_clear(call: Call, _args: Nothing) -> None:
    """AUTHFAIL. Only TPM_ForceClear can clear the TPM then."""
    call.owner()
    call.tpm.commit_flags(disable_owner_clear=True)


def disable_force_clear(tpm: Tpm, _args: Nothing) -> None:
    """Shut TPM_ForceClear until the next TPM_Startup(ST_CLEAR)."""
    tpm.stclear = replace(tpm.stclear, disable_force_clear=True)


_BY_OWNER: Final = (1,)

ROWS: Final = (
    Command(
        Ord.TAKE_OWNERSHIP,
        "TPM_TakeOwnership",
        "6.1",
        take_ownership,
        TakeOwnershipIn,
        In.DEACTIVATED,
        auths=(1,),
        audit=Auditing.ON,
    ),
    Command(
        Ord.OWNER_CLEAR,
        "TPM_OwnerClear",
        "6.2",
        owner_clear,
        Nothing,
        auths=_BY_OWNER,
        needs_owner=True,
        audit=Auditing.ON,
        owner_right=16,
    ),
    Command(Ord.FORCE_CLEAR, "TPM_ForceClear", "6.3", force_clear, Nothing, audit=Auditing.ON),
    Command(
        Ord.DISABLE_OWNER_CLEAR,
        "TPM_DisableOwnerClear",
        "6.4",
        disable_owner_clear,
        Nothing,
        auths=_BY_OWNER,
        needs_owner=True,
        audit=Auditing.ON,
        owner_right=15,
    ),
    Command(
        Ord.DISABLE_FORCE_CLEAR,
        "TPM_DisableForceClear",
        "6.5",
        disable_force_clear,
        Nothing,
        audit=Auditing.ON,
    ),
)
