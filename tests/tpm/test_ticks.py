# SPDX-License-Identifier: GPL-3.0-or-later
"""The tick counter (Part 3, 23.1; Part 1, 20)."""

from __future__ import annotations

import time

import pytest

from tests.tpm.client import admin, ticks
from tests.tpm.client.constants import Code
from tests.tpm.client.subjects import Ours, Subject
from tests.tpm.client.tpm import refused

pytest_plugins = ("tests.tpm.client.fixtures",)


def test_get_ticks_counts_microseconds(both: Subject) -> None:
    before, clock = ticks.get_ticks(both.tpm), time.monotonic()
    time.sleep(0.05)
    after, passed = ticks.get_ticks(both.tpm), time.monotonic() - clock
    assert before.rate == after.rate == 1
    assert before.nonce == after.nonce
    assert 50_000 <= after.ticks - before.ticks <= passed * 1_000_000 + 10_000


@pytest.mark.parametrize("kind", [admin.Startup.CLEAR, admin.Startup.STATE, admin.Startup.DEACTIVATED])
def test_get_ticks_starts_a_new_session_with_every_start(ours: Ours, kind: int) -> None:
    """While the power is off nobody counts, so the ticks before and after cannot be compared."""
    before = ticks.get_ticks(ours.tpm)
    time.sleep(0.02)
    admin.save_state(ours.tpm)
    ours.power_cycle(kind)
    if kind == admin.Startup.DEACTIVATED:
        with refused(Code.DEACTIVATED):
            ticks.get_ticks(ours.tpm)
        return
    after = ticks.get_ticks(ours.tpm)
    assert after.nonce != before.nonce
    assert after.ticks < 20_000


def test_get_ticks_goes_on_in_a_snapshot(ours: Ours) -> None:
    before = ticks.get_ticks(ours.tpm)
    snapshot = ours.emulator.snapshot()
    ours.emulator.power_off()
    time.sleep(0.05)
    ours.emulator.power_on(type(snapshot).decode(snapshot.encode()))
    after = ticks.get_ticks(ours.tpm)
    assert after.nonce == before.nonce
    assert before.ticks <= after.ticks < before.ticks + 50_000


def test_get_ticks_in_a_tpm_that_is_off(both: Subject) -> None:
    admin.assert_presence(both.tpm)
    admin.physical_disable(both.tpm)
    with refused(Code.DISABLED):
        ticks.get_ticks(both.tpm)
