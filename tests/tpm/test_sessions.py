# SPDX-License-Identifier: GPL-3.0-or-later
"""Authorisation sessions, ours and swtpm's: TPM_OIAP, TPM_OSAP, their nonces and what they are tied to
(Part 1, 13; Part 3, 18).
"""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.tpm.client import delegation, keys, nv, owner, signing, storage, ticks
from tests.tpm.client.constants import (
    OPERATOR,
    OWNER,
    SRK,
    WELL_KNOWN,
    Adip,
    Code,
    Entity,
    KeyFlags,
    KeyUsage,
    Ord,
    Tag,
)
from tests.tpm.client.keyblobs import template
from tests.tpm.client.migration import cmk_approve_ma, cmk_create_key, cmk_set_restrictions
from tests.tpm.client.prepared import OWNER_SECRET, USAGE, Owned
from tests.tpm.client.sessions import Session
from tests.tpm.client.subjects import Subject
from tests.tpm.client.tpm import Tpm, refused
from tests.tpm.client.wire import hmac_sha1, sha1, u16, u32
from tests.tpm.opensessions import DIGEST, NO_HANDLE, ask_owner, is_open

pytest_plugins = ("tests.tpm.client.fixtures",)


MOST = 16


class TestOiap:
    def test_one_session_for_many_commands_entities_and_secrets(self, both_owned: Owned) -> None:
        session = both_owned.tpm.oiap(OWNER_SECRET)
        nonces = {session.nonce_even}
        for _ in range(3):
            session.key = OWNER_SECRET
            ask_owner(both_owned.tpm, session)
            nonces.add(session.nonce_even)
            session.key = WELL_KNOWN
            keys.load_key2(both_owned.tpm, session, both_owned.made.signing)
            nonces.add(session.nonce_even)
        assert len(nonces) == 7

    def test_a_command_cannot_be_replayed(self, both_owned: Owned) -> None:
        tpm = both_owned.tpm
        session = tpm.oiap(OWNER_SECRET)
        again = replace(session)
        ask_owner(tpm, session)
        with refused(Code.AUTHFAIL):
            ask_owner(tpm, again)
        assert not is_open(tpm, session)

    def test_the_caller_ends_it(self, both_owned: Owned) -> None:
        session = both_owned.tpm.oiap(OWNER_SECRET, keep=False)
        ask_owner(both_owned.tpm, session)
        assert not session.open
        with refused(Code.INVALID_AUTHHANDLE):
            ask_owner(both_owned.tpm, session)

    def test_it_works_from_any_locality(self, both_owned: Owned) -> None:
        session = both_owned.tpm.oiap(OWNER_SECRET)
        both_owned.subject.set_locality(3)
        ask_owner(both_owned.tpm, session)

    def test_handles_of_nothing(self, both_owned: Owned) -> None:
        for handle in (0, NO_HANDLE, 0xFFFFFFFF, SRK):
            with refused(Code.INVALID_AUTHHANDLE):
                ask_owner(both_owned.tpm, Session(handle, OWNER_SECRET, bytes(20)))

    @pytest.mark.parametrize("keep", [2, 0xFF])
    def test_continue_is_a_bool(self, both_owned: Owned, keep: int) -> None:
        tpm = both_owned.tpm
        session = tpm.oiap(OWNER_SECRET)
        over = sha1(u32(Ord.OWNER_READ_INTERNAL_PUB), u32(SRK)), session.nonce_even, DIGEST, bytes([keep])
        trailer = u32(session.handle) + DIGEST + bytes([keep]) + hmac_sha1(OWNER_SECRET, *over)
        answer = tpm.code(Ord.OWNER_READ_INTERNAL_PUB, u32(SRK) + trailer, Tag.AUTH1_COMMAND)
        assert answer == Code.BAD_PARAMETER
        assert is_open(tpm, session)


OSAPS = (
    (0x0001, SRK, Code.SUCCESS),
    (0x0001, 5, Code.INVALID_KEYHANDLE),
    (0x0002, OWNER, Code.SUCCESS),
    (0x0002, 0, Code.SUCCESS),
    (0x0003, 0, Code.BAD_PARAMETER),
    (0x0004, SRK, Code.SUCCESS),
    (0x0004, 0, Code.SUCCESS),
    (0x0005, 0, Code.BAD_PARAMETER),
    (0x0006, 0, Code.BAD_PARAMETER),
    (0x0007, 0, Code.BAD_PARAMETER),
    (0x0008, 0, Code.BAD_PARAMETER),
    (0x0009, 0, Code.BAD_PARAMETER),
    (0x000A, 0, Code.BAD_COUNTER),
    (0x000B, 1, Code.BADINDEX),
    (0x000C, 0, Code.BAD_PARAMETER),
    (0x0000, 0, Code.BAD_PARAMETER),
    (0x0602, OWNER, Code.SUCCESS),
    (0x0102, OWNER, Code.INAPPROPRIATE_ENC),
    (0x0703, 0, Code.INAPPROPRIATE_ENC),
)


class TestOsap:
    def test_entities_and_schemes(self, both_owned: Owned) -> None:
        for entity, value, code in OSAPS:
            answer = both_owned.tpm.code(Ord.OSAP, u16(entity) + u32(value) + DIGEST)
            assert answer == code, (entity, value)

    def test_the_operator_is_no_key(self, both_owned: Owned) -> None:
        body = u16(Entity.KEY_HANDLE) + u32(OPERATOR) + DIGEST
        assert both_owned.tpm.code(Ord.OSAP, body) == Code.BAD_HANDLE

    def test_without_an_owner_there_is_nothing(self, both: Subject) -> None:
        for entity in Entity:
            with refused(Code.NOSRK):
                both.tpm.osap(entity, SRK)

    @pytest.mark.parametrize("adip", list(Adip))
    def test_each_entity_has_its_sessions(self, both_owned: Owned, adip: Adip) -> None:
        tpm = both_owned.tpm
        nv.define_space(tpm, OWNER_SECRET, nv.NvPublic(2, 4, 4), USAGE)
        counter, _ = ticks.create_counter(tpm, OWNER_SECRET, b"test", USAGE)
        key = both_owned.signing()
        nv.write_value_auth(tpm, tpm.osap(Entity.NV, 2, USAGE, adip=adip), 2, b"data")
        ticks.increment_counter(tpm, tpm.osap(Entity.COUNTER, counter, USAGE, adip=adip), counter)
        signing.sign(tpm, tpm.osap(Entity.KEY_HANDLE, key, USAGE, adip=adip), key, DIGEST)
        for entity in (Entity.SRK, Entity.KEY_HANDLE):
            session = tpm.osap(entity, SRK, adip=adip)
            made = keys.create_wrap_key(tpm, session, SRK, template(KeyUsage.SIGNING, bits=1024), USAGE)
            assert both_owned.load(made)
        session = tpm.osap(Entity.OWNER, OWNER, OWNER_SECRET, adip=adip)
        owner.change_auth_owner(tpm, session, Entity.OWNER, USAGE)
        ask_owner(tpm, tpm.oiap(USAGE))

    def test_it_is_tied_to_one_entity(self, both_owned: Owned) -> None:
        tpm = both_owned.tpm
        signer, store = both_owned.signing(), both_owned.storage()
        for session in (tpm.osap(Entity.SRK, 0), tpm.osap(Entity.KEY_HANDLE, store, USAGE)):
            with refused(Code.AUTHFAIL):
                signing.sign(tpm, session, signer, DIGEST)
            assert not is_open(tpm, session)
        with refused(Code.AUTHFAIL):
            keys.load_key2(tpm, tpm.osap(Entity.OWNER, OWNER, OWNER_SECRET), both_owned.made.signing)
        with refused(Code.AUTHFAIL):
            ask_owner(tpm, tpm.osap(Entity.SRK, 0))

    def test_it_is_tied_to_the_key_not_to_its_handle(self, both_owned: Owned) -> None:
        tpm = both_owned.tpm
        first = both_owned.signing()
        session = tpm.osap(Entity.KEY_HANDLE, first, USAGE)
        signing.sign(tpm, session, both_owned.signing(), DIGEST)
        signing.sign(tpm, session, first, DIGEST)

    def test_a_wrong_secret_shows_at_the_first_command(self, both_owned: Owned) -> None:
        session = both_owned.tpm.osap(Entity.OWNER, OWNER, b"x" * 20)
        with refused(Code.AUTHFAIL):
            ask_owner(both_owned.tpm, session)

    def test_another_area_under_the_same_index(self, both_owned: Owned) -> None:
        tpm = both_owned.tpm
        nv.define_space(tpm, OWNER_SECRET, nv.NvPublic(2, 4, 4), USAGE)
        session = tpm.osap(Entity.NV, 2, USAGE)
        nv.define_space(tpm, OWNER_SECRET, nv.NvPublic(2, 4, 0))
        nv.define_space(tpm, OWNER_SECRET, nv.NvPublic(2, 4, 4), USAGE)
        with refused(Code.INVALID_AUTHHANDLE):
            nv.write_value_auth(tpm, session, 2, b"data")


class TestTwoAuthorisations:
    @staticmethod
    def sealed(tpm: Tpm) -> storage.StoredData:
        return storage.seal(tpm, WELL_KNOWN, b"data", WELL_KNOWN)

    def test_one_session_may_do_for_both(self, both_owned: Owned) -> None:
        tpm = both_owned.tpm
        blob, first = self.sealed(tpm), tpm.oiap()
        second = replace(first)
        assert storage.unseal(tpm, first, second, blob) == b"data"
        assert (first.open, second.open) == (True, True)
        keys.load_key2(tpm, second, both_owned.made.signing)

    @pytest.mark.parametrize(("first_stays", "second_stays"), [(True, False), (False, True), (False, False)])
    def test_and_either_ends_it(self, both_owned: Owned, first_stays: bool, second_stays: bool) -> None:
        tpm = both_owned.tpm
        blob, first = self.sealed(tpm), tpm.oiap(keep=first_stays)
        storage.unseal(tpm, first, replace(first, keep=second_stays), blob)
        assert not is_open(tpm, first)

    @pytest.mark.parametrize("wrong", [0, 1])
    def test_a_failure_ends_both(self, both_owned: Owned, wrong: int) -> None:
        tpm = both_owned.tpm
        blob = self.sealed(tpm)
        sessions = first, second = tpm.oiap(), tpm.oiap()
        sessions[wrong].key = USAGE
        with refused(Code.AUTH2FAIL if wrong else Code.AUTHFAIL):
            storage.unseal(tpm, first, second, blob)
        assert not any(is_open(tpm, session) for session in sessions)


class TestFailures:
    def test_what_fails_before_the_sessions_matter_leaves_them(self, both_owned: Owned) -> None:
        tpm, session = both_owned.tpm, both_owned.tpm.oiap(OWNER_SECRET)
        trailer = u32(session.handle) + bytes(41)
        assert tpm.code(Ord.OWNER_READ_INTERNAL_PUB, trailer, Tag.AUTH1_COMMAND) == Code.BAD_PARAM_SIZE
        assert tpm.code(Ord.OWNER_READ_INTERNAL_PUB, u32(SRK) + trailer, Tag.AUTH2_COMMAND) == Code.BADTAG
        owner.owner_set_disable(tpm, OWNER_SECRET, True)
        with refused(Code.DISABLED):
            ask_owner(tpm, replace(session))
        owner.owner_set_disable(tpm, OWNER_SECRET, False)
        ask_owner(tpm, session)

    def test_what_fails_later_ends_them(self, both_owned: Owned) -> None:
        tpm, session = both_owned.tpm, both_owned.tpm.oiap()
        with refused(Code.INVALID_KEYHANDLE):
            keys.load_key2(tpm, session, both_owned.made.signing, 0x05000000)
        assert not is_open(tpm, session)


class TestRoom:
    def test_there_are_sixteen(self, both_owned: Owned) -> None:
        tpm = both_owned.tpm
        sessions = [tpm.oiap() for _ in range(MOST)]
        assert len({session.handle for session in sessions}) == MOST
        for body in (u16(Entity.OWNER) + u32(OWNER), u16(Entity.KEY_HANDLE) + u32(5), u16(3) + u32(0)):
            assert tpm.code(Ord.OSAP, body + DIGEST) == Code.RESOURCES
        with refused(Code.RESOURCES):
            tpm.oiap()
        assert is_open(tpm, sessions[5])
        keys.terminate_handle(tpm, sessions[6].handle)
        tpm.oiap()
        tpm.osap(Entity.OWNER, OWNER)
        with refused(Code.RESOURCES):
            tpm.oiap()


class TestDelegatedCertifiedKeys:
    """TPM_CMK_SetRestrictions decides which certified migration keys a delegate may use (Part 3, 11.5)."""

    SIGN = 1 << 14  # TPM_KEY_DELEGATE_Sign

    @pytest.mark.parametrize(("restriction", "allowed"), [(1 << 31, True), (1 << 30, False), (0, False)])
    def test_restrictions(self, both_owned: Owned, restriction: int, allowed: bool) -> None:
        tpm, secret = both_owned.tpm, b"the delegate's own.."
        cmk_set_restrictions(tpm, OWNER_SECRET, restriction)
        flags = KeyFlags.MIGRATABLE | KeyFlags.MIGRATE_AUTHORITY
        wanted = template(KeyUsage.SIGNING, flags, bits=1024, key12=True)
        approval = cmk_approve_ma(tpm, OWNER_SECRET, DIGEST)
        key = both_owned.load(cmk_create_key(tpm, WELL_KNOWN, SRK, wanted, USAGE, approval, DIGEST))
        family = delegation.create_family(tpm, OWNER_SECRET)
        delegation.manage(tpm, OWNER_SECRET, family, delegation.ENABLE, b"\1")
        count = delegation.read_table(tpm).families[0].verification
        public = delegation.DelegatePublic(delegation.KEY_RIGHTS, self.SIGN, 0, family, count)
        blob = delegation.create_key_delegation(tpm, USAGE, key, public, secret)
        session = tpm.dsap(Entity.DEL_KEY_BLOB, key, blob, secret)
        if allowed:
            signing.sign(tpm, session, key, DIGEST)
        else:
            with refused(Code.INVALID_KEYUSAGE):
                signing.sign(tpm, session, key, DIGEST)
        signing.sign(tpm, USAGE, key, DIGEST)
