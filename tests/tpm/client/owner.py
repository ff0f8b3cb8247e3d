# SPDX-License-Identifier: GPL-3.0-or-later
"""Owner and endorsement key (Part 3, 6 and 14), and what only the owner may read or change."""

from __future__ import annotations

from dataclasses import dataclass

from tests.tpm.client.constants import OWNER, WELL_KNOWN, AuthUsage, Entity, KeyUsage, Ord, Protocol
from tests.tpm.client.keyblobs import Key, KeyParms, PubKey, template
from tests.tpm.client.rsacrypt import encrypt_oaep
from tests.tpm.client.tpm import Auth, Tpm, expect
from tests.tpm.client.wire import Struct, flag, sha1, sized, u16, u32

_EK_PARMS = KeyParms.rsa(2048, 3, 1)


def create_ek(tpm: Tpm, parms: Struct = _EK_PARMS) -> PubKey:
    """TPM_CreateEndorsementKeyPair (14.1); the checksum over our nonce is verified."""
    nonce = tpm.random(20)
    answer = tpm.call(Ord.CREATE_ENDORSEMENT_KEY_PAIR, nonce + parms.encode())
    pubek, checksum = PubKey.read(answer), answer.digest()
    answer.end()
    expect(checksum == sha1(pubek.encode(), nonce), "checksum of the new PUBEK")
    return pubek


def create_revocable_ek(
    tpm: Tpm, reset: bytes, parms: Struct = _EK_PARMS, generate: bool = False
) -> tuple[PubKey, bytes]:
    """TPM_CreateRevocableEK (14.2); return the PUBEK and the EKreset in force."""
    nonce = tpm.random(20)
    answer = tpm.call(Ord.CREATE_REVOCABLE_EK, nonce + parms.encode() + flag(generate) + reset)
    pubek, checksum, secret = PubKey.read(answer), answer.digest(), answer.digest()
    answer.end()
    expect(checksum == sha1(pubek.encode(), nonce), "checksum of the new PUBEK")
    return pubek, secret


def revoke_trust(tpm: Tpm, reset: bytes) -> None:
    """TPM_RevokeTrust (14.3)."""
    tpm.call(Ord.REVOKE_TRUST, reset).end()


def read_pubek(tpm: Tpm) -> PubKey:
    """TPM_ReadPubek (14.4)."""
    nonce = tpm.random(20)
    answer = tpm.call(Ord.READ_PUBEK, nonce)
    pubek, checksum = PubKey.read(answer), answer.digest()
    answer.end()
    expect(checksum == sha1(pubek.encode(), nonce), "checksum of the PUBEK")
    return pubek


def owner_read_internal_pub(tpm: Tpm, owner: Auth, handle: int) -> PubKey:
    """TPM_OwnerReadInternalPub (14.5): the EK's or the SRK's public part."""
    answer = tpm.call(Ord.OWNER_READ_INTERNAL_PUB, u32(handle), owner)
    pub = PubKey.read(answer)
    answer.end()
    return pub


def owner_read_pubek(tpm: Tpm, owner: Auth) -> PubKey:
    """TPM_OwnerReadPubek (28.6, deprecated)."""
    answer = tpm.call(Ord.OWNER_READ_PUBEK, b"", owner)
    pub = PubKey.read(answer)
    answer.end()
    return pub


def disable_pubek_read(tpm: Tpm, owner: Auth) -> None:
    """TPM_DisablePubekRead (28.5, deprecated)."""
    tpm.call(Ord.DISABLE_PUBEK_READ, b"", owner).end()


def srk_template(key12: bool = False, bits: int = 2048) -> Key:
    """Return the usual description of an SRK."""
    return template(KeyUsage.STORAGE, 0, AuthUsage.ALWAYS, bits=bits, key12=key12)


def take_ownership(
    tpm: Tpm,
    owner: bytes,
    srk: bytes = WELL_KNOWN,
    pubek: PubKey | None = None,
    srk_key: Key | None = None,
) -> Key:
    """TPM_TakeOwnership (6.1); return the new SRK."""
    pubek = pubek or read_pubek(tpm)
    secrets = sized(encrypt_oaep(pubek, owner)) + sized(encrypt_oaep(pubek, srk))
    wanted = srk_key or srk_template()
    answer = tpm.call(Ord.TAKE_OWNERSHIP, u16(Protocol.OWNER) + secrets + wanted.encode(), owner)
    key = Key.read(answer)
    answer.end()
    return key


def owner_clear(tpm: Tpm, owner: Auth) -> None:
    """TPM_OwnerClear (6.2)."""
    tpm.call(Ord.OWNER_CLEAR, b"", owner).end()


def force_clear(tpm: Tpm) -> None:
    """TPM_ForceClear (6.3): physical presence."""
    tpm.call(Ord.FORCE_CLEAR).end()


def disable_owner_clear(tpm: Tpm, owner: Auth) -> None:
    """TPM_DisableOwnerClear (6.4)."""
    tpm.call(Ord.DISABLE_OWNER_CLEAR, b"", owner).end()


def disable_force_clear(tpm: Tpm) -> None:
    """TPM_DisableForceClear (6.5)."""
    tpm.call(Ord.DISABLE_FORCE_CLEAR).end()


def change_auth_owner(tpm: Tpm, owner: Auth, entity: Entity, new: bytes) -> None:
    """TPM_ChangeAuthOwner (17.2): the owner's secret, or the SRK's (`entity`)."""
    session = tpm.session_for(owner, Entity.OWNER, OWNER)
    parameters = u16(Protocol.ADCP) + session.encrypt(new) + u16(entity)
    tpm.call(Ord.CHANGE_AUTH_OWNER, parameters, session).end()


def reset_lock_value(tpm: Tpm, owner: Auth) -> None:
    """TPM_ResetLockValue (8.6)."""
    tpm.call(Ord.RESET_LOCK_VALUE, b"", owner).end()


def owner_set_disable(tpm: Tpm, owner: Auth, disable: bool) -> None:
    """TPM_OwnerSetDisable (5.2)."""
    tpm.call(Ord.OWNER_SET_DISABLE, flag(disable), owner).end()


@dataclass(frozen=True)
class OwnerCapability:
    """What TPM_GetCapabilityOwner answers."""

    version: bytes
    permanent_flags: int
    volatile_flags: int


def get_capability_owner(tpm: Tpm, owner: Auth) -> OwnerCapability:
    """TPM_GetCapabilityOwner (28.11, deprecated)."""
    answer = tpm.call(Ord.GET_CAPABILITY_OWNER, b"", owner)
    found = OwnerCapability(answer.take(4), answer.u32(), answer.u32())
    answer.end()
    return found


def set_owner_pointer(tpm: Tpm, entity: int, value: int) -> None:
    """TPM_SetOwnerPointer (18.4)."""
    tpm.call(Ord.SET_OWNER_POINTER, u16(entity) + u32(value)).end()
