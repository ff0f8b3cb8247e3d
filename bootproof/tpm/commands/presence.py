# SPDX-License-Identifier: GPL-3.0-or-later
"""Physical presence and the establishment flag: what only the platform says to its TPM (Part 3, 6.6; PC
Client TIS).
"""

from __future__ import annotations

from dataclasses import replace
from enum import IntFlag
from typing import TYPE_CHECKING, Final

from bootproof.tpm.codes import Rc, TpmError
from bootproof.tpm.command import Command, In
from bootproof.tpm.ordinals import Ord
from bootproof.tpm.wire import Nothing, Structure, structure, uint16

if TYPE_CHECKING:
    from bootproof.tpm.machine import Tpm


class Presence(IntFlag):
    """TPM_PHYSICAL_PRESENCE (Part 2, 4.9)."""

    LOCK = 0x0004
    PRESENT = 0x0008
    NOT_PRESENT = 0x0010
    CMD_ENABLE = 0x0020
    HW_ENABLE = 0x0040
    LIFETIME_LOCK = 0x0080
    CMD_DISABLE = 0x0100
    HW_DISABLE = 0x0200


_ASSERTIONS: Final = Presence.LOCK | Presence.PRESENT | Presence.NOT_PRESENT
_SETTINGS: Final = (
    Presence.CMD_ENABLE
    | Presence.HW_ENABLE
    | Presence.LIFETIME_LOCK
    | Presence.CMD_DISABLE
    | Presence.HW_DISABLE
)
_TRUSTED_LOCALITIES: Final = (3, 4)


@structure
class PresenceIn(Structure):
    """TSC_PhysicalPresence: bits of Presence."""

    bits: int = uint16()


def need_presence(tpm: Tpm) -> None:
    """BAD_PRESENCE unless somebody stands in front of the machine."""
    if not tpm.present:
        raise TpmError(Rc.BAD_PRESENCE)


def physical_presence(tpm: Tpm, args: PresenceIn) -> None:
    """BAD_PARAMETER for everything that is contradictory, mixed, unknown, locked, or not enabled."""
    bits = args.bits
    if bits & _SETTINGS and not bits & ~_SETTINGS:
        _configure(tpm, bits)
    elif bits & _ASSERTIONS and not bits & ~_ASSERTIONS:
        _assert(tpm, bits)
    else:
        raise TpmError(Rc.BAD_PARAMETER)


def _configure(tpm: Tpm, bits: int) -> None:
    """Set, once and for ever if LIFETIME_LOCK is among the bits, how presence may be told."""
    for_command = bits & (Presence.CMD_ENABLE | Presence.CMD_DISABLE)
    by_hardware = bits & (Presence.HW_ENABLE | Presence.HW_DISABLE)
    contradictory = for_command.bit_count() == 2 or by_hardware.bit_count() == 2
    if contradictory or tpm.permanent.flags.presence_lifetime_lock:
        raise TpmError(Rc.BAD_PARAMETER)
    changes: dict[str, bool] = {}
    if for_command:
        changes["presence_cmd_enable"] = for_command == Presence.CMD_ENABLE
    if by_hardware:
        changes["presence_hw_enable"] = by_hardware == Presence.HW_ENABLE
    if bits & Presence.LIFETIME_LOCK:
        changes["presence_lifetime_lock"] = True
    tpm.commit_flags(**changes)


def _assert(tpm: Tpm, bits: int) -> None:
    """Say whether somebody is present; LOCK fixes "nobody" until the next TPM_Init."""
    contradictory = bits & Presence.PRESENT and bits & (Presence.LOCK | Presence.NOT_PRESENT)
    if contradictory or not tpm.permanent.flags.presence_cmd_enable or tpm.stclear.physical_presence_lock:
        raise TpmError(Rc.BAD_PARAMETER)
    tpm.stclear = replace(
        tpm.stclear,
        physical_presence=bool(bits & Presence.PRESENT),
        physical_presence_lock=bool(bits & Presence.LOCK),
    )


def reset_establishment_bit(tpm: Tpm, _args: Nothing) -> None:
    """BAD_LOCALITY unless it comes from locality 3 or 4."""
    tpm.commit_flags(established=False)


def reset_established(tpm: Tpm, locality: int) -> None:
    """Clear tpmEstablished on behalf of that locality."""
    need_trusted_locality(locality)
    tpm.commit_flags(established=False)


def need_trusted_locality(locality: int) -> None:
    """BAD_LOCALITY unless it is 3 or 4."""
    if locality not in _TRUSTED_LOCALITIES:
        raise TpmError(Rc.BAD_LOCALITY)


def set_deferred_presence(tpm: Tpm, bits: int) -> None:
    """Note what somebody who is present vouches for in advance: bit 0, TPM_FieldUpgrade without an owner
    (Part 2, 21.5; TPM_SD_DEFERREDPHYSICALPRESENCE). BAD_PRESENCE for a new bit while nobody is there.
    """
    if bits & ~tpm.stclear_data.deferred_presence:
        need_presence(tpm)
    tpm.stclear_data = replace(tpm.stclear_data, deferred_presence=bits)


ROWS: Final = (
    Command(Ord.PHYSICAL_PRESENCE, "TSC_PhysicalPresence", "6.6", physical_presence, PresenceIn, In.OFF),
    Command(
        Ord.RESET_ESTABLISHMENT_BIT,
        "TSC_ResetEstablishmentBit",
        "6.7",
        reset_establishment_bit,
        Nothing,
        In.OFF,
        localities=_TRUSTED_LOCALITIES,
    ),
)
