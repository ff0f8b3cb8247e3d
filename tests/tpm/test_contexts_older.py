# SPDX-License-Identifier: GPL-3.0-or-later
"""The four commands of TPM 1.1 for saved keys and sessions, ours and swtpm's (Part 3, 27.2)."""

from __future__ import annotations

import pytest

from tests.tpm.client import context, keys, owner
from tests.tpm.client.constants import (
    SRK,
    WELL_KNOWN,
    Code,
    Entity,
    Resource,
)
from tests.tpm.client.prepared import OWNER_SECRET, USAGE, Owned
from tests.tpm.client.tpm import refused
from tests.tpm.savedcontexts import works

pytest_plugins = ("tests.tpm.client.fixtures",)


class TestOlderCommands:
    def test_save_auth_context(self, both_owned: Owned) -> None:
        tpm = both_owned.tpm
        key, session = both_owned.signing(), tpm.oiap(USAGE)
        blob = context.save_auth_context(tpm, session.handle)
        with refused(Code.INVALID_AUTHHANDLE):
            context.save_auth_context(tpm, session.handle)
        session.handle = context.load_auth_context(tpm, blob)
        assert works(tpm, key, session)
        with refused(Code.BADCONTEXT):
            context.load_auth_context(tpm, blob)

    @pytest.mark.parametrize("entity", [Entity.OWNER, Entity.SRK, Entity.KEY_HANDLE])
    def test_load_auth_context_of_an_osap_session(self, both_owned: Owned, entity: Entity) -> None:
        tpm = both_owned.tpm
        key = both_owned.signing()
        secrets = {Entity.OWNER: OWNER_SECRET, Entity.SRK: WELL_KNOWN, Entity.KEY_HANDLE: USAGE}
        session = tpm.osap(entity, key, secrets[entity])
        session.handle = context.load_auth_context(tpm, context.save_auth_context(tpm, session.handle))
        if entity == Entity.OWNER:
            owner.owner_read_internal_pub(tpm, session, SRK)
        elif entity == Entity.SRK:
            keys.load_key2(tpm, session, both_owned.made.signing)
        else:
            assert works(tpm, key, session)

    def test_load_auth_context_without_its_key(self, both_owned: Owned) -> None:
        tpm = both_owned.tpm
        key = both_owned.signing()
        blob = context.save_auth_context(tpm, tpm.osap(Entity.KEY_HANDLE, key, USAGE).handle)
        keys.flush_specific(tpm, key)
        with refused(Code.RESOURCEMISSING):
            context.load_auth_context(tpm, blob)

    def test_load_auth_context_without_room(self, ours_owned: Owned) -> None:
        """TrouSerS swaps another one out then, and tries again."""
        tpm = ours_owned.tpm
        blob = context.save_auth_context(tpm, tpm.oiap().handle)
        handles = [tpm.oiap().handle for _ in range(16)]
        with refused(Code.RESOURCES):
            context.load_auth_context(tpm, blob)
        context.save_auth_context(tpm, handles[0])
        context.load_auth_context(tpm, blob)

    def test_save_key_context_takes_the_key_out(self, both_owned: Owned) -> None:
        tpm = both_owned.tpm
        key = both_owned.signing()
        session = tpm.osap(Entity.KEY_HANDLE, key, USAGE)
        blob = context.save_key_context(tpm, key)
        with refused(Code.INVALID_KEYHANDLE):
            context.save_key_context(tpm, key)
        key = context.load_key_context(tpm, blob)
        assert works(tpm, key)
        assert works(tpm, key, session)

    def test_load_key_context_after_a_power_cycle(self, both_owned: Owned) -> None:
        blob = context.save_key_context(both_owned.tpm, both_owned.signing())
        both_owned.subject.power_cycle()
        with refused(Code.BADCONTEXT):
            context.load_key_context(both_owned.tpm, blob)

    def test_load_key_context_without_a_slot(self, both_owned: Owned) -> None:
        tpm = both_owned.tpm
        blob = context.save_context(tpm, both_owned.signing(), Resource.KEY)
        with refused(Code.RESOURCES):
            for _ in range(100):
                context.load_key_context(tpm, blob)

    def test_save_key_context_of_an_owners_key(self, ours_owned: Owned) -> None:
        tpm = ours_owned.tpm
        key = ours_owned.signing()
        keys.key_control_owner(tpm, OWNER_SECRET, key, ours_owned.made.signing.public, 1, True)
        with refused(Code.OWNER_CONTROL):
            context.save_key_context(tpm, key)
        assert works(tpm, key)

    def test_load_contexts_of_the_wrong_kind(self, both_owned: Owned) -> None:
        tpm = both_owned.tpm
        key_blob = context.save_context(tpm, both_owned.signing(), Resource.KEY)
        auth_blob = context.save_context(tpm, tpm.oiap().handle, Resource.AUTH)
        with refused(Code.BAD_PARAMETER):
            context.load_auth_context(tpm, key_blob)
        with refused(Code.BAD_PARAMETER):
            context.load_key_context(tpm, auth_blob)
