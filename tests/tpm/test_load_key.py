# SPDX-License-Identifier: GPL-3.0-or-later
"""TPM_LoadKey2 and TPM_LoadKey, and what loaded keys are bound to: ours and swtpm's (Part 3, 10.5, 27.8)."""

from __future__ import annotations

from dataclasses import replace

import pytest

from bootproof.tpm.crypto.rsa import PrivateKey
from tests.tpm.client import integrity, keys, signing
from tests.tpm.client.capability import handles
from tests.tpm.client.constants import (
    WELL_KNOWN,
    AuthUsage,
    Code,
    KeyFlags,
    KeyUsage,
    Resource,
)
from tests.tpm.client.keyblobs import Key, KeyParms, template
from tests.tpm.client.pcr import PcrInfo, PcrInfoLong, Selection, composite_digest
from tests.tpm.client.prepared import MIGRATION, USAGE, Owned
from tests.tpm.client.rsacrypt import encrypt_oaep, signed
from tests.tpm.client.tpm import refused
from tests.tpm.client.wire import sha1, sized, u8
from tests.tpm.wrappedkeys import BAD_HANDLE, DIGEST, SMALL, bound_to_now, make

pytest_plugins = ("tests.tpm.client.fixtures",)


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
