# SPDX-License-Identifier: GPL-3.0-or-later
"""The fuzzers find nothing in a minute, half of it each, and would find faults; FUZZ_SECONDS=n: longer."""

from __future__ import annotations

import importlib.util
import os
import sys
from pathlib import Path

import pytest

from bootproof import process
from bootproof.tpm.commands.table import COMMANDS
from bootproof.tpm.machine import Tpm
from fuzz import coverage, structured
from fuzz.__main__ import GROWTH, libfuzzer
from fuzz.grammar import action
from fuzz.target import Authorised, Control, Crash, Raw, Target, memory

SECONDS = int(os.environ.get("FUZZ_SECONDS", "60")) / 2
PCR_READ = bytes.fromhex("00c10000000e0000001500000000")


def test_generated_scripts_do_no_harm() -> None:
    structured.run(SECONDS / 4, first_seed=1)
    before = memory()
    assert structured.run(SECONDS * 3 / 4, first_seed=2) > 1
    assert memory() - before < GROWTH


def test_the_grammar_knows_every_command() -> None:
    made = [action(number) for number in range(5000)]
    assert {one.ordinal for one in made if isinstance(one, Authorised)} == set(COMMANDS)


def test_seeds_are_scripts_that_do_no_harm() -> None:
    target = Target()
    kinds = set()
    for seed in coverage.seeds():
        script = list(coverage.decoded(seed))
        assert len(script) == 1
        kinds.add(type(script[0]))
        target.run(script)
    assert len(kinds) == 3


@pytest.mark.skipif(importlib.util.find_spec("atheris") is None, reason="atheris has no wheel here")
def test_coverage_guided(tmp_path: Path) -> None:
    coverage.write_seeds(tmp_path / "corpus")
    root = Path(sys.modules["fuzz"].__path__[0]).parent
    process.run(libfuzzer(int(SECONDS), tmp_path / "corpus"), cwd=root)


def _broken(monkeypatch: pytest.MonkeyPatch, answer: bytes | Exception) -> None:
    def run(self: Tpm, request: bytes) -> bytes:
        if isinstance(answer, Exception):
            raise answer
        return answer

    target = Target()
    monkeypatch.setattr(Tpm, "_run", run)
    with pytest.raises(Crash):
        target.run([Raw(PCR_READ)])


def test_an_exception_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    _broken(monkeypatch, ZeroDivisionError("a mistake"))


def test_a_wrong_length_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    _broken(monkeypatch, bytes.fromhex("00c40000000b00000000"))


def test_an_error_with_parameters_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    _broken(monkeypatch, bytes.fromhex("00c40000000b0000000100"))


def test_a_refused_state_is_no_crash() -> None:
    blob = bytes.fromhex("0000000d000000000000000300000014") + bytes(range(20))
    Target().run([Control(blob)])
