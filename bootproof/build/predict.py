# SPDX-License-Identifier: GPL-3.0-or-later
"""What an ISO on disk will measure: computed from it, or read from the manifest beside it."""

from __future__ import annotations

import json
import mmap
from pathlib import Path
from typing import Any

from bootproof.errors import BootproofError
from bootproof.measure import listed, prediction
from bootproof.measure.expected import Forecast
from bootproof.measure.prediction import CD, DISK, Prediction
from bootproof.measure.predictionerror import PredictionError

MANIFEST = "manifest.json"
MANIFEST_KEY = "boot"


def of_iso(iso: Path) -> Prediction:
    """Return what starting `iso` will measure; `PredictionError` if that cannot be told."""
    try:
        with iso.open("rb") as stream, mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ) as image:
            return prediction.predict(image)
    except (OSError, ValueError) as error:
        if isinstance(error, PredictionError):
            raise
        reason = getattr(error, "strerror", None) or error
        raise BootproofError(f"{iso} cannot be read: {reason}", "name an ISO file") from None


def beside(iso: Path) -> Prediction | None:
    """Return the prediction in the manifest beside `iso`, which was made with it; None if there is none."""
    try:
        found: Any = json.loads((iso.parent / MANIFEST).read_text())[MANIFEST_KEY]
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return listed.from_data(found)


def for_manifest(iso: Path) -> dict[str, Any]:
    """Return the prediction as manifest.json has it; an error if the menu does what cannot be told."""
    try:
        return listed.to_data(of_iso(iso))
    except PredictionError as error:
        hint = "use only commands in the menu whose result does not depend on the machine"
        raise BootproofError(f"what the image will measure cannot be told: {error}", hint) from None


def of_boot(iso: Path, firmware: str, media: str) -> Forecast:
    """Return what the menu's own choice measures on a machine with that firmware, `iso` being attached as
    `media` (cd, usb or disk): as the manifest says, or, if there is none beside it, as the ISO itself does.
    """
    if firmware != "bios":
        return Forecast(None, "predicted for BIOS only", applies=False)
    try:
        found = beside(iso)
    except PredictionError as error:
        return Forecast(None, f"{MANIFEST}: {error}")
    source = MANIFEST
    if found is None:
        source = f"the ISO itself (no prediction in a {MANIFEST} beside it)"
        try:
            found = of_iso(iso)
        except PredictionError as error:
            return Forecast(None, f"nothing can be predicted: {error}", applies=False)
    ways = found.events[CD if media == "cd" else DISK]
    if found.default not in ways:
        return Forecast(None, f"the entry '{found.default}' starts no kernel", applies=False)
    return Forecast(ways[found.default], source)
