# SPDX-License-Identifier: GPL-3.0-or-later
"""What ends authorisation sessions, ours and swtpm's; TPM_FlushSpecific (Part 1, 13; Part 3, 22.1)."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.tpm.client import admin, context, identity, keys, nv, owner, storage, ticks
from tests.tpm.client.constants import (
    OWNER,
    SRK,
    WELL_KNOWN,
    Code,
    Entity,
    KeyUsage,
    Resource,
)
from tests.tpm.client.keyblobs import template
from tests.tpm.client.migration import cmk_approve_ma, cmk_set_restrictions
from tests.tpm.client.prepared import OWNER_SECRET, USAGE, Owned
from tests.tpm.client.sessions import Session
from tests.tpm.client.tpm import refused
from tests.tpm.opensessions import DIGEST, NO_HANDLE, ask_owner, is_open

pytest_plugins = ("tests.tpm.client.fixtures",)


Use = Callable[[Owned, Session], object]


OWNERS: dict[str, tuple[bool, Use]] = {
    "define": (False, lambda owned, session: nv.define_space(owned.tpm, session, nv.NvPublic(1, 2, 4))),
    "counter": (False, lambda owned, session: ticks.create_counter(owned.tpm, session, b"test", USAGE)),
    "identity": (
        False,
        lambda owned, session: identity.make_identity(owned.tpm, WELL_KNOWN, session, USAGE, DIGEST),
    ),
    "read": (True, lambda owned, session: ask_owner(owned.tpm, session)),
    "lock value": (True, lambda owned, session: owner.reset_lock_value(owned.tpm, session)),
    "enable": (True, lambda owned, session: owner.owner_set_disable(owned.tpm, session, False)),
    "approve": (True, lambda owned, session: cmk_approve_ma(owned.tpm, session, DIGEST)),
    "restrict": (True, lambda owned, session: cmk_set_restrictions(owned.tpm, session, 0)),
}


KEYS: dict[str, tuple[bool, Use]] = {
    "wrap": (
        False,
        lambda owned, session: keys.create_wrap_key(
            owned.tpm, session, SRK, template(KeyUsage.SIGNING, bits=1024)
        ),
    ),
    "seal": (False, lambda owned, session: storage.seal(owned.tpm, session, b"data", USAGE)),
    "load": (True, lambda owned, session: keys.load_key2(owned.tpm, session, owned.made.signing)),
}


class TestEnds:
    @pytest.mark.parametrize("name", OWNERS)
    def test_owners_commands_that_carry_a_secret(self, both_owned: Owned, name: str) -> None:
        session = both_owned.tpm.osap(Entity.OWNER, OWNER, OWNER_SECRET)
        stays, use = OWNERS[name]
        use(both_owned, session)
        assert session.open == stays
        assert is_open(both_owned.tpm, session) == stays

    @pytest.mark.parametrize("name", KEYS)
    def test_keys_commands_that_carry_a_secret(self, both_owned: Owned, name: str) -> None:
        session = both_owned.tpm.osap(Entity.SRK, 0)
        stays, use = KEYS[name]
        use(both_owned, session)
        assert session.open == stays
        assert is_open(both_owned.tpm, session) == stays

    def test_flushing_a_key_ends_its_osap_sessions(self, both_owned: Owned) -> None:
        tpm = both_owned.tpm
        for flush in (keys.flush_specific, keys.evict_key):
            key = both_owned.signing()
            tied, free = tpm.osap(Entity.KEY_HANDLE, key, USAGE), tpm.oiap(USAGE)
            flush(tpm, key)
            assert not is_open(tpm, tied)
            assert is_open(tpm, free)

    def test_clearing_ends_all(self, both_owned: Owned) -> None:
        tpm = both_owned.tpm
        sessions = [tpm.oiap(), tpm.osap(Entity.OWNER, OWNER, OWNER_SECRET), tpm.osap(Entity.SRK, 0)]
        last = tpm.oiap(OWNER_SECRET)
        owner.owner_clear(tpm, last)
        assert not last.open
        assert not any(is_open(tpm, session) for session in [*sessions, last])

    def test_forced_clearing_ends_all(self, both_owned: Owned) -> None:
        tpm = both_owned.tpm
        sessions = [tpm.oiap(), tpm.osap(Entity.OWNER, OWNER, OWNER_SECRET), tpm.osap(Entity.SRK, 0)]
        admin.assert_presence(tpm)
        owner.force_clear(tpm)
        assert not any(is_open(tpm, session) for session in sessions)

    def test_a_new_start_ends_all_a_resumed_one_none(self, both_owned: Owned) -> None:
        tpm = both_owned.tpm
        oiap, osap = tpm.oiap(OWNER_SECRET), tpm.osap(Entity.SRK, 0)
        admin.save_state(tpm)
        both_owned.subject.power_cycle(admin.Startup.STATE)
        ask_owner(tpm, oiap)
        keys.load_key2(tpm, osap, both_owned.made.signing)
        admin.save_state(tpm)
        both_owned.subject.power_cycle(admin.Startup.CLEAR)
        assert not is_open(tpm, oiap)
        assert not is_open(tpm, osap)

    def test_a_saved_session_does_not_outlive_the_owners_secret(self, both_owned: Owned) -> None:
        tpm = both_owned.tpm
        session = tpm.osap(Entity.OWNER, OWNER, OWNER_SECRET)
        blob = context.save_context(tpm, session.handle, Resource.AUTH)
        owner.change_auth_owner(tpm, OWNER_SECRET, Entity.OWNER, USAGE)
        with refused(Code.RESOURCEMISSING):
            context.load_context(tpm, blob)


UNKNOWN = (
    (0, Code.INVALID_RESOURCE),
    (Resource.KEY, Code.BAD_PARAMETER),
    (Resource.AUTH, Code.INVALID_AUTHHANDLE),
    (Resource.HASH, Code.INVALID_RESOURCE),
    (Resource.TRANS, Code.INVALID_AUTHHANDLE),
    (Resource.CONTEXT, Code.BAD_PARAMETER),
    (Resource.COUNTER, Code.INVALID_RESOURCE),
    (Resource.DELEGATE, Code.INVALID_RESOURCE),
    (Resource.DAA_TPM, Code.BAD_HANDLE),
    (9, Code.INVALID_RESOURCE),
)


class TestFlushSpecific:
    def test_handles_of_nothing(self, both_owned: Owned) -> None:
        for resource, code in UNKNOWN:
            with refused(code):
                keys.flush_specific(both_owned.tpm, NO_HANDLE, resource)

    def test_handles_of_something_else(self, both_owned: Owned) -> None:
        tpm, key = both_owned.tpm, both_owned.signing()
        session = tpm.oiap()
        with refused(Code.INVALID_AUTHHANDLE):
            keys.flush_specific(tpm, key, Resource.AUTH)
        with refused(Code.BAD_PARAMETER):
            keys.flush_specific(tpm, session.handle, Resource.KEY)
        with refused(Code.BAD_PARAMETER):
            keys.flush_specific(tpm, SRK, Resource.KEY)
        with refused(Code.INVALID_AUTHHANDLE):
            keys.terminate_handle(tpm, key)

    def test_a_session_is_flushed_once(self, both_owned: Owned) -> None:
        session = both_owned.tpm.oiap()
        keys.flush_specific(both_owned.tpm, session.handle, Resource.AUTH)
        with refused(Code.INVALID_AUTHHANDLE):
            keys.flush_specific(both_owned.tpm, session.handle, Resource.AUTH)
