# SPDX-License-Identifier: GPL-3.0-or-later
"""TPM_SaveContext, TPM_LoadContext, the older four, and TPM_FlushSpecific, against ours and swtpm."""

from __future__ import annotations

from dataclasses import replace

import pytest

from bootproof.tpm.machine import Tpm as Emulator
from tests.tpm.client import context, integrity, keys, nv, owner, signing, transport
from tests.tpm.client.admin import Startup, save_state
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
from tests.tpm.client.sessions import Session
from tests.tpm.client.subjects import Ours
from tests.tpm.client.tpm import Tpm, refused
from tests.tpm.client.transport import ENCRYPT, LOG, TransportPublic
from tests.tpm.client.wire import sha1, u32

pytest_plugins = ("tests.tpm.client.fixtures",)

SECRET = b"a transport secret.."
UNKNOWN = 0x02ABCDEF


def emulator(owned: Owned) -> Emulator:
    assert isinstance(owned.subject, Ours)
    return owned.subject.emulator


def made_key(tpm: Tpm, wanted: Key) -> Key:
    return keys.create_wrap_key(tpm, WELL_KNOWN, SRK, wanted, USAGE, MIGRATION)


def works(tpm: Tpm, key: int, auth: bytes | Session = USAGE) -> bool:
    """Tell whether that key signs."""
    return len(signing.sign(tpm, auth, key, sha1(b"x"))) == 256


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
        tpm, table = ours_owned.tpm, emulator(ours_owned).sessions
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
        machine = emulator(ours_owned)
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


class TestLives:
    """What becomes of contexts when the TPM is switched off, suspended, snapshotted or cleared."""

    def saved(self, owned: Owned) -> tuple[bytes, bytes, bytes, bytes]:
        """Save an OIAP, an owner's OSAP, a transport session and a key."""
        tpm = owned.tpm
        session = transport.establish(tpm, TransportPublic(), SECRET)
        osap = tpm.osap(Entity.OWNER, OWNER, OWNER_SECRET)
        return (
            context.save_context(tpm, tpm.oiap().handle, Resource.AUTH),
            context.save_context(tpm, osap.handle, Resource.AUTH),
            context.save_context(tpm, session.handle, Resource.TRANS),
            context.save_context(tpm, owned.signing(), Resource.KEY),
        )

    def test_load_context_after_a_power_cycle(self, both_owned: Owned) -> None:
        *sessions, key = self.saved(both_owned)
        both_owned.subject.power_cycle()
        new = both_owned.tpm.oiap().handle
        context.save_context(both_owned.tpm, new, Resource.AUTH)
        for blob in sessions:
            with refused(Code.BADCONTEXT):
                context.load_context(both_owned.tpm, blob)
        context.load_context(both_owned.tpm, key)

    def test_load_context_after_a_suspend(self, both_owned: Owned) -> None:
        blobs = self.saved(both_owned)
        save_state(both_owned.tpm)
        both_owned.subject.power_cycle(Startup.STATE)
        for blob in blobs:
            context.load_context(both_owned.tpm, blob)

    def test_load_context_after_a_snapshot(self, ours_owned: Owned) -> None:
        blobs = self.saved(ours_owned)
        machine = emulator(ours_owned)
        frozen = machine.snapshot()
        machine.power_on(type(frozen).decode(frozen.encode()))
        for blob in blobs:
            context.load_context(ours_owned.tpm, blob)
        with refused(Code.BADCONTEXT):
            context.load_context(ours_owned.tpm, blobs[0])

    def test_load_context_after_the_owner_was_replaced(self, ours_owned: Owned) -> None:
        """An old owner's sessions and keys are worth nothing to the new one, even with the same secret."""
        tpm = ours_owned.tpm
        blobs = self.saved(ours_owned)
        owner.owner_clear(tpm, OWNER_SECRET)
        self.enable(ours_owned)
        for blob in blobs:
            assert tpm.code(Ord.LOAD_CONTEXT, bytes(5) + u32(len(blob)) + blob) == Code.NOSRK
        for blob in blobs[:2]:
            assert tpm.code(Ord.LOAD_AUTH_CONTEXT, u32(len(blob)) + blob) == Code.BADCONTEXT
        assert tpm.code(Ord.LOAD_KEY_CONTEXT, u32(len(blobs[3])) + blobs[3]) == Code.BADCONTEXT
        owner.take_ownership(tpm, OWNER_SECRET)
        context.save_context(tpm, tpm.oiap().handle, Resource.AUTH)
        for blob in blobs:
            with refused(Code.BADCONTEXT):
                context.load_context(tpm, blob)

    def enable(self, owned: Owned) -> None:
        machine = emulator(owned)
        machine.commit_flags(disable=False, deactivated=False)
        owned.subject.power_cycle()

    def test_load_context_does_not_depend_on_pcrs(self, both_owned: Owned) -> None:
        blobs = self.saved(both_owned)
        integrity.extend(both_owned.tpm, 10, sha1(b"x"))
        for blob in blobs:
            context.load_context(both_owned.tpm, blob)
