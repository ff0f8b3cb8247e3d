# SPDX-License-Identifier: GPL-3.0-or-later
"""The same commands to swtpm's TPM 1.2 and to ours get the same result codes and the same results.

Two ways: every command in every state of the TPM, well formed and not; and generated sequences of steps with
keys, sessions and data that really exist, some of them spoiled. What differs on purpose is in
client/differences.py. DIFFERENTIAL_STEPS=n makes the sequences longer.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from random import Random

import pytest

from tests.tpm.client import admin, owner, steps_keys, steps_owner
from tests.tpm.client.catalogue import requests
from tests.tpm.client.constants import Tag
from tests.tpm.client.differences import reason
from tests.tpm.client.faults import inject, sized_anew
from tests.tpm.client.prepared import OWNER_SECRET
from tests.tpm.client.subjects import Ours, Subject, Swtpm
from tests.tpm.client.twin import Outcome, World, outcome, stock
from tests.tpm.client.wire import u16

pytest_plugins = ("tests.tpm.client.fixtures",)

STEPS = (*steps_keys.STEPS, *steps_owner.STEPS)
LENGTH = int(os.environ.get("DIFFERENTIAL_STEPS", "150"))
FAULTS = 0.35


class Twins:
    """Starts pairs of TPMs: new ones, and with the owner and the keys that each side made once."""

    def __init__(self, blank: Swtpm) -> None:
        self._blank = blank
        self._running: list[Subject] = []
        ours, self._theirs = Ours(), blank.copy()
        self._stocks = stock(ours.tpm), stock(self._theirs.tpm)
        self._theirs.power_cycle()
        self._content = ours.frozen()

    def new(self) -> tuple[Subject, Subject]:
        return self._begin(Ours(), self._blank.copy())

    def owned(self) -> tuple[World, World]:
        first, second = self._begin(Ours(self._content), self._theirs.copy())
        return World(first, self._stocks[0]), World(second, self._stocks[1])

    def _begin(self, ours: Ours, theirs: Swtpm) -> tuple[Subject, Subject]:
        self.stop()
        self._running = [ours, theirs]
        return ours, theirs

    def stop(self) -> None:
        while self._running:
            self._running.pop().close()


@pytest.fixture(scope="module")
def twins(blank_swtpm: Swtpm) -> Iterator[Twins]:
    made = Twins(blank_swtpm)
    yield made
    made.stop()


# every command in every state -----------------------------------------------------------------------


def _disabled(subject: Subject) -> None:
    admin.assert_presence(subject.tpm)
    admin.physical_disable(subject.tpm)


def _deactivated(subject: Subject) -> None:
    admin.assert_presence(subject.tpm)
    admin.set_temp_deactivated(subject.tpm)


def _failed(subject: Subject) -> None:
    """TPM_Startup(ST_STATE) without a saved state."""
    subject.power_cycle(None)
    subject.tpm.raw(0x99, u16(admin.Startup.STATE))


STATES: dict[str, Callable[[Subject], None]] = {
    "as it is": lambda subject: None,
    "present": lambda subject: admin.assert_presence(subject.tpm),
    "before start-up": lambda subject: subject.power_cycle(None),
    "failed": _failed,
    "disabled": _disabled,
    "deactivated": _deactivated,
    "saved": lambda subject: admin.save_state(subject.tpm),
    "locality 4": lambda subject: subject.set_locality(4),
}


def variants(request: bytes) -> Iterator[bytes]:
    """Yield a request with every tag, too short and too long, and as it should be."""
    yield from (u16(tag) + request[2:] for tag in (*Tag, 0) if u16(tag) != request[:2])
    if len(request) > 10:
        yield sized_anew(request[:-1])
        yield sized_anew(request[:10])
    yield sized_anew(request + b"\0")
    yield request


@pytest.mark.parametrize("state", STATES)
@pytest.mark.parametrize("owned", [False, True], ids=["no owner", "owned"])
def test_every_command_in_every_state(twins: Twins, state: str, owned: bool) -> None:
    ours, theirs = (world.subject for world in twins.owned()) if owned else twins.new()
    for subject in (ours, theirs):
        STATES[state](subject)
    wrong = []
    for request in requests():
        for sent in variants(request):
            found, wanted = ours.tpm.send(sent), theirs.tpm.send(sent)
            codes = int.from_bytes(found[6:10]), int.from_bytes(wanted[6:10])
            same = (found[:2], codes[0]) == (wanted[:2], codes[1])
            if same or reason(sent, *codes, spoiled=sent != request):
                continue
            wrong.append(f"{sent[:30].hex()} ours {found[:10].hex()} swtpm {wanted[:10].hex()}")
    assert not wrong, "\n".join([f"{len(wrong)} answers differ:", *wrong[:20]])


# generated sequences --------------------------------------------------------------------------------


def _code(found: Outcome) -> int:
    """Return the code of a refusal, 0 for everything else."""
    return int(str(found[2])) if found[0] == "refused" else 0


def _excused(worlds: tuple[World, World], ours: Outcome, theirs: Outcome, spoiled: bool) -> bool:
    """Whether they may differ: of the same command that one or both refused, nothing else."""
    if {ours[0], theirs[0]} - {"done", "refused"} or ours[0] == theirs[0] == "done":
        return False
    if ours[0] == theirs[0] and ours[1] != theirs[1]:
        return False
    request = worlds[0 if ours[0] == "refused" else 1].refused
    return bool(reason(request, _code(ours), _code(theirs), spoiled))


def _both(worlds: tuple[World, World], index: int, seed: int, log: list[str]) -> bool:
    """Do one step on both sides; return whether they may go on together."""
    name = f"{seed}/{index}"
    chance = Random(name)
    step, spoiled = chance.choice(STEPS), chance.random() < FAULTS
    found = []
    for world in worlds:
        stop = inject(world.tpm, name) if spoiled else None
        found.append(outcome(step, world, Random(name)))
        if stop is not None:
            stop()
    log.append(f"{index}: {step.__name__}{', spoiled' if spoiled else ''}")
    if found[0] != found[1]:
        assert _excused(worlds, found[0], found[1], spoiled), (
            f"{'; '.join(log[-8:])}\nours  {found[0]}\nswtpm {found[1]}"
        )
        return False
    left = [world.tidy() for world in worlds]
    assert left[0] == left[1], f"{'; '.join(log[-8:])}\nsessions and keys left: ours, swtpm {left}"
    if found[0][0] != "done":
        for world in worlds:
            owner.reset_lock_value(world.tpm, OWNER_SECRET)
    return True


@pytest.mark.parametrize("seed", range(4))
def test_generated_sequences(twins: Twins, seed: int) -> None:
    worlds = twins.owned()
    log: list[str] = []
    for index in range(LENGTH):
        if not _both(worlds, index, seed, log):
            worlds = twins.owned()
            log.append("(anew)")
