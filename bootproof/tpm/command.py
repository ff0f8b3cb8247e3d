# SPDX-License-Identifier: GPL-3.0-or-later
"""A row of the command table."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import Flag, auto
from typing import Any

from bootproof.tpm.codes import TAG_REQUEST
from bootproof.tpm.wire import Structure


class In(Flag):
    """States of the TPM, besides the usual one, in which a command is answered (Part 2, 17)."""

    NONE = 0
    DISABLED = auto()
    DEACTIVATED = auto()
    FAILED = auto()
    POST_INIT = auto()
    OFF = DISABLED | DEACTIVATED


@dataclass(frozen=True)
class Command:
    """One ordinal: dispatch, GetCapability(ORD) and the table in docs/vtpm.md all derive from it.

    `handler(tpm, parameters)` returns the response's parameters, or None if it has none; `tag` says
    how many authorisation sessions it has; `section` is the place in Part 3 of the specification.
    """

    ordinal: int
    name: str
    section: str
    handler: Callable[[Any, Any], Structure | None]
    parameters: type[Structure]
    allowed: In = In.NONE
    tag: int = TAG_REQUEST
    keeps_sha1: bool = False
