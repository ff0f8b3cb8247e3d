# SPDX-License-Identifier: GPL-3.0-or-later
"""Numbers of the TPM Main Specification 1.2 (Part 2: Structures) that more than one module needs."""

from __future__ import annotations

from enum import IntEnum
from typing import Final

TAG_REQUEST: Final = 0x00C1  # +1, +2 with one or two authorisations (Part 2, 6)
TAG_RESPONSE: Final = 0x00C4
HEADER_SIZE: Final = 10
DIGEST_SIZE: Final = 20


class Rc(IntEnum):
    """Result codes (Part 2, 16) that this emulator can return."""

    SUCCESS = 0x00
    BADINDEX = 0x02
    BAD_PARAMETER = 0x03
    DEACTIVATED = 0x06
    DISABLED = 0x07
    FAIL = 0x09
    BAD_ORDINAL = 0x0A
    INVALID_KEYHANDLE = 0x0C
    INVALID_PCR_INFO = 0x10
    SIZE = 0x17
    BAD_PARAM_SIZE = 0x19
    SHA_THREAD = 0x1A
    SHA_ERROR = 0x1B
    FAILEDSELFTEST = 0x1C
    BADTAG = 0x1E
    IOERROR = 0x1F
    INVALID_AUTHHANDLE = 0x22
    INVALID_POSTINIT = 0x26
    BAD_MODE = 0x2C
    NOTRESETABLE = 0x32
    NOTLOCAL = 0x33
    INVALID_RESOURCE = 0x35
    BAD_LOCALITY = 0x3D
    INVALID_STRUCTURE = 0x43
    BAD_HANDLE = 0x58


class Ord(IntEnum):
    """Ordinals (Part 2, 17) that are named outside the command table."""

    OIAP = 0x0A
    OSAP = 0x0B
    CHANGE_AUTH = 0x0C
    CHANGE_AUTH_OWNER = 0x10
    DSAP = 0x11
    CREATE_WRAP_KEY = 0x1F
    LOAD_KEY2 = 0x41
    STARTUP = 0x99
    SAVE_STATE = 0x98
    SHA1_START = 0xA0
    SHA1_UPDATE = 0xA1
    SHA1_COMPLETE = 0xA2
    SHA1_COMPLETE_EXTEND = 0xA3
    ESTABLISH_TRANSPORT = 0xE6


class TpmError(Exception):
    """Ends a command with the result code `rc`; the response then has no parameters."""

    def __init__(self, rc: Rc) -> None:
        super().__init__(rc.name)
        self.rc = rc
