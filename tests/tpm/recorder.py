# SPDX-License-Identifier: GPL-3.0-or-later
"""A pytest plugin that notes which test has our emulator execute which command with success.

`make tpm12` runs the emulator's tests with it; docs/tpm12.md names, for each command, the test that is most
about it: of those in which it succeeds, the one that uses the fewest other commands.
"""

from __future__ import annotations

import json
from collections.abc import Generator
from pathlib import Path
from typing import Any, Final

import pytest

from bootproof.tpm.machine import Tpm

COVERED: Final = Path(__file__).with_name("covered.json")
_ORDINAL: Final = slice(6, 10)


class Recorder:
    """Ordinals that succeeded, by test."""

    def __init__(self) -> None:
        self.seen: dict[str, set[int]] = {}

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_call(self, item: pytest.Item) -> Generator[None, object, object]:
        """Watch the emulator while one test runs."""
        succeeded = self.seen.setdefault(_name(item), set())
        watched: Any = Tpm
        original = watched._run  # not `execute`: fixtures hold that one already

        def run(tpm: Tpm, request: bytes) -> bytes:
            answer: bytes = original(tpm, request)
            if answer[_ORDINAL] == b"\0\0\0\0":
                succeeded.add(int.from_bytes(request[_ORDINAL]))
            return answer

        watched._run = run
        try:
            return (yield)
        finally:
            watched._run = original

    def pytest_sessionfinish(self) -> None:
        """Write the file that the documentation is made from."""
        best: dict[int, tuple[int, str]] = {}
        for test, ordinals in sorted(self.seen.items()):
            for ordinal in ordinals:
                best[ordinal] = min(best.get(ordinal, (len(ordinals), test)), (len(ordinals), test))
        found = {f"{ordinal:x}": test for ordinal, (_, test) in sorted(best.items())}
        COVERED.write_text(json.dumps(found, indent=1) + "\n")


def _name(item: pytest.Item) -> str:
    """Return file and function, without folder and parameters."""
    return f"{item.path.name}::{item.name.partition('[')[0]}"


def pytest_configure(config: pytest.Config) -> None:
    """Take part in this run."""
    config.pluginmanager.register(Recorder(), "tpm-recorder")
