# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import ast
import json
import re
from pathlib import Path

import pytest

from bootproof.tpm.commands.absent import ABSENT
from bootproof.tpm.commands.table import COMMANDS
from bootproof.tpm.ordinals import Ord
from bootproof.tpm.service.usage import HELP
from tests.tpm.conftest import ROOT
from tests.tpm.documents import PAGES, renewed
from tests.tpm.recorder import COVERED

TESTS = json.loads(COVERED.read_text())


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_the_tables_are_those_of_the_code(page: Path) -> None:
    text = page.read_text()
    assert renewed(text) == text, "run: make tpm12"


def test_every_ordinal_is_implemented_or_its_absence_explained() -> None:
    absent = {int(row.ordinal) for row in ABSENT}
    assert not absent & set(COMMANDS)
    assert absent | set(COMMANDS) == {int(ordinal) for ordinal in Ord}


def test_every_command_has_a_test_that_exists() -> None:
    assert {int(ordinal, 16) for ordinal in TESTS} >= set(COMMANDS), "run: make tpm12"
    for test in TESTS.values():
        file, _, function = test.partition("::")
        tree = ast.parse((ROOT / "tests/tpm" / file).read_text())
        names = {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}
        assert function in names, f"{test} is gone; run: make tpm12"


def test_every_option_is_explained() -> None:
    text = (ROOT / "docs/vtpm.md").read_text()
    for option in set(re.findall(r"--[a-z0-9-]+", HELP)):
        assert f"`{option}" in text, option
