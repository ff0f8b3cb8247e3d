# SPDX-License-Identifier: GPL-3.0-or-later
"""Attestation identities (Part 3, 15), with the certificate authority's part."""

from __future__ import annotations

from dataclasses import dataclass

from tests.tpm.client.constants import OWNER, VERSION_1_1, Entity, KeyUsage, Ord
from tests.tpm.client.keyblobs import Key, PubKey, template
from tests.tpm.client.pcr import PcrInfoShort
from tests.tpm.client.rsacrypt import encrypt_oaep
from tests.tpm.client.tpm import Auth, Tpm
from tests.tpm.client.wire import Reader, sha1, sized, u16, u32

_EK_ACTIVATE = 1  # TPM_EK_TYPE_ACTIVATE


@dataclass(frozen=True)
class Identity:
    """A new identity key, and its signature that binds it to a label and a certificate authority."""

    key: Key
    binding: bytes

    def binding_digest(self, label_digest: bytes) -> bytes:
        """Return the SHA-1 of the TPM_IDENTITY_CONTENTS that the binding signs (Part 2, 12.5)."""
        return sha1(VERSION_1_1, u32(Ord.MAKE_IDENTITY), label_digest, self.key.public.encode())


def make_identity(
    tpm: Tpm,
    srk_auth: Auth,
    owner: Auth,
    secret: bytes,
    label_digest: bytes,
    wanted: Key | None = None,
) -> Identity:
    """TPM_MakeIdentity (15.1): `label_digest` is the SHA-1 of label and CA key; a None `srk_auth` goes
    without the SRK's authorisation.
    """
    session = tpm.session_for(owner, Entity.OWNER, OWNER)
    key = wanted or template(KeyUsage.IDENTITY)
    answer = tpm.call(
        Ord.MAKE_IDENTITY, session.encrypt(secret) + label_digest + key.encode(), srk_auth, session
    )
    made = Identity(Key.read(answer), answer.sized())
    answer.end()
    return made


def asym_ca_contents(symmetric_key: bytes, identity: PubKey) -> bytes:
    """Return TPM_ASYM_CA_CONTENTS (Part 2, 12.7), for which the CA has verified the identity."""
    return symmetric_key + sha1(identity.encode())


def ek_activation(symmetric_key: bytes, identity: PubKey, pcr_info: PcrInfoShort | None = None) -> bytes:
    """Return a TPM_EK_BLOB with TPM_EK_BLOB_ACTIVATE inside (Part 2, 12.9 and 12.10)."""
    inner = u16(0x2B) + symmetric_key + sha1(identity.encode()) + (pcr_info or PcrInfoShort()).encode()
    return u16(0x0C) + u16(_EK_ACTIVATE) + sized(inner)


def ca_blob(pubek: PubKey, contents: bytes) -> bytes:
    """Return what only that endorsement key decrypts."""
    return encrypt_oaep(pubek, contents)


def symmetric_key(key: bytes, algorithm: int = 6, scheme: int = 1) -> bytes:
    """Return TPM_SYMMETRIC_KEY (Part 2, 10.9)."""
    return u32(algorithm) + u16(scheme) + u16(len(key)) + key


def activate_identity(tpm: Tpm, id_auth: Auth, owner: Auth, key: int, blob: bytes) -> bytes:
    """TPM_ActivateIdentity (15.2); return the encoded TPM_SYMMETRIC_KEY."""
    answer = tpm.call(Ord.ACTIVATE_IDENTITY, sized(blob), id_auth, owner, handles=[key])
    head = answer.take(6)
    length = answer.u16()
    found = head + u16(length) + answer.take(length)
    answer.end()
    return found


def read_symmetric_key(data: bytes) -> bytes:
    """Return the key's bytes."""
    source = Reader(data)
    source.take(6)
    key = source.take(source.u16())
    source.end()
    return key
