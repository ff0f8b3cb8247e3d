# SPDX-License-Identifier: GPL-3.0-or-later
"""What delegates of the owner and of a key may do, ours and swtpm's (Part 3, 19.2 and 19.3)."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.tpm.client import delegation, identity, integrity, keys, owner, signing
from tests.tpm.client.constants import WELL_KNOWN, Adip, Code, Entity, KeyUsage
from tests.tpm.client.delegation import (
    KEY_RIGHTS,
    DelegatePublic,
)
from tests.tpm.client.keyblobs import template
from tests.tpm.client.pcr import PcrInfoShort, Selection, composite_digest
from tests.tpm.client.prepared import OWNER_SECRET, USAGE, Owned
from tests.tpm.client.rsacrypt import signed
from tests.tpm.client.sessions import Session
from tests.tpm.client.subjects import Ours
from tests.tpm.client.tpm import refused
from tests.tpm.delegates import (
    CREATE_OWNER,
    DIGEST,
    MAKE_IDENTITY,
    MANAGE,
    READ_INTERNAL_PUB,
    SECRET,
    as_owner,
    owner_blob,
    owners,
    read,
)

pytest_plugins = ("tests.tpm.client.fixtures",)


SIGN, QUOTE, CREATE_KEY = 1 << 14, 1 << 3, 1 << 7


def keys_rights(family: int, rights: int = SIGN) -> DelegatePublic:
    return DelegatePublic(KEY_RIGHTS, rights, 0, family, 1)


def key_blob(owned: Owned, key: int, public: DelegatePublic) -> bytes:
    return delegation.create_key_delegation(owned.tpm, USAGE, key, public, SECRET)


class TestOwnerDelegation:
    @pytest.mark.parametrize("adip", Adip)
    def test_a_delegate_does_what_he_may_and_nothing_else(self, both_owned: Owned, adip: Adip) -> None:
        if both_owned.subject.name == "swtpm" and adip is Adip.AES_CTR:
            pytest.skip("swtpm takes an owner's blob for a row unless secrets travel by XOR")
        tpm = both_owned.tpm
        family = delegation.create_family(tpm, OWNER_SECRET)
        blob = owner_blob(tpm, owners(family))
        delegation.verify_delegation(tpm, blob)
        session = as_owner(tpm, blob, adip)
        for _ in range(2):
            read(tpm, session)
        with refused(Code.AUTHFAIL):
            owner.disable_pubek_read(tpm, session)
        with refused(Code.AUTHFAIL):
            read(tpm, tpm.dsap(Entity.DEL_OWNER_BLOB, 0, blob, WELL_KNOWN))

    def test_a_delegate_makes_identities_with_encrypted_secrets(self, both_owned: Owned) -> None:
        tpm = both_owned.tpm
        family = delegation.create_family(tpm, OWNER_SECRET)
        session = as_owner(tpm, owner_blob(tpm, owners(family, MAKE_IDENTITY)))
        made = identity.make_identity(tpm, WELL_KNOWN, session, USAGE, DIGEST)
        assert not session.open
        quote = signing.quote(tpm, USAGE, both_owned.load(made.key), DIGEST, Selection.of(0))
        assert signed(made.key.public, quote.signature, quote.signed_digest(DIGEST))

    def test_pcrs_and_localities_are_asked_at_every_use(self, both_owned: Owned) -> None:
        tpm = both_owned.tpm
        family = delegation.create_family(tpm, OWNER_SECRET)
        info = PcrInfoShort(Selection.of(9), composite_digest([9], [bytes(20)]), 1)
        blob = owner_blob(tpm, replace(owners(family), pcr_info=info))
        session = as_owner(tpm, blob)
        read(tpm, session)
        both_owned.subject.set_locality(1)
        with refused(Code.BAD_LOCALITY):
            read(tpm, session)
        both_owned.subject.set_locality(0)
        integrity.extend(tpm, 9, DIGEST)
        with refused(Code.WRONGPCRVAL):
            read(tpm, as_owner(tpm, blob))

    def test_increment_makes_earlier_ones_void(self, both_owned: Owned) -> None:
        tpm = both_owned.tpm
        family = delegation.create_family(tpm, OWNER_SECRET)
        old = owner_blob(tpm, owners(family))
        session = as_owner(tpm, old)
        new = delegation.create_owner_delegation(tpm, OWNER_SECRET, owners(family), SECRET, increment=True)
        with refused(Code.INVALID_AUTHHANDLE):
            read(tpm, session)
        for use in (lambda: as_owner(tpm, old), lambda: delegation.verify_delegation(tpm, old)):
            with refused(Code.FAMILYCOUNT):
                use()
        read(tpm, as_owner(tpm, new))
        renewed = delegation.update_verification(tpm, OWNER_SECRET, old)
        read(tpm, as_owner(tpm, renewed))

    def test_a_delegate_passes_on_no_more_than_he_has(self, both_owned: Owned) -> None:
        tpm = both_owned.tpm
        family, other = (delegation.create_family(tpm, OWNER_SECRET) for _ in range(2))
        mine = CREATE_OWNER | READ_INTERNAL_PUB
        blob = owner_blob(tpm, owners(family, mine))
        less = delegation.create_owner_delegation(tpm, as_owner(tpm, blob), owners(family), SECRET)
        read(tpm, as_owner(tpm, less))
        for public, code in (
            (owners(family, mine | MANAGE), Code.AUTHFAIL),
            (owners(other), Code.DELEGATE_FAMILY),
        ):
            with refused(code):
                delegation.create_owner_delegation(tpm, as_owner(tpm, blob), public, SECRET)

    def test_what_cannot_be_delegated(self, both_owned: Owned) -> None:
        tpm = both_owned.tpm
        family = delegation.create_family(tpm, OWNER_SECRET)
        for public, code in (
            (owners(family + 1), Code.BADINDEX),
            (keys_rights(family), Code.BAD_PARAMETER),
            (replace(owners(family), per2=1), Code.BAD_PARAMETER),
            (replace(owners(family), kind=3), Code.BAD_PARAMETER),
        ):
            with refused(code):
                owner_blob(tpm, public)
        with refused(Code.AUTHFAIL):
            delegation.create_owner_delegation(tpm, WELL_KNOWN, owners(family), SECRET)

    def test_an_oiap_session_carries_no_secret(self, ours_owned: Owned) -> None:
        family = delegation.create_family(ours_owned.tpm, OWNER_SECRET)
        with refused(Code.INVALID_AUTHHANDLE):
            delegation.create_owner_delegation(
                ours_owned.tpm, ours_owned.tpm.oiap(OWNER_SECRET), owners(family), SECRET
            )

    @pytest.mark.parametrize("info", [PcrInfoShort(Selection.of(1, size=4)), PcrInfoShort(localities=0)])
    def test_a_binding_that_is_none(self, ours_owned: Owned, info: PcrInfoShort) -> None:
        family = delegation.create_family(ours_owned.tpm, OWNER_SECRET)
        with refused(Code.INVALID_PCR_INFO):
            owner_blob(ours_owned.tpm, replace(owners(family), pcr_info=info))


class TestKeyDelegation:
    def test_a_delegate_uses_the_key_as_he_may(self, both_owned: Owned) -> None:
        tpm, key = both_owned.tpm, both_owned.signing()
        family = delegation.create_family(tpm, OWNER_SECRET)
        blob = key_blob(both_owned, key, keys_rights(family))
        delegation.verify_delegation(tpm, blob)
        session = tpm.dsap(Entity.DEL_KEY_BLOB, key, blob, SECRET)
        signature = signing.sign(tpm, session, key, DIGEST)
        assert signed(both_owned.made.signing.public, signature, DIGEST)
        with refused(Code.AUTHFAIL):
            signing.quote(tpm, session, key, DIGEST, Selection.of(0))

    def test_it_is_for_one_key_only(self, both_owned: Owned) -> None:
        tpm, key, other = both_owned.tpm, both_owned.signing(), both_owned.storage()
        family = delegation.create_family(tpm, OWNER_SECRET)
        blob = key_blob(both_owned, key, keys_rights(family))
        with refused(Code.KEYNOTFOUND):
            tpm.dsap(Entity.DEL_KEY_BLOB, other, blob, SECRET)
        with refused(Code.INVALID_KEYHANDLE):
            tpm.dsap(Entity.DEL_KEY_BLOB, 0x05123456, blob, SECRET)
        session = tpm.dsap(Entity.DEL_KEY_BLOB, key, blob, SECRET)
        with refused(Code.AUTHFAIL):
            keys.get_pub_key(tpm, session, other)

    def test_the_session_goes_with_the_key(self, both_owned: Owned) -> None:
        tpm, key = both_owned.tpm, both_owned.signing()
        family = delegation.create_family(tpm, OWNER_SECRET)
        session = tpm.dsap(Entity.DEL_KEY_BLOB, key, key_blob(both_owned, key, keys_rights(family)), SECRET)
        keys.flush_specific(tpm, key)
        with refused(Code.INVALID_AUTHHANDLE):
            signing.sign(tpm, session, both_owned.signing(), DIGEST)

    def test_a_delegate_passes_on_no_more_than_he_has(self, both_owned: Owned) -> None:
        tpm, key = both_owned.tpm, both_owned.signing()
        family = delegation.create_family(tpm, OWNER_SECRET)
        blob = key_blob(both_owned, key, keys_rights(family, SIGN | CREATE_KEY))

        def session() -> Session:
            return tpm.dsap(Entity.DEL_KEY_BLOB, key, blob, SECRET)

        less = delegation.create_key_delegation(tpm, session(), key, keys_rights(family), SECRET)
        assert signing.sign(tpm, tpm.dsap(Entity.DEL_KEY_BLOB, key, less, SECRET), key, DIGEST)
        with refused(Code.AUTHFAIL):
            delegation.create_key_delegation(tpm, session(), key, keys_rights(family, QUOTE), SECRET)

    def test_what_cannot_be_delegated(self, both_owned: Owned) -> None:
        key = both_owned.signing()
        family = delegation.create_family(both_owned.tpm, OWNER_SECRET)
        for public, code in (
            (keys_rights(family + 1), Code.BADINDEX),
            (owners(family), Code.BAD_PARAMETER),
            (keys_rights(family, 1 << 29), Code.BAD_PARAMETER),
        ):
            with refused(code):
                key_blob(both_owned, key, public)
        with refused(Code.AUTHFAIL):
            delegation.create_key_delegation(both_owned.tpm, WELL_KNOWN, key, keys_rights(family), SECRET)

    def test_a_certified_migration_key_needs_the_owners_word(self, ours_owned: Owned) -> None:
        """The flag is set in the emulator, as TPM_CMK_CreateKey would set it."""
        assert isinstance(ours_owned.subject, Ours)
        tpm, key = ours_owned.tpm, ours_owned.signing()
        family = delegation.create_family(tpm, OWNER_SECRET)
        loaded = ours_owned.subject.emulator.keys.get(key)
        loaded.stored = replace(loaded.stored, key=replace(loaded.key, flags=16))
        blob = key_blob(ours_owned, key, keys_rights(family))
        with refused(Code.INVALID_KEYUSAGE):
            signing.sign(tpm, tpm.dsap(Entity.DEL_KEY_BLOB, key, blob, SECRET), key, DIGEST)


def test_a_key_below_a_delegated_parent(ours_owned: Owned) -> None:
    """TPM_CreateWrapKey by a delegate of the parent: DSAP carries new secrets as OSAP does."""
    tpm, parent = ours_owned.tpm, ours_owned.storage()
    family = delegation.create_family(tpm, OWNER_SECRET)
    blob = key_blob(ours_owned, parent, keys_rights(family, 1 << 11))
    session = tpm.dsap(Entity.DEL_KEY_BLOB, parent, blob, SECRET)
    made = keys.create_wrap_key(tpm, session, parent, template(KeyUsage.SIGNING, bits=1024), USAGE)
    key = keys.load_key2(tpm, USAGE, made, parent)
    assert signed(made.public, signing.sign(tpm, USAGE, key, DIGEST), DIGEST)
