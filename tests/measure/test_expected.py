# SPDX-License-Identifier: GPL-3.0-or-later
"""Real logs of one image, booted four ways, beside what is predicted from its parts; logs that differ."""

from __future__ import annotations

import json
import lzma
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import pytest

from bootproof.measure import bootlog, grubmenu, prediction
from bootproof.measure.bootlog import BootLog, Event
from bootproof.measure.expected import Expected, first_difference, replay
from tests.measure.recorded import DATA, values

FOLDER = DATA / "grub-ima"
WAYS = [("cd", "12"), ("cd", "20"), ("disk", "12"), ("disk", "20")]


def recorded_digests() -> Mapping[str, list[dict[str, bytes]]]:
    """Return what sha1sum and sha256sum made of the image's large parts."""
    rows = json.loads((FOLDER / "digests.json").read_text())
    return {
        name: [{bank: bytes.fromhex(text) for bank, text in each.items()} for each in found]
        for name, row in rows.items()
        for found in [row if isinstance(row, list) else [row]]
    }


def predicted(medium: str) -> tuple[Expected, ...]:
    """Return what is predicted; the core's bytes are not in the recorded medium, but their digests are."""
    known = recorded_digests()
    core = iter(known["GRUB core"])
    image = lzma.decompress((FOLDER / "medium.xz").read_bytes())
    boot = [
        replace(event, digests=next(core)) if event.text == "GRUB core" else event
        for event in prediction.before_menu(image, medium)
    ]
    menu = grubmenu.read(
        prediction.MENU_PATH, (FOLDER / "grub.cfg").read_bytes(), lambda path: known[path][0]
    )
    start = grubmenu.start(menu, menu.entries[menu.default], lambda path: known[path][0])
    return (*boot, *menu.events, *start)


def log(medium: str, tpm: str) -> BootLog:
    return bootlog.parse((FOLDER / f"{medium}-tpm{tpm}.bin").read_bytes())


@pytest.mark.parametrize(("medium", "tpm"), WAYS)
def test_real_boots_are_as_predicted(medium: str, tpm: str) -> None:
    assert first_difference(predicted(medium), log(medium, tpm)) is None


@pytest.mark.parametrize(("medium", "tpm"), [("cd", "20"), ("disk", "12")])
def test_real_pcrs_are_as_predicted(medium: str, tpm: str) -> None:
    for bank, found in values(FOLDER / f"{medium}-tpm{tpm}.pcrs.json").items():
        if bank in ("sha1", "sha256"):
            told = replay(predicted(medium), bank)
            assert list(told) == [0, 3, 4, 5, 6, 7, 8]
            assert {number: found[number] for number in told} == told


@pytest.mark.parametrize(("medium", "tpm"), WAYS)
@pytest.mark.parametrize("other", ["cd", "disk"])
def test_a_boot_from_another_medium_differs_where_that_begins(medium: str, tpm: str, other: str) -> None:
    difference = first_difference(predicted(other), log(medium, tpm))
    assert (difference is None) == (medium == other)
    if difference is not None:
        assert difference.expected is not None and difference.expected.text.startswith("Booting ")


@pytest.mark.parametrize(("medium", "tpm"), WAYS)
def test_a_changed_digest_is_found_wherever_it_is(medium: str, tpm: str) -> None:
    """In each bank that the log has; events of the platform itself are not told in advance."""
    wanted, real = predicted(medium), log(medium, tpm)
    platform = {"EV_EVENT_TAG"}
    for at, event in enumerate(real.events):
        for bank in {"sha1", "sha256"} & event.digests.keys():
            zeros = bytes(len(event.digests[bank]))
            difference = first_difference(wanted, changed(real, at, digests={**event.digests, bank: zeros}))
            if event.type_name in platform or not event.is_extended:
                assert difference is None
            else:
                assert difference is not None and difference.algorithm == bank
                assert difference.seen is not None and difference.seen.number == event.number


def changed(log: BootLog, at: int, **fields: Any) -> BootLog:
    return replaced(log, at, replace(log.events[at], **fields))


def replaced(log: BootLog, at: int, *events: Event) -> BootLog:
    return replace(log, events=(*log.events[:at], *events, *log.events[at + 1 :]))


CHANGES: list[tuple[str, Callable[[BootLog], BootLog], str | None, int | None]] = [
    (
        "the last is missing",
        lambda log: replace(log, events=log.events[:-1]),
        "initrd /live/initrd.img",
        None,
    ),
    ("one more at the end", lambda log: replace(log, events=(*log.events, log.events[-1])), None, 40),
    ("one is missing", lambda log: replaced(log, 18), "GRUB core", 20),
    ("one comes twice", lambda log: replaced(log, 17, *log.events[17:18] * 2), "GRUB core", 18),
    ("another PCR", lambda log: changed(log, 36, pcr=9), "kernel /live/vmlinuz", 37),
    ("another text", lambda log: changed(log, 36, data=b"kernel /x\0"), "kernel /live/vmlinuz", 37),
    ("another type", lambda log: changed(log, 17, type=13), "boot stage 2", 18),
    ("firmware's later", lambda log: replaced(log, 20, log.events[0], log.events[20]), "GRUB core", 1),
]


@pytest.mark.parametrize(
    ("change", "text", "number"), [row[1:] for row in CHANGES], ids=[row[0] for row in CHANGES]
)
def test_a_changed_log_is_found(
    change: Callable[[BootLog], BootLog], text: str | None, number: int | None
) -> None:
    difference = first_difference(predicted("cd"), change(log("cd", "12")))
    assert difference is not None and difference.algorithm in (None, "sha1")
    assert (None if difference.expected is None else difference.expected.text) == text
    assert (None if difference.seen is None else difference.seen.number) == number


def test_option_roms_are_the_platforms_own() -> None:
    real = log("cd", "12")
    without = replace(real, events=real.events[:2] + real.events[4:])
    more = replaced(real, 3, *real.events[2:4] * 3)
    assert first_difference(predicted("cd"), without) is None
    assert first_difference(predicted("cd"), more) is None


def test_a_log_without_events_differs_at_the_first() -> None:
    difference = first_difference(predicted("cd"), BootLog((), ("sha1",)))
    assert difference is not None and difference.expected is not None and difference.seen is None
