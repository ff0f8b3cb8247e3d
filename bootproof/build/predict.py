# SPDX-License-Identifier: GPL-3.0-or-later
"""What an ISO on disk will measure: computed from it, or read from the manifest beside it."""

from __future__ import annotations

import json
import mmap
from pathlib import Path
from typing import Any

from bootproof.errors import BootproofError
from bootproof.measure import listed, prediction
from bootproof.measure.prediction import Prediction
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
