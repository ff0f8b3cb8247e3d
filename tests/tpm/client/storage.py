# SPDX-License-Identifier: GPL-3.0-or-later
"""Sealed and bound data (Part 3, 10.1 to 10.3, 10.7)."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Self

from tests.tpm.client.constants import SRK, VERSION_1_1, Adip, Entity, Ord
from tests.tpm.client.keyblobs import PubKey
from tests.tpm.client.rsacrypt import encrypt_oaep
from tests.tpm.client.sessions import Session, aes_ctr
from tests.tpm.client.tpm import Auth, Tpm
from tests.tpm.client.wire import Reader, Struct, encoded, sha1, sized, xor

_BOUND = 2  # TPM_PT_BIND


@dataclass(frozen=True)
class StoredData(Struct):
    """TPM_STORED_DATA (Part 2, 9.1), or TPM_STORED_DATA12 (9.2) by its head."""

    head: bytes
    seal_info: bytes
    enc_data: bytes

    def encode(self) -> bytes:
        return self.head + sized(self.seal_info) + sized(self.enc_data)

    @classmethod
    def read(cls, source: Reader) -> Self:
        return cls(source.take(4), source.sized(), source.sized())

    def changed(self, enc_data: bytes) -> Self:
        """Return the blob with other encrypted data, as TPM_ChangeAuth gives it."""
        return replace(self, enc_data=enc_data)


def seal(
    tpm: Tpm,
    key_auth: Auth,
    data: bytes,
    secret: bytes,
    pcr_info: Struct | bytes | None = None,
    key: int = SRK,
    ordinal: int = Ord.SEAL,
) -> StoredData:
    """TPM_Seal (10.1): `secret` is what unsealing will need beside the key."""
    session = tpm.session_for(key_auth, Entity.KEY_HANDLE, key)
    parameters = session.encrypt(secret) + sized(encoded(pcr_info)) + sized(data)
    answer = tpm.call(ordinal, parameters, session, handles=[key])
    blob = StoredData.read(answer)
    answer.end()
    return blob


def sealx(
    tpm: Tpm,
    key_auth: Auth,
    data: bytes,
    secret: bytes,
    pcr_info: Struct | bytes | None = None,
    key: int = SRK,
) -> StoredData:
    """TPM_Sealx (10.7): the data goes in, and comes out of TPM_Unseal, encrypted for the session."""
    session = tpm.session_for(key_auth, Entity.KEY_HANDLE, key)
    odd = tpm.random(20)
    session.nonce_odd = odd
    hidden = sealx_cipher(session, session.adip, data, session.nonce_even, odd)
    return seal(tpm, session, hidden, secret, pcr_info, key, Ord.SEALX)


def unseal(tpm: Tpm, key_auth: Auth, data_auth: Auth, blob: StoredData, key: int = SRK) -> bytes:
    """TPM_Unseal (10.2); what was sealed by Sealx comes out encrypted (see `unsealx`)."""
    answer = tpm.call(Ord.UNSEAL, blob.encode(), key_auth, data_auth, handles=[key])
    data = answer.sized()
    answer.end()
    return data


def unsealx(tpm: Tpm, key_auth: Auth, data_auth: Auth, blob: StoredData, key: int = SRK) -> bytes:
    """TPM_Unseal of what was sealed by `sealx`: the key's session is an OSAP, and the TPM ends it."""
    session = tpm.session_for(key_auth, Entity.KEY_HANDLE, key)
    session.nonce_odd, session.keep = tpm.random(20), False
    even, odd = session.nonce_even, session.nonce_odd
    hidden = unseal(tpm, session, data_auth, blob, key)
    return sealx_cipher(session, Adip(blob.head[2]), hidden, even, odd)


def sealx_cipher(session: Session, adip: Adip, data: bytes, nonce_even: bytes, nonce_odd: bytes) -> bytes:
    """Return data encrypted or decrypted for TPM_Sealx (Part 3, 10.2 and 10.7), whose blob says how."""
    if adip is Adip.AES_CTR:
        return aes_ctr(session.key[:16], sha1(nonce_even, nonce_odd)[:16], data)
    return xor(mgf1(nonce_even + nonce_odd + b"XOR" + session.key, len(data)), data)


def mgf1(seed: bytes, length: int) -> bytes:
    """Return MGF1 with SHA-1 (PKCS 1)."""
    blocks = (length + 19) // 20
    return b"".join(sha1(seed, index.to_bytes(4)) for index in range(blocks))[:length]


def unbind(tpm: Tpm, auth: Auth, key: int, data: bytes) -> bytes:
    """TPM_UnBind (10.3)."""
    answer = tpm.call(Ord.UNBIND, sized(data), auth, handles=[key])
    plain = answer.sized()
    answer.end()
    return plain


def bound(pub: PubKey, data: bytes) -> bytes:
    """Return data encrypted for `unbind` by a binding key with OAEP (TPM_BOUND_DATA, Part 2, 9.3)."""
    return encrypt_oaep(pub, VERSION_1_1 + bytes([_BOUND]) + data)
