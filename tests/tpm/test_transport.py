# SPDX-License-Identifier: GPL-3.0-or-later
"""TPM_EstablishTransport, TPM_ExecuteTransport, TPM_ReleaseTransportSigned, against ours and swtpm."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from bootproof.tpm.machine import Tpm as Emulator
from tests.tpm.client import context, integrity, keys, owner, signing, storage, ticks, transport
from tests.tpm.client.constants import (
    SRK,
    WELL_KNOWN,
    Adip,
    Algorithm,
    Code,
    EncScheme,
    Entity,
    KeyUsage,
    Ord,
    Resource,
    SigScheme,
    Tag,
)
from tests.tpm.client.keyblobs import template
from tests.tpm.client.prepared import MIGRATION, OWNER_SECRET, USAGE, Owned
from tests.tpm.client.rsacrypt import encrypt_oaep, signed
from tests.tpm.client.subjects import Ours
from tests.tpm.client.tpm import Tpm, refused
from tests.tpm.client.transport import ENCRYPT, EXCLUSIVE, LOG, Transport, TransportPublic
from tests.tpm.client.wire import sha1, sized, u16, u32

pytest_plugins = ("tests.tpm.client.fixtures",)

SECRET = b"a transport secret.."
REPLAY = b"replay of a release."
PLAIN = TransportPublic()
CIPHERS = {
    "MGF1": (Algorithm.MGF1, EncScheme.NONE),
    "AES-CTR": (Algorithm.AES128, EncScheme.CTR),
    "AES-OFB": (Algorithm.AES128, EncScheme.OFB),
}
cipher = pytest.mark.parametrize("algorithm, scheme", CIPHERS.values(), ids=CIPHERS)


def emulator(owned: Owned) -> Emulator:
    assert isinstance(owned.subject, Ours)
    return owned.subject.emulator


def encrypted(
    owned: Owned, attributes: int = ENCRYPT, algorithm: int = Algorithm.AES128, scheme: int = EncScheme.CTR
) -> Transport:
    """Open a session with a secret that travels encrypted for the storage key."""
    public = TransportPublic(attributes, algorithm, scheme)
    made = owned.made.storage
    return transport.establish(owned.tpm, public, SECRET, USAGE, owned.storage(), made.public)


class TestEstablish:
    def test_establish_transport_with_a_clear_secret(self, both_owned: Owned) -> None:
        session = transport.establish(both_owned.tpm, PLAIN, SECRET)
        assert session.tpm.code(Ord.GET_TICKS) == 0
        assert session.open

    @cipher
    def test_establish_transport_with_an_encrypted_secret(
        self, both_owned: Owned, algorithm: int, scheme: int
    ) -> None:
        session = encrypted(both_owned, ENCRYPT, algorithm, scheme)
        assert len(integrity.get_random(session.tpm, 40)) == 40

    def test_establish_transport_codes_of_a_clear_secret(self, both_owned: Owned) -> None:
        tpm = both_owned.tpm
        with refused(Code.BAD_SCHEME):
            transport.establish(tpm, TransportPublic(ENCRYPT), SECRET)
        with refused(Code.BAD_PARAM_SIZE):
            transport.establish(tpm, PLAIN, SECRET[:19])
        with refused(Code.BADTAG):
            transport.establish(tpm, PLAIN, SECRET, key_auth=WELL_KNOWN)

    def test_establish_transport_codes_of_an_encrypted_secret(self, both_owned: Owned) -> None:
        tpm, made = both_owned.tpm, both_owned.made
        signer, storer = both_owned.signing(), both_owned.storage()
        public = TransportPublic(ENCRYPT)
        with refused(Code.INVALID_KEYUSAGE):
            transport.establish(tpm, public, SECRET, USAGE, signer, made.signing.public)
        with refused(Code.AUTHFAIL):
            transport.establish(tpm, public, SECRET, None, storer, made.storage.public)
        with refused(Code.AUTHFAIL):
            transport.establish(tpm, public, SECRET, WELL_KNOWN, storer, made.storage.public)
        with refused(Code.INVALID_KEYHANDLE):
            transport.establish(tpm, public, SECRET, USAGE, 0x05123456, made.storage.public)
        with refused(Code.DECRYPT_ERROR):
            transport.establish(tpm, public, SECRET, USAGE, storer, made.srk.public)

    @pytest.mark.parametrize(
        ("algorithm", "scheme", "code"),
        [
            (9, EncScheme.CTR, Code.BAD_KEY_PROPERTY),
            (1, EncScheme.NONE, Code.BAD_KEY_PROPERTY),
            (10, EncScheme.NONE, Code.BAD_KEY_PROPERTY),
            (99, 99, Code.BAD_KEY_PROPERTY),
            (Algorithm.AES128, EncScheme.NONE, Code.INAPPROPRIATE_ENC),
            (Algorithm.MGF1, EncScheme.CTR, Code.INAPPROPRIATE_ENC),
        ],
    )
    def test_establish_transport_refuses_other_encryption(
        self, both_owned: Owned, algorithm: int, scheme: int, code: int
    ) -> None:
        with refused(code):
            encrypted(both_owned, ENCRYPT, algorithm, scheme)

    def test_establish_transport_wants_its_structure(self, ours_owned: Owned) -> None:
        """The decrypted secret is a TPM_TRANSPORT_AUTH; what is wrong with another one is not told."""
        tpm, key = ours_owned.tpm, ours_owned.storage()
        pub = ours_owned.made.storage.public
        for clear in (SECRET, u16(0x1E) + SECRET, u16(0x1D) + SECRET + b"x"):
            blob = encrypt_oaep(pub, clear)
            with refused(Code.DECRYPT_ERROR):
                tpm.call(Ord.ESTABLISH_TRANSPORT, PLAIN.encode() + sized(blob), USAGE, handles=[key])

    def test_establish_transport_until_all_are_taken(self, ours_owned: Owned) -> None:
        opened = []
        with refused(Code.RESOURCES):
            while True:
                opened.append(transport.establish(ours_owned.tpm, PLAIN, SECRET))
        assert len(opened) == 16
        keys.flush_specific(ours_owned.tpm, opened[0].handle, Resource.TRANS)
        transport.establish(ours_owned.tpm, PLAIN, SECRET)
        assert opened[1].tpm.code(Ord.GET_TICKS) == 0


class TestExecute:
    @cipher
    @pytest.mark.parametrize("log", [0, LOG], ids=["", "logged"])
    def test_execute_transport_of_many_commands(
        self, both_owned: Owned, algorithm: int, scheme: int, log: int
    ) -> None:
        """Every kind of frame: handles in and out, one and two authorisations, OIAP and OSAP inside."""
        session = encrypted(both_owned, ENCRYPT | log, algorithm, scheme)
        made, tpm = both_owned.made, session.tpm
        session.public_keys[SRK] = made.srk.modulus
        signer = keys.load_key2(tpm, WELL_KNOWN, made.signing)
        session.public_keys[signer] = made.signing.modulus
        assert signed(made.signing.public, signing.sign(tpm, USAGE, signer, sha1(b"x")), sha1(b"x"))
        blob = storage.seal(tpm, WELL_KNOWN, b"sealed", USAGE)
        assert storage.unseal(tpm, WELL_KNOWN, USAGE, blob) == b"sealed"
        osap = tpm.osap(Entity.KEY_HANDLE, SRK, WELL_KNOWN)
        keys.load_key2(tpm, osap, made.storage)
        assert len(integrity.get_random(tpm, 20)) == 20
        keys.flush_specific(tpm, signer)
        if log:
            key = both_owned.signing()
            signature, digest = session.release_signed(USAGE, key, REPLAY)
            assert signed(made.signing.public, signature, digest)

    def test_execute_transport_hides_parameters_both_ways(self, ours_owned: Owned) -> None:
        seen: list[bytes] = []
        session = encrypted(ours_owned)
        execute = session.outer._execute

        def listen(request: bytes) -> bytes:
            seen.extend((request, execute(request)))
            return seen[-1]

        session.outer._execute = listen
        value = integrity.extend(session.tpm, 10, sha1(b"secret"))
        assert len(seen) == 2
        assert sha1(b"secret") not in seen[0] and value not in seen[1]

    def test_execute_transport_passes_the_code_of_the_command(self, both_owned: Owned) -> None:
        session = transport.establish(both_owned.tpm, PLAIN, SECRET)
        with refused(Code.BADINDEX):
            integrity.pcr_read(session.tpm, 24)
        assert session.tpm.code(Ord.PCR_READ, b"") == Code.BAD_PARAM_SIZE
        integrity.pcr_read(session.tpm, 0)

    @pytest.mark.parametrize("ordinal", [Ord.ESTABLISH_TRANSPORT, Ord.EXECUTE_TRANSPORT])
    def test_execute_transport_does_not_nest(self, both_owned: Owned, ordinal: int) -> None:
        self.is_not_wrapped(both_owned, ordinal)

    def test_execute_transport_of_no_release(self, ours_owned: Owned) -> None:
        """swtpm takes its key handle for a parameter, and notices that before it looks at the ordinal."""
        self.is_not_wrapped(ours_owned, Ord.RELEASE_TRANSPORT_SIGNED)

    def is_not_wrapped(self, owned: Owned, ordinal: int) -> None:
        session = transport.establish(owned.tpm, PLAIN, SECRET)
        with refused(Code.NO_WRAP_TRANSPORT):
            session.tpm.code(ordinal, bytes(150))
        with refused(Code.INVALID_AUTHHANDLE):
            session.tpm.code(Ord.GET_TICKS)

    @pytest.mark.parametrize(
        "wrapped",
        [
            b"",
            b"\0\xc1",
            bytes.fromhex("00c10000000a"),
            bytes.fromhex("00c10000000b000000f1"),
            bytes.fromhex("00c20000000a000000f1"),
            bytes.fromhex("00c10000000a00000015"[:-2] + "18"),
        ],
    )
    def test_execute_transport_of_what_is_no_command(self, ours_owned: Owned, wrapped: bytes) -> None:
        session = transport.establish(ours_owned.tpm, PLAIN, SECRET)
        body = sized(wrapped) + u32(session.handle) + bytes(41)
        code = ours_owned.tpm.code(Ord.EXECUTE_TRANSPORT, body, tag=Tag.AUTH1_COMMAND)
        assert code == Code.BAD_PARAMETER
        with refused(Code.INVALID_AUTHHANDLE):
            session.tpm.code(Ord.GET_TICKS)

    def test_execute_transport_of_commands_that_the_tpm_does_not_have(self, both_owned: Owned) -> None:
        session = encrypted(both_owned)
        maintenance = (Ord.CREATE_MAINTENANCE_ARCHIVE, Ord.KILL_MAINTENANCE_FEATURE, Ord.READ_MANU_MAINT_PUB)
        for ordinal in (*maintenance, Ord.GET_ORDINAL_AUDIT_STATUS):
            assert session.tpm.code(ordinal, bytes(40)) == Code.BAD_ORDINAL, ordinal
        assert session.tpm.code(Ord.GET_TICKS) == 0

    def test_execute_transport_of_more_that_the_tpm_does_not_have(self, ours_owned: Owned) -> None:
        """They begin with a handle, which is not encrypted. swtpm has DAA, and wants the others' handles
        encrypted.
        """
        session = encrypted(ours_owned, ENCRYPT | LOG)
        for ordinal in (Ord.DAA_JOIN, Ord.DAA_SIGN, Ord.CERTIFY_SELF_TEST, Ord.GET_CAPABILITY_SIGNED):
            assert session.tpm.code(ordinal, bytes(40)) == Code.BAD_ORDINAL

    def test_execute_transport_of_an_unknown_ordinal_ends_the_session(self, both_owned: Owned) -> None:
        session = transport.establish(both_owned.tpm, PLAIN, SECRET)
        with refused(Code.BAD_ORDINAL):
            session.tpm.code(0xFF)
        with refused(Code.INVALID_AUTHHANDLE):
            session.tpm.code(Ord.GET_TICKS)

    def test_execute_transport_with_a_wrong_secret_ends_the_session(self, ours_owned: Owned) -> None:
        session = transport.establish(ours_owned.tpm, PLAIN, SECRET)
        session.secret = WELL_KNOWN
        with refused(Code.AUTHFAIL):
            session.tpm.code(Ord.GET_TICKS)
        session.secret = SECRET
        with refused(Code.INVALID_AUTHHANDLE):
            session.tpm.code(Ord.GET_TICKS)

    @pytest.mark.parametrize("at", [14, 20, 24, 30, 60, 80])
    def test_execute_transport_notices_every_change(self, ours_owned: Owned, at: int) -> None:
        """Of the wrapped frame, its parameters, and the trailer; never executed. (14 is in the tag, which no
        HMAC is about.)
        """
        session = encrypted(ours_owned)
        before = ours_owned.tpm.raw(Ord.PCR_READ, u32(10))

        def flip(request: bytes) -> bytes:
            return request[:at] + bytes([request[at] ^ 1]) + request[at + 1 :]

        ours_owned.tpm.tamper = flip
        session.outer.tamper = flip
        with pytest.raises(Exception, match=r"AUTHFAIL|BAD_PARAMETER|BAD_ORDINAL|INVALID_AUTHHANDLE|BADTAG"):
            integrity.extend(session.tpm, 10, sha1(b"x"))
        ours_owned.tpm.tamper = None
        assert ours_owned.tpm.raw(Ord.PCR_READ, u32(10)) == before

    def test_execute_transport_is_not_replayed(self, ours_owned: Owned) -> None:
        session = transport.establish(ours_owned.tpm, PLAIN, SECRET)
        sent: list[bytes] = []

        def keep(request: bytes) -> bytes:
            sent.append(request)
            return request

        ours_owned.tpm.tamper = keep
        integrity.extend(session.tpm, 10, sha1(b"x"))
        ours_owned.tpm.tamper = None
        value = integrity.pcr_read(ours_owned.tpm, 10)
        assert int.from_bytes(ours_owned.tpm.send(sent[0])[6:10]) == Code.AUTHFAIL
        assert integrity.pcr_read(ours_owned.tpm, 10) == value

    def test_execute_transport_without_continuing(self, both_owned: Owned) -> None:
        session = transport.establish(both_owned.tpm, PLAIN, SECRET)
        session.keep = False
        assert session.tpm.code(Ord.GET_TICKS) == 0
        assert not session.open
        with refused(Code.INVALID_AUTHHANDLE):
            session.tpm.code(Ord.GET_TICKS)

    def test_execute_transport_of_a_command_that_ends_it(self, both_owned: Owned) -> None:
        session = transport.establish(both_owned.tpm, PLAIN, SECRET)
        keys.flush_specific(session.tpm, session.handle, Resource.TRANS)
        assert not session.open

    def test_execute_transport_of_its_own_saving(self, ours_owned: Owned) -> None:
        """The saved session goes on with the nonce of that very response."""
        session = transport.establish(ours_owned.tpm, PLAIN, SECRET)
        blob = context.save_context(session.tpm, session.handle, Resource.TRANS)
        assert not session.open
        assert context.load_context(ours_owned.tpm, blob) == session.handle
        assert session.tpm.code(Ord.GET_TICKS) == 0

    def test_execute_transport_response_has_room(self, ours_owned: Owned) -> None:
        session = transport.establish(ours_owned.tpm, PLAIN, SECRET)
        length = 0

        def measure(request: bytes) -> bytes:
            nonlocal length
            answer = emulator(ours_owned).execute(request)
            length = len(answer)
            return answer

        ours_owned.tpm._execute = measure
        integrity.get_random(session.tpm, 0xFFFF)
        assert length == emulator(ours_owned).buffer_size

    def test_execute_transport_and_localities(self, both_owned: Owned) -> None:
        both_owned.subject.set_locality(2)
        session = transport.establish(both_owned.tpm, TransportPublic(LOG), SECRET)
        assert session.tpm.code(Ord.GET_TICKS) == 0
        both_owned.subject.set_locality(0)

    def test_execute_transport_counts_no_guesses(self, ours_owned: Owned) -> None:
        """The secret of a session is its caller's: guessing it harms nobody."""
        for _ in range(10):
            session = transport.establish(ours_owned.tpm, PLAIN, SECRET)
            session.secret = WELL_KNOWN
            with refused(Code.AUTHFAIL):
                session.tpm.code(Ord.GET_TICKS)

    def test_execute_transport_of_owner_clear_ends_it(self, ours_owned: Owned) -> None:
        session = transport.establish(ours_owned.tpm, PLAIN, SECRET)
        owner.owner_clear(session.tpm, OWNER_SECRET)
        assert not session.open
        with refused(Code.DISABLED):
            session.tpm.code(Ord.GET_TICKS)


class TestSha1Threads:
    def test_execute_transport_of_a_whole_sha1_thread(self, both_owned: Owned) -> None:
        session = transport.establish(both_owned.tpm, PLAIN, SECRET)
        integrity.sha1_start(session.tpm)
        integrity.sha1_update(session.tpm, bytes(64))
        assert integrity.sha1_complete(session.tpm, b"x") == sha1(bytes(64), b"x")

    @pytest.mark.parametrize("enter", [True, False], ids=["entering", "leaving"])
    def test_execute_transport_ends_a_sha1_thread_that_crosses(self, both_owned: Owned, enter: bool) -> None:
        session = transport.establish(both_owned.tpm, PLAIN, SECRET)
        first, second = (both_owned.tpm, session.tpm) if enter else (session.tpm, both_owned.tpm)
        integrity.sha1_start(first)
        with refused(Code.SHA_THREAD):
            integrity.sha1_update(second, bytes(64))
        with refused(Code.SHA_THREAD):
            integrity.sha1_update(first, bytes(64))

    def test_execute_transport_of_another_command_ends_a_sha1_thread(self, both_owned: Owned) -> None:
        session = transport.establish(both_owned.tpm, PLAIN, SECRET)
        integrity.sha1_start(session.tpm)
        assert session.tpm.code(Ord.GET_TICKS) == 0
        with refused(Code.SHA_THREAD):
            integrity.sha1_update(session.tpm, bytes(64))


Other = Callable[[Tpm], object]


class TestExclusive:
    def test_execute_transport_in_an_exclusive_session(self, both_owned: Owned) -> None:
        session = transport.establish(both_owned.tpm, TransportPublic(EXCLUSIVE), SECRET)
        for _ in range(3):
            assert session.tpm.code(Ord.GET_TICKS) == 0

    @pytest.mark.parametrize(
        "command",
        [
            lambda tpm: tpm.code(Ord.GET_TICKS),
            lambda tpm: tpm.code(Ord.PCR_READ, u32(99)),
            lambda tpm: transport.establish(tpm, PLAIN, SECRET),
            lambda tpm: transport.establish(tpm, TransportPublic(EXCLUSIVE), SECRET),
        ],
    )
    def test_execute_transport_after_another_command(self, both_owned: Owned, command: Other) -> None:
        session = transport.establish(both_owned.tpm, TransportPublic(EXCLUSIVE), SECRET)
        command(both_owned.tpm)
        with refused(Code.INVALID_AUTHHANDLE):
            session.tpm.code(Ord.GET_TICKS)

    def test_execute_transport_in_another_session_ends_the_exclusive_one(self, both_owned: Owned) -> None:
        other = transport.establish(both_owned.tpm, PLAIN, SECRET)
        session = transport.establish(both_owned.tpm, TransportPublic(EXCLUSIVE), SECRET)
        assert other.tpm.code(Ord.GET_TICKS) == 0
        with refused(Code.INVALID_AUTHHANDLE):
            session.tpm.code(Ord.GET_TICKS)

    def test_release_transport_signed_of_an_exclusive_session(self, both_owned: Owned) -> None:
        key = both_owned.signing()
        session = transport.establish(both_owned.tpm, TransportPublic(EXCLUSIVE | LOG), SECRET)
        assert session.tpm.code(Ord.GET_TICKS) == 0
        inner = session.tpm.oiap(USAGE)
        inner.keep = False
        signature, digest = session.release_signed(inner, key, REPLAY)
        assert signed(both_owned.made.signing.public, signature, digest)


class TestLog:
    @pytest.mark.parametrize("attributes", [LOG, LOG | ENCRYPT])
    def test_release_transport_signed_of_keys_in_the_log(self, both_owned: Owned, attributes: int) -> None:
        made = both_owned.made
        signer = both_owned.signing()
        session = encrypted(both_owned, attributes, Algorithm.MGF1, EncScheme.NONE)
        session.public_keys.update({signer: made.signing.modulus, SRK: made.srk.modulus})
        signing.sign(session.tpm, USAGE, signer, sha1(b"x"))
        blob = context.save_context(session.tpm, signer, Resource.KEY)
        keys.flush_specific(session.tpm, signer)
        assert context.load_context(session.tpm, blob) == signer
        other = session.tpm.oiap(WELL_KNOWN)
        keys.flush_specific(session.tpm, other.handle, Resource.AUTH)
        ticks.get_ticks(session.tpm)
        signature, digest = session.release_signed(USAGE, signer, REPLAY)
        assert signed(made.signing.public, signature, digest)

    def test_execute_transport_logs_two_keys(self, both_owned: Owned) -> None:
        made = both_owned.made
        signer, other = both_owned.signing(), both_owned.load(made.migratable)
        session = transport.establish(both_owned.tpm, TransportPublic(LOG), SECRET)
        session.public_keys.update({signer: made.signing.modulus, other: made.migratable.modulus})
        keys.certify_key(session.tpm, USAGE, USAGE, signer, other, REPLAY)
        signature, digest = session.release_signed(USAGE, signer, REPLAY)
        assert signed(made.signing.public, signature, digest)

    def test_execute_transport_logs_no_key_that_is_not_there(self, both_owned: Owned) -> None:
        session = transport.establish(both_owned.tpm, TransportPublic(LOG), SECRET)
        with refused(Code.INVALID_KEYHANDLE):
            keys.get_pub_key(session.tpm, None, 0x05123456)
        with refused(Code.INVALID_AUTHHANDLE):
            session.tpm.code(Ord.GET_TICKS)

    def test_execute_transport_logs_failed_commands(self, both_owned: Owned) -> None:
        session = transport.establish(both_owned.tpm, TransportPublic(LOG), SECRET)
        with refused(Code.BADINDEX):
            integrity.pcr_read(session.tpm, 24)
        signature, digest = session.release_signed(USAGE, both_owned.signing(), REPLAY)
        assert signed(both_owned.made.signing.public, signature, digest)


class TestRelease:
    def test_release_transport_signed_without_a_log(self, both_owned: Owned) -> None:
        session = transport.establish(both_owned.tpm, PLAIN, SECRET)
        with refused(Code.BAD_MODE):
            session.release_signed(USAGE, both_owned.signing(), REPLAY)
        with refused(Code.INVALID_AUTHHANDLE):
            session.tpm.code(Ord.GET_TICKS)

    def test_release_transport_signed_authorisations(self, both_owned: Owned) -> None:
        key = both_owned.signing()
        for auth, secret, code in (
            (WELL_KNOWN, SECRET, Code.AUTHFAIL),
            (None, SECRET, Code.AUTHFAIL),
            (USAGE, WELL_KNOWN, Code.AUTH2FAIL),
        ):
            session = transport.establish(both_owned.tpm, TransportPublic(LOG), SECRET)
            session.secret = secret
            with refused(code):
                session.release_signed(auth, key, REPLAY)

    def test_release_transport_signed_keys(self, both_owned: Owned) -> None:
        tpm = both_owned.tpm
        der = template(KeyUsage.SIGNING, sig_scheme=SigScheme.DER)
        bad = both_owned.load(keys.create_wrap_key(tpm, WELL_KNOWN, SRK, der, USAGE, MIGRATION))
        cases = (
            (bad, Code.INAPPROPRIATE_SIG),
            (both_owned.storage(), Code.INAPPROPRIATE_SIG),
            (0x05123456, Code.INVALID_KEYHANDLE),
        )
        for key, code in cases:
            session = transport.establish(tpm, TransportPublic(LOG), SECRET)
            with refused(code):
                session.release_signed(USAGE, key, REPLAY)

    def test_release_transport_signed_of_no_session(self, both_owned: Owned) -> None:
        session = transport.establish(both_owned.tpm, TransportPublic(LOG), SECRET)
        session.handle ^= 1
        with refused(Code.INVALID_AUTHHANDLE):
            session.release_signed(USAGE, both_owned.signing(), REPLAY)

    def test_release_transport_signed_with_a_key_without_secret(self, both_owned: Owned) -> None:
        tpm = both_owned.tpm
        free = template(KeyUsage.SIGNING, auth_usage=0)
        blob = keys.create_wrap_key(tpm, WELL_KNOWN, SRK, free, USAGE, MIGRATION)
        key = both_owned.load(blob)
        session = transport.establish(tpm, TransportPublic(LOG), SECRET)
        signature, digest = session.release_signed(None, key, REPLAY)
        assert signed(blob.public, signature, digest)


class TestLifetimes:
    def test_execute_transport_after_a_power_cycle(self, both_owned: Owned) -> None:
        session = transport.establish(both_owned.tpm, PLAIN, SECRET)
        both_owned.subject.power_cycle()
        with refused(Code.INVALID_AUTHHANDLE):
            session.tpm.code(Ord.GET_TICKS)

    def test_execute_transport_after_a_snapshot(self, ours_owned: Owned) -> None:
        session = encrypted(ours_owned, ENCRYPT | LOG | EXCLUSIVE)
        frozen = emulator(ours_owned).snapshot()
        emulator(ours_owned).power_on(type(frozen).decode(frozen.encode()))
        assert session.tpm.code(Ord.GET_TICKS) == 0
        assert ours_owned.tpm.code(Ord.GET_TICKS) == 0
        with refused(Code.INVALID_AUTHHANDLE):
            session.tpm.code(Ord.GET_TICKS)

    def test_execute_transport_of_a_command_with_a_new_secret(self, both_owned: Owned) -> None:
        """Encrypted twice: for the OSAP session, and for the transport."""
        session = encrypted(both_owned)
        osap = session.tpm.osap(Entity.KEY_HANDLE, SRK, WELL_KNOWN, keep=False, adip=Adip.AES_CTR)
        blob = storage.seal(session.tpm, osap, b"data", USAGE)
        assert storage.unseal(both_owned.tpm, WELL_KNOWN, USAGE, blob) == b"data"
