# SPDX-License-Identifier: GPL-3.0-or-later
"""Structure-aware fuzzing with hypothesis."""

from __future__ import annotations

import secrets
import time

from hypothesis import HealthCheck, Phase, given, seed, settings

from fuzz.grammar import scripts
from fuzz.target import Action, Target

_BATCH = 200


def run(seconds: float, first_seed: int | None = None) -> int:
    """Run generated scripts for that long and return how many there were; hypothesis raises with the
    smallest script that crashes.
    """
    deadline, done = time.monotonic() + seconds, 0
    number = secrets.randbelow(1 << 32) if first_seed is None else first_seed
    while time.monotonic() < deadline:

        @seed(number)
        @settings(
            max_examples=_BATCH,
            deadline=None,
            database=None,
            phases=[Phase.generate, Phase.shrink],
            suppress_health_check=list(HealthCheck),
        )
        @given(scripts())
        def batch(script: list[Action]) -> None:
            nonlocal done
            if time.monotonic() < deadline:
                Target().run(script)
                done += 1

        batch()
        number += 1
    return done
