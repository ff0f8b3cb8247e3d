# SPDX-License-Identifier: GPL-3.0-or-later
"""Signatures, quotes, certified keys and time stamps, ours and swtpm's (Part 3, 13.5, 13.8, 13.9, 16.3, 16.5
and 23.2).
"""

from __future__ import annotations

from dataclasses import replace

import pytest

from bootproof.tpm.structures.keys import StoreAsymKey
from tests.tpm.client import identity, integrity, keys, signing, ticks
from tests.tpm.client.constants import (
    SRK,
    WELL_KNOWN,
    AuthUsage,
    Code,
    Entity,
    KeyFlags,
    KeyUsage,
    Ord,
    SigScheme,
)
from tests.tpm.client.keyblobs import Key, template
from tests.tpm.client.pcr import Composite, PcrInfo, PcrInfoLong, PcrInfoShort, Selection, composite_digest
from tests.tpm.client.prepared import MIGRATION, OWNER_SECRET, USAGE, Owned
from tests.tpm.client.rsacrypt import signed, signed_der
from tests.tpm.client.subjects import Ours
from tests.tpm.client.tpm import refused
from tests.tpm.client.wire import hmac_sha1, sha1, sized, u16, u32

pytest_plugins = ("tests.tpm.client.fixtures",)

NONCE = bytes(range(20))
OTHER = b"another 20 byte data"
SCHEMES = [SigScheme.SHA1, SigScheme.DER, SigScheme.INFO]


def make(owned: Owned, wanted: Key) -> tuple[Key, int]:
    """Make a key below the SRK and load it."""
    made = keys.create_wrap_key(owned.tpm, WELL_KNOWN, SRK, wanted, USAGE, MIGRATION)
    return made, owned.load(made)


def signer(owned: Owned, scheme: int, auth_usage: int = AuthUsage.ALWAYS) -> tuple[Key, int]:
    return make(owned, template(KeyUsage.SIGNING, 0, auth_usage, bits=1024, sig_scheme=scheme))


class TestSign:
    def test_sha1_takes_a_digest(self, both_owned: Owned) -> None:
        made, key = signer(both_owned, SigScheme.SHA1)
        assert signed(made.public, signing.sign(both_owned.tpm, USAGE, key, NONCE), NONCE)
        for data in (NONCE[1:], NONCE + b"x", b""):
            with refused(Code.BAD_PARAMETER):
                signing.sign(both_owned.tpm, USAGE, key, data)

    def test_der_takes_what_fits(self, both_owned: Owned) -> None:
        made, key = signer(both_owned, SigScheme.DER)
        for data in (b"x", b"y" * 35, b"z" * 117):
            assert signed_der(made.public, signing.sign(both_owned.tpm, USAGE, key, data), data)
        for data in (b"", b"z" * 118):
            with refused(Code.BAD_PARAMETER):
                signing.sign(both_owned.tpm, USAGE, key, data)

    def test_info_signs_the_callers_nonce_too(self, both_owned: Owned) -> None:
        made, key = signer(both_owned, SigScheme.INFO)
        for data in (b"x", b"y" * 300):
            session = both_owned.tpm.oiap(USAGE)
            session.nonce_odd = OTHER
            signature = signing.sign(both_owned.tpm, session, key, data)
            assert signed(made.public, signature, signing.info_digest(data, OTHER))

    def test_info_cannot_do_without_a_nonce(self, both_owned: Owned) -> None:
        _, key = signer(both_owned, SigScheme.INFO, AuthUsage.NEVER)
        with refused(Code.BAD_PARAMETER):
            signing.sign(both_owned.tpm, None, key, NONCE)

    def test_small_keys_sign_by_our_own_arithmetic(self, ours_owned: Owned) -> None:
        wanted = template(KeyUsage.SIGNING, bits=512, sig_scheme=SigScheme.DER)
        made, key = make(ours_owned, wanted)
        modulus = int.from_bytes(made.modulus)
        signature = signing.sign(ours_owned.tpm, USAGE, key, NONCE)
        plain = pow(int.from_bytes(signature), 65537, modulus).to_bytes(64)
        assert plain == b"\0\1" + b"\xff" * 41 + b"\0" + NONCE

    def test_which_keys_sign(self, both_owned: Owned) -> None:
        legacy, key = make(both_owned, template(KeyUsage.LEGACY, bits=1024))
        assert signed(legacy.public, signing.sign(both_owned.tpm, USAGE, key, NONCE), NONCE)
        for handle, auth in ((both_owned.storage(), USAGE), (SRK, WELL_KNOWN)):
            with refused(Code.INVALID_KEYUSAGE):
                signing.sign(both_owned.tpm, auth, handle, NONCE)

    def test_an_identity_signs_nothing_that_is_given_to_it(self, both_owned: Owned) -> None:
        made = identity.make_identity(both_owned.tpm, WELL_KNOWN, OWNER_SECRET, USAGE, NONCE)
        with refused(Code.INVALID_KEYUSAGE):
            signing.sign(both_owned.tpm, USAGE, both_owned.load(made.key), NONCE)

    def test_authorisation(self, both_owned: Owned) -> None:
        tpm, key = both_owned.tpm, both_owned.signing()
        with refused(Code.AUTHFAIL):
            signing.sign(tpm, WELL_KNOWN, key, NONCE)
        with refused(Code.AUTHFAIL):
            signing.sign(tpm, None, key, NONCE)
        with refused(Code.INVALID_KEYHANDLE):
            signing.sign(tpm, USAGE, 0x05123456, NONCE)
        with refused(Code.AUTHFAIL):
            signing.sign(tpm, tpm.osap(Entity.KEY_HANDLE, SRK, WELL_KNOWN), key, NONCE)
        _, free = signer(both_owned, SigScheme.SHA1, AuthUsage.NEVER)
        assert signing.sign(tpm, None, free, NONCE)


class TestQuote:
    def test_the_pcrs_are_signed(self, both_owned: Owned) -> None:
        tpm, key = both_owned.tpm, both_owned.signing()
        integrity.extend(tpm, 10, NONCE)
        values = [integrity.pcr_read(tpm, index) for index in (0, 10, 23)]
        quote = signing.quote(tpm, USAGE, key, OTHER, Selection.of(0, 10, 23))
        assert quote.composite == Composite.of((0, 10, 23), values)
        assert signed(both_owned.made.signing.public, quote.signature, quote.signed_digest(OTHER))

    def test_a_short_selection_comes_back_as_it_was(self, both_owned: Owned) -> None:
        key = both_owned.signing()
        quote = signing.quote(both_owned.tpm, USAGE, key, OTHER, Selection.of(1, size=1))
        assert quote.composite.selection == Selection.of(1, size=1)
        assert signed(both_owned.made.signing.public, quote.signature, quote.signed_digest(OTHER))

    def test_no_pcr_has_no_digest(self, both_owned: Owned) -> None:
        key = both_owned.signing()
        quote = signing.quote(both_owned.tpm, USAGE, key, OTHER, Selection.of())
        digest = sha1(b"\1\1\0\0QUOT", bytes(20), OTHER)
        assert signed(both_owned.made.signing.public, quote.signature, digest)

    def test_a_selection_of_more_pcrs_than_there_are(self, both_owned: Owned) -> None:
        key = both_owned.signing()
        with refused(Code.INVALID_PCR_INFO):
            signing.quote(both_owned.tpm, USAGE, key, OTHER, Selection.of(1, size=4))

    def test_an_info_key_quotes_and_a_der_key_does_not(self, both_owned: Owned) -> None:
        made, key = signer(both_owned, SigScheme.INFO)
        quote = signing.quote(both_owned.tpm, USAGE, key, OTHER, Selection.of(0))
        assert signed(made.public, quote.signature, quote.signed_digest(OTHER))
        _, key = signer(both_owned, SigScheme.DER)
        with refused(Code.INAPPROPRIATE_SIG):
            signing.quote(both_owned.tpm, USAGE, key, OTHER, Selection.of(0))
        with refused(Code.INAPPROPRIATE_SIG):
            signing.quote(both_owned.tpm, WELL_KNOWN, SRK, OTHER, Selection.of(0))
        with refused(Code.AUTHFAIL):
            signing.quote(both_owned.tpm, WELL_KNOWN, key, OTHER, Selection.of(0))


class TestQuote2:
    @pytest.mark.parametrize("version", [False, True])
    def test_pcrs_locality_and_version_are_signed(self, both_owned: Owned, version: bool) -> None:
        tpm, key = both_owned.tpm, both_owned.signing()
        both_owned.subject.set_locality(3)
        now = composite_digest([0, 17], [integrity.pcr_read(tpm, index) for index in (0, 17)])
        quote = signing.quote2(tpm, USAGE, key, OTHER, Selection.of(0, 17), version)
        assert quote.info == PcrInfoShort(Selection.of(0, 17), now, 1 << 3)
        assert bool(quote.version_info) is version
        assert signed(both_owned.made.signing.public, quote.signature, quote.signed_digest(OTHER))

    def test_keys_and_selections(self, both_owned: Owned) -> None:
        tpm = both_owned.tpm
        _, key = signer(both_owned, SigScheme.DER)
        with refused(Code.INAPPROPRIATE_SIG):
            signing.quote2(tpm, USAGE, key, OTHER, Selection.of(0))
        with refused(Code.INVALID_PCR_INFO):
            signing.quote2(tpm, USAGE, both_owned.signing(), OTHER, Selection.of(0, size=4))
        with refused(Code.AUTHFAIL):
            signing.quote2(tpm, None, key, OTHER, Selection.of(0))


class TestTickStampBlob:
    def test_time_and_digest_are_signed(self, both_owned: Owned) -> None:
        tpm, key = both_owned.tpm, both_owned.signing()
        before = ticks.get_ticks(tpm)
        stamp = ticks.tick_stamp_blob(tpm, USAGE, key, NONCE, OTHER)
        assert stamp.ticks.nonce == before.nonce
        assert stamp.ticks.ticks >= before.ticks
        assert signed(both_owned.made.signing.public, stamp.signature, stamp.signed_digest(NONCE, OTHER))

    def test_keys(self, both_owned: Owned) -> None:
        tpm = both_owned.tpm
        _, key = signer(both_owned, SigScheme.DER)
        with refused(Code.INAPPROPRIATE_SIG):
            ticks.tick_stamp_blob(tpm, USAGE, key, NONCE, OTHER)
        with refused(Code.INVALID_KEYUSAGE):
            ticks.tick_stamp_blob(tpm, WELL_KNOWN, SRK, NONCE, OTHER)
        with refused(Code.AUTHFAIL):
            ticks.tick_stamp_blob(tpm, WELL_KNOWN, key, NONCE, OTHER)


def aik(owned: Owned) -> tuple[Key, int]:
    made = identity.make_identity(owned.tpm, WELL_KNOWN, OWNER_SECRET, USAGE, NONCE)
    return made.key, owned.load(made.key)


class TestCertifyKey:
    def test_a_key_without_pcrs(self, both_owned: Owned) -> None:
        made, key = make(both_owned, template(KeyUsage.BIND, bits=1024))
        found = keys.certify_key(both_owned.tpm, USAGE, USAGE, both_owned.signing(), key, NONCE)
        assert signed(both_owned.made.signing.public, found.signature, found.info.digest)
        assert found.info.head == b"\1\1\0\0"
        assert (found.info.usage, found.info.pcr_info) == (KeyUsage.BIND, b"")
        assert (found.info.pubkey_digest, found.info.nonce) == (sha1(made.modulus), NONCE)
        assert found.info.parms == made.parms

    def test_pcrs_of_tpm_11_take_44_bytes(self, ours_owned: Owned) -> None:
        now = composite_digest([2], [bytes(20)])
        _, key = make(ours_owned, replace(_SMALL, pcr_info=PcrInfo(Selection.of(2), now).encode()))
        found = keys.certify_key(ours_owned.tpm, USAGE, USAGE, ours_owned.signing(), key, NONCE)
        assert found.info.pcr_info == PcrInfo(Selection.of(2, size=2), now).encode()
        assert len(found.info.pcr_info) == 44

    @pytest.mark.parametrize(("pcr", "localities"), [(16, 0x1F), (2, 1)])
    def test_localities_and_higher_pcrs_need_the_new_layout(
        self, both_owned: Owned, pcr: int, localities: int
    ) -> None:
        now = composite_digest([pcr], [bytes(20)])
        binding = PcrInfoLong(Selection.of(pcr), now, locality_at_release=localities)
        _, key = make(both_owned, replace(_SMALL, key12=True, pcr_info=binding.encode()))
        found = keys.certify_key(both_owned.tpm, USAGE, USAGE, both_owned.signing(), key, NONCE)
        assert (found.info.head[:2], found.info.payload_type) == (u16(0x29), 1)
        assert found.info.pcr_info == PcrInfoShort(Selection.of(pcr), now, localities).encode()
        assert signed(both_owned.made.signing.public, found.signature, found.info.digest)

    def test_ancestors_that_depend_on_pcrs_are_told(self, both_owned: Owned) -> None:
        now = composite_digest([2], [bytes(20)])
        info = PcrInfoLong(Selection.of(2), now).encode()
        _, parent = make(both_owned, replace(template(KeyUsage.STORAGE), key12=True, pcr_info=info))
        child = keys.create_wrap_key(both_owned.tpm, USAGE, parent, _SMALL, USAGE)
        key = keys.load_key2(both_owned.tpm, USAGE, child, parent)
        certifier = both_owned.signing()
        assert keys.certify_key(both_owned.tpm, USAGE, USAGE, certifier, key, NONCE).info.parent_pcr_status
        found = keys.certify_key(both_owned.tpm, USAGE, USAGE, certifier, parent, NONCE)
        assert not found.info.parent_pcr_status

    def test_authorisations(self, both_owned: Owned) -> None:
        tpm, certifier, key = both_owned.tpm, both_owned.signing(), both_owned.storage()
        with refused(Code.AUTHFAIL):
            keys.certify_key(tpm, WELL_KNOWN, USAGE, certifier, key, NONCE)
        with refused(Code.AUTH2FAIL):
            keys.certify_key(tpm, USAGE, WELL_KNOWN, certifier, key, NONCE)
        for auth in (USAGE, None):
            with refused(Code.AUTHFAIL):
                keys.certify_key(tpm, None, auth, certifier, key, NONCE)

    def test_fewer_authorisations_where_no_secret_is_needed(self, both_owned: Owned) -> None:
        tpm = both_owned.tpm
        made, certifier = signer(both_owned, SigScheme.SHA1, AuthUsage.NEVER)
        _, open_key = signer(both_owned, SigScheme.SHA1, AuthUsage.PRIVATE_USE_ONLY)
        for auth, key in ((USAGE, both_owned.storage()), (None, open_key)):
            found = keys.certify_key(tpm, None, auth, certifier, key, NONCE)
            assert signed(made.public, found.signature, found.info.digest)

    def test_a_wrong_secret_alone_is_authfail(self, ours_owned: Owned) -> None:
        _, certifier = signer(ours_owned, SigScheme.SHA1, AuthUsage.NEVER)
        with refused(Code.AUTHFAIL):
            keys.certify_key(ours_owned.tpm, None, WELL_KNOWN, certifier, ours_owned.storage(), NONCE)

    def test_who_certifies_what(self, both_owned: Owned) -> None:
        tpm, key = both_owned.tpm, both_owned.signing()
        _, der = signer(both_owned, SigScheme.DER)
        for certifier in (der, both_owned.storage()):
            with refused(Code.BAD_KEY_PROPERTY):
                keys.certify_key(tpm, USAGE, USAGE, certifier, key, NONCE)
        with refused(Code.INVALID_KEYHANDLE):
            keys.certify_key(tpm, USAGE, USAGE, key, 0x05123456, NONCE)
        with refused(Code.INVALID_KEYHANDLE):
            keys.certify_key(tpm, USAGE, USAGE, 0x05123456, key, NONCE)

    def test_an_identity_vouches_for_keys_that_stay(self, both_owned: Owned) -> None:
        public, certifier = aik(both_owned)
        found = keys.certify_key(both_owned.tpm, USAGE, USAGE, certifier, both_owned.storage(), NONCE)
        assert signed(public.public, found.signature, found.info.digest)
        migratable = both_owned.load(both_owned.made.migratable)
        plain = keys.certify_key(both_owned.tpm, USAGE, USAGE, both_owned.signing(), migratable, NONCE)
        assert plain.info.flags == KeyFlags.MIGRATABLE
        with refused(Code.MIGRATEFAIL):
            keys.certify_key(both_owned.tpm, USAGE, USAGE, certifier, migratable, NONCE)
        with refused(Code.MIGRATEFAIL):
            keys.certify_key2(both_owned.tpm, USAGE, USAGE, migratable, certifier, NONCE)

    def test_a_migration_key_is_not_certified(self, ours_owned: Owned) -> None:
        _, key = make(ours_owned, template(KeyUsage.MIGRATE))
        with refused(Code.INVALID_KEYUSAGE):
            keys.certify_key(ours_owned.tpm, USAGE, USAGE, ours_owned.signing(), key, NONCE)
        with refused(Code.INVALID_KEYUSAGE):
            keys.certify_key2(ours_owned.tpm, USAGE, USAGE, key, ours_owned.signing(), NONCE)


_SMALL = template(KeyUsage.SIGNING, bits=1024)


class TestCertifyKey2:
    def test_the_layout_is_always_the_new_one(self, both_owned: Owned) -> None:
        made, key = make(both_owned, _SMALL)
        found = keys.certify_key2(both_owned.tpm, USAGE, USAGE, key, both_owned.signing(), NONCE)
        assert signed(both_owned.made.signing.public, found.signature, found.info.digest)
        assert (found.info.head, found.info.payload_type) == (u16(0x29) + b"\0\1", 1)
        assert (found.info.pubkey_digest, found.info.migration_authority) == (sha1(made.modulus), b"")

    def test_pcrs(self, both_owned: Owned) -> None:
        now = composite_digest([2], [bytes(20)])
        binding = PcrInfo(Selection.of(2), now).encode()
        _, key = make(both_owned, replace(_SMALL, pcr_info=binding))
        certifier = both_owned.signing()
        found = keys.certify_key2(both_owned.tpm, USAGE, USAGE, key, certifier, NONCE)
        assert found.info.pcr_info == PcrInfoShort(Selection.of(2), now).encode()
        integrity.extend(both_owned.tpm, 2, NONCE)
        with refused(Code.WRONGPCRVAL):
            keys.certify_key2(both_owned.tpm, USAGE, USAGE, key, certifier, NONCE)

    def test_authorisations(self, both_owned: Owned) -> None:
        tpm, certifier, key = both_owned.tpm, both_owned.signing(), both_owned.storage()
        with refused(Code.AUTHFAIL):
            keys.certify_key2(tpm, WELL_KNOWN, USAGE, key, certifier, NONCE)
        with refused(Code.AUTH2FAIL):
            keys.certify_key2(tpm, USAGE, WELL_KNOWN, key, certifier, NONCE)
        with refused(Code.AUTHFAIL):
            keys.certify_key2(tpm, None, USAGE, key, certifier, NONCE)
        made, open_key = signer(both_owned, SigScheme.SHA1, AuthUsage.NEVER)
        assert keys.certify_key2(tpm, None, USAGE, open_key, certifier, NONCE)
        found = keys.certify_key2(tpm, None, None, open_key, open_key, NONCE)
        assert signed(made.public, found.signature, found.info.digest)
        _, der = signer(both_owned, SigScheme.DER)
        with refused(Code.BAD_KEY_PROPERTY):
            keys.certify_key2(tpm, USAGE, USAGE, key, der, NONCE)

    def test_a_certified_migration_key_names_its_authorities(self, ours_owned: Owned) -> None:
        """The key gets its payload in the emulator, as TPM_CMK_CreateKey would give it."""
        tpm, key = ours_owned.tpm, ours_owned.load(ours_owned.made.migratable)
        emulator = ours_owned.ours.emulator
        loaded = emulator.keys.get(key)
        public = ours_owned.made.migratable.public
        proof = emulator.permanent.tpm_proof
        bound = hmac_sha1(proof, u16(0x33), OTHER, sha1(public.encode()))
        secret: StoreAsymKey = replace(loaded.secret, payload=6, migration_auth=bound)
        flags = KeyFlags.MIGRATABLE | KeyFlags.MIGRATE_AUTHORITY
        loaded.stored = replace(loaded.stored, secret=secret, key=replace(loaded.key, flags=int(flags)))
        _, certifier = aik(ours_owned)
        found = keys.certify_key2(tpm, USAGE, USAGE, key, certifier, NONCE, OTHER)
        assert found.info.migration_authority == sha1(OTHER, b"\6")
        assert found.info.payload_type == 6
        with refused(Code.MA_SOURCE):
            keys.certify_key2(tpm, USAGE, USAGE, key, certifier, NONCE, NONCE)
        with refused(Code.INVALID_KEYUSAGE):
            keys.certify_key(tpm, USAGE, USAGE, ours_owned.signing(), key, NONCE)


@pytest.mark.parametrize("ordinal", [Ord.QUOTE, Ord.SIGN, Ord.CERTIFY_KEY])
def test_without_an_owner_nothing_is_signed(both: Ours, ordinal: int) -> None:
    body = {
        Ord.QUOTE: u32(SRK) + NONCE + Selection.of(0).encode(),
        Ord.SIGN: u32(SRK) + sized(NONCE),
        Ord.CERTIFY_KEY: u32(SRK) + u32(SRK) + NONCE,
    }[Ord(ordinal)]
    assert both.tpm.code(ordinal, body) == Code.NOSRK
