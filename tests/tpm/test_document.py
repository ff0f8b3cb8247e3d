# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import re

from bootproof.tpm.commands.table import COMMANDS
from bootproof.tpm.document import renew
from bootproof.tpm.options import HELP
from tests.tpm.conftest import ROOT

TEXT = (ROOT / "docs" / "vtpm.md").read_text()


def test_the_tables_are_those_of_the_code() -> None:
    assert renew(TEXT) == TEXT, "run: python -m bootproof.tpm.document docs/vtpm.md"
    for command in COMMANDS.values():
        assert f"| {command.ordinal:x} | {command.name} |" in TEXT


def test_every_option_is_explained() -> None:
    for option in set(re.findall(r"--[a-z0-9-]+", HELP)):
        assert f"`{option}" in TEXT, option
