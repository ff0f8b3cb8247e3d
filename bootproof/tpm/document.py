# SPDX-License-Identifier: GPL-3.0-or-later
"""The tables of docs/vtpm.md, from the code; `python -m bootproof.tpm.document docs/vtpm.md` renews them."""

from __future__ import annotations

import inspect
import re
import sys
from pathlib import Path
from typing import Final

from bootproof.tpm.command import In
from bootproof.tpm.commands.table import COMMANDS
from bootproof.tpm.control import documentation

_STATES: Final = {
    In.DISABLED: "disabled",
    In.DEACTIVATED: "deactivated",
    In.FAILED: "failed",
    In.POST_INIT: "before Startup",
}


def command_table() -> str:
    """Return the table of implemented commands."""
    rows = ["| ordinal | command | Part 3 | also answered when | codes, limits |", "|---|---|---|---|---|"]
    for command in sorted(COMMANDS.values(), key=lambda row: row.ordinal):
        states = ", ".join(text for state, text in _STATES.items() if state in command.allowed)
        note = _one_line(inspect.getdoc(command.handler) or "")
        rows.append(f"| {command.ordinal:x} | {command.name} | {command.section} | {states} | {note} |")
    return "\n".join(rows)


def control_table() -> str:
    """Return the table of control requests."""
    rows = ["| code | request | notes |", "|---|---|---|"]
    rows += [f"| {code} | {name} | {_one_line(note)} |" for code, name, note in documentation()]
    return "\n".join(rows)


def _one_line(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


_TABLES: Final = {"commands": command_table, "control": control_table}


def renew(text: str) -> str:
    """Return the document with its tables as they are now."""
    for name, make in _TABLES.items():
        begin, end = f"<!-- {name}: made by bootproof/tpm/document.py -->", f"<!-- end of {name} -->"
        pattern = re.compile(re.escape(begin) + ".*?" + re.escape(end), re.DOTALL)
        table = f"{begin}\n{make()}\n{end}"
        text, count = pattern.subn(lambda _match, table=table: table, text)  # type: ignore[misc]
        if count != 1:
            raise ValueError(f"the document has {count} places for the table {name}, not one")
    return text


if __name__ == "__main__":
    document = Path(sys.argv[1])
    document.write_text(renew(document.read_text()))
