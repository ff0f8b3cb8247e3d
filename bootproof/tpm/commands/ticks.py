# SPDX-License-Identifier: GPL-3.0-or-later
"""The tick counter (Part 3, 23)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from bootproof.tpm.command import Command
from bootproof.tpm.ordinals import Ord
from bootproof.tpm.structures.ticks import CurrentTicks
from bootproof.tpm.wire import Nothing

if TYPE_CHECKING:
    from bootproof.tpm.machine import Tpm

_MICROSECONDS_PER_TICK: Final = 1


def get_ticks(tpm: Tpm, _args: Nothing) -> CurrentTicks:
    """Return the ticks since TPM_Startup, one a microsecond, and the nonce of this tick session."""
    return CurrentTicks(ticks=tpm.ticks(), rate=_MICROSECONDS_PER_TICK, nonce=tpm.tick_nonce)


ROWS: Final = (Command(Ord.GET_TICKS, "TPM_GetTicks", "23.1", get_ticks, Nothing),)
