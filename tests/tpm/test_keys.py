# SPDX-License-Identifier: GPL-3.0-or-later
"""Showing, keeping and letting go of keys: ours and swtpm's (Part 3, 10.6, 21.1, 27.1)."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.tpm.client import context, integrity, keys, owner, signing, storage
from tests.tpm.client.capability import handles
from tests.tpm.client.constants import (
    SRK,
    WELL_KNOWN,
    AuthUsage,
    Code,
    Entity,
    KeyFlags,
    KeyUsage,
    Ord,
    Resource,
)
from tests.tpm.client.keyblobs import Key, template
from tests.tpm.client.prepared import OWNER_SECRET, USAGE, Owned
from tests.tpm.client.rsacrypt import signed
from tests.tpm.client.subjects import Ours
from tests.tpm.client.tpm import refused
from tests.tpm.client.wire import sized, u32
from tests.tpm.wrappedkeys import BAD_HANDLE, DIGEST, SMALL, bound_to_now, make

pytest_plugins = ("tests.tpm.client.fixtures",)


OWNER_EVICT = 1


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
        emulator = ours_owned.ours.emulator
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
            patch.setattr(ours_owned.ours.store, "save", fail)
            with refused(Code.IOERROR):
                self.keep(ours_owned, key)
        assert not ours_owned.ours.emulator.keys.kept(key)
        assert signing.sign(ours_owned.tpm, USAGE, key, DIGEST)


def test_bound_data_of_a_legacy_key_with_pkcs1(ours_owned: Owned) -> None:
    """TPM_UnBind with the other padding, by a key that can sign, too."""
    made = make(ours_owned, template(KeyUsage.LEGACY, bits=1024))
    key = ours_owned.load(made)
    assert storage.unbind(ours_owned.tpm, USAGE, key, storage.bound(made.public, b"data")) == b"data"
    assert signing.sign(ours_owned.tpm, USAGE, key, DIGEST)
