# SPDX-License-Identifier: GPL-3.0-or-later
"""TSS programs need root: tcsd.conf must belong to root, tcsd becomes the user tss."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator

import pytest

from tests.tss.beginnings import Beginnings, beginnings

_TOOLS = ("swtpm", "tcsd", "tpm_version", "tpm_mkaik", "tpmtoken_init", "pkcsslotd", "stpm-keygen")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    missing = [tool for tool in _TOOLS if shutil.which(tool, path=f"{os.environ['PATH']}:/usr/sbin") is None]
    reasons = [f"{', '.join(missing)} not installed"] if missing else []
    if os.geteuid() != 0:
        reasons.append("not root")
    for item in items:
        if reasons and __package__ in item.nodeid.replace("/", "."):
            item.add_marker(pytest.mark.skip(reason=f"TSS programs: {'; '.join(reasons)}"))


@pytest.fixture(scope="session")
def kept() -> Iterator[Beginnings]:
    """The states to begin with, for all tests of a run."""
    with beginnings() as made:
        yield made
