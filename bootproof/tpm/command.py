# SPDX-License-Identifier: GPL-3.0-or-later
"""A row of the command table."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import Flag, auto
from typing import Any

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
    """One ordinal: dispatch, GetCapability(ORD), audit, transport sessions, the fuzzer and the documentation
    derive from it.

    `handler(subject, parameters)` returns the response's parameters, or None if it has none. The subject is
    the Tpm for a command that never has an authorisation, a Call for all others. `section` is the place in
    Part 3 of the specification. `auths` says how many authorisations may come with it, `handles` and
    `out_handles` how many of its first parameters are handles that no HMAC is about. `needs_owner` refuses it
    with NOSRK as long as there is no owner (Part 2, 17).
    """

    ordinal: int
    name: str
    section: str
    handler: Callable[[Any, Any], Structure | None]
    parameters: type[Structure]
    allowed: In = In.NONE
    auths: tuple[int, ...] = (0,)
    handles: int = 0
    out_handles: int = 0
    keeps_sha1: bool = False
    needs_owner: bool = False

    @property
    def plain(self) -> bool:
        """Whether it never has an authorisation."""
        return self.auths == (0,)
