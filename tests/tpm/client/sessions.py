# SPDX-License-Identifier: GPL-3.0-or-later
"""One authorisation session: its nonces, its HMACs, and the encryption of new secrets (Part 1, 13)."""

from __future__ import annotations

import hmac
from dataclasses import dataclass

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

from tests.tpm.client.constants import Adip
from tests.tpm.client.wire import Reader, flag, hmac_sha1, sha1, u32, xor


@dataclass
class Session:
    """An open session.

    `key` is the HMAC key: the entity's secret (OIAP; may be changed between commands) or the shared secret
    (OSAP, DSAP). `keep` asks the TPM to let the session live on after the next command.
    """

    handle: int
    key: bytes
    nonce_even: bytes
    keep: bool = True
    temporary: bool = False
    adip: Adip = Adip.XOR
    nonce_odd: bytes = b""
    open: bool = True

    @staticmethod
    def shared_secret(secret: bytes, nonce_even: bytes, nonce_odd: bytes) -> bytes:
        return hmac_sha1(secret, nonce_even, nonce_odd)

    def authorise(self, digest: bytes, nonce_odd: bytes) -> bytes:
        """Return what authorises a command whose inParamDigest is `digest`.

        A nonce that `encrypt` has used already is the command's nonceOdd.
        """
        self.nonce_odd = self.nonce_odd or nonce_odd
        proof = hmac_sha1(self.key, digest, self.nonce_even, self.nonce_odd, flag(self.keep))
        return u32(self.handle) + self.nonce_odd + flag(self.keep) + proof

    def verify(self, digest: bytes, trailer: bytes) -> str:
        """Take the response's nonce; return what is wrong with its authorisation, or nothing."""
        source = Reader(trailer)
        nonce_even, goes_on, proof = source.digest(), source.u8(), source.digest()
        wanted = hmac_sha1(self.key, digest, nonce_even, self.nonce_odd, bytes([goes_on]))
        self.nonce_even, self.nonce_odd, self.open = nonce_even, b"", bool(goes_on)
        if not hmac.compare_digest(wanted, proof):
            return "wrong HMAC in the response"
        return "session kept against our wish" if goes_on and not self.keep else ""

    def encrypt(self, secret: bytes, odd: bytes | None = None) -> bytes:
        """Return a new secret as the command carries it; the second of a command passes the nonceOdd to be
        used (Part 1, 13.5: ADIP).
        """
        if odd is not None:
            self.nonce_odd = odd
        nonce = self.nonce_even if odd is None else odd
        if self.adip is Adip.AES_CTR:
            return aes_ctr(self.key[:16], nonce[:16], secret)
        return xor(sha1(self.key, nonce), secret)


def aes_ctr(key: bytes, counter: bytes, data: bytes) -> bytes:
    """Return AES-128 in counter mode, which decrypts as well."""
    cipher = Cipher(algorithms.AES(key), modes.CTR(counter)).encryptor()
    return cipher.update(data) + cipher.finalize()
