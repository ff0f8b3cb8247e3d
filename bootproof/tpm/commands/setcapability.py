# SPDX-License-Identifier: GPL-3.0-or-later
"""TPM_SetCapability (Part 3, 7.2): one way to set what other commands set, and some that no other does.

Which fields of the flag and data structures can be set, to what, by whom and in which state, is a table here
as it is in Part 2, 7 and 21.4. What is not in the table cannot be set.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from bootproof.tpm.codes import Rc, TpmError
from bootproof.tpm.command import Command, In
from bootproof.tpm.commands.presence import need_trusted_locality, set_deferred_presence
from bootproof.tpm.ordinals import Ord
from bootproof.tpm.structures.migration import Restrictions
from bootproof.tpm.wire import Structure, sized32, structure, uint32

if TYPE_CHECKING:
    from bootproof.tpm.call import Call
    from bootproof.tpm.machine import Tpm

_NUMBER_SIZE: Final = 4
_BOOL: Final = 1
_UINT32: Final = 4


@structure
class SetCapabilityIn(Structure):
    """TPM_SetCapability: area, field and value."""

    area: int = uint32()
    sub: bytes = sized32()
    value: bytes = sized32()


@dataclass(frozen=True)
class Setting:
    """A field that can be set: what must be so before (raises otherwise), in which states of the TPM besides
    the usual one, to which values alone (None: any), and how.

    `may` gets the TPM and whether the owner has authorised the command; `size` is the value's, in bytes.
    """

    may: Callable[[Tpm, bool], None]
    set: Callable[[Tpm, int], None]
    size: int = _BOOL
    allowed: In = In.NONE
    only: int | None = None


# who may ----------------------------------------------------------------------------------------------


def _by_owner(_tpm: Tpm, owner: bool) -> None:
    if not owner:
        raise TpmError(Rc.AUTHFAIL)


def _by_presence(tpm: Tpm, _owner: bool) -> None:
    if not tpm.present:
        raise TpmError(Rc.AUTHFAIL)


def _by_owner_or_presence(tpm: Tpm, owner: bool) -> None:
    if not owner:
        _by_presence(tpm, owner)


def _by_presence_without_owner(tpm: Tpm, owner: bool) -> None:
    if tpm.permanent.owner is not None:
        raise TpmError(Rc.OWNER_SET)
    _by_presence(tpm, owner)


def _by_trusted_locality(tpm: Tpm, _owner: bool) -> None:
    need_trusted_locality(tpm.locality)


def _by_anybody(_tpm: Tpm, _owner: bool) -> None:
    """Refuse nobody."""


# what -------------------------------------------------------------------------------------------------


def _flag(name: str) -> Callable[[Tpm, int], None]:
    """Return what sets the permanent flag of that name."""
    return lambda tpm, value: tpm.commit_flags(**{name: bool(value)})


def _set_restrictions(tpm: Tpm, value: int) -> None:
    tpm.commit(replace(tpm.permanent, restrictions=Restrictions(value)))


def _disable_force_clear(tpm: Tpm, _value: int) -> None:
    tpm.stclear = replace(tpm.stclear, disable_force_clear=True)


def _end_trusted_system(tpm: Tpm, _value: int) -> None:
    tpm.os_present = False


_PERM_FLAGS, _PERM_DATA, _STCLEAR_FLAGS, _STCLEAR_DATA, _STANY_FLAGS, _STANY_DATA, _VENDOR = range(1, 8)
_AREAS: Final = range(_PERM_FLAGS, _VENDOR + 1)
_SETTINGS: Final[dict[tuple[int, int], Setting]] = {
    (_PERM_FLAGS, 1): Setting(_by_owner_or_presence, _flag("disable"), allowed=In.OFF),
    (_PERM_FLAGS, 2): Setting(_by_presence_without_owner, _flag("ownership")),
    (_PERM_FLAGS, 3): Setting(_by_presence, _flag("deactivated"), allowed=In.DEACTIVATED),
    (_PERM_FLAGS, 4): Setting(_by_owner, _flag("read_pubek")),
    (_PERM_FLAGS, 5): Setting(_by_owner, _flag("disable_owner_clear"), only=True),
    (_PERM_FLAGS, 6): Setting(_by_owner, _flag("allow_maintenance"), only=False),
    (_PERM_FLAGS, 17): Setting(_by_owner, _flag("read_srk_pub")),
    (_PERM_FLAGS, 18): Setting(_by_trusted_locality, _flag("established"), allowed=In.OFF, only=False),
    (_PERM_FLAGS, 20): Setting(_by_owner, _flag("disable_full_da_logic_info"), allowed=In.OFF),
    (_PERM_DATA, 23): Setting(_by_owner, _set_restrictions, _UINT32),
    (_STCLEAR_FLAGS, 2): Setting(_by_anybody, _disable_force_clear, only=True),
    (_STCLEAR_DATA, 6): Setting(_by_anybody, set_deferred_presence, _UINT32, allowed=In.OFF),
    (_STANY_FLAGS, 4): Setting(_by_trusted_locality, _end_trusted_system, only=False),
}


def set_capability(call: Call, args: SetCapabilityIn) -> None:
    """AUTHFAIL where owner or presence is missing, BAD_MODE for an unknown area, BAD_PARAMETER for a field
    that cannot be set, or not to that value; OWNER_SET, BAD_LOCALITY, BAD_PRESENCE, DISABLED, DEACTIVATED.
    """
    tpm = call.tpm
    owner = call.count == 1
    if owner:
        call.owner()
    if args.area not in _AREAS:
        raise TpmError(Rc.BAD_MODE)
    number = int.from_bytes(args.sub) if len(args.sub) == _NUMBER_SIZE else 0
    setting = _SETTINGS.get((args.area, number))
    if setting is None or len(args.value) != setting.size:
        raise TpmError(Rc.BAD_PARAMETER)
    value = int.from_bytes(args.value)
    setting.may(tpm, owner)
    _check_state(tpm, setting)
    if (setting.size == _BOOL and value > 1) or setting.only not in (None, value):
        raise TpmError(Rc.BAD_PARAMETER)
    setting.set(tpm, value)


def _check_state(tpm: Tpm, setting: Setting) -> None:
    if tpm.permanent.flags.disable and In.DISABLED not in setting.allowed:
        raise TpmError(Rc.DISABLED)
    if tpm.stclear.deactivated and In.DEACTIVATED not in setting.allowed:
        raise TpmError(Rc.DEACTIVATED)


ROWS: Final = (
    Command(
        Ord.SET_CAPABILITY,
        "TPM_SetCapability",
        "7.2",
        set_capability,
        SetCapabilityIn,
        In.OFF,
        auths=(0, 1),
        owner_right=12,
    ),
)
