# SPDX-License-Identifier: GPL-3.0-or-later
"""The one table of commands. Sections: Part 3 of the TPM Main Specification 1.2, revision 116."""

from __future__ import annotations

from typing import Final

from bootproof.tpm.command import Command
from bootproof.tpm.commands import (
    admin,
    audit,
    capability,
    certification,
    changeauth,
    cmk,
    contexts,
    counters,
    credentials,
    crypto,
    delegation,
    directory,
    dsap,
    families,
    identity,
    integrity,
    keys,
    lockvalue,
    migration,
    nv,
    optin,
    ownership,
    presence,
    sessions,
    setcapability,
    signing,
    storage,
    ticks,
    transport,
)

_GROUPS: Final = (
    admin,
    presence,
    optin,
    ownership,
    capability,
    setcapability,
    lockvalue,
    keys,
    credentials,
    identity,
    certification,
    signing,
    crypto,
    integrity,
    sessions,
    dsap,
    families,
    delegation,
    storage,
    nv,
    directory,
    counters,
    changeauth,
    migration,
    cmk,
    ticks,
    contexts,
    transport,
    audit,
)

COMMANDS: Final[dict[int, Command]] = {int(row.ordinal): row for group in _GROUPS for row in group.ROWS}
