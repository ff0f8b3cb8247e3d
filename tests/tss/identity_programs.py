# SPDX-License-Identifier: GPL-3.0-or-later
"""TSS programs of our own: identities, with a privacy CA. What they print is compared."""

from __future__ import annotations

import os
from dataclasses import dataclass
from hashlib import sha1

from cryptography.hazmat.primitives import padding as blocks
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

from tests.tpm.client.keyblobs import KeyParms, PubKey
from tests.tpm.client.rsacrypt import encrypt_oaep, signed
from tests.tpm.client.wire import Reader, sized, u16, u32
from tests.tss.tspi import NO_OUTPUT, Key, Session, call, data, number, refused, set_data, set_number

_LABEL = "an identity".encode("utf-16-le")
_MODULUS, _PUBLIC_KEY = (0x140, 0x2000), (0x40, 0x10)
_KEY_INFO, _ENCRYPTION_SCHEME, _PKCS15 = 0x80, 0x380, 0x11
_ALG_AES = 0x25  # TSS_ALG_AES
_TPM_ALG_AES, _CBC = 0x06, 0xFF  # TPM_ALG_AES128, TPM_ES_SYM_CBC_PKCS5PAD
_MAKE_IDENTITY = 0x79
_CREDENTIAL = b"a credential, which nobody reads"


@dataclass(frozen=True)
class Proof:
    """TPM_IDENTITY_PROOF (Part 2, 12.6), without the three credentials."""

    identity: PubKey
    label: bytes
    binding: bytes


class PrivacyCa:
    """Believes a TPM whose endorsement key it knows (Part 1, 9.4)."""

    def __init__(self, tss: Session) -> None:
        self._private = rsa.generate_private_key(65537, 2048)
        modulus = self._private.public_key().public_numbers().n.to_bytes(256)
        self.key = tss.blank_key(Key.LEGACY)
        set_number(self.key, _KEY_INFO, _ENCRYPTION_SCHEME, _PKCS15)
        set_data(self.key, *_MODULUS, modulus)
        self._public = tss.attribute(self.key, *_PUBLIC_KEY)

    def proof(self, request: bytes) -> Proof:
        """Decrypt a TPM_IDENTITY_REQ (Part 2, 12.5), and check that the identity wants to be known here."""
        fields = Reader(request)
        sizes = fields.u32(), fields.u32()
        for _ in sizes:
            KeyParms.read(fields)
        for_us, symmetric = (fields.take(size) for size in sizes)
        fields.end()
        key = Reader(self._private.decrypt(for_us, padding.PKCS1v15()))
        key.take(6)
        proof = _read_proof(Reader(_decrypted(key.take(key.u16()), symmetric)))
        digest = sha1(proof.label + self._public).digest()
        content = b"\1\1\0\0" + u32(_MAKE_IDENTITY) + digest + proof.identity.encode()
        assert signed(proof.identity, proof.binding, sha1(content).digest())
        return proof

    @staticmethod
    def certify(identity: PubKey, endorsement: bytes) -> tuple[bytes, bytes]:
        """Return TPM_ASYM_CA_CONTENTS and TPM_SYM_CA_ATTESTATION (Part 2, 12.7 and 12.8)."""
        secret = os.urandom(16)
        contents = _symmetric_key(secret) + sha1(identity.encode()).digest()
        encrypted = _encrypted(secret, _CREDENTIAL)
        parameters = u32(_TPM_ALG_AES) + u16(_CBC) + u16(0) + sized(b"")
        attestation = u32(len(encrypted)) + parameters + encrypted
        return encrypt_oaep(PubKey(KeyParms.rsa(2048, 1, 2), endorsement), contents), attestation


def _symmetric_key(secret: bytes) -> bytes:
    """Return a TPM_SYMMETRIC_KEY (Part 2, 12.10)."""
    return u32(_TPM_ALG_AES) + u16(_CBC) + u16(len(secret)) + secret


def _read_proof(fields: Reader) -> Proof:
    fields.take(4)
    label, binding, *credentials = (fields.u32() for _ in range(5))
    identity = PubKey.read(fields)
    proof = Proof(identity, fields.take(label), fields.take(binding))
    for size in credentials:
        fields.take(size)
    fields.end()
    return proof


def _encrypted(key: bytes, plain: bytes) -> bytes:
    """AES in CBC mode with the vector in front, as TrouSerS does it."""
    vector, padder = os.urandom(16), blocks.PKCS7(128).padder()
    cipher = Cipher(algorithms.AES(key), modes.CBC(vector)).encryptor()
    return vector + cipher.update(padder.update(plain) + padder.finalize()) + cipher.finalize()


def _decrypted(key: bytes, encrypted: bytes) -> bytes:
    cipher, padder = Cipher(algorithms.AES(key), modes.CBC(encrypted[:16])).decryptor(), blocks.PKCS7(128)
    plain = cipher.update(encrypted[16:]) + cipher.finalize()
    unpadder = padder.unpadder()
    return unpadder.update(plain) + unpadder.finalize()


def identity(tss: Session) -> None:
    """An identity is made, certified by a privacy CA, activated, and used."""
    ca, srk = PrivacyCa(tss), tss.srk()
    aik = tss.blank_key(Key.IDENTITY)
    request = data(
        "Tspi_TPM_CollateIdentityRequest", tss.tpm, srk, ca.key, len(_LABEL), _LABEL, aik, _ALG_AES
    )
    proof = ca.proof(request)
    assert proof.label == _LABEL
    endorsement_key = number("Tspi_TPM_GetPubEndorsementKey", tss.tpm, 1, None)
    endorsement = tss.attribute(endorsement_key, *_MODULUS)
    for_tpm, attestation = ca.certify(proof.identity, endorsement)
    call("Tspi_Key_LoadKey", aik, srk)
    activate = "Tspi_TPM_ActivateIdentity"
    arguments = (len(attestation), attestation)
    assert data(activate, tss.tpm, aik, len(for_tpm), for_tpm, *arguments) == _CREDENTIAL
    call("Tspi_TPM_Quote", tss.tpm, aik, tss.pcrs(10), None)
    damaged = for_tpm[:-1] + bytes([for_tpm[-1] ^ 1])
    refused("damaged contents", activate, tss.tpm, aik, len(damaged), damaged, *arguments, *NO_OUTPUT)
    other = PubKey(proof.identity.parms, endorsement)
    for_other, _ = ca.certify(other, endorsement)
    refused("another identity's", activate, tss.tpm, aik, len(for_other), for_other, *arguments, *NO_OUTPUT)
    tss.give_secret(tss.tpm, "wrong")
    refused("a wrong owner", activate, tss.tpm, aik, len(for_tpm), for_tpm, *arguments, *NO_OUTPUT)


PROGRAMS = (identity,)
