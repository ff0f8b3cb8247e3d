# SPDX-License-Identifier: GPL-3.0-or-later
"""The check `boot-events`: has the machine measured what the image was predicted to, event by event?"""

from __future__ import annotations

from bootproof.measure import bootlog, printable
from bootproof.measure.expected import ALGORITHMS, Difference, Expected, first_difference, replay
from bootproof.measure.reader import LogError
from bootproof.smoke.evidence import Evidence

_SHOWN = 60  # characters of an event's text


def judge(evidence: Evidence) -> tuple[bool, str]:
    """Return the verdict and what it rests on; of a log that differs, the first event that does."""
    events = evidence.forecast.events
    if events is None:
        return False, f"there is no prediction: {evidence.forecast.source}"
    if not evidence.boot_log:
        return False, "the guest has no boot log"
    try:
        log = bootlog.parse(evidence.boot_log)
    except LogError as error:
        return False, f"the boot log cannot be read: {error}"
    difference = first_difference(events, log)
    if difference is not None:
        return False, describe(difference)
    fault = _pcr_fault(evidence, events)
    if fault:
        return False, fault
    own = sum(not event.is_platform for event in events)
    numbers = ", ".join(map(str, replay(events, evidence.bank)))
    return True, f"{own} events and PCR {numbers} are as predicted by {evidence.forecast.source}"


def describe(difference: Difference) -> str:
    """Return what is wrong with an event, in one line: what it stands for, expected and seen."""
    wanted, seen = difference.expected, difference.seen
    if wanted is None or seen is None:
        if wanted is not None:
            return f"the log ends before {_short(wanted.text)} (PCR {wanted.pcr})"
        return f"event {seen.number} was not predicted: {_short(seen.text)} (PCR {seen.pcr})" if seen else ""
    place = f"event {seen.number}, {_short(wanted.text)} (PCR {wanted.pcr})"
    if difference.algorithm is not None:
        digests = wanted.digests[difference.algorithm].hex(), seen.digests[difference.algorithm].hex()
        told = f"{difference.algorithm} should be {digests[0]} and is {digests[1]}"
    else:
        told = "the digest is right"
    return f"{place}: {told}; the log says {_short(seen.text)}, {seen.type_name}, PCR {seen.pcr}"


def _pcr_fault(evidence: Evidence, events: tuple[Expected, ...]) -> str:
    """Return which PCR is not the predicted one, in the banks that this TPM has; nothing if all are."""
    for name in ALGORITHMS:
        values = evidence.judged if name == evidence.bank else evidence.inside(name)
        if not values and name != evidence.bank:
            continue
        for number, wanted in replay(events, name).items():
            if values.get(number) != wanted:
                found = values[number].hex() if number in values else "unknown"
                return f"PCR {number} ({name}) should be {wanted.hex()} and is {found}"
    return ""


def _short(text: str) -> str:
    line = printable.line(text)
    return f"'{line if len(line) <= _SHOWN else line[: _SHOWN - 1] + '…'}'"
