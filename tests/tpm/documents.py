# SPDX-License-Identifier: GPL-3.0-or-later
"""The pages that have tables made from code and tests; `make tpm12` renews them."""

from __future__ import annotations

import json
from typing import Final

from bootproof.tpm.commands.table import COMMANDS
from bootproof.tpm.document import command_table, control_table, one_line, renew
from tests.tpm.client.differences import TABLE, UNAVAILABLE, Difference
from tests.tpm.conftest import ROOT
from tests.tpm.recorder import COVERED

PAGES: Final = tuple(ROOT / "docs" / name for name in ("tpm12.md", "vtpm.md"))


def renewed(text: str) -> str:
    """Return a page with its tables as they have to be."""
    tables = {
        "commands": command_table(json.loads(COVERED.read_text())),
        "control": control_table(),
        "differences": differences_table(),
    }
    return renew(text, tables)


def differences_table() -> str:
    """Return what the comparing tests let pass."""
    rows = ["| command | swtpm 0.7.1 | here | why |", "|---|---|---|---|"]
    for row in TABLE:
        where = ", ".join(sorted(COMMANDS[ordinal].name for ordinal in row.ordinals)) or "any"
        rows.append(
            f"| {where} | {_codes(row, row.theirs)} | {_codes(row, row.ours)} | {one_line(row.why)} |"
        )
    return "\n".join(rows)


def _codes(row: Difference, codes: frozenset[int]) -> str:
    if codes == UNAVAILABLE:
        return "that it does not answer now"
    return " or ".join(sorted(code.name for code in row.ours | row.theirs if code in codes))


if __name__ == "__main__":
    for page in PAGES:
        page.write_text(renewed(page.read_text()))
