# SPDX-License-Identifier: GPL-3.0-or-later
"""The error of everything that predicts a boot."""

from __future__ import annotations


class PredictionError(ValueError):
    """What a boot will measure cannot be told; the message says what stands in the way."""
