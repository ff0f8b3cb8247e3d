# SPDX-License-Identifier: GPL-3.0-or-later
"""The tables of docs/tpm12.md and docs/vtpm.md, from the code; `make tpm12` renews them."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Final

from bootproof.tpm.command import ALL_LOCALITIES, Auditing, Command, In, Row
from bootproof.tpm.commands.absent import ABSENT, Absent
from bootproof.tpm.commands.table import COMMANDS
from bootproof.tpm.service.control import documentation

_STATES: Final = {
    In.DISABLED: "disabled",
    In.DEACTIVATED: "deactivated",
    In.FAILED: "failed",
    In.POST_INIT: "before Startup",
}
_AUDITING: Final = {Auditing.ON: "yes", Auditing.OFF: "", Auditing.NEVER: "never"}
Tests = Mapping[str, str]  # by ordinal, hexadecimal: a test in which the command succeeds


def command_table(tests: Tests) -> str:
    """Return the table of all ordinals of the specification, those that are refused included."""
    rows = {command.ordinal: _implemented(command, tests) for command in COMMANDS.values()}
    rows |= {row.ordinal: _absent(row) for row in ABSENT}
    head = [
        "| ordinal | command | Part 3 | | auths | audited | delegated | (answered) codes, limits | test |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    return "\n".join([*head, *(rows[ordinal] for ordinal in sorted(rows))])


def _implemented(command: Command, tests: Tests) -> str:
    note = one_line(inspect.getdoc(command.handler) or "")
    rules = _rules(command)
    return _line(
        _start(command, "yes"),
        " or ".join(map(str, command.auths)),
        _AUDITING[command.audit],
        _delegated(command),
        f"({rules}) {note}" if rules else note,
        f"`{tests.get(f'{command.ordinal:x}', '')}`",
    )


def _absent(row: Absent) -> str:
    return _line(_start(row, row.status), "", "", _delegated(row), row.why, "")


def _start(row: Row, status: str) -> str:
    return f"{row.ordinal:x} | {row.name} | {row.section} | {status}"


def _line(*cells: str) -> str:
    return f"| {' | '.join(cells)} |"


def _delegated(row: Row) -> str:
    """Return the bits of per1 by which the owner, or the user of a key, lets others run it."""
    rights = (("owner", row.owner_right), ("key", row.key_right))
    return ", ".join(f"{whose} {bit}" for whose, bit in rights if bit is not None)


def _rules(command: Command) -> str:
    """Return when, and from where, a command is answered, as far as that is not the usual."""
    rules = [text for state, text in _STATES.items() if state in command.allowed]
    if command.needs_owner:
        rules.append("owner")
    if command.localities != ALL_LOCALITIES:
        rules.append(f"locality {' or '.join(map(str, command.localities))}")
    return ", ".join(rules)


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
