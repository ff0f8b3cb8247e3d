# SPDX-License-Identifier: GPL-3.0-or-later
"""TPM_GetAuditDigest, TPM_GetAuditDigestSigned and TPM_SetOrdinalAuditStatus, against ours and swtpm."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from bootproof.tpm.persistence.store import Kind
from tests.tpm.client import audit, identity, integrity, keys, owner, ticks, transport
from tests.tpm.client.admin import Startup, save_state
from tests.tpm.client.audit import AuditDigest
from tests.tpm.client.constants import SRK, WELL_KNOWN, Algorithm, Code, EncScheme, KeyUsage, Ord, SigScheme
from tests.tpm.client.keyblobs import template
from tests.tpm.client.prepared import MIGRATION, OWNER_SECRET, USAGE, Owned
from tests.tpm.client.rsacrypt import signed
from tests.tpm.client.subjects import Ours, Subject
from tests.tpm.client.tpm import Tpm, refused
from tests.tpm.client.transport import ENCRYPT, TransportPublic
from tests.tpm.client.wire import flag, sha1, u16, u32
from tests.tpm.conftest import Bench

pytest_plugins = ("tests.tpm.client.fixtures",)

REPLAY = b"replay of an audit.."
ZEROS = bytes(20)
DEFAULT = {  # Part 2, 17, without maintenance
    Ord.TAKE_OWNERSHIP,
    Ord.CHANGE_AUTH_OWNER,
    Ord.CREATE_WRAP_KEY,
    Ord.CREATE_MIGRATION_BLOB,
    Ord.CONVERT_MIGRATION_BLOB,
    Ord.AUTHORIZE_MIGRATION_KEY,
    Ord.OWNER_CLEAR,
    Ord.DISABLE_OWNER_CLEAR,
    Ord.FORCE_CLEAR,
    Ord.DISABLE_FORCE_CLEAR,
    Ord.OWNER_SET_DISABLE,
    Ord.PHYSICAL_ENABLE,
    Ord.PHYSICAL_DISABLE,
    Ord.SET_OWNER_INSTALL,
    Ord.PHYSICAL_SET_DEACTIVATED,
    Ord.SET_TEMP_DEACTIVATED,
    Ord.MAKE_IDENTITY,
    Ord.ACTIVATE_IDENTITY,
    Ord.READ_PUBEK,
    Ord.OWNER_READ_PUBEK,
    Ord.DISABLE_PUBEK_READ,
    Ord.SET_ORDINAL_AUDIT_STATUS,
}


class Log:
    """A log that somebody outside keeps; `holds` compares it with the TPM's digest."""

    def __init__(self, tpm: Tpm) -> None:
        self.tpm = tpm
        before = audit.get_audit_digest(tpm)
        self.digest, self.count = before.digest, before.counter.count

    def add(self, ordinal: int, covered_in: bytes, covered_out: bytes) -> None:
        if self.digest == ZEROS:
            self.count += 1
        counter = ticks.Counter(bytes(4), self.count)
        self.digest = audit.extended(self.digest, counter, ordinal, covered_in, covered_out)

    def holds(self) -> bool:
        now = audit.get_audit_digest(self.tpm)
        return (now.digest, now.counter.count) == (self.digest, self.count)


@contextmanager
def audited(owned: Owned, ordinal: int) -> Iterator[Log]:
    """Audit a command; nothing but what happens inside is in the log, which must agree at the end."""
    audit.set_ordinal_audit_status(owned.tpm, OWNER_SECRET, ordinal, True)
    log = Log(owned.tpm)
    yield log
    assert log.holds()


class TestStatus:
    def test_get_audit_digest_of_a_new_tpm(self, both: Subject) -> None:
        new = audit.get_audit_digest(both.tpm)
        assert new == AuditDigest(ticks.Counter(bytes(4), 0), ZEROS, False, new.ordinals)
        assert set(new.ordinals) == DEFAULT
        assert list(new.ordinals) == sorted(new.ordinals)

    def test_get_audit_digest_from_an_ordinal(self, both: Subject) -> None:
        every = audit.get_audit_digest(both.tpm).ordinals
        assert audit.get_audit_digest(both.tpm, every[3]).ordinals == every[3:]
        assert audit.get_audit_digest(both.tpm, every[3] + 1).ordinals == every[4:]
        assert audit.get_audit_digest(both.tpm, every[-1]).ordinals == every[-1:]

    def test_get_audit_digest_in_parts(self, ours: Ours) -> None:
        ours.emulator.buffer_size = 80
        parts = [audit.get_audit_digest(ours.tpm)]
        while parts[-1].more:
            parts.append(audit.get_audit_digest(ours.tpm, parts[-1].ordinals[-1] + 1))
        assert len(parts) > 2
        assert {ordinal for part in parts for ordinal in part.ordinals} == DEFAULT

    def test_set_ordinal_audit_status(self, both_owned: Owned) -> None:
        tpm = both_owned.tpm
        audit.set_ordinal_audit_status(tpm, OWNER_SECRET, Ord.GET_RANDOM, True)
        audit.set_ordinal_audit_status(tpm, OWNER_SECRET, Ord.PHYSICAL_PRESENCE, True)
        audit.set_ordinal_audit_status(tpm, OWNER_SECRET, Ord.CREATE_WRAP_KEY, False)
        audit.set_ordinal_audit_status(tpm, OWNER_SECRET, Ord.EXTEND, False)
        wanted = DEFAULT - {Ord.CREATE_WRAP_KEY} | {Ord.GET_RANDOM, Ord.PHYSICAL_PRESENCE}
        assert set(audit.get_audit_digest(tpm).ordinals) == wanted
        both_owned.subject.power_cycle()
        assert set(audit.get_audit_digest(tpm).ordinals) == wanted

    def test_set_ordinal_audit_status_codes(self, both_owned: Owned) -> None:
        tpm = both_owned.tpm
        with refused(Code.AUTHFAIL):
            audit.set_ordinal_audit_status(tpm, WELL_KNOWN, Ord.EXTEND, True)
        for ordinal in (Ord.GET_AUDIT_DIGEST, Ord.GET_AUDIT_DIGEST_SIGNED):
            with refused(Code.BAD_PARAMETER):
                audit.set_ordinal_audit_status(tpm, OWNER_SECRET, ordinal, True)

    def test_set_ordinal_audit_status_of_no_ordinal(self, ours_owned: Owned) -> None:
        for ordinal in (0, 0xFF, 0xFFFFFFFF, 0x40000000):
            with refused(Code.BADINDEX):
                audit.set_ordinal_audit_status(ours_owned.tpm, OWNER_SECRET, ordinal, True)

    def test_set_ordinal_audit_status_without_an_owner(self, both: Subject) -> None:
        body = u32(Ord.EXTEND) + flag(True) + bytes(45)
        assert both.tpm.code(Ord.SET_ORDINAL_AUDIT_STATUS, body, tag=0xC2) == Code.NOSRK

    @pytest.mark.parametrize(
        "ordinal", [Ord.GET_ORDINAL_AUDIT_STATUS, Ord.GET_AUDIT_EVENT, Ord.GET_AUDIT_EVENT_SIGNED]
    )
    def test_get_ordinal_audit_status_is_deleted(self, ours: Ours, ordinal: int) -> None:
        """These commands of TPM 1.1 are no part of TPM 1.2."""
        assert ours.tpm.code(ordinal, u32(Ord.EXTEND)) == Code.BAD_ORDINAL


class TestDigest:
    def test_audit_of_a_command_without_authorisation(self, both_owned: Owned) -> None:
        with audited(both_owned, Ord.EXTEND) as log:
            value = integrity.extend(both_owned.tpm, 10, sha1(b"x"))
            log.add(Ord.EXTEND, u32(10) + sha1(b"x"), value)
            value = integrity.extend(both_owned.tpm, 10, sha1(b"y"))
            log.add(Ord.EXTEND, u32(10) + sha1(b"y"), value)

    def test_audit_of_a_command_with_authorisation(self, both_owned: Owned) -> None:
        with audited(both_owned, Ord.OWNER_READ_INTERNAL_PUB) as log:
            pub = owner.owner_read_internal_pub(both_owned.tpm, OWNER_SECRET, SRK)
            log.add(Ord.OWNER_READ_INTERNAL_PUB, u32(SRK), pub.encode())

    def test_audit_leaves_handles_out(self, both_owned: Owned) -> None:
        with audited(both_owned, Ord.LOAD_KEY2) as log:
            both_owned.signing()
            log.add(Ord.LOAD_KEY2, both_owned.made.signing.encode(), b"")

    def test_audit_of_a_failed_command_is_none(self, both_owned: Owned) -> None:
        with audited(both_owned, Ord.PCR_READ), refused(Code.BADINDEX):
            integrity.pcr_read(both_owned.tpm, 99)
        with audited(both_owned, Ord.LOAD_KEY2), refused(Code.AUTHFAIL):
            both_owned.load(both_owned.made.signing, USAGE)

    def test_audit_of_set_ordinal_audit_status_by_its_state_before(self, both_owned: Owned) -> None:
        tpm, log = both_owned.tpm, Log(both_owned.tpm)
        audit.set_ordinal_audit_status(tpm, OWNER_SECRET, Ord.SET_ORDINAL_AUDIT_STATUS, False)
        log.add(Ord.SET_ORDINAL_AUDIT_STATUS, u32(Ord.SET_ORDINAL_AUDIT_STATUS) + flag(False), b"")
        assert log.holds()
        audit.set_ordinal_audit_status(tpm, OWNER_SECRET, Ord.SET_ORDINAL_AUDIT_STATUS, True)
        assert log.holds()

    def test_audit_counts_the_digests(self, both_owned: Owned) -> None:
        tpm = both_owned.tpm
        audit.set_ordinal_audit_status(tpm, OWNER_SECRET, Ord.EXTEND, True)
        first = audit.get_audit_digest(tpm).counter.count
        both_owned.subject.power_cycle()
        assert audit.get_audit_digest(tpm).digest == ZEROS
        assert audit.get_audit_digest(tpm).counter.count == first
        integrity.extend(tpm, 10, sha1(b"x"))
        integrity.extend(tpm, 10, sha1(b"x"))
        assert audit.get_audit_digest(tpm).counter.count == first + 1

    def test_audit_over_a_suspend(self, both_owned: Owned) -> None:
        """TPM_SaveState is audited by its input alone, and that is saved."""
        tpm = both_owned.tpm
        audit.set_ordinal_audit_status(tpm, OWNER_SECRET, Ord.SAVE_STATE, True)
        before = audit.get_audit_digest(tpm)
        save_state(tpm)
        both_owned.subject.power_cycle(Startup.STATE)
        event = u16(0x12) + sha1(u32(Ord.SAVE_STATE)) + before.counter.encode()
        assert audit.get_audit_digest(tpm).digest == sha1(before.digest, event)

    def test_audit_over_a_snapshot(self, ours_owned: Owned) -> None:
        machine = ours_owned.ours.emulator
        with audited(ours_owned, Ord.EXTEND) as log:
            frozen = machine.snapshot()
            machine.power_on(type(frozen).decode(frozen.encode()))
            log.add(Ord.EXTEND, u32(10) + sha1(b"x"), integrity.extend(ours_owned.tpm, 10, sha1(b"x")))

    def test_audit_after_owner_clear(self, ours_owned: Owned) -> None:
        """The count goes on, the digest begins anew with the clearing, what is audited is the default."""
        tpm, machine = ours_owned.tpm, ours_owned.ours.emulator
        audit.set_ordinal_audit_status(tpm, OWNER_SECRET, Ord.EXTEND, True)
        count = audit.get_audit_digest(tpm).counter.count
        owner.owner_clear(tpm, OWNER_SECRET)
        machine.stclear = type(machine.stclear)()
        machine.commit_flags(disable=False, deactivated=False)
        after = audit.get_audit_digest(tpm)
        assert after.counter.count == count + 1
        assert after.digest == audit.extended(ZEROS, after.counter, Ord.OWNER_CLEAR, b"", b"")
        assert set(after.ordinals) == DEFAULT

    def test_audit_costs_one_write_a_digest(self, ours_owned: Owned) -> None:
        tpm, store = ours_owned.tpm, ours_owned.ours.emulator.store
        audit.set_ordinal_audit_status(tpm, OWNER_SECRET, Ord.EXTEND, True)
        before = store.load(Kind.PERMANENT)
        integrity.extend(tpm, 10, sha1(b"x"))
        assert store.load(Kind.PERMANENT) is before

    def test_audit_that_cannot_be_kept(self, ours_owned: Owned, monkeypatch: pytest.MonkeyPatch) -> None:
        tpm, machine = ours_owned.tpm, ours_owned.ours.emulator
        audit.set_ordinal_audit_status(tpm, OWNER_SECRET, Ord.EXTEND, True)
        audit.set_ordinal_audit_status(tpm, OWNER_SECRET, Ord.SAVE_STATE, True)

        def fail(_kind: Kind, _payload: bytes) -> None:
            raise OSError(28, "no space")

        for ordinal, body, code in (
            (Ord.EXTEND, u32(10) + ZEROS, Code.AUDITFAIL_SUCCESSFUL),
            (Ord.SAVE_STATE, b"", Code.AUDITFAIL_UNSUCCESSFUL),
        ):
            ours_owned.subject.power_cycle()
            monkeypatch.setattr(machine.store, "save", fail)
            assert tpm.code(ordinal, body) == code
            assert tpm.code(Ord.GET_TICKS) == Code.FAILEDSELFTEST
            monkeypatch.undo()


class TestTransport:
    def test_audit_of_execute_transport(self, both_owned: Owned) -> None:
        """It is audited by the digests of the command inside, ticks and locality not among them."""
        with audited(both_owned, Ord.EXECUTE_TRANSPORT) as log:
            session = transport.establish(both_owned.tpm, TransportPublic(), b"x" * 20)
            value = integrity.extend(session.tpm, 10, sha1(b"x"))
            counter = ticks.Counter(bytes(4), log.count)
            into = u16(0x12) + sha1(u32(Ord.EXTEND), u32(10), sha1(b"x")) + counter.encode()
            out = u16(0x13) + sha1(u32(0), u32(Ord.EXTEND), value) + counter.encode()
            log.digest = sha1(sha1(log.digest, into), out)

    def test_audit_of_a_command_in_a_transport(self, both_owned: Owned) -> None:
        with audited(both_owned, Ord.EXTEND) as log:
            session = transport.establish(both_owned.tpm, TransportPublic(), b"x" * 20)
            value = integrity.extend(session.tpm, 10, sha1(b"x"))
            log.add(Ord.EXTEND, u32(10) + sha1(b"x"), value)

    def test_audit_of_a_command_in_an_encrypted_transport(self, both_owned: Owned) -> None:
        """What it is, and that it succeeded, is all that the digest may tell."""
        public = TransportPublic(ENCRYPT, Algorithm.MGF1, EncScheme.NONE)
        key = both_owned.storage()
        with audited(both_owned, Ord.EXTEND) as log:
            pub = both_owned.made.storage.public
            session = transport.establish(both_owned.tpm, public, b"x" * 20, USAGE, key, pub)
            integrity.extend(session.tpm, 10, sha1(b"x"))
            log.add(Ord.EXTEND, b"", b"")


class TestSigned:
    def test_get_audit_digest_signed(self, both_owned: Owned) -> None:
        tpm = both_owned.tpm
        audit.set_ordinal_audit_status(tpm, OWNER_SECRET, Ord.EXTEND, True)
        made = audit.get_audit_digest_signed(tpm, USAGE, both_owned.signing(), REPLAY)
        told = audit.get_audit_digest(tpm)
        assert (made.counter, made.digest) == (told.counter, told.digest)
        assert made.ordinal_digest == audit.ordinal_list_digest(told.ordinals)
        assert signed(both_owned.made.signing.public, made.signature, made.signed_digest(REPLAY))

    def test_get_audit_digest_signed_closes_the_digest(self, ours_owned: Owned) -> None:
        """swtpm does, too, but answers with zeros what it has signed."""
        tpm = ours_owned.tpm
        made = identity.make_identity(tpm, WELL_KNOWN, OWNER_SECRET, USAGE, sha1(b"label"))
        key = keys.load_key2(tpm, WELL_KNOWN, made.key)
        before = audit.get_audit_digest(tpm)
        answer = audit.get_audit_digest_signed(tpm, USAGE, key, REPLAY, close=True)
        assert answer.digest == before.digest != ZEROS
        assert signed(made.key.public, answer.signature, answer.signed_digest(REPLAY))
        after = audit.get_audit_digest(tpm)
        assert (after.digest, after.counter) == (ZEROS, before.counter)

    def test_get_audit_digest_signed_closes_for_identities_only(self, both_owned: Owned) -> None:
        tpm = both_owned.tpm
        before = audit.get_audit_digest(tpm)
        with refused(Code.INVALID_KEYUSAGE):
            audit.get_audit_digest_signed(tpm, USAGE, both_owned.signing(), REPLAY, close=True)
        assert audit.get_audit_digest(tpm) == before

    def test_get_audit_digest_signed_keys(self, both_owned: Owned) -> None:
        tpm = both_owned.tpm
        der = template(KeyUsage.SIGNING, sig_scheme=SigScheme.DER)
        bad = both_owned.load(keys.create_wrap_key(tpm, WELL_KNOWN, SRK, der, USAGE, MIGRATION))
        for key, auth, code in (
            (bad, USAGE, Code.INVALID_KEYUSAGE),
            (both_owned.storage(), USAGE, Code.INVALID_KEYUSAGE),
            (both_owned.signing(), WELL_KNOWN, Code.AUTHFAIL),
            (both_owned.signing(), None, Code.AUTHFAIL),
            (0x05123456, USAGE, Code.INVALID_KEYHANDLE),
        ):
            with refused(code):
                audit.get_audit_digest_signed(tpm, auth, key, REPLAY)


def test_a_new_digest_is_counted_in_the_same_write_as_what_the_command_changes(bench: Bench) -> None:
    for bits in (0x20, 0x08):
        assert bench.code(0x4000000A, u16(bits)) == 0
    writes, count = bench.store.writes, bench.tpm.permanent.audit.count
    assert bench.code(0x71, b"\0") == 0  # SetOwnerInstall, which is audited from the start
    assert (bench.store.writes, bench.tpm.permanent.audit.count) == (writes + 1, count + 1)
    assert bench.code(0x71, b"\1") == 0
    assert (bench.store.writes, bench.tpm.permanent.audit.count) == (writes + 2, count + 1)


def test_clearing_counts_the_digest_that_it_begins_in_the_same_write(ours_owned: Owned) -> None:
    machine = ours_owned.ours.emulator
    audit.set_ordinal_audit_status(ours_owned.tpm, OWNER_SECRET, Ord.EXTEND, True)
    saved, save = [], machine.store.save
    machine.store.save = lambda kind, payload: (saved.append(kind), save(kind, payload))  # type: ignore
    count = machine.permanent.audit.count
    owner.owner_clear(ours_owned.tpm, OWNER_SECRET)
    assert saved == [Kind.PERMANENT]
    assert machine.permanent.audit.count == count + 1
