# SPDX-License-Identifier: GPL-3.0-or-later
"""Delegation: families, rows, blobs, DSAP, the owner pointer; ours and swtpm's (Part 3, 18.3, 18.4, 19)."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bootproof.tpm.codes import TpmError
from bootproof.tpm.persistence.store import Kind
from bootproof.tpm.structures.delegation import DelegatePublic as EmulatorsPublic
from bootproof.tpm.structures.delegation import (
    DelegateTables,
    KeyBlob,
    OwnerBlob,
)
from tests.tpm.client import admin, context, delegation, identity, integrity, keys, owner, signing
from tests.tpm.client.constants import OWNER, SRK, WELL_KNOWN, Adip, Code, Entity, KeyUsage, Ord, Resource
from tests.tpm.client.delegation import (
    ADMIN,
    CREATE,
    ENABLE,
    INVALIDATE,
    KEY_RIGHTS,
    OWNER_RIGHTS,
    DelegatePublic,
    Family,
    Tables,
)
from tests.tpm.client.keyblobs import template
from tests.tpm.client.pcr import PcrInfoShort, Selection, composite_digest
from tests.tpm.client.prepared import OWNER_SECRET, USAGE, Made, Owned
from tests.tpm.client.rsacrypt import signed
from tests.tpm.client.sessions import Session
from tests.tpm.client.subjects import Ours, Subject
from tests.tpm.client.tpm import Tpm, refused
from tests.tpm.client.wire import flag, u8, u32

pytest_plugins = ("tests.tpm.client.fixtures",)

SECRET, DIGEST = b"the delegate's key..", bytes(range(20))
READ_INTERNAL_PUB, MANAGE, CREATE_OWNER = 1 << 18, 1 << 2, 1 << 1
LOAD_OWNER, UPDATE, MAKE_IDENTITY = 1 << 24, 1 << 5, 1 << 11
SIGN, QUOTE, CREATE_KEY = 1 << 14, 1 << 3, 1 << 7


def owners(family: int, rights: int = READ_INTERNAL_PUB, count: int = 1) -> DelegatePublic:
    return DelegatePublic(OWNER_RIGHTS, rights, 0, family, count)


def keys_rights(family: int, rights: int = SIGN) -> DelegatePublic:
    return DelegatePublic(KEY_RIGHTS, rights, 0, family, 1)


def owner_blob(tpm: Tpm, public: DelegatePublic) -> bytes:
    return delegation.create_owner_delegation(tpm, OWNER_SECRET, public, SECRET)


def key_blob(owned: Owned, key: int, public: DelegatePublic) -> bytes:
    return delegation.create_key_delegation(owned.tpm, USAGE, key, public, SECRET)


def read(tpm: Tpm, session: Session | bytes) -> None:
    """Do what READ_INTERNAL_PUB allows."""
    owner.owner_read_internal_pub(tpm, session, SRK)


def as_owner(tpm: Tpm, blob: bytes, adip: Adip = Adip.XOR) -> Session:
    return tpm.dsap(Entity.DEL_OWNER_BLOB, 0, blob, SECRET, adip=adip)


class TestManage:
    def test_a_family_is_made_enabled_locked_and_removed(self, both_owned: Owned) -> None:
        tpm = both_owned.tpm
        number = int.from_bytes(delegation.manage(tpm, OWNER_SECRET, 0, CREATE, u8(7)))
        for operation, value, flags in ((ENABLE, True, 1), (ADMIN, True, 3), (ENABLE, False, 2)):
            delegation.manage(tpm, OWNER_SECRET, number, operation, flag(value))
            assert delegation.read_table(tpm) == Tables((Family(7, number, 1, flags),), {})
        both_owned.subject.power_cycle()
        assert delegation.read_table(tpm).families == (Family(7, number, 1, 2),)
        delegation.manage(tpm, OWNER_SECRET, number, INVALIDATE)
        assert delegation.read_table(tpm) == Tables((), {})
        assert delegation.create_family(tpm, OWNER_SECRET) == number + 1

    def test_wrong_requests(self, both_owned: Owned) -> None:
        tpm = both_owned.tpm
        family = delegation.create_family(tpm, OWNER_SECRET)
        for number, operation, data, code in (
            (0, CREATE, b"", Code.BAD_PARAM_SIZE),
            (family, ENABLE, b"\1\1", Code.BAD_PARAM_SIZE),
            (family, ADMIN, b"", Code.BAD_PARAM_SIZE),
            (family, 5, b"", Code.BAD_PARAMETER),
            (family + 1, ENABLE, b"\1", Code.BADINDEX),
        ):
            with refused(code):
                delegation.manage(tpm, OWNER_SECRET, number, operation, data)
        with refused(Code.AUTHFAIL):
            delegation.manage(tpm, WELL_KNOWN, family, ENABLE, b"\1")
        with refused(Code.AUTHFAIL):
            delegation.manage(tpm, None, family, ENABLE, b"\1")

    def test_there_is_room_for_16_families(self, ours_owned: Owned) -> None:
        for _ in range(16):
            delegation.create_family(ours_owned.tpm, OWNER_SECRET)
        with refused(Code.NOSPACE):
            delegation.create_family(ours_owned.tpm, OWNER_SECRET)

    def test_without_an_owner_until_it_is_locked(self, both: Subject) -> None:
        family = int.from_bytes(delegation.manage(both.tpm, None, 0, CREATE, u8(1)))
        delegation.manage(both.tpm, None, family, ENABLE, flag(True))
        delegation.manage(both.tpm, None, family, ADMIN, flag(True))
        with refused(Code.DELEGATE_LOCK):
            delegation.manage(both.tpm, None, family, ENABLE, flag(False))

    def test_without_an_owner_nobody_can_authorise_it(self, both: Subject) -> None:
        with refused(Code.AUTHFAIL):
            delegation.manage(both.tpm, OWNER_SECRET, 0, CREATE, u8(1))

    def test_without_an_owner_64_writes(self, both: Subject) -> None:
        family = int.from_bytes(delegation.manage(both.tpm, None, 0, CREATE, u8(1)))
        for turn in range(63):
            delegation.manage(both.tpm, None, family, ENABLE, flag(bool(turn % 2)))
        with refused(Code.MAXNVWRITES):
            delegation.manage(both.tpm, None, family, ENABLE, flag(True))

    def test_a_delegate_keeps_to_his_family(self, both_owned: Owned) -> None:
        tpm = both_owned.tpm
        his, other = (delegation.create_family(tpm, OWNER_SECRET) for _ in range(2))
        blob = owner_blob(tpm, owners(his, MANAGE))
        with refused(Code.DELEGATE_FAMILY):
            delegation.manage(tpm, as_owner(tpm, blob), other, ENABLE, flag(False))
        session = as_owner(tpm, blob)
        delegation.manage(tpm, session, his, ENABLE, flag(False))
        assert not session.open
        with refused(Code.DISABLED_CMD):
            as_owner(tpm, blob)

    def test_the_last_family_number_outlives_the_owner(self, ours_owned: Owned) -> None:
        tpm = ours_owned.tpm
        delegation.create_family(tpm, OWNER_SECRET)
        owner.owner_clear(tpm, OWNER_SECRET)
        admin.assert_presence(tpm)
        admin.physical_enable(tpm)
        assert delegation.read_table(tpm) == Tables((), {})
        assert delegation.manage(tpm, None, 0, CREATE, u8(1)) == u32(2)


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


class TestRows:
    """TPM_Delegate_LoadOwnerDelegation, TPM_Delegate_UpdateVerification, TPM_SetOwnerPointer."""

    def load(self, owned: Owned, rights: int = READ_INTERNAL_PUB, row: int = 1) -> int:
        family = delegation.create_family(owned.tpm, OWNER_SECRET)
        blob = owner_blob(owned.tpm, owners(family, rights))
        delegation.load_owner_delegation(owned.tpm, OWNER_SECRET, row, blob)
        return family

    def test_a_row_stands_for_the_owner(self, both_owned: Owned) -> None:
        tpm = both_owned.tpm
        family = self.load(both_owned)
        assert delegation.read_table(tpm).rows == {1: owners(family)}
        owner.set_owner_pointer(tpm, Entity.DEL_ROW, 1)
        read(tpm, SECRET)
        read(tpm, tpm.osap(Entity.OWNER, OWNER, SECRET))
        for secret, code in ((OWNER_SECRET, Code.AUTHFAIL), (SECRET, Code.AUTHFAIL)):
            with refused(code):
                owner.disable_pubek_read(tpm, secret)
        owner.set_owner_pointer(tpm, Entity.OWNER, 0)
        owner.disable_pubek_read(tpm, OWNER_SECRET)
        with refused(Code.AUTHFAIL):
            read(tpm, SECRET)

    def test_the_pointer_goes_with_the_power_and_the_row_stays(self, both_owned: Owned) -> None:
        self.load(both_owned)
        owner.set_owner_pointer(both_owned.tpm, Entity.DEL_ROW, 1)
        both_owned.subject.power_cycle()
        read(both_owned.tpm, OWNER_SECRET)
        read(both_owned.tpm, both_owned.tpm.dsap(Entity.DEL_ROW, 0, u32(1), SECRET))

    def test_the_pointer_is_kept_by_save_state(self, ours_owned: Owned) -> None:
        self.load(ours_owned)
        owner.set_owner_pointer(ours_owned.tpm, Entity.DEL_ROW, 1)
        admin.save_state(ours_owned.tpm)
        ours_owned.subject.power_cycle(admin.Startup.STATE)
        read(ours_owned.tpm, SECRET)

    def test_changing_the_table_points_to_the_owner_again(self, both_owned: Owned) -> None:
        self.load(both_owned, READ_INTERNAL_PUB | MANAGE)
        owner.set_owner_pointer(both_owned.tpm, Entity.DEL_ROW, 1)
        delegation.manage(both_owned.tpm, SECRET, 0, CREATE, u8(1))
        read(both_owned.tpm, OWNER_SECRET)

    def test_pointers_that_lead_nowhere(self, both_owned: Owned) -> None:
        tpm, family = both_owned.tpm, self.load(both_owned)
        for entity, value, code in (
            (Entity.DEL_ROW, 0, Code.BADINDEX),
            (Entity.DEL_ROW, 99, Code.BADINDEX),
            (Entity.KEY_HANDLE, SRK, Code.BAD_PARAMETER),
        ):
            with refused(code):
                owner.set_owner_pointer(tpm, entity, value)
        delegation.create_owner_delegation(tpm, OWNER_SECRET, owners(family), SECRET, increment=True)
        with refused(Code.FAMILYCOUNT):
            owner.set_owner_pointer(tpm, Entity.DEL_ROW, 1)
        with refused(Code.FAMILYCOUNT):
            tpm.dsap(Entity.DEL_ROW, 0, u32(1), SECRET)
        assert delegation.update_verification(tpm, OWNER_SECRET, u32(1)) == b""
        owner.set_owner_pointer(tpm, Entity.DEL_ROW, 1)
        read(tpm, SECRET)
        owner.set_owner_pointer(tpm, Entity.OWNER, 0)
        delegation.manage(tpm, OWNER_SECRET, family, ENABLE, flag(False))
        with refused(Code.DISABLED_CMD):
            owner.set_owner_pointer(tpm, Entity.DEL_ROW, 1)
        with refused(Code.DISABLED_CMD):
            tpm.dsap(Entity.DEL_ROW, 0, u32(1), SECRET)

    def test_what_is_not_loaded(self, both_owned: Owned) -> None:
        tpm = both_owned.tpm
        family = delegation.create_family(tpm, OWNER_SECRET)
        blob = owner_blob(tpm, owners(family))
        with refused(Code.BADINDEX):
            delegation.load_owner_delegation(tpm, OWNER_SECRET, 99, blob)
        with refused(Code.AUTHFAIL):
            delegation.load_owner_delegation(tpm, OWNER_SECRET, 0, blob[:-1] + bytes([blob[-1] ^ 1]))
        for secret in (WELL_KNOWN, None):
            with refused(Code.AUTHFAIL):
                delegation.load_owner_delegation(tpm, secret, 0, blob)
        delegation.manage(tpm, OWNER_SECRET, family, ENABLE, flag(False))
        with refused(Code.DISABLED_CMD):
            delegation.load_owner_delegation(tpm, OWNER_SECRET, 0, blob)

    def test_a_delegate_loads_for_his_family_only(self, both_owned: Owned) -> None:
        tpm = both_owned.tpm
        his, other = (delegation.create_family(tpm, OWNER_SECRET) for _ in range(2))
        right = owner_blob(tpm, owners(his, LOAD_OWNER | UPDATE))
        foreign = owner_blob(tpm, owners(other))
        with refused(Code.DELEGATE_FAMILY):
            delegation.load_owner_delegation(tpm, as_owner(tpm, right), 0, foreign)
        with refused(Code.DELEGATE_FAMILY):
            delegation.update_verification(tpm, as_owner(tpm, right), foreign)
        assert delegation.update_verification(tpm, as_owner(tpm, right), right) == right
        session = as_owner(tpm, right)
        delegation.load_owner_delegation(tpm, session, 0, right)
        assert not session.open

    def test_without_an_owner_the_blob_lies_open(self, both: Subject) -> None:
        family = int.from_bytes(delegation.manage(both.tpm, None, 0, CREATE, u8(1)))
        delegation.manage(both.tpm, None, family, ENABLE, flag(True))
        secret = bytes.fromhex("0026") + SECRET
        blob = bytes.fromhex("002a") + owners(family).encode() + bytes(20) + u32(0) + u32(22) + secret
        delegation.load_owner_delegation(both.tpm, None, 0, blob)
        assert delegation.read_table(both.tpm).rows == {0: owners(family)}
        ek = owner.create_ek(both.tpm)
        owner.take_ownership(both.tpm, OWNER_SECRET, pubek=ek)
        read(both.tpm, both.tpm.dsap(Entity.DEL_ROW, 0, u32(0), SECRET))


class TestDsap:
    def test_blobs_that_are_none(self, both_owned: Owned) -> None:
        tpm = both_owned.tpm
        family = delegation.create_family(tpm, OWNER_SECRET)
        blob = owner_blob(tpm, owners(family))
        changed = blob.replace(u32(READ_INTERNAL_PUB), u32(READ_INTERNAL_PUB | MANAGE), 1)
        for entity, value, code in (
            (Entity.DEL_OWNER_BLOB, changed, Code.AUTHFAIL),
            (Entity.DEL_OWNER_BLOB, b"\0\x2a", Code.WRONG_ENTITYTYPE),
            (Entity.DEL_KEY_BLOB, blob, Code.WRONG_ENTITYTYPE),
            (Entity.DEL_ROW, u32(0), Code.BADINDEX),
            (Entity.DEL_ROW, bytes(3), Code.BAD_PARAM_SIZE),
            (Entity.OWNER, blob, Code.BAD_PARAMETER),
        ):
            with refused(code):
                tpm.dsap(entity, 0, value, SECRET)
        with refused(Code.INAPPROPRIATE_ENC):
            tpm.call(Ord.DSAP, b"\5\7" + u32(0) + DIGEST + u32(len(blob)) + blob)

    def test_a_blob_of_the_last_owner_is_worth_nothing(self, ours_owned: Owned) -> None:
        tpm = ours_owned.tpm
        family = delegation.create_family(tpm, OWNER_SECRET)
        blob = owner_blob(tpm, owners(family))
        owner.owner_clear(tpm, OWNER_SECRET)
        admin.assert_presence(tpm)
        admin.physical_enable(tpm)
        admin.physical_set_deactivated(tpm, False)
        ours_owned.subject.power_cycle()
        owner.take_ownership(tpm, OWNER_SECRET)
        delegation.create_family(tpm, OWNER_SECRET)
        with refused(Code.BADINDEX):
            as_owner(tpm, blob)

    def test_a_saved_session_is_void_once_the_family_counts_on(self, ours_owned: Owned) -> None:
        tpm = ours_owned.tpm
        family = delegation.create_family(tpm, OWNER_SECRET)
        session = as_owner(tpm, owner_blob(tpm, owners(family)))
        saved = context.save_context(tpm, session.handle, Resource.AUTH)
        delegation.create_owner_delegation(tpm, OWNER_SECRET, owners(family), SECRET, increment=True)
        session.handle = context.load_context(tpm, saved)
        with refused(Code.FAMILYCOUNT):
            read(tpm, session)

    def test_all_sessions_may_be_taken(self, ours_owned: Owned) -> None:
        tpm = ours_owned.tpm
        family = delegation.create_family(tpm, OWNER_SECRET)
        blob = owner_blob(tpm, owners(family))
        for _ in range(16):
            tpm.oiap()
        with refused(Code.RESOURCES):
            as_owner(tpm, blob)


def test_verify_delegation_says_what_is_wrong(both_owned: Owned) -> None:
    """TPM_Delegate_VerifyDelegation."""
    tpm = both_owned.tpm
    family = delegation.create_family(tpm, OWNER_SECRET)
    blob = owner_blob(tpm, owners(family))
    for data, code in (
        (blob[:-1] + bytes([blob[-1] ^ 1]), Code.AUTHFAIL),
        (b"\0\x1b" + blob[2:], Code.BAD_PARAMETER),
        (blob[:-1], Code.BAD_PARAM_SIZE),
        (b"", Code.BAD_PARAM_SIZE),
    ):
        with refused(code):
            delegation.verify_delegation(tpm, data)
    delegation.manage(tpm, OWNER_SECRET, family, ENABLE, flag(False))
    with refused(Code.DISABLED_CMD):
        delegation.verify_delegation(tpm, blob)
    delegation.manage(tpm, OWNER_SECRET, family, INVALIDATE)
    with refused(Code.BADINDEX):
        delegation.verify_delegation(tpm, blob)


def test_update_verification_says_what_is_wrong(both_owned: Owned) -> None:
    """TPM_Delegate_UpdateVerification."""
    tpm = both_owned.tpm
    family = delegation.create_family(tpm, OWNER_SECRET)
    blob = owner_blob(tpm, owners(family))
    for data, code in (
        (blob[:-1] + bytes([blob[-1] ^ 1]), Code.AUTHFAIL),
        (b"\0\x1b" + blob[2:], Code.BAD_PARAMETER),
        (u32(1), Code.BADINDEX),
    ):
        with refused(code):
            delegation.update_verification(tpm, OWNER_SECRET, data)
    with refused(Code.AUTHFAIL):
        delegation.update_verification(tpm, WELL_KNOWN, blob)


@pytest.mark.parametrize(
    ("ordinal", "body"),
    [
        (Ord.DSAP, bytes(26) + u32(0)),
        (Ord.SET_OWNER_POINTER, b"\0\2" + u32(0)),
        (Ord.DELEGATE_VERIFY_DELEGATION, u32(0)),
    ],
)
def test_without_an_owner(both: Subject, ordinal: int, body: bytes) -> None:
    assert both.tpm.code(ordinal, body) == Code.NOSRK


def test_a_key_below_a_delegated_parent(ours_owned: Owned) -> None:
    """TPM_CreateWrapKey by a delegate of the parent: DSAP carries new secrets as OSAP does."""
    tpm, parent = ours_owned.tpm, ours_owned.storage()
    family = delegation.create_family(tpm, OWNER_SECRET)
    blob = key_blob(ours_owned, parent, keys_rights(family, 1 << 11))
    session = tpm.dsap(Entity.DEL_KEY_BLOB, parent, blob, SECRET)
    made = keys.create_wrap_key(tpm, session, parent, template(KeyUsage.SIGNING, bits=1024), USAGE)
    key = keys.load_key2(tpm, USAGE, made, parent)
    assert signed(made.public, signing.sign(tpm, USAGE, key, DIGEST), DIGEST)


VALID = owners(1).encode()
BLOBS = st.one_of(
    st.binary(max_size=300),
    st.builds(
        lambda head, public, rest: head + public + rest,
        st.sampled_from([b"\0\x2a", b"\0\x27"]),
        st.sampled_from([VALID, VALID[:-1], VALID.replace(b"\0\3", b"\xff\xff", 1)]),
        st.binary(max_size=120),
    ),
)


@settings(max_examples=300, deadline=None)
@given(BLOBS)
def test_any_bytes_are_a_blob_or_refused(data: bytes) -> None:
    for kind in (OwnerBlob, KeyBlob, EmulatorsPublic, DelegateTables):
        try:
            blob = kind.decode(data)
        except TpmError:
            continue
        assert blob.encode() == data


@settings(max_examples=100, deadline=None)
@given(BLOBS, st.sampled_from([Entity.DEL_OWNER_BLOB, Entity.DEL_ROW, Entity.DEL_KEY_BLOB]))
def test_no_delegation_of_any_content_opens_a_session(
    prepared_ours: tuple[dict[Kind, bytes], Made], data: bytes, entity: Entity
) -> None:
    subject = Ours(prepared_ours[0])
    body = bytes([0, entity]) + u32(SRK) + DIGEST + u32(len(data)) + data
    wanted = {Code.WRONG_ENTITYTYPE, Code.BADINDEX, Code.BAD_PARAM_SIZE}
    assert subject.tpm.code(Ord.DSAP, body) in wanted
    body = u32(len(data)) + data
    wanted = {Code.BAD_PARAMETER, Code.INVALID_STRUCTURE, Code.BAD_PARAM_SIZE, Code.SIZE, Code.BADINDEX}
    assert subject.tpm.code(Ord.DELEGATE_VERIFY_DELEGATION, body) in wanted
