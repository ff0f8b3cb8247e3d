# SPDX-License-Identifier: GPL-3.0-or-later
"""Scenarios with Debian's tpm-tools."""

from __future__ import annotations

from typing import Final

from tests.tss.scenario import Extend, PowerCycle, Presence, Scenario, Tool, Write

AUTHFAIL, BADINDEX, DEACTIVATED, DISABLED, DISABLED_CMD = 0x01, 0x02, 0x06, 0x07, 0x08
CLEAR_DISABLED, INSTALL_DISABLED, NOSRK, WRONGPCRVAL, NO_ENDORSEMENT = 0x05, 0x0B, 0x12, 0x18, 0x23
BAD_PRESENCE, AREA_LOCKED = 0x2D, 0x3C
FAILED: Final = 255  # how tpm-tools end when anything went wrong

VERSION: Final = Tool("tpm_version", quiet=True)
CREATE_EK: Final = Tool("tpm_createek")
TAKE_OWNERSHIP: Final = Tool("tpm_takeownership -y -z")

_INFORMATION = Scenario(
    "information", "fresh", (VERSION, Tool("tpm_selftest"), Tool("tpm_selftest -r"), Tool("tpm_nvinfo"))
)
_UNOWNED = Scenario(
    "what an unowned TPM refuses",
    "fresh",
    (
        Tool("tpm_getpubek", FAILED, (NO_ENDORSEMENT,)),
        Tool("tpm_takeownership -y -z", FAILED, (NO_ENDORSEMENT,)),
        *(
            Tool(f"{command} -z", FAILED, (NOSRK,))
            for command in (
                "tpm_setpresence --status",
                "tpm_setenable --status",
                "tpm_setactive --status",
                "tpm_setownable --status",
                "tpm_setclearable --status",
                "tpm_restrictpubek --status",
                "tpm_restrictsrk --status",
            )
        ),
        Tool("tpm_restrictpubek -r -z", FAILED, (NOSRK,)),
        Tool("tpm_restrictsrk -a -z", FAILED, (AUTHFAIL,)),
        Tool("tpm_resetdalock -z", FAILED, (NOSRK,)),
        Tool("tpm_setenable -d -z", FAILED, (NOSRK,)),
        Tool("tpm_clear -z", FAILED, (NOSRK,)),
        Tool("tpm_nvread -z -i 1 -s 4", FAILED, (BADINDEX,)),
    ),
)
_ABSENT = Scenario(
    "what needs physical presence",
    "fresh",
    (
        Tool("tpm_setpresence --enable-cmd -z", FAILED),
        Tool("tpm_setpresence --assert -z", FAILED),
        *(
            Tool(command, FAILED, (BAD_PRESENCE,), answers)
            for command, answers in (
                ("tpm_setenable -e -f", ()),
                ("tpm_setactive -a", ()),
                ("tpm_setactive -i", ()),
                ("tpm_setownable -a", ()),
                ("tpm_setownable -p", ()),
                ("tpm_clear -f", ()),
                ("tpm_setactive -i -t", ()),
                ("tpm_setoperatorauth", ("operator", "operator")),
            )
        ),
    ),
)
_OWNERSHIP = Scenario(
    "ownership with passwords",
    "fresh",
    (
        CREATE_EK,
        Tool("tpm_createek", FAILED, (DISABLED_CMD,)),
        Tool("tpm_getpubek"),
        Tool("tpm_takeownership", answers=("owner", "owner", "srk", "srk")),
        Tool("tpm_takeownership -y -z", FAILED, (DISABLED_CMD,)),
        Tool("tpm_getpubek", 0, (DISABLED_CMD,), ("owner",)),
        Tool("tpm_getpubek", FAILED, (DISABLED_CMD, AUTHFAIL), ("wrong",)),
        Tool("tpm_setownable -s", answers=("owner",)),
        Tool("tpm_setownable -s", FAILED, (AUTHFAIL,), ("wrong",)),
        Tool("tpm_resetdalock", answers=("owner",)),
        Tool("tpm_changeownerauth -o", answers=("owner", "other", "other")),
        Tool("tpm_changeownerauth -s", answers=("other", "second", "second")),
        Tool("tpm_changeownerauth -o", FAILED, (AUTHFAIL,), ("owner", "new", "new")),
        PowerCycle(),
        Tool("tpm_setownable -s", FAILED, (AUTHFAIL,), ("owner",)),
        Tool("tpm_resetdalock", answers=("other",)),
        Tool("tpm_setownable -s", answers=("other",)),
        Write("secret", "what was sealed\n"),
        Tool("tpm_sealdata -i secret -o sealed", answers=("second",)),
        Tool("tpm_unsealdata -i sealed -o unsealed", answers=("second",)),
        Tool("cmp secret unsealed"),
        Tool("tpm_changeownerauth -r -o -s", answers=("other",)),
        Tool("tpm_setownable -s -z"),
        Tool("tpm_clear -z"),
        Tool("tpm_setownable -s -z", FAILED, (DISABLED,)),
    ),
)
_STATUS = Scenario(
    "what the owner sees and restricts",
    "owned",
    (
        *(
            Tool(f"{command} -s -z")
            for command in (
                "tpm_setenable", "tpm_setactive", "tpm_setownable", "tpm_setclearable", "tpm_restrictpubek",
                "tpm_restrictsrk",
            )
        ),
        Tool("tpm_setpresence --status -z"),
        Tool("tpm_getpubek -z", 0, (DISABLED_CMD,)),
        Tool("tpm_restrictpubek -r -z"),
        Tool("tpm_restrictpubek -s -z"),
        Tool("tpm_restrictsrk -a -z"),
        Tool("tpm_restrictsrk -s -z"),
        Tool("tpm_restrictsrk -r -z"),
        Tool("tpm_restrictsrk -s -z"),
        Tool("tpm_resetdalock -z"),
        PowerCycle(),
        Tool("tpm_restrictpubek -s -z"),
        Tool("tpm_restrictsrk -s -z"),
    ),
)  # fmt: skip
_SWITCHES = Scenario(
    "disabled, deactivated, and back",
    "owned",
    (
        Presence(True),
        Tool("tpm_setpresence --status -z"),
        Tool("tpm_setoperatorauth -z"),
        Tool("tpm_setoperatorauth", answers=("operator", "operator")),
        Tool("tpm_setenable -d -z"),
        Tool("tpm_setenable -s -z", FAILED, (DISABLED,)),
        Tool("tpm_setactive -a", FAILED, (DISABLED,)),
        Tool("tpm_getpubek -z", FAILED, (DISABLED,)),
        Tool("tpm_nvinfo"),
        VERSION,
        Tool("tpm_selftest"),
        Tool("tpm_setenable -e -z"),
        Tool("tpm_setenable -d -z"),
        Tool("tpm_setenable -e -f"),
        Tool("tpm_setenable -s -z"),
        Tool("tpm_setactive -i"),
        Tool("tpm_setactive -s -z"),
        PowerCycle(),
        Tool("tpm_setactive -s -z", FAILED, (DEACTIVATED,)),
        Tool("tpm_setenable -s -z", FAILED, (DEACTIVATED,)),
        VERSION,
        Presence(True),
        Tool("tpm_setactive -a"),
        PowerCycle(),
        Tool("tpm_setactive -s -z"),
        Presence(True),
        Tool("tpm_setownable -p"),
        Tool("tpm_setownable -s -z"),
        Tool("tpm_setownable -a"),
        Tool("tpm_setownable -s -z"),
        Presence(False),
        Tool("tpm_setownable -p"),  # an owned TPM has nothing to decide
        Tool("tpm_setactive -i", FAILED, (BAD_PRESENCE,)),
    ),
)
_TEMPORARY = Scenario(
    "deactivated until the next start",
    "owned",
    (
        Presence(True),
        Tool("tpm_setoperatorauth", answers=("operator", "operator")),
        Tool("tpm_setactive -i -t"),
        Tool("tpm_setactive -s -z", FAILED, (DEACTIVATED,)),
        PowerCycle(),
        Tool("tpm_setactive -s -z"),
        Presence(True),
        Tool("tpm_setactive -i -t -z"),
        Tool("tpm_setclearable -s -z", FAILED, (DEACTIVATED,)),
    ),
)
_CLEARING = Scenario(
    "clearing, and what forbids it",
    "owned",
    (
        Presence(True),
        Tool("tpm_setclearable -f"),
        Tool("tpm_clear -f", FAILED, (CLEAR_DISABLED,)),
        PowerCycle(),
        Tool("tpm_setclearable -s -z"),
        Tool("tpm_setclearable -o -z"),
        Tool("tpm_setclearable -s -z"),
        Tool("tpm_clear -z", FAILED, (CLEAR_DISABLED,)),
        Tool("tpm_clear -f", FAILED, (BAD_PRESENCE,)),
        Presence(True),
        Tool("tpm_clear -f"),
        Tool("tpm_takeownership -y -z", FAILED, (DISABLED,)),
        PowerCycle(),
        Presence(True),
        Tool("tpm_setenable -e -f"),
        Tool("tpm_setactive -a"),
        PowerCycle(),
        Tool("tpm_getpubek"),
        TAKE_OWNERSHIP,
        Tool("tpm_setclearable -s -z"),
    ),
)
_UNOWNABLE = Scenario(
    "a TPM that takes no owner",
    "endorsed",
    (
        Presence(True),
        Tool("tpm_setownable -p"),
        Tool("tpm_takeownership -y -z", FAILED, (INSTALL_DISABLED,)),
        Tool("tpm_setownable -a"),
        TAKE_OWNERSHIP,
    ),
)
_REVOCABLE = Scenario(
    "an endorsement key that can be revoked",
    "fresh",
    (
        Tool("tpm_createek -r -g -o secret"),
        Tool("tpm_getpubek"),
        TAKE_OWNERSHIP,
        Tool("tpm_createek -r -g -o other", FAILED, (DISABLED_CMD,)),
        Tool("tpm_revokeek -i secret", FAILED, (BAD_PRESENCE,)),
        Presence(True),
        Tool("tpm_revokeek -i secret"),
        Tool("tpm_getpubek", FAILED, (DISABLED,)),
        Tool("tpm_setenable -e -f"),
        Tool("tpm_getpubek", FAILED, (NO_ENDORSEMENT,)),
        Tool("tpm_setactive -a"),
        PowerCycle(),
        Tool("tpm_setownable -s -z", FAILED, (NOSRK,)),
        CREATE_EK,
    ),
)
_SEALING = Scenario(
    "sealing, with and without PCRs",
    "owned",
    (
        Write("secret", "to be sealed\n" * 40),
        Tool("tpm_sealdata -z -i secret -o sealed"),
        Tool("tpm_unsealdata -z -i sealed -o unsealed"),
        Tool("cmp secret unsealed"),
        Tool("tpm_sealdata -z -p 0 -p 10 -i secret -o bound"),
        PowerCycle(),
        Tool("tpm_unsealdata -z -i bound"),
        Tool("tpm_unsealdata -z -i sealed"),
        Extend(10),
        Tool("tpm_unsealdata -z -i bound -o never", WRONGPCRVAL, (WRONGPCRVAL,)),  # its status is the code
        Tool("tpm_sealdata -i secret -o never", FAILED, (AUTHFAIL,), ("wrong",)),
    ),
)
SCENARIOS: Final = (
    _INFORMATION, _UNOWNED, _ABSENT, _OWNERSHIP, _STATUS, _SWITCHES, _TEMPORARY, _CLEARING, _UNOWNABLE,
    _REVOCABLE, _SEALING,
)  # fmt: skip
