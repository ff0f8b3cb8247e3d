# SPDX-License-Identifier: GPL-3.0-or-later
"""TPM_AuthorizeMigrationKey, TPM_CreateMigrationBlob, TPM_ConvertMigrationBlob and TPM_MigrateKey, ours and
swtpm's, and keys that go from one to the other (Part 3, 11.1 to 11.4).
"""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bootproof.tpm.codes import TpmError
from bootproof.tpm.migration import _decode, _encode
from bootproof.tpm.structures.keys import StoreAsymKey
from bootproof.tpm.structures.migration import authorities
from tests.tpm.client import keys, rsacrypt, signing
from tests.tpm.client.constants import SRK, WELL_KNOWN, Code, Entity, KeyFlags, KeyUsage
from tests.tpm.client.keyblobs import Key, KeyParms, PubKey, template
from tests.tpm.client.migration import (
    MAINT,
    MIGRATE,
    REWRAP,
    MigrationBlob,
    Ticket,
    authorize_migration_key,
    convert_migration_blob,
    create_migration_blob,
    migrate_key,
)
from tests.tpm.client.prepared import MIGRATION, OWNER_SECRET, USAGE, Owned
from tests.tpm.client.tpm import Auth, refused

pytest_plugins = ("tests.tpm.client.fixtures",)

DIGEST = bytes(range(20))


def ticket_for(owned: Owned, key: Key, scheme: int = MIGRATE) -> Ticket:
    return authorize_migration_key(owned.tpm, OWNER_SECRET, scheme, key.public)


def sent(
    owned: Owned,
    ticket: Ticket,
    scheme: int = MIGRATE,
    key: Key | None = None,
    parent_auth: Auth = WELL_KNOWN,
    key_auth: Auth = MIGRATION,
) -> MigrationBlob:
    """Return a key, the prepared migratable one if no other is given, on its way."""
    data = (key or owned.made.migratable).enc_data
    return create_migration_blob(owned.tpm, parent_auth, key_auth, SRK, scheme, ticket, data)


def works(owned: Owned, key: Key, enc_data: bytes, parent: int) -> bool:
    """Whether the key can be loaded under its new parent and signs as before."""
    handle = owned.load(key.changed(enc_data=enc_data), USAGE, parent)
    return rsacrypt.signed(key.public, signing.sign(owned.tpm, USAGE, handle, DIGEST), DIGEST)


class TestMigration:
    def test_to_another_parent(self, both_owned: Owned) -> None:
        made, parent = both_owned.made, both_owned.storage()
        blob = sent(both_owned, ticket_for(both_owned, made.storage))
        assert len(blob.random) == 198
        enc_data = convert_migration_blob(both_owned.tpm, USAGE, parent, blob)
        assert works(both_owned, made.migratable, enc_data, parent)

    def test_rewrapped_for_another_parent(self, both_owned: Owned) -> None:
        made = both_owned.made
        blob = sent(both_owned, ticket_for(both_owned, made.storage, REWRAP), REWRAP)
        assert blob.random == b""
        assert works(both_owned, made.migratable, blob.data, both_owned.storage())

    @pytest.mark.parametrize("bits", [512, 1024])
    def test_small_keys(self, both_owned: Owned, bits: int) -> None:
        tpm, parent = both_owned.tpm, both_owned.storage()
        wanted = template(KeyUsage.SIGNING, KeyFlags.MIGRATABLE, bits=bits)
        key = keys.create_wrap_key(tpm, WELL_KNOWN, SRK, wanted, USAGE, MIGRATION)
        blob = sent(both_owned, ticket_for(both_owned, both_owned.made.storage), key=key)
        enc_data = convert_migration_blob(tpm, USAGE, parent, blob)
        handle = both_owned.load(key.changed(enc_data=enc_data), USAGE, parent)
        assert len(signing.sign(tpm, USAGE, handle, DIGEST)) == bits // 8

    def test_twice(self, both_owned: Owned) -> None:
        """The migration secret arrives as well."""
        tpm, made, parent = both_owned.tpm, both_owned.made, both_owned.storage()
        ticket = ticket_for(both_owned, made.storage)
        enc_data = convert_migration_blob(tpm, USAGE, parent, sent(both_owned, ticket))
        again = create_migration_blob(tpm, USAGE, MIGRATION, parent, MIGRATE, ticket, enc_data)
        assert works(both_owned, made.migratable, convert_migration_blob(tpm, USAGE, parent, again), parent)

    @pytest.mark.parametrize("scheme", [MIGRATE, REWRAP])
    @pytest.mark.parametrize("outbound", [True, False])
    def test_between_ours_and_swtpm(
        self, ours_owned: Owned, swtpm_owned: Owned, scheme: int, outbound: bool
    ) -> None:
        source, target = (ours_owned, swtpm_owned) if outbound else (swtpm_owned, ours_owned)
        parent, key = target.storage(), source.made.migratable
        blob = sent(source, ticket_for(source, target.made.storage, scheme), scheme)
        enc_data = blob.data
        if scheme == MIGRATE:
            enc_data = convert_migration_blob(target.tpm, USAGE, parent, blob)
        assert works(target, key, enc_data, parent)

    def test_by_way_of_an_authority(self, both_owned: Owned) -> None:
        tpm, made, parent = both_owned.tpm, both_owned.made, both_owned.storage()
        wanted = template(KeyUsage.MIGRATE)
        authority = keys.create_wrap_key(tpm, WELL_KNOWN, SRK, wanted, USAGE)
        handle = both_owned.load(authority)
        blob = sent(both_owned, ticket_for(both_owned, authority))
        with refused(Code.AUTHFAIL):
            migrate_key(tpm, b"x" * 20, handle, made.storage.public, blob.data)
        with refused(Code.DECRYPT_ERROR):
            migrate_key(tpm, USAGE, handle, made.storage.public, bytes(256))
        data = migrate_key(tpm, USAGE, handle, made.storage.public, blob.data)
        enc_data = convert_migration_blob(tpm, USAGE, parent, replace(blob, data=data))
        assert works(both_owned, made.migratable, enc_data, parent)
        with refused(Code.INVALID_KEYUSAGE):
            migrate_key(tpm, USAGE, parent, made.storage.public, blob.data)


class TestAuthorizeMigrationKey:
    def test_refusals(self, both_owned: Owned) -> None:
        tpm, good = both_owned.tpm, both_owned.made.storage.public
        for parms in (KeyParms.rsa(1024, 3, 1), KeyParms.rsa(2048, 3, 1, b"\3")):
            with refused(Code.BAD_KEY_PROPERTY):
                authorize_migration_key(tpm, OWNER_SECRET, MIGRATE, PubKey(parms, good.modulus))
        with refused(Code.INAPPROPRIATE_ENC):
            pkcs1 = PubKey(KeyParms.rsa(2048, 2, 1), good.modulus)
            authorize_migration_key(tpm, OWNER_SECRET, MIGRATE, pkcs1)
        with refused(Code.AUTHFAIL):
            authorize_migration_key(tpm, b"x" * 20, MIGRATE, good)

    def test_any_scheme_can_be_authorised(self, both_owned: Owned) -> None:
        ticket = ticket_for(both_owned, both_owned.made.storage, 0x1234)
        public = both_owned.made.storage.public.encode()
        assert ticket.encoded[:-20] == public + b"\x12\x34"


class TestCreateMigrationBlob:
    def test_authorisations_that_fail(self, both_owned: Owned) -> None:
        ticket = ticket_for(both_owned, both_owned.made.storage)
        with refused(Code.AUTHFAIL):
            sent(both_owned, ticket, parent_auth=b"x" * 20)
        with refused(Code.AUTHFAIL):
            sent(both_owned, ticket, parent_auth=None)
        with refused(Code.AUTH2FAIL):
            sent(both_owned, ticket, key_auth=USAGE)
        with refused(Code.BAD_MODE):
            sent(both_owned, ticket, key_auth=both_owned.tpm.osap(Entity.KEY_HANDLE, SRK))

    def test_a_key_that_may_not_migrate(self, both_owned: Owned) -> None:
        ticket = ticket_for(both_owned, both_owned.made.storage)
        with refused(Code.AUTH2FAIL):
            sent(both_owned, ticket, key=both_owned.made.signing)

    def test_tickets_that_the_owner_did_not_give(self, both_owned: Owned) -> None:
        ticket = ticket_for(both_owned, both_owned.made.storage)
        other = ticket_for(both_owned, both_owned.made.srk)
        for wrong in (
            ticket.encoded[:-20] + bytes(20),
            ticket.encoded[:-22] + b"\0\2" + ticket.encoded[-20:],
            other.encoded[:-20] + ticket.encoded[-20:],
        ):
            with refused(Code.AUTHFAIL):
                sent(both_owned, Ticket(wrong))

    def test_other_schemes(self, both_owned: Owned) -> None:
        for scheme in (0, MAINT, 4, 5, 0x100):
            with refused(Code.BAD_PARAMETER):
                sent(both_owned, ticket_for(both_owned, both_owned.made.storage, scheme), scheme)

    def test_what_is_no_key_of_this_parent(self, both_owned: Owned) -> None:
        made, ticket = both_owned.made, ticket_for(both_owned, both_owned.made.storage)
        with refused(Code.DECRYPT_ERROR):
            sent(both_owned, ticket, key=made.migratable.changed(enc_data=bytes(256)))
        garbage = rsacrypt.encrypt_oaep(made.srk.public, b"\1" + bytes(30))
        with refused(Code.INVALID_STRUCTURE if both_owned.subject.name == "ours" else Code.BAD_PARAM_SIZE):
            sent(both_owned, ticket, key=made.migratable.changed(enc_data=garbage))
        handle = both_owned.signing()
        with refused(Code.INVALID_KEYUSAGE):
            data = made.migratable.enc_data
            create_migration_blob(both_owned.tpm, USAGE, MIGRATION, handle, MIGRATE, ticket, data)

    def test_destinations_that_cannot_be_used(self, ours_owned: Owned) -> None:
        good = ours_owned.made.storage.public
        even = good.modulus[:-1] + b"\0"
        cases = [(even, Code.ENCRYPT_ERROR), (bytes(255) + b"\1", Code.ENCRYPT_ERROR)]
        wrong_sizes = (b"", good.modulus[1:], b"\0" + good.modulus)
        for modulus, code in [*cases, *((modulus, Code.BAD_KEY_PROPERTY) for modulus in wrong_sizes)]:
            public = PubKey(good.parms, modulus)
            ticket = authorize_migration_key(ours_owned.tpm, OWNER_SECRET, MIGRATE, public)
            with refused(code):
                sent(ours_owned, ticket)


class TestConvertMigrationBlob:
    def test_refusals(self, both_owned: Owned) -> None:
        tpm, parent = both_owned.tpm, both_owned.storage()
        blob = sent(both_owned, ticket_for(both_owned, both_owned.made.storage))
        with refused(Code.AUTHFAIL):
            convert_migration_blob(tpm, b"x" * 20, parent, blob)
        with refused(Code.AUTHFAIL):
            convert_migration_blob(tpm, None, parent, blob)
        with refused(Code.DECRYPT_ERROR):
            convert_migration_blob(tpm, WELL_KNOWN, SRK, blob)
        with refused(Code.BAD_PARAMETER):
            convert_migration_blob(tpm, USAGE, parent, replace(blob, random=blob.random[1:]))
        with refused(Code.DECRYPT_ERROR):
            convert_migration_blob(tpm, USAGE, parent, replace(blob, random=bytes(198)))
        with refused(Code.INVALID_KEYUSAGE):
            convert_migration_blob(tpm, USAGE, both_owned.signing(), blob)

    def test_another_payload(self, both_owned: Owned) -> None:
        with refused(Code.BAD_MIGRATION):
            self.convert(both_owned, b"\0\0\0\x80" + bytes(16))

    def test_a_private_part_of_another_length(self, ours_owned: Owned) -> None:
        with refused(Code.INVALID_STRUCTURE):
            self.convert(ours_owned, bytes(16) + b"\0\0\0\x80")

    @staticmethod
    def convert(owned: Owned, seed: bytes) -> None:
        """Convert a blob of zeros with the payload of a certified key, made outside a TPM."""
        content = b"\x08" + bytes(40) + (112).to_bytes(4) + bytes(112)
        encoded = _encode(content, bytes(20), seed)
        data = rsacrypt.encrypt_oaep(owned.made.srk.public, encoded)
        blob = MigrationBlob(bytes(len(encoded)), data)
        convert_migration_blob(owned.tpm, WELL_KNOWN, SRK, blob)


class TestParsers:
    @given(st.binary(max_size=300))
    def test_encodings_of_any_content(self, data: bytes) -> None:
        try:
            content, label_digest, seed = _decode(data)
        except TpmError:
            return
        assert len(label_digest) == len(seed) == 20
        assert len(content) < len(data)

    @given(st.binary(max_size=200), st.binary(min_size=20, max_size=20), st.binary(min_size=20, max_size=20))
    def test_encoding_and_decoding(self, content: bytes, label_digest: bytes, seed: bytes) -> None:
        encoded = _encode(content, label_digest, seed)
        assert len(encoded) == len(content) + 41
        assert _decode(encoded) == (content, label_digest, seed)

    @given(st.binary(max_size=100))
    def test_lists_of_authorities(self, data: bytes) -> None:
        try:
            found = authorities(data)
        except TpmError:
            return
        assert len(found).to_bytes(4) + b"".join(found) == data

    @given(st.binary(max_size=300))
    def test_secrets_of_keys(self, data: bytes) -> None:
        try:
            assert StoreAsymKey.decode(data).encode() == data
        except TpmError:
            return
