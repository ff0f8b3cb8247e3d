# SPDX-License-Identifier: GPL-3.0-or-later
"""Scenarios with TSS programs of our own: one for each program in programs.py, with what it is refused."""

from __future__ import annotations

import sys
from typing import Final

from tests.tss.scenario import Scenario, Tool

AUTHFAIL, BADINDEX, BAD_PARAMETER, DISABLED_CMD, BAD_ORDINAL = 0x01, 0x02, 0x03, 0x08, 0x0A
WRONGPCRVAL, AUTH2FAIL, DECRYPT_ERROR = 0x18, 0x1D, 0x21
INVALID_KEYUSAGE, BAD_KEY_PROPERTY, BAD_MODE = 0x24, 0x28, 0x2C
NOTRESETABLE, NOTLOCAL, BAD_LOCALITY = 0x32, 0x33, 0x3D
AREA_LOCKED, NOT_FULLWRITE = 0x3C, 0x46

_CODES: Final[dict[str, tuple[int, ...]]] = {
    "bind": (AUTHFAIL, AUTHFAIL),
    "sign": (INVALID_KEYUSAGE, INVALID_KEYUSAGE, BAD_PARAMETER),
    "hierarchy": (WRONGPCRVAL, AUTHFAIL, DECRYPT_ERROR),
    "crowd": (),
    "certify": (BAD_KEY_PROPERTY,),
    "quote": (AUTHFAIL,),
    "seal": (AUTH2FAIL, WRONGPCRVAL, AUTH2FAIL),
    "pcrs": (NOTRESETABLE, NOTLOCAL, NOTLOCAL, BAD_LOCALITY),
    "change_auth": (BAD_PARAMETER, AUTHFAIL, AUTHFAIL),
    "directory": (BADINDEX, AUTHFAIL),
    "random": (),
    "ticks": (),
    "capabilities": (BAD_MODE, BAD_MODE),
    "maintenance": (BAD_ORDINAL,) * 4,
    "audit": (INVALID_KEYUSAGE, AUTHFAIL),
    "rewrap": (AUTH2FAIL, AUTH2FAIL, AUTHFAIL),
    "migrate": (),
    "certified": (),
    "delegate_owner": (DISABLED_CMD, BADINDEX),
    "delegate_key": (AUTHFAIL, DISABLED_CMD),
    "transport": (),
    "identity": (DECRYPT_ERROR, BAD_PARAMETER, AUTHFAIL),
    "areas": (NOT_FULLWRITE, AREA_LOCKED, AREA_LOCKED, AUTHFAIL),
    "owner_evict": (BAD_PARAMETER, AUTHFAIL),
}
_LOCK_NV: Final = Tool("tpm_nvdefine -i 0xffffffff -s 0 -p OWNERWRITE")


def _scenario(name: str, codes: tuple[int, ...]) -> Scenario:
    program = Tool(f"{sys.executable} -m tests.tss.programs {name}", 0, codes)
    return Scenario(f"libtspi {name}", "owned", (_LOCK_NV, program) if name == "areas" else (program,))


SCENARIOS: Final = tuple(_scenario(name, codes) for name, codes in _CODES.items())
