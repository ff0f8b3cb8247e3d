# SPDX-License-Identifier: GPL-3.0-or-later
"""Who made this TPM, and how large its tables are; GetCapability answers from here."""

from __future__ import annotations

from typing import Final

VERSION: Final = "0.1.0"
MANUFACTURER: Final = b"BTPF"
FIRMWARE_VERSION: Final = (0, 1)  # revMajor, revMinor of TPM_VERSION: ours to choose
SPEC_LEVEL: Final = 2
SPEC_ERRATA: Final = 3
SPEC_REVISION: Final = 116

PCR_COUNT: Final = 24
PCR_SELECT_SIZE: Final = PCR_COUNT // 8
DIR_COUNT: Final = 1
KEY_SLOTS: Final = 20
AUTH_SESSIONS: Final = 16
TRANSPORT_SESSIONS: Final = 16
COUNTERS: Final = 8
CONTEXTS: Final = 128
FAMILY_ROWS: Final = 16
DELEGATE_ROWS: Final = 4
NV_SIZE: Final = 0x7000  # bytes
OWNERLESS_NV_WRITES: Final = 64  # TPM_MAX_NV_WRITE_NOOWNER (Part 2, 19)
BUFFER_SIZE: Final = 4096  # longest command or response, in bytes
BUFFER_SIZE_MIN: Final = 3072

TIS_TIMEOUTS: Final = (1_000_000,) * 4  # A to D, in microseconds
DURATIONS: Final = (50_000_000, 100_000_000, 300_000_000)  # short, medium, long commands, in microseconds
STARTUP_EFFECT: Final = 0x54  # Part 2, 21.7: what does not outlive TPM_Startup
CONTEXT_DISTANCE: Final = 0xFFFFFFFF
