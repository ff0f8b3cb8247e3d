# SPDX-License-Identifier: GPL-3.0-or-later
"""Transport sessions: commands inside commands, encrypted and logged (Part 3, 24; Part 1, 18)."""

from __future__ import annotations

from dataclasses import dataclass, field

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

from tests.tpm.client.constants import HANDLES, TRANSPORT, Algorithm, EncScheme, Ord, Tag
from tests.tpm.client.keyblobs import PubKey
from tests.tpm.client.rsacrypt import encrypt_oaep
from tests.tpm.client.sessions import Session, aes_ctr
from tests.tpm.client.storage import mgf1
from tests.tpm.client.ticks import Ticks
from tests.tpm.client.tpm import Auth, Tpm, TpmCodeError, expect
from tests.tpm.client.wire import flag, hmac_sha1, sha1, sized, u16, u32, xor

ENCRYPT, LOG, EXCLUSIVE = 1, 2, 4  # TPM_TRANSPORT_ATTRIBUTES
_HEADER, _AUTH_IN, _AUTH_OUT = 10, 45, 41
# What of these travels in the clear, counted from the header: their parameters are handles and nonces.
_CLEAR_IN = {Ord.OIAP: 0, Ord.OSAP: 26, Ord.DSAP: 30}
_CLEAR_OUT = {Ord.OIAP: 24, Ord.OSAP: 44, Ord.DSAP: 44}


@dataclass(frozen=True)
class TransportPublic:
    """TPM_TRANSPORT_PUBLIC (Part 2, 13.1)."""

    attributes: int = 0
    algorithm: int = Algorithm.MGF1
    scheme: int = EncScheme.NONE

    def encode(self) -> bytes:
        return u16(0x1E) + u32(self.attributes) + u32(self.algorithm) + u16(self.scheme)


@dataclass
class Transport:
    """An open transport session; `tpm` is a client whose commands go through it.

    `digest` is the log as the TPM should have it (transDigest); `public_keys` has the modulus of each key
    handle that is used in a logged session.
    """

    outer: Tpm
    public: TransportPublic
    handle: int
    secret: bytes
    nonce_even: bytes
    ticks: Ticks
    keep: bool = True
    digest: bytes = bytes(20)
    public_keys: dict[int, bytes] = field(default_factory=dict)
    open: bool = True

    @property
    def tpm(self) -> Tpm:
        return Tpm(self.execute, self.outer.random)

    # the wrapped command --------------------------------------------------------------------------

    def execute(self, request: bytes) -> bytes:
        """Run a command through TPM_ExecuteTransport (24.2)."""
        ordinal = int.from_bytes(request[6:10])
        start, end = _data_in(request)
        covered = sha1(request[6:10], request[start:end])
        odd = self.outer.random(20)
        hidden = request[:start] + self._crypt(request[start:end], odd, b"in") + request[end:]
        digest = sha1(u32(Ord.EXECUTE_TRANSPORT), u32(len(hidden)), covered)
        trailer = u32(self.handle) + odd + flag(self.keep)
        trailer += hmac_sha1(self.secret, digest, self.nonce_even, odd, flag(self.keep))
        body = sized(hidden) + trailer
        answer = self.outer.send(
            u16(Tag.AUTH1_COMMAND) + u32(_HEADER + len(body)) + u32(Ord.EXECUTE_TRANSPORT) + body
        )
        return self._judge(request, ordinal, covered, odd, answer)

    def _judge(self, request: bytes, ordinal: int, covered: bytes, odd: bytes, answer: bytes) -> bytes:
        rc = int.from_bytes(answer[6:10])
        if rc:
            raise TpmCodeError(rc, Ord.EXECUTE_TRANSPORT)
        expect(int.from_bytes(answer[:2]) == Tag.AUTH1_RESPONSE, f"response {answer.hex()}")
        ticks, locality = int.from_bytes(answer[10:18]), answer[18:22]
        size = int.from_bytes(answer[22:26])
        hidden, trailer = answer[26 : 26 + size], answer[26 + size :]
        expect(len(hidden) == size and len(trailer) == _AUTH_OUT, f"response {answer.hex()}")
        self.nonce_even = trailer[:20]
        start, end = _data_out(hidden, ordinal)
        plain = hidden[:start] + self._crypt(hidden[start:end], odd, b"out") + hidden[end:]
        result = sha1(plain[6:10], u32(ordinal), plain[start:end])
        digest = sha1(u32(0), u32(Ord.EXECUTE_TRANSPORT), answer[10:26], result)
        proof = hmac_sha1(self.secret, digest, self.nonce_even, odd, trailer[20:21])
        expect(proof == trailer[21:], "wrong HMAC of a transport response")
        self.open = trailer[20:21] == b"\1"
        self._log_in(covered, self._key_digest(request, ordinal))
        self._log_out(result, Ticks(ticks, self.ticks.rate, self.ticks.nonce), locality)
        return plain

    def _crypt(self, data: bytes, odd: bytes, way: bytes) -> bytes:
        """Encrypt or decrypt; the nonceEven in force is the last one for "in", the new one for "out"."""
        if not self.public.attributes & ENCRYPT or not data:
            return data
        seed = self.nonce_even + odd + way
        if self.public.algorithm == Algorithm.MGF1:
            return xor(mgf1(seed + self.secret, len(data)), data)
        vector = mgf1(seed, 16)
        if self.public.scheme == EncScheme.CTR:
            return aes_ctr(self.secret[:16], vector, data)
        return aes_ofb(self.secret[:16], vector, data)

    # the log --------------------------------------------------------------------------------------

    def _key_digest(self, request: bytes, ordinal: int) -> bytes:
        """Return the hash over the keys whose handles the command names (Part 2, 13.3)."""
        count = HANDLES.get(ordinal, (0, 0))[0]
        named = [int.from_bytes(request[10 + 4 * at : 14 + 4 * at]) for at in range(count)]
        keys = [sha1(sized(self.public_keys[handle])) for handle in named if handle in self.public_keys]
        return sha1(*keys) if keys else bytes(20)

    def _log_in(self, parameters: bytes, key_digest: bytes = bytes(20)) -> None:
        """Extend with TPM_TRANSPORT_LOG_IN (Part 2, 13.3)."""
        self.digest = sha1(self.digest, u16(0x10), parameters, key_digest)

    def _log_out(self, parameters: bytes, ticks: Ticks, locality: bytes) -> None:
        """Extend with TPM_TRANSPORT_LOG_OUT (Part 2, 13.4)."""
        self.digest = sha1(self.digest, u16(0x11), ticks.encode(), parameters, locality)

    # the end --------------------------------------------------------------------------------------

    def release_signed(self, auth: Auth, key: int, replay: bytes) -> tuple[bytes, bytes]:
        """TPM_ReleaseTransportSigned (24.3); return the signature, and the digest that it should be over."""
        session = Session(self.handle, self.secret, self.nonce_even, keep=False)
        answer = self.outer.call(Ord.RELEASE_TRANSPORT_SIGNED, replay, auth, session, handles=[key])
        locality, ticks, signature = answer.take(4), Ticks.read(answer), answer.sized()
        answer.end()
        self.open = False
        self._log_out(sha1(u32(Ord.RELEASE_TRANSPORT_SIGNED), replay), ticks, locality)
        return signature, sha1(u16(0x05), b"TRAN", replay, sized(self.digest))


def establish(
    tpm: Tpm,
    public: TransportPublic,
    secret: bytes,
    key_auth: Auth = None,
    key: int = TRANSPORT,
    key_public: PubKey | None = None,
) -> Transport:
    """TPM_EstablishTransport (24.1): the secret goes in the clear, or encrypted for a loaded key."""
    shared = u16(0x1D) + secret
    blob = shared if key_public is None else encrypt_oaep(key_public, shared)
    if key == TRANSPORT:
        blob = secret
    parameters = public.encode() + sized(blob)
    answer = tpm.call(Ord.ESTABLISH_TRANSPORT, parameters, key_auth, handles=[key])
    handle, locality, ticks = answer.u32(), answer.take(4), Ticks.read(answer)
    made = Transport(tpm, public, handle, secret, answer.digest(), ticks)
    answer.end()
    made._log_in(sha1(u32(Ord.ESTABLISH_TRANSPORT), parameters))
    head = u32(0) + u32(Ord.ESTABLISH_TRANSPORT)
    made._log_out(sha1(head, locality, ticks.encode(), made.nonce_even), ticks, locality)
    return made


def _data_in(request: bytes) -> tuple[int, int]:
    """Return where a command's parameters begin and end: after the handles, before the authorisations."""
    ordinal = int.from_bytes(request[6:10])
    auths = int.from_bytes(request[:2]) - Tag.COMMAND
    clear = _CLEAR_IN.get(Ord(ordinal)) if ordinal in Ord._value2member_map_ else None
    start = _HEADER + (4 * HANDLES.get(ordinal, (0, 0))[0] if clear is None else clear)
    return start, len(request) - _AUTH_IN * auths


def _data_out(response: bytes, ordinal: int) -> tuple[int, int]:
    """Return where a response's parameters begin and end."""
    if response[6:10] != bytes(4):
        return len(response), len(response)
    auths = int.from_bytes(response[:2]) - Tag.RESPONSE
    clear = _CLEAR_OUT.get(Ord(ordinal)) if ordinal in Ord._value2member_map_ else None
    start = _HEADER + (4 * HANDLES.get(ordinal, (0, 0))[1] if clear is None else clear)
    return start, len(response) - _AUTH_OUT * auths


def aes_ofb(key: bytes, vector: bytes, data: bytes) -> bytes:
    """Return AES-128 in output feedback mode, which decrypts as well."""
    cipher = Cipher(algorithms.AES(key), modes.ECB()).encryptor()
    pad = b""
    while len(pad) < len(data):
        vector = cipher.update(vector)
        pad += vector
    return xor(pad[: len(data)], data)
