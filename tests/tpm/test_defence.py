# SPDX-License-Identifier: GPL-3.0-or-later
"""Dictionary attacks (Part 1, 19; TPM_ResetLockValue, Part 3, 9.3)."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bootproof.tpm import defence
from bootproof.tpm.defence import FORGET_AFTER, FREE_GUESSES, LONGEST_LOCK
from bootproof.tpm.persistence.store import Kind
from bootproof.tpm.structures.defence import Guesses
from tests.tpm.client import admin, capability, integrity, owner, signing
from tests.tpm.client.capability import Cap
from tests.tpm.client.constants import Code, Ord
from tests.tpm.client.prepared import OWNER_SECRET, USAGE, Owned
from tests.tpm.client.subjects import Ours
from tests.tpm.client.tpm import Tpm, refused
from tests.tpm.client.wire import u16, u32

pytest_plugins = ("tests.tpm.client.fixtures",)

WRONG = b"not the owner's key."
DIGEST = bytes(range(20))
SECOND = 1000


class Clock:
    """The time of day, in milliseconds, set by hand."""

    def __init__(self) -> None:
        self.now = 1_700_000_000_000

    def __call__(self) -> int:
        return self.now


class Guarded:
    """Our TPM with an owner, and its clock."""

    def __init__(self, owned: Owned) -> None:
        assert isinstance(owned.subject, Ours)
        self.owned = owned
        self.subject = owned.subject
        self.tpm: Tpm = owned.tpm
        self.clock = Clock()
        self.subject.emulator.clock = self.clock

    def guess(self, times: int = 1) -> None:
        """Guess the owner's secret wrong, so often."""
        for _ in range(times):
            with refused(Code.AUTHFAIL):
                owner.get_capability_owner(self.tpm, WRONG)

    def works(self) -> bool:
        """Tell whether the owner is listened to."""
        try:
            owner.get_capability_owner(self.tpm, OWNER_SECRET)
        except Exception as error:
            assert getattr(error, "rc", None) == Code.DEFEND_LOCK_RUNNING
            return False
        return True

    def lock(self) -> None:
        """Guess so often that the TPM locks itself, for a second."""
        self.guess(FREE_GUESSES + 1)


@pytest.fixture
def guarded(ours_owned: Owned) -> Guarded:
    return Guarded(ours_owned)


def da_info(tpm: Tpm) -> str:
    return capability.get_capability(tpm, Cap.DA_LOGIC, u16(2)).hex()


def test_the_first_guesses_are_free_then_each_locks_for_twice_as_long(guarded: Guarded) -> None:
    guarded.guess(FREE_GUESSES)
    assert guarded.works()
    for seconds in (1, 2, 4, 8):
        guarded.guess()
        assert not guarded.works()
        guarded.clock.now += seconds * SECOND - 1
        assert not guarded.works()
        guarded.clock.now += 1
        assert guarded.works()


def test_success_does_not_reset_the_count(guarded: Guarded) -> None:
    for _ in range(FREE_GUESSES):
        guarded.guess()
        assert guarded.works()
    guarded.guess()
    assert not guarded.works()


def test_all_authorised_commands_are_locked_and_no_others(guarded: Guarded) -> None:
    key = guarded.owned.signing()
    session = guarded.tpm.oiap(USAGE)
    guarded.lock()
    for run in (
        lambda: signing.sign(guarded.tpm, session, key, DIGEST),
        lambda: owner.owner_clear(guarded.tpm, OWNER_SECRET),
        lambda: admin.set_temp_deactivated(guarded.tpm, WRONG),
    ):
        with refused(Code.DEFEND_LOCK_RUNNING):
            run()
    integrity.pcr_read(guarded.tpm, 0)
    admin.assert_presence(guarded.tpm)
    guarded.clock.now += SECOND
    signing.sign(guarded.tpm, session, key, DIGEST)


def test_every_secret_counts(guarded: Guarded) -> None:
    key = guarded.owned.signing()
    admin.assert_presence(guarded.tpm)
    admin.set_operator_auth(guarded.tpm, OWNER_SECRET)
    for _ in range(2):
        with refused(Code.AUTHFAIL):
            signing.sign(guarded.tpm, WRONG, key, DIGEST)
        with refused(Code.AUTHFAIL):
            admin.set_temp_deactivated(guarded.tpm, WRONG)
    assert da_info(guarded.tpm).startswith("0037" + "00" + "0004" + "0005")
    guarded.guess(2)
    assert not guarded.works()


def test_switching_off_does_not_help(guarded: Guarded) -> None:
    guarded.lock()
    guarded.subject.power_cycle()
    assert not guarded.works()
    again = Guarded(Owned(Ours(guarded.subject.frozen()), guarded.owned.made))
    again.clock.now = guarded.clock.now
    assert not again.works()
    again.clock.now += SECOND
    assert again.works()
    again.guess()
    assert (
        da_info(again.tpm) == "0037" + "01" + "0007" + "0005" + "0039" + "00000001" + "00000002" + "00000000"
    )


def test_a_guess_counts_even_if_the_disk_is_full(guarded: Guarded, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_kind: Kind, _payload: bytes) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(guarded.subject.store, "save", full)
    for _ in range(FREE_GUESSES + 1):
        with refused(Code.IOERROR):
            owner.get_capability_owner(guarded.tpm, WRONG)
    assert not guarded.works()


def test_da_info(guarded: Guarded) -> None:
    action = "0039" + "00000001"
    assert da_info(guarded.tpm) == "0037" + "00" + "0000" + "0005" + action + "00000000" + "00000000"
    guarded.lock()
    guarded.guess(0)
    guarded.clock.now += 400
    assert da_info(guarded.tpm) == "0037" + "01" + "0006" + "0005" + action + "00000001" + "00000000"
    guarded.clock.now += SECOND
    capability.set_flag(guarded.tpm, OWNER_SECRET, 1, 20, True)
    assert da_info(guarded.tpm) == "0038" + "00" + action + "00000000"
    guarded.guess()
    assert da_info(guarded.tpm) == "0038" + "01" + action + "00000000"


def test_reset_lock_value(guarded: Guarded) -> None:
    guarded.lock()
    owner.reset_lock_value(guarded.tpm, OWNER_SECRET)
    assert guarded.works()
    guarded.guess(FREE_GUESSES)
    assert guarded.works()


def test_reset_lock_value_shuts_itself_for_the_rest_of_the_lock_out(guarded: Guarded) -> None:
    guarded.lock()
    for secret in (WRONG, OWNER_SECRET):
        with refused(Code.AUTHFAIL):
            owner.reset_lock_value(guarded.tpm, secret)
    guarded.clock.now += 2 * SECOND
    owner.reset_lock_value(guarded.tpm, OWNER_SECRET)
    assert guarded.works()


def test_reset_lock_value_that_was_wrong_without_a_lock_can_be_repeated(both_owned: Owned) -> None:
    with refused(Code.AUTHFAIL):
        owner.reset_lock_value(both_owned.tpm, WRONG)
    owner.reset_lock_value(both_owned.tpm, OWNER_SECRET)


def test_the_lock_is_that_of_swtpm(both_owned: Owned) -> None:
    tpm = both_owned.tpm
    for _ in range(6):
        with refused(Code.AUTHFAIL):
            owner.get_capability_owner(tpm, WRONG)
    with refused(Code.DEFEND_LOCK_RUNNING):
        owner.get_capability_owner(tpm, OWNER_SECRET)
    assert da_info(tpm) == "0037010006000500390000000100000001" + "00000000"
    owner.reset_lock_value(tpm, OWNER_SECRET)
    owner.get_capability_owner(tpm, OWNER_SECRET)


def test_clearing_forgets_guesses(guarded: Guarded) -> None:
    guarded.lock()
    admin.assert_presence(guarded.tpm)
    owner.force_clear(guarded.tpm)
    assert da_info(guarded.tpm).startswith("003700" + "0000")


def test_one_guess_an_hour_is_forgotten(guarded: Guarded) -> None:
    guarded.guess(FREE_GUESSES)
    guarded.clock.now += 3 * FORGET_AFTER
    guarded.guess(3)
    assert guarded.works()
    guarded.guess()
    assert not guarded.works()


def test_a_clock_that_is_set_back_ends_nothing_and_locks_no_longer(guarded: Guarded) -> None:
    guarded.lock()
    guarded.clock.now -= 1_000 * FORGET_AFTER
    assert not guarded.works()
    guarded.clock.now += SECOND
    assert guarded.works()


def test_a_failed_command_ends_its_session_a_locked_one_does_not(guarded: Guarded) -> None:
    lasting, failing = guarded.tpm.oiap(OWNER_SECRET), guarded.tpm.oiap(WRONG)
    guarded.guess(FREE_GUESSES)
    with refused(Code.AUTHFAIL):
        owner.get_capability_owner(guarded.tpm, failing)
    with refused(Code.DEFEND_LOCK_RUNNING):
        owner.get_capability_owner(guarded.tpm, lasting)
    flush = [guarded.tpm.code(Ord.FLUSH_SPECIFIC, u32(s.handle) + u32(2)) for s in (lasting, failing)]
    assert flush == [0, Code.INVALID_AUTHHANDLE]


@given(count=st.integers(0, 0xFFFFFFFF), last=st.integers(0, 1 << 50), now=st.integers(0, 1 << 50))
def test_no_lock_is_longer_than_the_longest(count: int, last: int, now: int) -> None:
    guesses = Guesses(count, last)
    assert 0 <= defence.lock_left(guesses, now) <= LONGEST_LOCK
    assert 0 <= defence.count_at(guesses, now) <= count
    assert (defence.lock_time(count) > 0) == (count > FREE_GUESSES)
