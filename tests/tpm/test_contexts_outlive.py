# SPDX-License-Identifier: GPL-3.0-or-later
"""What a saved context outlives, and what makes it worthless: ours and swtpm's (Part 3, 21)."""

from __future__ import annotations

from tests.tpm.client import context, integrity, owner, transport
from tests.tpm.client.admin import Startup, save_state
from tests.tpm.client.constants import (
    OWNER,
    Code,
    Entity,
    Ord,
    Resource,
)
from tests.tpm.client.prepared import OWNER_SECRET, Owned
from tests.tpm.client.tpm import refused
from tests.tpm.client.transport import TransportPublic
from tests.tpm.client.wire import sha1, u32
from tests.tpm.savedcontexts import SECRET

pytest_plugins = ("tests.tpm.client.fixtures",)


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
        machine = ours_owned.ours.emulator
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
        machine = owned.ours.emulator
        machine.commit_flags(disable=False, deactivated=False)
        owned.subject.power_cycle()

    def test_load_context_does_not_depend_on_pcrs(self, both_owned: Owned) -> None:
        blobs = self.saved(both_owned)
        integrity.extend(both_owned.tpm, 10, sha1(b"x"))
        for blob in blobs:
            context.load_context(both_owned.tpm, blob)
