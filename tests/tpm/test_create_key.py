# SPDX-License-Identifier: GPL-3.0-or-later
"""TPM_CreateWrapKey, ours and swtpm's (Part 3, 10.4)."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.tpm.client import integrity, keys, signing
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
    SigScheme,
)
from tests.tpm.client.keyblobs import Key, KeyParms, template
from tests.tpm.client.pcr import PcrInfo, PcrInfoLong, Selection, composite_digest
from tests.tpm.client.prepared import MIGRATION, USAGE, Owned
from tests.tpm.client.rsacrypt import signed
from tests.tpm.client.tpm import refused
from tests.tpm.client.wire import Struct, u32
from tests.tpm.wrappedkeys import BAD_HANDLE, DIGEST, SMALL, bound_to_now, make

pytest_plugins = ("tests.tpm.client.fixtures",)


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
        ours_owned.ours.emulator.commit_flags(fips=True)
        with refused(Code.NOTFIPS):
            ours_owned.load(made)
        with refused(Code.NOTFIPS):
            session = ours_owned.tpm.osap(Entity.KEY_HANDLE, SRK, adip=Adip.AES_CTR)
            keys.create_wrap_key(ours_owned.tpm, session, SRK, wanted)
        with refused(Code.INAPPROPRIATE_ENC):
            ours_owned.tpm.osap(Entity.KEY_HANDLE, SRK)
