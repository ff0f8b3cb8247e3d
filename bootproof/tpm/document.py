# SPDX-License-Identifier: GPL-3.0-or-later
"""The tables of docs/tpm12.md and docs/vtpm.md, from the code; `make tpm12` renews them."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Final

from bootproof.tpm.command import Command, In
from bootproof.tpm.commands.absent import ABSENT
from bootproof.tpm.commands.table import COMMANDS
from bootproof.tpm.service.control import documentation

_STATES: Final = {
    In.DISABLED: "disabled",
    In.DEACTIVATED: "deactivated",
    In.FAILED: "failed",
    In.POST_INIT: "before Startup",
}
Tests = Mapping[str, str]  # by ordinal, hexadecimal: a test in which the command succeeds


def command_table(tests: Tests) -> str:
    """Return the table of all ordinals of the specification, those that are refused included."""
    rows = {command.ordinal: _implemented(command, tests) for command in COMMANDS.values()}
    rows |= {
        int(row.ordinal): f"| {row.ordinal:x} | {row.name} | {row.section} | {row.status} | | {row.why} | |"
        for row in ABSENT
    }
    head = [
        "| ordinal | command | Part 3 | | auths | (also answered when) codes, limits | test |",
        "|---|---|---|---|---|---|---|",
    ]
    return "\n".join([*head, *(rows[ordinal] for ordinal in sorted(rows))])


def _implemented(command: Command, tests: Tests) -> str:
    states = ", ".join(text for state, text in _STATES.items() if state in command.allowed)
    note = one_line(inspect.getdoc(command.handler) or "")
    remarks = f"({states}) {note}" if states else note
    auths = " or ".join(map(str, command.auths))
    test = tests.get(f"{command.ordinal:x}", "")
    cells = (f"{command.ordinal:x}", command.name, command.section, "yes", auths, remarks, f"`{test}`")
    return f"| {' | '.join(cells)} |"


def control_table() -> str:
    """Return the table of control requests."""
    rows = ["| code | request | notes |", "|---|---|---|"]
    rows += [f"| {code} | {name} | {one_line(note)} |" for code, name, note in documentation()]
    return "\n".join(rows)


def one_line(text: str) -> str:
    """Return text that fits into a cell."""
    return " ".join(text.split()).replace("|", "\\|")


def renew(text: str, tables: Mapping[str, str]) -> str:
    """Return the document with those of the tables that have a place in it; ValueError if none has."""
    found = 0
    for name, table in tables.items():
        begin, end = f"<!-- {name}: made by `make tpm12` -->", f"<!-- end of {name} -->"
        before, mark, rest = text.partition(begin)
        if mark:
            found += 1
            text = f"{before}{begin}\n{table}\n{end}{rest.partition(end)[2]}"
    if not found:
        raise ValueError("the document has no place for a table")
    return text
