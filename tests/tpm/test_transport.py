# SPDX-License-Identifier: GPL-3.0-or-later
"""Transport sessions opened and released, and what they outlive: ours and swtpm's (Part 3, 24.1, 24.3)."""

from __future__ import annotations

import pytest

from tests.tpm.client import context, integrity, keys, signing, storage, ticks, transport
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
)
from tests.tpm.client.keyblobs import template
from tests.tpm.client.prepared import MIGRATION, USAGE, Owned
from tests.tpm.client.rsacrypt import encrypt_oaep, signed
from tests.tpm.client.tpm import refused
from tests.tpm.client.transport import ENCRYPT, EXCLUSIVE, LOG, TransportPublic
from tests.tpm.client.wire import sha1, sized, u16
from tests.tpm.transports import PLAIN, REPLAY, SECRET, cipher, encrypted

pytest_plugins = ("tests.tpm.client.fixtures",)


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
        frozen = ours_owned.ours.emulator.snapshot()
        ours_owned.ours.emulator.power_on(type(frozen).decode(frozen.encode()))
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
