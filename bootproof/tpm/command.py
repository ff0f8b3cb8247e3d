# SPDX-License-Identifier: GPL-3.0-or-later
"""A row of the command table."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import Flag, auto
from typing import Any, Final

from bootproof.tpm.wire import Structure


class In(Flag):
    """States of the TPM, besides the usual one, in which a command is answered (Part 2, 17)."""

    NONE = 0
    DISABLED = auto()
    DEACTIVATED = auto()
    FAILED = auto()
    POST_INIT = auto()
    OFF = DISABLED | DEACTIVATED


_HANDLE_SIZE: Final = 4


def no_keys(_parameters: Any) -> tuple[int, ...]:
    """Say that none of a command's handles is that of a key."""
    return ()


@dataclass(frozen=True)
class Command:
    """One ordinal: dispatch, GetCapability(ORD), audit, transport sessions, the fuzzer and the documentation
    derive from it.

    `handler(subject, parameters)` returns the response's parameters, or None if it has none. The subject is
    the Tpm for a command that never has an authorisation, a Call for all others. `section` is the place in
    Part 3 of the specification. `auths` says how many authorisations may come with it, `handles` and
    `out_handles` how many of its first parameters are handles that no HMAC is about. `needs_owner` refuses
    it with NOSRK as long as there is no owner (Part 2, 17).

    For transport sessions (Part 3, 24.2): whether it is `wrappable` in one; `clear_in` and `clear_out`, how
    many bytes of parameters travel in the clear where these are not just its handles; `logged_keys`, which
    handles in its parameters are those of keys, where not all of its handles are.
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
    wrappable: bool = True
    clear_in: int | None = None
    clear_out: int | None = None
    logged_keys: Callable[[Any], tuple[int, ...]] | None = None

    @property
    def clear_sizes(self) -> tuple[int, int]:
        """How many of the first bytes of its parameters, and of its response's, no transport encrypts."""
        into = _HANDLE_SIZE * self.handles if self.clear_in is None else self.clear_in
        out = _HANDLE_SIZE * self.out_handles if self.clear_out is None else self.clear_out
        return into, out

    def keys(self, parameters: Any) -> tuple[int, ...]:
        """Return the handles of the keys that a transport session logs it with."""
        if self.logged_keys is not None:
            return self.logged_keys(parameters)
        return tuple(getattr(parameters, name) for name, _ in self.parameters.CODECS[: self.handles])

    @property
    def plain(self) -> bool:
        """Whether it never has an authorisation."""
        return self.auths == (0,)
