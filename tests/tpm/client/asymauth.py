# SPDX-License-Identifier: GPL-3.0-or-later
"""Changing a secret unseen by the parent's owner (Part 3, 17.3 and 17.4, deprecated)."""

from __future__ import annotations

from dataclasses import dataclass

from tests.tpm.client.constants import Entity, Ord
from tests.tpm.client.keyblobs import Key, KeyParms
from tests.tpm.client.keys import CertifyInfo
from tests.tpm.client.rsacrypt import encrypt_oaep
from tests.tpm.client.tpm import Auth, Tpm, expect
from tests.tpm.client.wire import hmac_sha1, sized, u16

_EPHEMERAL = KeyParms.rsa(2048, 3, 1)


@dataclass(frozen=True)
class Ephemeral:
    """The TPM's temporary key, and the identity's statement on it."""

    info: CertifyInfo
    signature: bytes
    handle: int
    key: Key


def change_auth_asym_start(
    tpm: Tpm, auth: Auth, identity: int, replay: bytes, parms: KeyParms = _EPHEMERAL
) -> Ephemeral:
    """TPM_ChangeAuthAsymStart (17.3)."""
    answer = tpm.call(Ord.CHANGE_AUTH_ASYM_START, replay + parms.encode(), auth, handles=[identity])
    made = Ephemeral(CertifyInfo.read(answer), answer.sized(), answer.u32(), Key.read(answer))
    answer.end()
    return made


def change_auth_asym_finish(
    tpm: Tpm,
    auth: Auth,
    parent: int,
    ephemeral: Ephemeral,
    enc_data: bytes,
    old: bytes,
    new: bytes,
    entity: int = Entity.KEY,
) -> bytes:
    """TPM_ChangeAuthAsymFinish (17.4); return the entity's encData with its new secret, after checking the
    proof that it has it.
    """
    nonce = tpm.random(20)
    hidden = encrypt_oaep(ephemeral.key.public, new + nonce)
    parameters = u16(entity) + hmac_sha1(old, new) + sized(hidden) + sized(enc_data)
    answer = tpm.call(Ord.CHANGE_AUTH_ASYM_FINISH, parameters, auth, handles=[parent, ephemeral.handle])
    changed, salt, proof = answer.sized(), answer.digest(), answer.digest()
    answer.end()
    expect(proof == hmac_sha1(new, salt, nonce), "changeProof")
    return changed
