# SPDX-License-Identifier: GPL-3.0-or-later
"""Scenarios with tpm-tools' commands for non-volatile storage."""

from __future__ import annotations

from typing import Final

from tests.tss.scenario import Extend, PowerCycle, Presence, Scenario, Tool
from tests.tss.tpm_tools import AUTHFAIL, BAD_PRESENCE, BADINDEX, FAILED, WRONGPCRVAL

BAD_DATASIZE, PER_NOWRITE, NOT_FULLWRITE, DISABLED_CMD = 0x19, 0x3F, 0x46, 0x08
# Without an owner's authorisation, this index switches all protection of the others on, for ever.
LOCK: Final = Tool("tpm_nvdefine -i 0xffffffff -s 0 -p OWNERWRITE")
READ_WRITE: Final = "-p 'AUTHREAD|AUTHWRITE"

_OWNER = Scenario(
    "NV space for the owner",
    "owned",
    (
        Tool("tpm_nvdefine -y -z -i 0x1 -s 32 -p 'OWNERWRITE|OWNERREAD'"),
        Tool("tpm_nvinfo"),
        Tool("tpm_nvwrite -z -i 1 -s 5 -d hello"),
        Tool("tpm_nvwrite -z -i 1 -n 28 -s 4 -d tail"),
        Tool("tpm_nvwrite -z -i 1 -n 30 -s 4 -d long", FAILED),
        Tool("tpm_nvread -z -i 1 -s 8"),
        Tool("tpm_nvread -z -i 1 -n 28 -s 4"),
        Tool("tpm_nvread -z -i 1 -f content"),
        Tool("tpm_nvwrite -z -i 1 -s 32 -f content"),
        Tool("tpm_nvread -i 1 -pwrong", FAILED),  # before the lock only the response's HMAC is wrong
        LOCK,
        Tool("tpm_nvdefine -y -i 0xffffffff -s 0 -p OWNERWRITE", FAILED, (BADINDEX,)),
        Tool("tpm_nvread -i 1 -pwrong", FAILED, (AUTHFAIL,)),
        Tool("tpm_nvwrite -i 1 -pwrong -s 1 -d x", FAILED, (AUTHFAIL,)),
        Tool("tpm_nvdefine -y -i 0x1 -s 16 -p OWNERREAD", FAILED),
        Tool("tpm_nvdefine -i 0x2 -s 16 -p 'OWNERREAD|OWNERWRITE' -o wrong", FAILED, (AUTHFAIL,)),
        Tool("tpm_nvdefine -y -i 0x2 -s 0 -p OWNERREAD", FAILED, (PER_NOWRITE,)),
        Tool("tpm_nvdefine -y -i 0x2 -s 0 -p OWNERWRITE", FAILED, (BAD_DATASIZE,)),
        Tool("tpm_nvdefine -y -i 0x0 -s 8 -p OWNERWRITE", FAILED, (BADINDEX,)),
        PowerCycle(),
        Tool("tpm_nvread -z -i 1"),
        Tool("tpm_nvrelease -i 1 -owrong", FAILED, (AUTHFAIL,)),
        Tool("tpm_nvrelease -y -i 1"),
        Tool("tpm_nvrelease -y -i 1", FAILED),
        Tool("tpm_nvread -z -i 1", FAILED, (BADINDEX,)),
        Tool("tpm_nvinfo -n"),
    ),
)
_PASSWORD = Scenario(
    "NV space with a password",
    "owned",
    (
        Tool(f"tpm_nvdefine -y -a pass -i 0x2 -s 16 {READ_WRITE}'"),
        Tool("tpm_nvwrite -ppass -i 2 -s 5 -d world"),
        Tool("tpm_nvread -ppass -i 2 -s 5"),
        Tool("tpm_nvread -pwrong -i 2 -s 5", FAILED, (AUTHFAIL,)),
        Tool("tpm_nvwrite -pwrong -i 2 -s 5 -d never", FAILED, (AUTHFAIL,)),
        Tool("tpm_nvread -i 2 -s 5 -p", 0, (), ("pass",)),
        Tool("tpm_nvinfo -i 2"),
        Tool("tpm_nvinfo -i 77"),
        Tool("tpm_nvdefine -y -a pass -i 0x3 -s 8 -p 'OWNERWRITE|AUTHREAD'"),
        Tool("tpm_nvwrite -z -i 3 -s 4 -d four"),
        Tool("tpm_nvread -ppass -i 3 -s 4"),
        Tool("tpm_nvrelease -y -i 2"),
    ),
)
_LOCKS = Scenario(
    "NV space that locks itself",
    "owned",
    (
        LOCK,
        Tool(f"tpm_nvdefine -y -a pass -i 0x6 -s 8 {READ_WRITE}|WRITE_STCLEAR|READ_STCLEAR'"),
        Tool("tpm_nvwrite -ppass -i 6 -s 8 -m 7"),
        Tool("tpm_nvread -ppass -i 6 -s 3"),
        Tool("tpm_nvread -ppass -i 6 -s 0"),
        Tool("tpm_nvread -ppass -i 6 -s 3", FAILED, (DISABLED_CMD,)),
        Tool("tpm_nvinfo -i 6"),
        PowerCycle(),
        Tool("tpm_nvread -ppass -i 6 -s 3"),
        Tool(f"tpm_nvdefine -y -a pass -i 0x7 -s 8 {READ_WRITE}|WRITEALL'"),
        Tool("tpm_nvwrite -ppass -i 7 -s 3 -d abc", FAILED, (NOT_FULLWRITE,)),
        Tool("tpm_nvwrite -ppass -i 7 -s 8 -d abcdefgh"),
        Tool("tpm_nvread -ppass -i 7"),
        Tool("tpm_nvinfo"),
    ),
)
_PRESENCE = Scenario(
    "NV space for who is present",
    "owned",
    (
        Tool("tpm_nvdefine -y -i 0x4 -s 8 -p 'PPWRITE|PPREAD'"),
        Tool("tpm_nvwrite -i 4 -s 3 -d abc"),  # allowed: nvLocked is not set yet
        LOCK,
        Tool("tpm_nvread -i 4 -s 3", FAILED, (BAD_PRESENCE,)),
        Tool("tpm_nvwrite -i 4 -s 3 -d def", FAILED, (BAD_PRESENCE,)),
        Presence(True),
        Tool("tpm_nvread -i 4 -s 3"),
        Tool("tpm_nvwrite -i 4 -s 3 -d def"),
        PowerCycle(),
        Tool("tpm_nvread -i 4 -s 3", FAILED, (BAD_PRESENCE,)),
    ),
)
_PCRS = Scenario(
    "NV space bound to PCRs",
    "owned",
    (
        LOCK,
        Tool(f"tpm_nvdefine -y -a pass -i 0x8 -s 8 {READ_WRITE}' -r 10 -w 11"),
        Tool("tpm_nvinfo -i 8"),
        Tool("tpm_nvwrite -ppass -i 8 -s 8 -d abcdefgh"),
        Tool("tpm_nvread -ppass -i 8"),
        Extend(10),
        Tool("tpm_nvread -ppass -i 8", FAILED, (WRONGPCRVAL,)),
        Tool("tpm_nvwrite -ppass -i 8 -s 8 -d ABCDEFGH"),
        Extend(11),
        Tool("tpm_nvwrite -ppass -i 8 -s 8 -d abcdefgh", FAILED, (WRONGPCRVAL,)),
        PowerCycle(),
        Tool("tpm_nvread -ppass -i 8"),
    ),
)
SCENARIOS: Final = (_OWNER, _PASSWORD, _LOCKS, _PRESENCE, _PCRS)
