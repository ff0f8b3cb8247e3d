# SPDX-License-Identifier: GPL-3.0-or-later
"""A prediction as plain data, for manifest.json, and back.

Events that several ways to boot have in common are written once: `events` lists them, and each way is a list
of their places there, with the PCR values it makes in each bank.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from bootproof.measure.expected import ALGORITHMS, Expected, replay
from bootproof.measure.prediction import MEDIA, Prediction
from bootproof.measure.predictionerror import PredictionError


def to_data(prediction: Prediction) -> dict[str, Any]:
    """Return lists, dictionaries, text and numbers; digests and PCR values in hex. What is in it does not
    depend on the order of a dictionary.
    """
    places: dict[tuple[Any, ...], int] = {}
    events: list[dict[str, Any]] = []
    bios: dict[str, Any] = {}
    for medium, ways in sorted(prediction.events.items()):
        bios[medium] = {}
        for entry, expected in sorted(ways.items()):
            for event in expected:
                if _key(event) not in places:
                    places[_key(event)] = len(events)
                    events.append(row(event))
            chosen = [places[_key(event)] for event in expected]
            bios[medium][entry] = {"events": chosen, "pcrs": pcrs(expected)}
    return {"events": events, "default": prediction.default, "bios": bios}


def pcrs(events: Iterable[Expected]) -> dict[str, dict[str, str]]:
    """Return the PCR values that can be told, in hex, by bank and number."""
    listed = tuple(events)
    return {
        name: {str(number): value.hex() for number, value in replay(listed, name).items()}
        for name in ALGORITHMS
    }


def from_data(data: Any) -> Prediction:
    """Return the prediction that `to_data` made `data` of; anything else is a `PredictionError`."""
    try:
        events = [_expected(row) for row in data["events"]]
        ways = {
            medium: {entry: tuple(events[at] for at in way["events"]) for entry, way in entries.items()}
            for medium, entries in data["bios"].items()
        }
        prediction = Prediction(data["default"], ways)
        sound = to_data(prediction) == data and set(ways) == set(MEDIA) and isinstance(data["default"], str)
    except (LookupError, TypeError, ValueError, AttributeError):
        sound = False
    if not sound:
        raise PredictionError("it is damaged, or was written by another version")
    return prediction


def _key(event: Expected) -> tuple[Any, ...]:
    return event.pcr, event.kind, event.text, *event.digests.items()


def row(event: Expected) -> dict[str, Any]:
    """Return an event as a dictionary, digests in hex; without digests it is the platform's own."""
    named = {"pcr": event.pcr, "kind": event.kind, "text": event.text}
    return named | {name: digest.hex() for name, digest in event.digests.items()}


def _expected(row: Any) -> Expected:
    found = {name: bytes.fromhex(row[name]) for name in ALGORITHMS if name in row}
    row["text"].encode()  # a lone surrogate is an error here, not when it is compared
    return Expected(row["pcr"], row["kind"], row["text"], found)
