# SPDX-License-Identifier: GPL-3.0-or-later
"""Making, loading, showing, keeping, letting go of keys: ours, swtpm's (Part 3, 10.4 to 10.6, 21.1, 27)."""

from __future__ import annotations

from dataclasses import replace

import pytest

from bootproof.tpm.crypto.rsa import PrivateKey
from tests.tpm.client import context, integrity, keys, owner, signing, storage
from tests.tpm.client.capability import handles
from tests.tpm.client.constants import (
    SRK,
    WELL_KNOWN,
    Adip,
    AuthUsage,
    Code,
    EncScheme,
    Entity,
    KeyFlags,
    KeyUsage,
    Ord,
    Resource,
    SigScheme,
)
from tests.tpm.client.keyblobs import Key, KeyParms, template
from tests.tpm.client.pcr import PcrInfo, PcrInfoLong, Selection, composite_digest
from tests.tpm.client.prepared import MIGRATION, OWNER_SECRET, USAGE, Owned
from tests.tpm.client.rsacrypt import encrypt_oaep, signed
from tests.tpm.client.subjects import Ours
from tests.tpm.client.tpm import refused
from tests.tpm.client.wire import Struct, sha1, sized, u8, u32

pytest_plugins = ("tests.tpm.client.fixtures",)

DIGEST = bytes(range(20))
OWNER_EVICT = 1
SMALL = template(KeyUsage.SIGNING, bits=1024)
BAD_HANDLE = 0x05123456


def ours_of(owned: Owned) -> Ours:
    assert isinstance(owned.subject, Ours)
    return owned.subject


def make(owned: Owned, wanted: Key, parent: int = SRK, parent_auth: bytes = WELL_KNOWN) -> Key:
    return keys.create_wrap_key(owned.tpm, parent_auth, parent, wanted, USAGE, MIGRATION)


def bound_to_now(owned: Owned, *indices: int, localities: int = 0x1F) -> PcrInfoLong:
    """Return a binding to the PCRs as they are."""
    digest = composite_digest(indices, [integrity.pcr_read(owned.tpm, index) for index in indices])
    return PcrInfoLong(
        Selection.of(*indices), digest, Selection.of(*indices), locality_at_release=localities
    )


class TestCreateWrapKey:
    @pytest.mark.parametrize("key12", [False, True])
    @pytest.mark.parametrize(
        ("usage", "enc", "sig"),
        [
            (KeyUsage.SIGNING, EncScheme.NONE, SigScheme.SHA1),
            (KeyUsage.SIGNING, EncScheme.NONE, SigScheme.DER),
            (KeyUsage.SIGNING, EncScheme.NONE, SigScheme.INFO),
            (KeyUsage.BIND, EncScheme.OAEP, SigScheme.NONE),
            (KeyUsage.BIND, EncScheme.PKCS1, SigScheme.NONE),
            (KeyUsage.LEGACY, EncScheme.PKCS1, SigScheme.SHA1),
            (KeyUsage.LEGACY, EncScheme.OAEP, SigScheme.DER),
        ],
    )
    def test_every_usage_and_scheme(
        self, ours_owned: Owned, usage: KeyUsage, enc: int, sig: int, key12: bool
    ) -> None:
        wanted = template(usage, bits=1024, enc_scheme=enc, sig_scheme=sig, key12=key12)
        made = make(ours_owned, wanted)
        assert made.changed(modulus=b"", enc_data=b"") == wanted
        assert len(made.modulus) == 128
        assert ours_owned.load(made)

    @pytest.mark.parametrize("bits", [512, 768, 1024, 1536, 2048])
    def test_every_size_makes_a_key_that_signs(self, ours_owned: Owned, bits: int) -> None:
        made = make(ours_owned, template(KeyUsage.SIGNING, bits=bits))
        assert int.from_bytes(made.modulus).bit_length() == bits
        signature = signing.sign(ours_owned.tpm, USAGE, ours_owned.load(made), DIGEST)
        plain = pow(int.from_bytes(signature), 65537, int.from_bytes(made.modulus))
        assert plain.to_bytes(bits // 8).endswith(DIGEST)

    @pytest.mark.parametrize("adip", Adip)
    def test_secrets_travel_encrypted_and_the_session_ends(self, both_owned: Owned, adip: Adip) -> None:
        tpm = both_owned.tpm
        session = tpm.osap(Entity.KEY_HANDLE, SRK, adip=adip)
        made = keys.create_wrap_key(tpm, session, SRK, SMALL, USAGE, MIGRATION)
        assert not session.open
        assert signed(made.public, signing.sign(tpm, USAGE, both_owned.load(made), DIGEST), DIGEST)

    def test_a_key_remembers_the_pcrs_of_its_creation(self, both_owned: Owned) -> None:
        integrity.extend(both_owned.tpm, 4, DIGEST)
        now = composite_digest([4], [integrity.pcr_read(both_owned.tpm, 4)])
        old = make(both_owned, replace(SMALL, pcr_info=PcrInfo(Selection.of(4), now).encode()))
        assert PcrInfo.decode(old.pcr_info).at_creation == now
        both_owned.subject.set_locality(1)
        binding = bound_to_now(both_owned, 4)
        new = make(both_owned, replace(SMALL, key12=True, pcr_info=binding.encode()))
        found = PcrInfoLong.decode(new.pcr_info)
        assert (found.at_creation, found.locality_at_creation) == (now, 2)

    @pytest.mark.parametrize(
        ("wanted", "code"),
        [
            (template(KeyUsage.IDENTITY), Code.INVALID_KEYUSAGE),
            (template(KeyUsage.AUTH_CHANGE, bits=512), Code.INVALID_KEYUSAGE),
            (template(KeyUsage.SIGNING, KeyFlags.MIGRATE_AUTHORITY), Code.INVALID_KEYUSAGE),
            (template(KeyUsage.STORAGE, bits=1024), Code.BAD_KEY_PROPERTY),
            (template(KeyUsage.MIGRATE, bits=1024), Code.BAD_KEY_PROPERTY),
            (template(KeyUsage.STORAGE, enc_scheme=EncScheme.PKCS1), Code.BAD_KEY_PROPERTY),
            (template(KeyUsage.SIGNING, enc_scheme=EncScheme.OAEP), Code.BAD_KEY_PROPERTY),
            (template(KeyUsage.SIGNING, sig_scheme=SigScheme.NONE), Code.BAD_KEY_PROPERTY),
            (template(KeyUsage.LEGACY, sig_scheme=SigScheme.INFO), Code.BAD_KEY_PROPERTY),
            (template(KeyUsage.SIGNING, bits=4096), Code.BAD_KEY_PROPERTY),
            (replace(SMALL, usage=0x17), Code.BAD_KEY_PROPERTY),
            (replace(SMALL, flags=0x20), Code.BAD_KEY_PROPERTY),
            (replace(SMALL, version=b"\1\2\0\0"), Code.BAD_VERSION),
            (replace(SMALL, version=b"\2\1\0\0"), Code.BAD_VERSION),
            (replace(SMALL, parms=KeyParms(6, 1, 2, SMALL.parms.parms)), Code.BAD_KEY_PROPERTY),
            (replace(SMALL, parms=KeyParms(1, 1, 2, u32(1024) + u32(3) + u32(0))), Code.BAD_KEY_PROPERTY),
        ],
    )
    def test_keys_that_are_not_made(self, both_owned: Owned, wanted: Key, code: Code) -> None:
        with refused(code):
            make(both_owned, wanted)

    @pytest.mark.parametrize(("bits", "code"), [(256, Code.BAD_KEY_PROPERTY), (1020, Code.BAD_KEY_PROPERTY)])
    def test_sizes_that_are_not_made(self, ours_owned: Owned, bits: int, code: Code) -> None:
        with refused(code):
            make(ours_owned, template(KeyUsage.SIGNING, bits=bits))

    @pytest.mark.parametrize("exponent", [3, 5, 7, 17, 257])
    def test_keys_with_small_exponents(self, both_owned: Owned, exponent: int) -> None:
        parameters = KeyParms.rsa(1024, 1, 2, exponent.to_bytes(2))
        made = make(both_owned, replace(SMALL, parms=parameters))
        signature = signing.sign(both_owned.tpm, USAGE, both_owned.load(made), DIGEST)
        opened = pow(int.from_bytes(signature), exponent, int.from_bytes(made.modulus))
        assert opened % 2**160 == int.from_bytes(DIGEST)

    @pytest.mark.parametrize("exponent", [1, 2, 4, 9, 15, 65539])
    def test_exponents_that_are_not_made(self, both_owned: Owned, exponent: int) -> None:
        with refused(Code.BAD_KEY_PROPERTY):
            make(both_owned, replace(SMALL, parms=KeyParms.rsa(1024, 1, 2, exponent.to_bytes(3))))

    @pytest.mark.parametrize(
        ("info", "key12"),
        [
            (PcrInfo(Selection.of(1, size=4), DIGEST), False),
            (PcrInfoLong(Selection.of(1), DIGEST), False),
            (PcrInfo(Selection.of(1), DIGEST), True),
            (PcrInfoLong(Selection.of(1, size=4), DIGEST), True),
            (PcrInfoLong(Selection.of(1), DIGEST, locality_at_release=0), True),
            (PcrInfoLong(Selection.of(1), DIGEST, locality_at_release=0x20), True),
        ],
    )
    def test_bindings_that_are_none(self, ours_owned: Owned, info: Struct, key12: bool) -> None:
        with refused(Code.INVALID_PCR_INFO):
            make(ours_owned, replace(SMALL, key12=key12, pcr_info=info.encode()))

    def test_a_parent_must_be_for_storage(self, both_owned: Owned) -> None:
        signer = both_owned.signing()
        with refused(Code.INVALID_KEYUSAGE):
            make(both_owned, SMALL, signer, USAGE)

    def test_a_migratable_parent_has_only_migratable_keys(self, ours_owned: Owned) -> None:
        parent = ours_owned.load(make(ours_owned, template(KeyUsage.STORAGE, KeyFlags.MIGRATABLE)))
        with refused(Code.INVALID_KEYUSAGE):
            make(ours_owned, SMALL, parent, USAGE)
        assert make(ours_owned, replace(SMALL, flags=KeyFlags.MIGRATABLE), parent, USAGE)

    def test_the_session_must_be_osap_and_know_the_secret(self, both_owned: Owned) -> None:
        tpm = both_owned.tpm
        with refused(Code.BAD_MODE):
            keys.create_wrap_key(tpm, tpm.oiap(WELL_KNOWN), SRK, SMALL)
        with refused(Code.AUTHFAIL):
            keys.create_wrap_key(tpm, b"x" * 20, SRK, SMALL)
        with refused(Code.INVALID_KEYHANDLE):
            keys.create_wrap_key(tpm, tpm.osap(Entity.KEY_HANDLE, SRK), BAD_HANDLE, SMALL)

    @pytest.mark.parametrize(
        "wanted",
        [
            template(KeyUsage.SIGNING, bits=512),
            template(KeyUsage.LEGACY, bits=1024),
            template(KeyUsage.SIGNING, auth_usage=AuthUsage.NEVER),
        ],
    )
    def test_fips_mode_makes_and_loads_no_weak_keys(self, ours_owned: Owned, wanted: Key) -> None:
        made = make(ours_owned, wanted)
        ours_of(ours_owned).emulator.commit_flags(fips=True)
        with refused(Code.NOTFIPS):
            ours_owned.load(made)
        with refused(Code.NOTFIPS):
            session = ours_owned.tpm.osap(Entity.KEY_HANDLE, SRK, adip=Adip.AES_CTR)
            keys.create_wrap_key(ours_owned.tpm, session, SRK, wanted)
        with refused(Code.INAPPROPRIATE_ENC):
            ours_owned.tpm.osap(Entity.KEY_HANDLE, SRK)


@pytest.mark.parametrize(
    ("ordinal", "body"),
    [
        (Ord.LOAD_KEY2, u32(SRK) + SMALL.encode()),
        (Ord.GET_PUB_KEY, u32(SRK)),
        (Ord.EVICT_KEY, u32(BAD_HANDLE)),
        (Ord.SIGN, u32(SRK) + sized(DIGEST)),
    ],
)
def test_without_an_owner_there_are_no_keys(both: Ours, ordinal: int, body: bytes) -> None:
    assert both.tpm.code(ordinal, body) == Code.NOSRK


def wrapped_outside(owned: Owned, private: PrivateKey, wanted: Key, **changes: bytes) -> Key:
    """Return a key that was made outside of the TPM, as Tspi_Key_WrapKey does; `changes` spoil it."""
    key = wanted.changed(modulus=private.public.modulus)
    fields = {
        "payload": u8(1),
        "usage": USAGE,
        "migration": MIGRATION,
        "digest": sha1(key.encode()[:-4]),
        "prime": sized(private.prime),
    }
    return key.changed(enc_data=encrypt_oaep(owned.made.srk.public, b"".join((fields | changes).values())))


MIGRATABLE = replace(SMALL, flags=KeyFlags.MIGRATABLE)


@pytest.fixture(scope="session")
def outside() -> PrivateKey:
    return PrivateKey.generate(1024)


class TestLoadKey2:
    def test_a_key_from_outside_is_loaded_and_signs(self, both_owned: Owned, outside: PrivateKey) -> None:
        key = wrapped_outside(both_owned, outside, MIGRATABLE)
        signature = signing.sign(both_owned.tpm, USAGE, both_owned.load(key), DIGEST)
        assert signed(key.public, signature, DIGEST)

    @pytest.mark.parametrize(
        ("changes", "code"),
        [
            ({"digest": DIGEST}, Code.AUTHFAIL),
            ({"payload": u8(5)}, Code.INVALID_STRUCTURE),
            ({"payload": u8(2)}, Code.INVALID_STRUCTURE),
        ],
    )
    def test_secrets_that_do_not_fit(
        self, both_owned: Owned, outside: PrivateKey, changes: dict[str, bytes], code: Code
    ) -> None:
        with refused(code):
            both_owned.load(wrapped_outside(both_owned, outside, MIGRATABLE, **changes))

    @pytest.mark.parametrize("prime", [b"", b"\1", b"\3" * 64, bytes(64)])
    def test_halves_that_do_not_belong_together(
        self, ours_owned: Owned, outside: PrivateKey, prime: bytes
    ) -> None:
        with refused(Code.BAD_KEY_PROPERTY):
            ours_owned.load(wrapped_outside(ours_owned, outside, MIGRATABLE, prime=sized(prime)))
        other = MIGRATABLE.changed(parms=KeyParms.rsa(2048, 1, 2))
        with refused(Code.BAD_KEY_PROPERTY):
            ours_owned.load(wrapped_outside(ours_owned, outside, other))

    def test_a_key_that_must_not_migrate_has_this_tpms_proof(
        self, both_owned: Owned, outside: PrivateKey
    ) -> None:
        with refused(Code.INVALID_KEYUSAGE):
            both_owned.load(wrapped_outside(both_owned, outside, SMALL))

    def test_an_identity_must_not_migrate_and_an_authchange_key_not_be_loaded(
        self, both_owned: Owned, outside: PrivateKey
    ) -> None:
        identity = template(KeyUsage.IDENTITY, KeyFlags.MIGRATABLE)
        big = PrivateKey.generate(2048)
        with refused(Code.INVALID_KEYUSAGE):
            both_owned.load(wrapped_outside(both_owned, big, identity))
        change = template(KeyUsage.AUTH_CHANGE, KeyFlags.MIGRATABLE, bits=1024)
        with refused(Code.INVALID_KEYUSAGE):
            both_owned.load(wrapped_outside(both_owned, outside, change))

    def test_what_is_encrypted_for_another_key_is_not_loaded(self, both_owned: Owned) -> None:
        with refused(Code.DECRYPT_ERROR):
            both_owned.load(both_owned.made.signing.changed(enc_data=bytes(255) + b"\1"))
        with refused(Code.DECRYPT_ERROR):
            both_owned.load(both_owned.made.signing, USAGE, both_owned.storage())
        for size, code in ((0, Code.DECRYPT_ERROR), (255, Code.DECRYPT_ERROR), (257, Code.BAD_DATASIZE)):
            with refused(code):
                both_owned.load(both_owned.made.signing.changed(enc_data=b"x" * size))

    def test_a_changed_public_part_is_noticed(self, both_owned: Owned) -> None:
        changed = both_owned.made.signing.changed(auth_usage=AuthUsage.NEVER)
        with refused(Code.AUTHFAIL):
            both_owned.load(changed)

    def test_the_parent_must_be_for_storage_and_its_secret_known(self, both_owned: Owned) -> None:
        signer = both_owned.signing()
        with refused(Code.INVALID_KEYUSAGE):
            both_owned.load(both_owned.made.signing, USAGE, signer)
        with refused(Code.AUTHFAIL):
            both_owned.load(both_owned.made.signing, b"x" * 20)
        with refused(Code.AUTHFAIL):
            keys.load_key2(both_owned.tpm, None, both_owned.made.signing)
        with refused(Code.INVALID_KEYHANDLE):
            both_owned.load(both_owned.made.signing, WELL_KNOWN, BAD_HANDLE)

    def test_a_parent_without_secret_needs_no_authorisation(self, ours_owned: Owned) -> None:
        parent = make(ours_owned, template(KeyUsage.STORAGE, auth_usage=AuthUsage.NEVER))
        handle = ours_owned.load(parent)
        child = make(ours_owned, SMALL, handle, USAGE)
        assert keys.load_key2(ours_owned.tpm, None, child, handle)

    def test_every_slot_can_be_filled(self, both_owned: Owned) -> None:
        loaded = [both_owned.signing() for _ in range(20)]
        assert len(set(loaded)) == 20
        with refused(Code.NOSPACE):
            both_owned.signing()
        keys.flush_specific(both_owned.tpm, loaded[0])
        assert both_owned.signing()

    def test_a_locality_and_pcrs_are_asked_at_use(self, both_owned: Owned) -> None:
        binding = bound_to_now(both_owned, 5)
        key = both_owned.load(make(both_owned, replace(SMALL, key12=True, pcr_info=binding.encode())))
        assert signing.sign(both_owned.tpm, USAGE, key, DIGEST)
        integrity.extend(both_owned.tpm, 5, DIGEST)
        with refused(Code.WRONGPCRVAL):
            signing.sign(both_owned.tpm, USAGE, key, DIGEST)

    def test_a_key_for_locality_1_is_not_used_from_0(self, ours_owned: Owned) -> None:
        binding = PcrInfoLong(Selection.of(), bytes(20), locality_at_release=2)
        key = ours_owned.load(make(ours_owned, replace(SMALL, key12=True, pcr_info=binding.encode())))
        with refused(Code.BAD_LOCALITY):
            signing.sign(ours_owned.tpm, USAGE, key, DIGEST)
        ours_owned.subject.set_locality(1)
        assert signing.sign(ours_owned.tpm, USAGE, key, DIGEST)

    def test_an_old_binding_works_in_every_locality(self, both_owned: Owned) -> None:
        now = composite_digest([3], [integrity.pcr_read(both_owned.tpm, 3)])
        key = both_owned.load(
            make(both_owned, replace(SMALL, pcr_info=PcrInfo(Selection.of(3), now).encode()))
        )
        both_owned.subject.set_locality(2)
        assert signing.sign(both_owned.tpm, USAGE, key, DIGEST)


def test_load_key_covers_the_handle_by_its_hmac(both_owned: Owned) -> None:
    """TPM_LoadKey: the client checks the response's HMAC over the handle."""
    key = keys.load_key(both_owned.tpm, WELL_KNOWN, both_owned.made.signing)
    assert handles(both_owned.tpm, Resource.KEY) == [key]


class TestGetPubKey:
    def test_the_public_key_is_shown_to_who_may_use_it(self, both_owned: Owned) -> None:
        key = both_owned.signing()
        assert keys.get_pub_key(both_owned.tpm, USAGE, key) == both_owned.made.signing.public
        with refused(Code.AUTHFAIL):
            keys.get_pub_key(both_owned.tpm, None, key)
        with refused(Code.AUTHFAIL):
            keys.get_pub_key(both_owned.tpm, WELL_KNOWN, key)
        with refused(Code.INVALID_KEYHANDLE):
            keys.get_pub_key(both_owned.tpm, USAGE, BAD_HANDLE)

    @pytest.mark.parametrize("usage", [AuthUsage.NEVER, AuthUsage.PRIVATE_USE_ONLY])
    def test_keys_that_anybody_may_read(self, both_owned: Owned, usage: int) -> None:
        made = make(both_owned, replace(SMALL, auth_usage=usage))
        assert keys.get_pub_key(both_owned.tpm, None, both_owned.load(made)) == made.public

    def test_the_srk_is_shown_only_if_the_owner_says_so(self, both_owned: Owned) -> None:
        with refused(Code.INVALID_KEYHANDLE):
            keys.get_pub_key(both_owned.tpm, WELL_KNOWN, SRK)

    @pytest.mark.parametrize("ignored", [False, True])
    def test_pcrs_matter_unless_the_key_says_otherwise(self, both_owned: Owned, ignored: bool) -> None:
        flags = KeyFlags.PCR_IGNORED_ON_READ if ignored else KeyFlags.NONE
        binding = bound_to_now(both_owned, 6).encode()
        made = make(both_owned, replace(SMALL, flags=flags, key12=True, pcr_info=binding))
        key = both_owned.load(made)
        integrity.extend(both_owned.tpm, 6, DIGEST)
        if ignored:
            assert keys.get_pub_key(both_owned.tpm, USAGE, key) == made.public
            return
        with refused(Code.WRONGPCRVAL):
            keys.get_pub_key(both_owned.tpm, USAGE, key)


class TestEvictKey:
    def test_the_key_and_its_sessions_go(self, both_owned: Owned) -> None:
        tpm, key = both_owned.tpm, both_owned.signing()
        session, other = tpm.osap(Entity.KEY_HANDLE, key, USAGE), tpm.oiap(USAGE)
        keys.evict_key(tpm, key)
        with refused(Code.INVALID_KEYHANDLE):
            keys.evict_key(tpm, key)
        again = both_owned.signing()
        with refused(Code.INVALID_AUTHHANDLE):
            signing.sign(tpm, session, again, DIGEST)
        assert signing.sign(tpm, other, again, DIGEST)

    def test_the_srk_stays(self, both_owned: Owned) -> None:
        with refused(Code.INVALID_KEYHANDLE):
            keys.evict_key(both_owned.tpm, SRK)


def test_terminate_handle_ends_a_session(both_owned: Owned) -> None:
    """TPM_Terminate_Handle."""
    session = both_owned.tpm.oiap()
    keys.terminate_handle(both_owned.tpm, session.handle)
    with refused(Code.INVALID_AUTHHANDLE):
        keys.terminate_handle(both_owned.tpm, session.handle)


class TestKeyControlOwner:
    def keep(self, owned: Owned, key: int, value: bool = True, blob: Key | None = None) -> None:
        public = (blob or owned.made.signing).public
        keys.key_control_owner(owned.tpm, OWNER_SECRET, key, public, OWNER_EVICT, value)

    def test_a_kept_key_outlives_the_power_until_it_is_let_go(self, both_owned: Owned) -> None:
        tpm, key = both_owned.tpm, both_owned.signing()
        self.keep(both_owned, key)
        other = both_owned.storage()
        both_owned.subject.power_cycle()
        assert handles(tpm, Resource.KEY) == [key] != [other]
        assert signed(both_owned.made.signing.public, signing.sign(tpm, USAGE, key, DIGEST), DIGEST)
        with refused(Code.KEY_OWNER_CONTROL):
            keys.flush_specific(tpm, key)
        with refused(Code.KEY_OWNER_CONTROL):
            keys.evict_key(tpm, key)
        self.keep(both_owned, key)
        self.keep(both_owned, key, False)
        assert signing.sign(tpm, USAGE, key, DIGEST)
        both_owned.subject.power_cycle()
        assert handles(tpm, Resource.KEY) == []

    def test_a_kept_key_is_not_saved_by_save_context(self, both_owned: Owned) -> None:
        key = both_owned.signing()
        self.keep(both_owned, key)
        with refused(Code.OWNER_CONTROL):
            context.save_context(both_owned.tpm, key, Resource.KEY)

    def test_a_session_lives_on_with_its_key(self, ours_owned: Owned) -> None:
        key = ours_owned.signing()
        session = ours_owned.tpm.osap(Entity.KEY_HANDLE, key, USAGE)
        self.keep(ours_owned, key)
        assert signing.sign(ours_owned.tpm, session, key, DIGEST)

    def test_two_slots_stay_free_for_keys_that_come_and_go(self, ours_owned: Owned) -> None:
        loaded = [ours_owned.signing() for _ in range(20)]
        for key in loaded[:18]:
            self.keep(ours_owned, key)
        with refused(Code.NOSPACE):
            self.keep(ours_owned, loaded[18])
        ours_owned.subject.power_cycle()
        assert [ours_owned.signing() for _ in range(2)]
        with refused(Code.NOSPACE):
            ours_owned.signing()

    def test_kept_keys_go_with_the_owner(self, ours_owned: Owned) -> None:
        self.keep(ours_owned, ours_owned.signing())
        owner.owner_clear(ours_owned.tpm, OWNER_SECRET)
        emulator = ours_of(ours_owned).emulator
        assert list(emulator.keys) == []
        assert emulator.permanent.owner is None

    def test_who_and_what(self, both_owned: Owned) -> None:
        tpm, key, public = both_owned.tpm, both_owned.signing(), both_owned.made.signing.public
        with refused(Code.AUTHFAIL):
            keys.key_control_owner(tpm, b"x" * 20, key, public, OWNER_EVICT, True)
        with refused(Code.INVALID_KEYHANDLE):
            keys.key_control_owner(tpm, OWNER_SECRET, BAD_HANDLE, public, OWNER_EVICT, True)
        with refused(Code.INVALID_KEYHANDLE):
            keys.key_control_owner(tpm, OWNER_SECRET, SRK, both_owned.made.srk.public, OWNER_EVICT, True)
        with refused(Code.BAD_PARAMETER):
            keys.key_control_owner(tpm, OWNER_SECRET, key, both_owned.made.storage.public, OWNER_EVICT, True)
        with refused(Code.BAD_MODE):
            keys.key_control_owner(tpm, OWNER_SECRET, key, public, 2, True)

    def test_a_volatile_key_cannot_be_kept(self, both_owned: Owned) -> None:
        made = make(both_owned, replace(SMALL, flags=KeyFlags.VOLATILE))
        with refused(Code.BAD_PARAMETER):
            self.keep(both_owned, both_owned.load(made), blob=made)

    def test_a_migration_key_cannot_be_kept(self, ours_owned: Owned) -> None:
        made = make(ours_owned, template(KeyUsage.MIGRATE))
        with refused(Code.INVALID_KEYUSAGE):
            self.keep(ours_owned, ours_owned.load(made), blob=made)

    def test_a_key_whose_parent_depends_on_pcrs_cannot_be_kept(self, ours_owned: Owned) -> None:
        binding = bound_to_now(ours_owned, 7).encode()
        parent = make(ours_owned, replace(template(KeyUsage.STORAGE), key12=True, pcr_info=binding))
        bound = ours_owned.load(parent)
        self.keep(ours_owned, bound, blob=parent)
        made = make(ours_owned, SMALL, bound, USAGE)
        child = keys.load_key2(ours_owned.tpm, USAGE, made, bound)
        with refused(Code.BAD_PARAMETER):
            self.keep(ours_owned, child, blob=made)

    def test_a_failing_disk_changes_nothing(
        self, ours_owned: Owned, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        key = ours_owned.signing()

        def fail(*_: object) -> None:
            raise OSError(28, "No space left on device")

        with monkeypatch.context() as patch:
            patch.setattr(ours_of(ours_owned).store, "save", fail)
            with refused(Code.IOERROR):
                self.keep(ours_owned, key)
        assert not ours_of(ours_owned).emulator.keys.kept(key)
        assert signing.sign(ours_owned.tpm, USAGE, key, DIGEST)


def test_bound_data_of_a_legacy_key_with_pkcs1(ours_owned: Owned) -> None:
    """TPM_UnBind with the other padding, by a key that can sign, too."""
    made = make(ours_owned, template(KeyUsage.LEGACY, bits=1024))
    key = ours_owned.load(made)
    assert storage.unbind(ours_owned.tpm, USAGE, key, storage.bound(made.public, b"data")) == b"data"
    assert signing.sign(ours_owned.tpm, USAGE, key, DIGEST)
