# SPDX-License-Identifier: GPL-3.0-or-later
"""The rows of the command table."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from enum import Enum, Flag, auto
from typing import Any, Final

from bootproof.tpm.structures.delegation import KEY_BITS, OWNER_BITS
from bootproof.tpm.wire import Structure


class In(Flag):
    """States of the TPM, besides the usual one, in which a command is answered (Part 2, 17)."""

    NONE = 0
    DISABLED = auto()
    DEACTIVATED = auto()
    FAILED = auto()
    POST_INIT = auto()
    OFF = DISABLED | DEACTIVATED


class Auditing(Enum):
    """Whether a command is audited, unless TPM_SetOrdinalAuditStatus says otherwise (Part 2, 17)."""

    OFF = auto()
    ON = auto()
    NEVER = auto()


_HANDLE_SIZE: Final = 4
ALL_LOCALITIES: Final = (0, 1, 2, 3, 4)


def no_keys(_parameters: Any) -> tuple[int, ...]:
    """Say that none of a command's handles is that of a key."""
    return ()


@dataclass(frozen=True)
class Row:
    """What the specification says of an ordinal, whether this TPM has it or not.

    `section` is its place in Part 3. `owner_right` and `key_right` say which bit of TPM_DELEGATIONS.per1
    lets a delegate of the owner, or of a key, run it (Part 2, 20.2); None where nobody can be given it.
    `handles` says how many of its first parameters are handles that no HMAC is about.
    """

    ordinal: int
    name: str
    section: str
    owner_right: int | None = field(default=None, kw_only=True)
    key_right: int | None = field(default=None, kw_only=True)
    handles: int = field(default=0, kw_only=True)

    @property
    def clear_sizes(self) -> tuple[int, int]:
        """How many of the first bytes of its parameters, and of its response's, no transport encrypts."""
        return _HANDLE_SIZE * self.handles, 0

    def right(self, kind: int) -> int:
        """Return its bit among the rights of that kind (OWNER_BITS, KEY_BITS), 0 for none."""
        bit = {OWNER_BITS: self.owner_right, KEY_BITS: self.key_right}[kind]
        return 0 if bit is None else 1 << bit


@dataclass(frozen=True)
class Command(Row):
    """An ordinal that this TPM has: dispatch, GetCapability(ORD), audit, delegation, transport sessions, the
    fuzzer and the documentation derive from it.

    `handler(subject, parameters)` returns the response's parameters, or None if it has none. The subject is
    the Tpm for a command that never has an authorisation, a Call for all others. `auths` says how many
    authorisations may come with it, `out_handles` how many of its response's first parameters are handles
    that no HMAC is about. `needs_owner` refuses it with NOSRK as long as there is no owner (Part 2,
    17), `localities` with BAD_LOCALITY if it comes from another one.

    For transport sessions (Part 3, 24.2): whether it is `wrappable` in one; `clear_in` and `clear_out`, how
    many bytes of parameters travel in the clear where these are not just its handles; `logged_keys`, which
    handles in its parameters are those of keys, where not all of its handles are.
    """

    handler: Callable[[Any, Any], Structure | None]
    parameters: type[Structure]
    allowed: In = In.NONE
    auths: tuple[int, ...] = (0,)
    out_handles: int = 0
    keeps_sha1: bool = False
    needs_owner: bool = False
    localities: tuple[int, ...] = ALL_LOCALITIES
    audit: Auditing = Auditing.OFF
    wrappable: bool = True
    clear_in: int | None = None
    clear_out: int | None = None
    logged_keys: Callable[[Any], tuple[int, ...]] | None = None

    @property
    def clear_sizes(self) -> tuple[int, int]:
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
