# SPDX-License-Identifier: GPL-3.0-or-later
"""What is known of guessed secrets, and how TPM_GetCapability tells it (Part 2, 21.7 to 21.10)."""

from __future__ import annotations

from typing import Final

from bootproof.tpm.wire import (
    Structure,
    nested,
    sized32,
    structure,
    structure_tag,
    uint8,
    uint16,
    uint32,
    uint64,
)

ACTION_TIMEOUT: Final = 1  # TPM_DA_ACTION_TIMEOUT (21.10)


@structure
class Guesses(Structure):
    """Failed authorisations that are not forgotten, and when the last of them was: milliseconds of Unix
    time.
    """

    count: int = uint32(default=0)
    last: int = uint64(default=0)


@structure
class DaAction(Structure):
    """TPM_DA_ACTION_TYPE (21.10)."""

    tag: int = structure_tag(default=0x0039)
    actions: int = uint32(default=ACTION_TIMEOUT)


@structure
class DaInfo(Structure):
    """TPM_DA_INFO (21.7): state 1 while locked, failures, how many are free, seconds that are left."""

    tag: int = structure_tag(default=0x0037)
    state: int = uint8()
    count: int = uint16()
    threshold: int = uint16()
    action: DaAction = nested(DaAction, default_factory=DaAction)
    action_value: int = uint32(default=0)
    vendor_data: bytes = sized32(default=b"")


@structure
class DaInfoLimited(Structure):
    """TPM_DA_INFO_LIMITED (21.8): what the owner lets everyone know."""

    tag: int = structure_tag(default=0x0038)
    state: int = uint8()
    action: DaAction = nested(DaAction, default_factory=DaAction)
    vendor_data: bytes = sized32(default=b"")
