# SPDX-License-Identifier: GPL-3.0-or-later
"""Expected boot events, the PCRs they make, and a log beside them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from bootproof.measure import algorithms, eventtypes, pcr
from bootproof.measure.bootlog import BootLog, Event

ALGORITHMS = ("sha1", "sha256")
# What the boot stages measure: the firmware logs it as COMPACT_HASH (TPM 1.2), our module as IPL (TPM 2.0)
STAGE = "STAGE"
SEPARATOR = "SEPARATOR"

Digests = Mapping[str, bytes]


@dataclass(frozen=True, slots=True)
class Expected:
    """One event. `kind` is its type without EV_, or STAGE; `text` is what its data say.

    Without digests it is the platform's own: any number of such events, their texts beginning with `text`.
    """

    pcr: int
    kind: str
    text: str
    digests: Digests

    @property
    def is_platform(self) -> bool:
        return not self.digests

    def type_name(self, *, crypto_agile: bool) -> str:
        """Return the type it has in a log of TPM 2.0 (`crypto_agile`) or TPM 1.2."""
        if self.kind == STAGE:
            return "EV_IPL" if crypto_agile else "EV_COMPACT_HASH"
        return f"EV_{self.kind}"


@dataclass(frozen=True, slots=True)
class Difference:
    """The first event of a log that is not the expected one. `expected` is None for one too many, `seen`
    for one that is missing. `algorithm` is the bank whose digest differs, None if the digest is right.
    """

    expected: Expected | None
    seen: Event | None
    algorithm: str | None = None


@dataclass(frozen=True, slots=True)
class Forecast:
    """What a boot is held against, and where it comes from. Without events `source` says why; `applies` is
    False for a machine or an image that nothing can be told of.
    """

    events: tuple[Expected, ...] | None
    source: str
    applies: bool = True


def digests(data: bytes) -> dict[str, bytes]:
    """Return the digest of `data` in each bank that is predicted."""
    return {name: algorithms.digest(name, data) for name in ALGORITHMS}


def of_text(number: int, kind: str, text: str, prefix: str = "") -> Expected:
    """Return an event whose digest is that of its own text; `prefix` is in the log only."""
    return Expected(number, kind, prefix + text, digests(text.encode()))


def replay(events: Iterable[Expected], algorithm: str) -> dict[int, bytes]:
    """Return the PCRs after `events`; one that the platform's own events extend cannot be told."""
    values: dict[int, bytes] = {}
    unknown: set[int] = set()
    for event in events:
        if event.is_platform:
            unknown.add(event.pcr)
        else:
            before = values.get(event.pcr) or pcr.initial(algorithm, event.pcr)
            values[event.pcr] = pcr.extend(algorithm, before, event.digests[algorithm])
    return {number: value for number, value in sorted(values.items()) if number not in unknown}


def first_difference(expected: Sequence[Expected], log: BootLog) -> Difference | None:
    """Compare a log with what was expected, event by event; None if they agree."""
    seen = log.measured
    at = 0
    for event in expected:
        if event.is_platform:
            while at < len(seen) and _is_of_kind(seen[at], event, log):
                at += 1
            continue
        if at == len(seen):
            return Difference(event, None)
        difference = _differs(event, seen[at], log)
        if difference is not None:
            return difference
        at += 1
    return Difference(None, seen[at]) if at < len(seen) else None


def _is_of_kind(seen: Event, event: Expected, log: BootLog) -> bool:
    wanted = event.type_name(crypto_agile=log.is_crypto_agile)
    return seen.pcr == event.pcr and seen.type_name == wanted and seen.text.startswith(event.text)


def _differs(event: Expected, seen: Event, log: BootLog) -> Difference | None:
    compared = [name for name in ALGORITHMS if name in seen.digests]
    wrong = next((name for name in compared if seen.digests[name] != event.digests[name]), None)
    same_place = seen.pcr == event.pcr
    same_type = seen.type_name == event.type_name(crypto_agile=log.is_crypto_agile)
    if same_place and same_type and compared and wrong is None and _says(seen, event):
        return None
    return Difference(event, seen, wrong)


def _says(seen: Event, event: Expected) -> bool:
    """A separator's text is ours, and so is that of what firmware logs for the boot stages."""
    if event.kind == SEPARATOR or seen.type == eventtypes.EV_COMPACT_HASH:
        return True
    return seen.data.rstrip(b"\0") == event.text.encode()
