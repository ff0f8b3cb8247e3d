# SPDX-License-Identifier: GPL-3.0-or-later
"""TPM_CMK_SetRestrictions, TPM_CMK_ApproveMA, TPM_CMK_CreateKey, TPM_CMK_CreateTicket, TPM_CMK_CreateBlob,
TPM_CMK_ConvertMigration, ours and swtpm's (Part 3, 11.5 to 11.10).
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa, utils

from tests.tpm.client import keys, owner, rsacrypt, signing
from tests.tpm.client.constants import SRK, WELL_KNOWN, Code, EncScheme, Entity, KeyFlags, KeyUsage
from tests.tpm.client.keyblobs import Key, KeyParms, PubKey, template
from tests.tpm.client.migration import (
    MIGRATE,
    RESTRICT_APPROVE,
    RESTRICT_MIGRATE,
    CmkAuth,
    MigrationBlob,
    Ticket,
    authorize_migration_key,
    cmk_approve_ma,
    cmk_convert_migration,
    cmk_create_blob,
    cmk_create_key,
    cmk_create_ticket,
    cmk_set_restrictions,
    create_migration_blob,
    migrate_key,
    msa_list,
)
from tests.tpm.client.prepared import MIGRATION, OWNER_SECRET, USAGE, Owned
from tests.tpm.client.subjects import Ours
from tests.tpm.client.tpm import Auth, Tpm, refused
from tests.tpm.client.wire import sha1

pytest_plugins = ("tests.tpm.client.fixtures",)

CERTIFIED = KeyFlags.MIGRATABLE | KeyFlags.MIGRATE_AUTHORITY
DIGEST = bytes(range(20))
WANTED = template(KeyUsage.SIGNING, CERTIFIED, bits=1024, key12=True)


@dataclass(frozen=True)
class Authority:
    """A migration authority that has its key outside of a TPM."""

    private: rsa.RSAPrivateKey
    verifier: PubKey
    storage: PubKey  # the same key, as one that encrypts

    def sign(self, digest: bytes) -> bytes:
        return self.private.sign(digest, padding.PKCS1v15(), utils.Prehashed(hashes.SHA1()))


@pytest.fixture(scope="module")
def authority() -> Authority:
    private = rsa.generate_private_key(65537, 2048)
    public = private.public_key()
    return Authority(private, PubKey.of(public, 1, 2), PubKey.of(public, 3, 1))


@pytest.fixture
def lists(authority: Authority) -> bytes:
    """A TPM_MSA_COMPOSITE with the authority's two keys, and a third."""
    return msa_list([bytes(20), authority.verifier.digest, authority.storage.digest])


def made_key(tpm: Tpm, authorities: bytes, wanted: Key = WANTED) -> Key:
    digest = sha1(authorities)
    approval = cmk_approve_ma(tpm, OWNER_SECRET, digest)
    return cmk_create_key(tpm, WELL_KNOWN, SRK, wanted, USAGE, approval, digest)


@dataclass
class Move:
    """What TPM_CMK_CreateBlob needs to send a certified key to the prepared storage key."""

    owned: Owned
    authority: Authority
    authorities: bytes
    key: Key
    ticket: Ticket
    restriction: CmkAuth
    agreement: bytes

    @classmethod
    def of(cls, owned: Owned, authority: Authority, authorities: bytes) -> Move:
        key = made_key(owned.tpm, authorities)
        target = owned.made.storage.public
        ticket = authorize_migration_key(owned.tpm, OWNER_SECRET, RESTRICT_APPROVE, target)
        restriction = CmkAuth(authority.verifier.digest, target.digest, key.public.digest)
        move = cls(owned, authority, authorities, key, ticket, restriction, b"")
        return move.agreed(restriction)

    def agreed(self, restriction: CmkAuth) -> Move:
        """Return the same with the authority's agreement to that."""
        signature = self.authority.sign(restriction.digest)
        verifier = self.authority.verifier
        agreement = cmk_create_ticket(self.owned.tpm, OWNER_SECRET, verifier, restriction.digest, signature)
        return replace(self, restriction=restriction, agreement=agreement)

    def send(self, auth: Auth = WELL_KNOWN, parent: int = SRK, source: bytes | None = None) -> MigrationBlob:
        digest = self.key.public.digest if source is None else source
        return cmk_create_blob(
            self.owned.tpm,
            auth,
            parent,
            RESTRICT_APPROVE,
            self.ticket,
            digest,
            self.authorities,
            self.restriction,
            self.agreement,
            self.key.enc_data,
        )

    def receive(
        self, blob: MigrationBlob, parent: int, auth: Auth = USAGE, owned: Owned | None = None
    ) -> Key:
        key = self.key.changed(enc_data=blob.data)
        tpm = (owned or self.owned).tpm
        data = cmk_convert_migration(
            tpm, auth, parent, self.restriction, self.agreement, key, self.authorities, blob.random
        )
        return key.changed(enc_data=data)


@pytest.fixture
def move(both_owned: Owned, authority: Authority, lists: bytes) -> Move:
    return Move.of(both_owned, authority, lists)


def works(owned: Owned, key: Key, parent_auth: bytes = WELL_KNOWN, parent: int = SRK) -> bool:
    handle = owned.load(key, parent_auth, parent)
    return rsacrypt.signed(key.public, signing.sign(owned.tpm, USAGE, handle, DIGEST), DIGEST)


class TestCreateKey:
    def test_a_certified_key_works(self, both_owned: Owned, lists: bytes) -> None:
        key = made_key(both_owned.tpm, lists)
        assert (key.flags, key.key12) == (CERTIFIED, True)
        assert works(both_owned, key)

    def test_wrong_templates(self, both_owned: Owned, lists: bytes) -> None:
        tpm, flags = both_owned.tpm, KeyFlags
        with refused(Code.INVALID_STRUCTURE):
            made_key(tpm, lists, WANTED.changed(key12=False))
        for wrong in (flags.NONE, flags.MIGRATABLE, flags.MIGRATE_AUTHORITY):
            with refused(Code.INVALID_KEYUSAGE):
                made_key(tpm, lists, WANTED.changed(flags=wrong))
        for usage in (KeyUsage.IDENTITY, KeyUsage.AUTH_CHANGE):
            with refused(Code.INVALID_KEYUSAGE):
                made_key(tpm, lists, template(usage, CERTIFIED, key12=True))
        with refused(Code.BAD_KEY_PROPERTY):
            made_key(tpm, lists, template(KeyUsage.SIGNING, CERTIFIED, bits=500, key12=True))

    def test_authorities_that_the_owner_did_not_approve(self, both_owned: Owned, lists: bytes) -> None:
        tpm = both_owned.tpm
        approval = cmk_approve_ma(tpm, OWNER_SECRET, sha1(lists))
        for wrong in ((approval, DIGEST), (bytes(20), sha1(lists))):
            with refused(Code.MA_AUTHORITY):
                cmk_create_key(tpm, WELL_KNOWN, SRK, WANTED, USAGE, *wrong)

    def test_parents_and_sessions(self, both_owned: Owned, lists: bytes) -> None:
        tpm = both_owned.tpm
        digest = sha1(lists)
        approval = cmk_approve_ma(tpm, OWNER_SECRET, digest)
        with refused(Code.INVALID_KEYUSAGE):
            cmk_create_key(tpm, USAGE, both_owned.signing(), WANTED, USAGE, approval, digest)
        migratable = template(KeyUsage.STORAGE, KeyFlags.MIGRATABLE)
        parent = both_owned.load(keys.create_wrap_key(tpm, WELL_KNOWN, SRK, migratable, USAGE))
        with refused(Code.INVALID_KEYUSAGE):
            cmk_create_key(tpm, USAGE, parent, WANTED, USAGE, approval, digest)
        with refused(Code.BAD_MODE):
            cmk_create_key(tpm, tpm.oiap(), SRK, WANTED, USAGE, approval, digest)
        with refused(Code.AUTHFAIL):
            cmk_create_key(tpm, b"x" * 20, SRK, WANTED, USAGE, approval, digest)
        session = tpm.osap(Entity.KEY_HANDLE, SRK)
        cmk_create_key(tpm, session, SRK, WANTED, USAGE, approval, digest)
        assert not session.open

    def test_it_migrates_in_no_other_way(self, both_owned: Owned, lists: bytes) -> None:
        tpm = both_owned.tpm
        key = made_key(tpm, lists)
        ticket = authorize_migration_key(tpm, OWNER_SECRET, MIGRATE, both_owned.made.storage.public)
        with refused(Code.BAD_MIGRATION):
            create_migration_blob(tpm, WELL_KNOWN, MIGRATION, SRK, MIGRATE, ticket, key.enc_data)


class TestOwnersCommands:
    def test_only_the_owner(self, both_owned: Owned, authority: Authority) -> None:
        tpm, wrong = both_owned.tpm, b"x" * 20
        with refused(Code.AUTHFAIL):
            cmk_set_restrictions(tpm, wrong, 0)
        with refused(Code.AUTHFAIL):
            cmk_approve_ma(tpm, wrong, DIGEST)
        with refused(Code.AUTHFAIL):
            cmk_create_ticket(tpm, wrong, authority.verifier, DIGEST, authority.sign(DIGEST))

    def test_set_restrictions_lasts(self, ours_owned: Owned) -> None:
        cmk_set_restrictions(ours_owned.tpm, OWNER_SECRET, 1 << 31)
        ours_owned.subject.power_cycle()
        subject = ours_owned.subject
        assert isinstance(subject, Ours)
        assert subject.emulator.permanent.restrictions.delegable == 1 << 31
        owner.owner_clear(ours_owned.tpm, OWNER_SECRET)
        assert subject.emulator.permanent.restrictions.delegable == 0

    def test_create_ticket_verifies_the_signature(self, both_owned: Owned, authority: Authority) -> None:
        tpm, good = both_owned.tpm, authority.sign(DIGEST)
        info = PubKey(KeyParms.rsa(2048, 1, 4), authority.verifier.modulus)
        first = cmk_create_ticket(tpm, OWNER_SECRET, authority.verifier, DIGEST, good)
        assert cmk_create_ticket(tpm, OWNER_SECRET, authority.verifier, DIGEST, good) == first
        assert cmk_create_ticket(tpm, OWNER_SECRET, info, DIGEST, good) != first
        for digest, signature in (
            (bytes(20), good),
            (DIGEST, bytes(256)),
            (DIGEST, good[1:]),
            (DIGEST, b""),
        ):
            with refused(Code.BAD_SIGNATURE):
                cmk_create_ticket(tpm, OWNER_SECRET, authority.verifier, digest, signature)

    def test_create_ticket_for_other_kinds_of_keys(self, both_owned: Owned, authority: Authority) -> None:
        tpm, modulus, signature = both_owned.tpm, authority.verifier.modulus, authority.sign(DIGEST)
        cases = (
            (KeyParms.symmetric(6, EncScheme.NONE), Code.BAD_KEY_PROPERTY),
            (KeyParms.rsa(2048, 3, 2), Code.INAPPROPRIATE_ENC),
            (KeyParms.rsa(2048, 1, 3), Code.INVALID_KEYUSAGE),
        )
        for parms, code in cases:
            with refused(code):
                cmk_create_ticket(tpm, OWNER_SECRET, PubKey(parms, modulus), DIGEST, signature)

    def test_create_ticket_for_keys_that_cannot_be(self, ours_owned: Owned, authority: Authority) -> None:
        parms = KeyParms.rsa(2048, 1, 2)
        for modulus in (b"", bytes(256), authority.verifier.modulus[:-1], b"\xff" * 255 + b"\xfe"):
            with refused(Code.BAD_KEY_PROPERTY):
                cmk_create_ticket(ours_owned.tpm, OWNER_SECRET, PubKey(parms, modulus), DIGEST, bytes(256))
        huge = KeyParms.rsa(16384, 1, 2, b"\xff" * 1000)
        with refused(Code.BAD_KEY_PROPERTY):
            key = PubKey(huge, b"\xff" * 2048)
            cmk_create_ticket(ours_owned.tpm, OWNER_SECRET, key, DIGEST, bytes(256))


class TestApprovedDestination:
    def test_there_and_back(self, move: Move) -> None:
        owned = move.owned
        parent = owned.storage()
        there = move.receive(move.send(), parent)
        assert works(owned, there, USAGE, parent)
        ticket = authorize_migration_key(owned.tpm, OWNER_SECRET, RESTRICT_APPROVE, owned.made.srk.public)
        restriction = replace(move.restriction, destination_digest=owned.made.srk.public.digest)
        home = replace(move, key=there, ticket=ticket).agreed(restriction)
        assert works(owned, home.receive(home.send(USAGE, parent), SRK, WELL_KNOWN))

    @pytest.mark.parametrize("outbound", [True, False])
    def test_between_ours_and_swtpm(
        self, ours_owned: Owned, swtpm_owned: Owned, authority: Authority, lists: bytes, outbound: bool
    ) -> None:
        source, target = (ours_owned, swtpm_owned) if outbound else (swtpm_owned, ours_owned)
        move = Move.of(source, authority, lists)
        public = target.made.storage.public
        ticket = authorize_migration_key(source.tpm, OWNER_SECRET, RESTRICT_APPROVE, public)
        restriction = replace(move.restriction, destination_digest=public.digest)
        blob = replace(move, ticket=ticket).agreed(restriction).send()
        arriving = replace(move, owned=target).agreed(restriction)
        parent = target.storage()
        assert works(target, arriving.receive(blob, parent), USAGE, parent)

    def test_create_blob_authorisation_and_parent(self, move: Move) -> None:
        with refused(Code.AUTHFAIL):
            move.send(b"x" * 20)
        with refused(Code.INVALID_KEYUSAGE):
            move.send(USAGE, move.owned.signing())
        with refused(Code.DECRYPT_ERROR):
            move.send(USAGE, move.owned.storage())

    def test_create_blob_wants_the_keys_own_authorities(self, move: Move) -> None:
        with refused(Code.MA_AUTHORITY):
            move.send(source=DIGEST)
        with refused(Code.MA_AUTHORITY):
            replace(move, authorities=msa_list([move.authority.verifier.digest])).send()
        with refused(Code.INVALID_STRUCTURE):
            replace(move, authorities=msa_list([])).send()
        with refused(Code.BAD_PARAM_SIZE):
            replace(move, authorities=move.authorities[:-1]).send()

    def test_create_blob_wants_a_certified_key(self, move: Move) -> None:
        with refused(Code.INVALID_STRUCTURE):
            replace(move, key=move.owned.made.migratable).send()

    def test_create_blob_wants_the_owners_ticket(self, move: Move) -> None:
        with refused(Code.AUTHFAIL):
            replace(move, ticket=Ticket(move.ticket.encoded[:-20] + bytes(20))).send()
        public = move.owned.made.storage.public
        other = authorize_migration_key(move.owned.tpm, OWNER_SECRET, MIGRATE, public)
        with refused(Code.BAD_PARAMETER):
            replace(move, ticket=other).send()

    def test_create_blob_wants_the_agreement(self, move: Move) -> None:
        with refused(Code.MA_TICKET_SIGNATURE):
            replace(move, agreement=bytes(20)).send()
        with refused(Code.MA_TICKET_SIGNATURE):
            replace(move, restriction=replace(move.restriction, source_digest=DIGEST)).send()
        with refused(Code.MA_DESTINATION):
            move.agreed(replace(move.restriction, destination_digest=DIGEST)).send()
        with refused(Code.MA_SOURCE):
            move.agreed(replace(move.restriction, source_digest=DIGEST)).send()

    def test_convert_migration_refusals(self, move: Move) -> None:
        blob, parent = move.send(), move.owned.storage()
        with refused(Code.AUTHFAIL):
            move.receive(blob, parent, b"x" * 20)
        with refused(Code.INVALID_KEYUSAGE):
            move.receive(blob, move.owned.signing())
        with refused(Code.DECRYPT_ERROR):
            move.receive(blob, SRK, WELL_KNOWN)
        with refused(Code.BAD_PARAMETER):
            move.receive(replace(blob, random=blob.random + b"\0"), parent)
        with refused(Code.DECRYPT_ERROR):
            move.receive(replace(blob, random=bytes(len(blob.random))), parent)

    def test_convert_migration_wants_what_was_sent(self, move: Move) -> None:
        blob, parent = move.send(), move.owned.storage()
        with refused(Code.AUTHFAIL):
            other = msa_list([move.authority.verifier.digest])
            replace(move, authorities=other).receive(blob, parent)
        with refused(Code.AUTHFAIL):
            replace(move, key=move.key.changed(modulus=b"\xff" * 128)).receive(blob, parent)
        with refused(Code.INVALID_STRUCTURE):
            replace(move, authorities=bytes(4)).receive(blob, parent)
        for flags in (KeyFlags.MIGRATABLE, KeyFlags.MIGRATE_AUTHORITY):
            with refused(Code.INVALID_KEYUSAGE):
                replace(move, key=move.key.changed(flags=flags)).receive(blob, parent)

    def test_convert_migration_wants_the_agreement(self, move: Move) -> None:
        blob, parent = move.send(), move.owned.storage()
        with refused(Code.MA_TICKET_SIGNATURE):
            replace(move, agreement=bytes(20)).receive(blob, parent)
        with refused(Code.MA_DESTINATION):
            move.agreed(replace(move.restriction, destination_digest=DIGEST)).receive(blob, parent)
        with refused(Code.MA_SOURCE):
            move.agreed(replace(move.restriction, source_digest=DIGEST)).receive(blob, parent)


class TestAuthorityAsDestination:
    @staticmethod
    def send(
        owned: Owned,
        key: Key,
        target: PubKey,
        authorities: bytes,
        restriction: CmkAuth | None = None,
        agreement: bytes = b"",
    ) -> MigrationBlob:
        ticket = authorize_migration_key(owned.tpm, OWNER_SECRET, RESTRICT_MIGRATE, target)
        return cmk_create_blob(
            owned.tpm,
            WELL_KNOWN,
            SRK,
            RESTRICT_MIGRATE,
            ticket,
            key.public.digest,
            authorities,
            restriction,
            agreement,
            key.enc_data,
        )

    def test_by_way_of_an_authority_with_a_tpm(self, both_owned: Owned, authority: Authority) -> None:
        tpm = both_owned.tpm
        relay = keys.create_wrap_key(tpm, WELL_KNOWN, SRK, template(KeyUsage.MIGRATE), USAGE)
        authorities = msa_list([relay.public.digest, authority.verifier.digest])
        key = made_key(tpm, authorities)
        blob = self.send(both_owned, key, relay.public, authorities)
        target = both_owned.made.storage.public
        data = migrate_key(tpm, USAGE, both_owned.load(relay), target, blob.data)
        restriction = CmkAuth(authority.verifier.digest, target.digest, key.public.digest)
        arriving = Move(both_owned, authority, authorities, key, Ticket(b""), restriction, b"")
        parent = both_owned.storage()
        moved = arriving.agreed(restriction).receive(replace(blob, data=data), parent)
        assert works(both_owned, moved, USAGE, parent)

    def test_refusals(self, both_owned: Owned, authority: Authority, lists: bytes) -> None:
        key = made_key(both_owned.tpm, lists)
        with refused(Code.MA_TICKET_SIGNATURE):
            self.send(both_owned, key, both_owned.made.storage.public, lists)
        agreed = CmkAuth(bytes(20), bytes(20), bytes(20))
        for extra in ((agreed, b""), (None, bytes(20))):
            with refused(Code.BAD_PARAMETER):
                self.send(both_owned, key, authority.storage, lists, *extra)
        signs = PubKey(KeyParms.rsa(2048, 3, 2), authority.storage.modulus)
        members = msa_list([signs.digest])
        with refused(Code.INVALID_KEYUSAGE):
            self.send(both_owned, made_key(both_owned.tpm, members), signs, members)
