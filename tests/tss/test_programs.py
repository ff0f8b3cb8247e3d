# SPDX-License-Identifier: GPL-3.0-or-later
"""Real TSS programs on swtpm and on our TPM, side by side: the same for the user, the same on the wire."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack

import pytest

from tests.tss import libtspi, nv_tools, pk11_tools, quote_tools, tpm_tools
from tests.tss.beginnings import Beginnings
from tests.tss.differences import comparable, expected
from tests.tss.scenario import Scenario, perform
from tests.tss.slots import slot_daemon
from tests.tss.stack import Emulator, stack

SCENARIOS = (
    *tpm_tools.SCENARIOS,
    *nv_tools.SCENARIOS,
    *quote_tools.SCENARIOS,
    *pk11_tools.SCENARIOS,
    *libtspi.SCENARIOS,
)
# One of each kind for every commit; all of them take minutes.
QUICK = {
    "information",
    "ownership with passwords",
    "NV space with a password",
    "quotes",
    "PKCS#11 keys in the TPM",
    "libtspi transport",
}
CASES = [
    pytest.param(one, id=one.name.replace(" ", "-"), marks=() if one.name in QUICK else pytest.mark.qemu)
    for one in SCENARIOS
]


def transcript(emulator: Emulator, scenario: Scenario, kept: Beginnings) -> list[str]:
    """Carry a scenario out on a stack of its own."""
    with ExitStack() as running:
        made = running.enter_context(stack(emulator, kept.folder(emulator, scenario.beginning)))
        if scenario.slots:
            made.wrapper = running.enter_context(slot_daemon(made.place))
        return perform(scenario, made)


@pytest.mark.parametrize("scenario", CASES)
def test_same_on_both(scenario: Scenario, kept: Beginnings) -> None:
    with ThreadPoolExecutor(2) as pool:
        swtpm, ours = pool.map(lambda one: transcript(one, scenario, kept), Emulator)
    assert comparable(ours) == expected(swtpm)


def test_every_quick_scenario_is_one() -> None:
    assert {one.name for one in SCENARIOS} >= QUICK
