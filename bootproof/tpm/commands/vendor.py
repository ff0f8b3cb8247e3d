# SPDX-License-Identifier: GPL-3.0-or-later
"""The one vendor command: Linux's vtpm_proxy sets the locality in the stream of commands
(linux/vtpm_proxy.h).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from bootproof.tpm.command import Command, In
from bootproof.tpm.wire import Structure, structure, uint8

if TYPE_CHECKING:
    from bootproof.tpm.machine import Tpm


@structure
class SetLocalityIn(Structure):
    """TPM_ORD_SET_LOCALITY of the Linux kernel."""

    locality: int = uint8()


def set_locality(tpm: Tpm, args: SetLocalityIn) -> None:
    """BAD_LOCALITY."""
    tpm.set_locality(args.locality)


SET_LOCALITY: Final = Command(
    0x20001000,
    "SetLocality",
    "vendor",
    set_locality,
    SetLocalityIn,
    In.OFF | In.POST_INIT | In.FAILED,
)
