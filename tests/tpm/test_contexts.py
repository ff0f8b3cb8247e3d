# SPDX-License-Identifier: GPL-3.0-or-later
"""TPM_SaveContext, TPM_LoadContext and TPM_FlushSpecific, ours and swtpm's (Part 3, 21 and 22.1)."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.tpm.client import context, integrity, keys, nv, owner, transport
from tests.tpm.client.constants import (
    OWNER,
    SRK,
    WELL_KNOWN,
    Code,
    Entity,
    KeyFlags,
    KeyUsage,
    Ord,
    Resource,
)
from tests.tpm.client.keyblobs import Key, template
from tests.tpm.client.pcr import PcrInfo, Selection, composite_digest
from tests.tpm.client.prepared import MIGRATION, OWNER_SECRET, USAGE, Owned
from tests.tpm.client.tpm import Tpm, refused
from tests.tpm.client.transport import ENCRYPT, LOG, TransportPublic
from tests.tpm.savedcontexts import SECRET, works

pytest_plugins = ("tests.tpm.client.fixtures",)


UNKNOWN = 0x02ABCDEF


def made_key(tpm: Tpm, wanted: Key) -> Key:
    return keys.create_wrap_key(tpm, WELL_KNOWN, SRK, wanted, USAGE, MIGRATION)


class TestKeys:
    def test_save_context_of_a_key_leaves_it(self, both_owned: Owned) -> None:
        tpm = both_owned.tpm
        key = both_owned.signing()
        blob = context.save_context(tpm, key, Resource.KEY, b"a label for a k.")
        assert works(tpm, key)
        second = context.load_context(tpm, blob)
        assert second != key
        assert works(tpm, second)

    def test_load_context_of_a_key_under_its_old_handle(self, both_owned: Owned) -> None:
        tpm = both_owned.tpm
        key = both_owned.signing()
        blob = context.save_context(tpm, key, Resource.KEY)
        keys.flush_specific(tpm, key)
        assert context.load_context(tpm, blob, keep_handle=True) == key
        assert works(tpm, key)

    def test_load_context_of_a_key_whose_handle_is_taken(self, ours_owned: Owned) -> None:
        """swtpm says the same, and forgets the key that has the handle."""
        tpm = ours_owned.tpm
        key = ours_owned.signing()
        blob = context.save_context(tpm, key, Resource.KEY)
        with refused(Code.BAD_HANDLE):
            context.load_context(tpm, blob, keep_handle=True)
        assert works(tpm, key)

    def test_load_context_of_a_key_after_a_power_cycle(self, both_owned: Owned) -> None:
        blob = context.save_context(both_owned.tpm, both_owned.signing(), Resource.KEY)
        both_owned.subject.power_cycle()
        assert works(both_owned.tpm, context.load_context(both_owned.tpm, blob))

    def test_load_context_of_a_volatile_key_after_a_power_cycle(self, both_owned: Owned) -> None:
        tpm = both_owned.tpm
        wanted = made_key(tpm, template(KeyUsage.SIGNING, KeyFlags.VOLATILE))
        blob = context.save_context(tpm, both_owned.load(wanted), Resource.KEY)
        assert works(tpm, context.load_context(tpm, blob))
        both_owned.subject.power_cycle()
        with refused(Code.BADCONTEXT):
            context.load_context(tpm, blob)

    def test_load_context_of_a_key_whose_parent_needs_pcrs(self, both_owned: Owned) -> None:
        tpm = both_owned.tpm
        value = composite_digest([10], [integrity.pcr_read(tpm, 10)])
        info = PcrInfo(Selection.of(10), value, bytes(20))
        parent = both_owned.load(made_key(tpm, template(KeyUsage.STORAGE, pcr_info=info)))
        child = keys.create_wrap_key(tpm, USAGE, parent, template(KeyUsage.SIGNING), USAGE, MIGRATION)
        blob = context.save_context(tpm, both_owned.load(child, USAGE, parent), Resource.KEY)
        assert works(tpm, context.load_context(tpm, blob))
        both_owned.subject.power_cycle()
        with refused(Code.BADCONTEXT):
            context.load_context(tpm, blob)

    def test_save_context_of_what_is_no_key(self, both_owned: Owned) -> None:
        tpm = both_owned.tpm
        key, session = both_owned.signing(), tpm.oiap()
        for handle, resource in (
            (SRK, Resource.KEY),
            (UNKNOWN, Resource.KEY),
            (session.handle, Resource.KEY),
            (key, Resource.AUTH),
            (key, Resource.TRANS),
            (key, Resource.HASH),
            (key, Resource.CONTEXT),
            (key, Resource.COUNTER),
            (key, 0),
            (key, 0xFFFFFFFF),
        ):
            with refused(Code.INVALID_RESOURCE):
                context.save_context(tpm, handle, resource)

    def test_save_context_of_an_owners_key(self, both_owned: Owned) -> None:
        tpm = both_owned.tpm
        key = both_owned.signing()
        keys.key_control_owner(tpm, OWNER_SECRET, key, both_owned.made.signing.public, 1, True)
        with refused(Code.OWNER_CONTROL):
            context.save_context(tpm, key, Resource.KEY)

    def test_load_context_of_a_key_without_a_slot(self, both_owned: Owned) -> None:
        tpm = both_owned.tpm
        blob = context.save_context(tpm, both_owned.signing(), Resource.KEY)
        with refused(Code.NOSPACE):
            for _ in range(100):
                context.load_context(tpm, blob)

    def test_load_context_of_a_key_of_another_tpm(self, ours_owned: Owned, swtpm_owned: Owned) -> None:
        blob = context.save_context(swtpm_owned.tpm, swtpm_owned.signing(), Resource.KEY)
        with refused(Code.BADCONTEXT):
            context.load_context(ours_owned.tpm, blob)


class TestSessions:
    def test_save_context_of_an_oiap_session(self, both_owned: Owned) -> None:
        tpm = both_owned.tpm
        key, session = both_owned.signing(), tpm.oiap(USAGE)
        blob = context.save_context(tpm, session.handle, Resource.AUTH)
        with refused(Code.INVALID_AUTHHANDLE):
            works(tpm, key, replace(session))
        assert context.load_context(tpm, blob, keep_handle=True) == session.handle
        assert works(tpm, key, session) and works(tpm, key, session)

    def test_load_context_of_a_session_only_once(self, both_owned: Owned) -> None:
        tpm = both_owned.tpm
        blob = context.save_context(tpm, tpm.oiap().handle, Resource.AUTH)
        handle = context.load_context(tpm, blob)
        with refused(Code.BADCONTEXT):
            context.load_context(tpm, blob)
        keys.flush_specific(tpm, handle, Resource.AUTH)
        with refused(Code.BADCONTEXT):
            context.load_context(tpm, blob)

    def test_load_context_of_sessions_in_any_order(self, both_owned: Owned) -> None:
        tpm = both_owned.tpm
        blobs = [context.save_context(tpm, tpm.oiap().handle, Resource.AUTH) for _ in range(5)]
        for index in (3, 0, 4, 1, 2):
            context.load_context(tpm, blobs[index])

    def test_save_context_of_an_osap_session(self, both_owned: Owned) -> None:
        tpm = both_owned.tpm
        key = both_owned.signing()
        session = tpm.osap(Entity.KEY_HANDLE, key, USAGE)
        blob = context.save_context(tpm, session.handle, Resource.AUTH)
        session.handle = context.load_context(tpm, blob, key)
        assert works(tpm, key, session)

    def test_load_context_of_an_osap_session_whose_key_moved(self, both_owned: Owned) -> None:
        tpm = both_owned.tpm
        key = both_owned.signing()
        session = tpm.osap(Entity.KEY_HANDLE, key, USAGE)
        key_blob = context.save_context(tpm, key, Resource.KEY)
        blob = context.save_context(tpm, session.handle, Resource.AUTH)
        keys.flush_specific(tpm, key)
        both_owned.storage()
        key = context.load_context(tpm, key_blob)
        session.handle = context.load_context(tpm, blob, key)
        assert works(tpm, key, session)

    def test_load_context_of_an_osap_session_without_its_key(self, ours_owned: Owned) -> None:
        """swtpm says BAD_HANDLE to the first two, and RESOURCEMISSING to the last."""
        tpm = ours_owned.tpm
        key, other = ours_owned.signing(), ours_owned.storage()
        session = tpm.osap(Entity.KEY_HANDLE, key, USAGE)
        blob = context.save_context(tpm, session.handle, Resource.AUTH)
        for wrong in (other, SRK, 0):
            with refused(Code.BAD_HANDLE):
                context.load_context(tpm, blob, wrong)
        keys.flush_specific(tpm, key)
        with refused(Code.RESOURCEMISSING):
            context.load_context(tpm, blob, key)
        again = ours_owned.signing()
        assert context.load_context(tpm, blob, again) == session.handle

    @pytest.mark.parametrize("entity", [Entity.SRK, Entity.KEY_HANDLE])
    def test_load_context_of_an_osap_session_of_the_srk(self, both_owned: Owned, entity: Entity) -> None:
        tpm = both_owned.tpm
        session = tpm.osap(entity, SRK, WELL_KNOWN)
        blob = context.save_context(tpm, session.handle, Resource.AUTH)
        session.handle = context.load_context(tpm, blob, SRK)
        keys.load_key2(tpm, session, both_owned.made.signing)

    def test_load_context_of_an_osap_session_of_an_nv_area(self, both_owned: Owned) -> None:
        tpm = both_owned.tpm
        area = nv.NvPublic(0x10, nv.Nv.AUTH_READ | nv.Nv.AUTH_WRITE, 8)
        nv.define_space(tpm, OWNER_SECRET, area, USAGE)
        session = tpm.osap(Entity.NV, 0x10, USAGE)
        blob = context.save_context(tpm, session.handle, Resource.AUTH)
        session.handle = context.load_context(tpm, blob, 0x10)
        nv.write_value_auth(tpm, session, 0x10, b"12345678")
        blob = context.save_context(tpm, session.handle, Resource.AUTH)
        nv.define_space(tpm, OWNER_SECRET, replace(area, size=0))
        with refused(Code.RESOURCEMISSING):
            context.load_context(tpm, blob, 0x10)

    def test_load_context_after_the_owners_secret_changed(self, both_owned: Owned) -> None:
        tpm = both_owned.tpm
        session = tpm.osap(Entity.OWNER, OWNER, OWNER_SECRET)
        blob = context.save_context(tpm, session.handle, Resource.AUTH)
        owner.change_auth_owner(tpm, OWNER_SECRET, Entity.OWNER, USAGE)
        with refused(Code.RESOURCEMISSING):
            context.load_context(tpm, blob, OWNER)

    def test_load_context_after_the_srks_secret_changed(self, ours_owned: Owned) -> None:
        """With swtpm the session goes on to prove the old secret."""
        tpm = ours_owned.tpm
        session = tpm.osap(Entity.SRK, SRK, WELL_KNOWN)
        blob = context.save_context(tpm, session.handle, Resource.AUTH)
        owner.change_auth_owner(tpm, OWNER_SECRET, Entity.SRK, USAGE)
        with refused(Code.RESOURCEMISSING):
            context.load_context(tpm, blob, SRK)

    def test_save_context_of_a_transport_session(self, both_owned: Owned) -> None:
        tpm, made = both_owned.tpm, both_owned.made.storage
        public = TransportPublic(ENCRYPT | LOG)
        session = transport.establish(tpm, public, SECRET, USAGE, both_owned.storage(), made.public)
        blob = context.save_context(tpm, session.handle, Resource.TRANS)
        with refused(Code.INVALID_AUTHHANDLE):
            session.tpm.code(Ord.GET_TICKS)
        session.handle = context.load_context(tpm, blob)
        assert session.tpm.code(Ord.GET_TICKS) == 0
        with refused(Code.BADCONTEXT):
            context.load_context(tpm, blob)

    def test_load_context_of_a_session_without_room(self, ours_owned: Owned) -> None:
        tpm = ours_owned.tpm
        blob = context.save_context(tpm, tpm.oiap().handle, Resource.AUTH)
        handles = [tpm.oiap().handle for _ in range(16)]
        with refused(Code.RESOURCES):
            context.load_context(tpm, blob)
        keys.flush_specific(tpm, handles[0], Resource.AUTH)
        context.load_context(tpm, blob)

    def test_load_context_of_a_session_whose_handle_is_taken(self, ours_owned: Owned) -> None:
        tpm, table = ours_owned.tpm, ours_owned.ours.emulator.sessions
        handle = tpm.oiap().handle
        opened = table.get(handle)
        blob = context.save_context(tpm, handle, Resource.AUTH)
        table.insert(opened)
        with refused(Code.BAD_HANDLE):
            context.load_context(tpm, blob, keep_handle=True)
        assert context.load_context(tpm, blob) != handle


class TestNumbers:
    def test_save_context_until_none_fits(self, ours_owned: Owned) -> None:
        tpm = ours_owned.tpm
        blobs = []
        with refused(Code.NOCONTEXTSPACE):
            while True:
                session = tpm.oiap()
                blobs.append(context.save_context(tpm, session.handle, Resource.AUTH))
        assert len(blobs) == 128
        keys.flush_specific(tpm, 1, Resource.CONTEXT)
        context.save_context(tpm, session.handle, Resource.AUTH)
        with refused(Code.BADCONTEXT):
            context.load_context(tpm, blobs[0])
        context.load_context(tpm, blobs[1])

    def test_save_context_until_the_numbers_end(self, ours_owned: Owned) -> None:
        tpm = ours_owned.tpm
        machine = ours_owned.ours.emulator
        machine.contexts = replace(machine.contexts, last=0xFFFFFFFE)
        context.save_context(tpm, tpm.oiap().handle, Resource.AUTH)
        session = tpm.oiap()
        with refused(Code.TOOMANYCONTEXTS):
            context.save_context(tpm, session.handle, Resource.AUTH)
        with refused(Code.TOOMANYCONTEXTS):
            context.save_auth_context(tpm, session.handle)
        assert context.save_context(tpm, ours_owned.signing(), Resource.KEY)
        ours_owned.subject.power_cycle()
        context.save_context(tpm, tpm.oiap().handle, Resource.AUTH)

    def test_flush_specific_of_a_context(self, both_owned: Owned) -> None:
        tpm = both_owned.tpm
        blob = context.save_context(tpm, tpm.oiap().handle, Resource.AUTH)
        keys.flush_specific(tpm, 1, Resource.CONTEXT)
        with refused(Code.BADCONTEXT):
            context.load_context(tpm, blob)
        for unknown in (0, 1, 2, 0xFFFFFFFF):
            with refused(Code.BAD_PARAMETER):
                keys.flush_specific(tpm, unknown, Resource.CONTEXT)

    def test_flush_specific_of_each_resource(self, both_owned: Owned) -> None:
        tpm = both_owned.tpm
        session = transport.establish(tpm, TransportPublic(), SECRET)
        for handle, resource in (
            (both_owned.signing(), Resource.KEY),
            (tpm.oiap().handle, Resource.AUTH),
            (session.handle, Resource.TRANS),
        ):
            keys.flush_specific(tpm, handle, resource)
            code = Code.BAD_PARAMETER if resource == Resource.KEY else Code.INVALID_AUTHHANDLE
            with refused(code):
                keys.flush_specific(tpm, handle, resource)
        for unknown in (0, int(Resource.HASH), int(Resource.COUNTER), 0xFFFFFFFF):
            with refused(Code.INVALID_RESOURCE):
                keys.flush_specific(tpm, 0, unknown)
