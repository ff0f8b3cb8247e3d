# SPDX-License-Identifier: GPL-3.0-or-later
"""Fixtures with TPMs to be tested. A test module gets them with

    pytest_plugins = ("tests.tpm.client.fixtures",)

and the rest from prepared.py.

| fixture | gives |
|---|---|
| `ours`, `swtpm` | a new TPM after TPM_Startup(ST_CLEAR), without EK and owner (`Subject`) |
| `both` | each of the two in turn: the test runs twice |
| `ours_owned`, `swtpm_owned`, `both_owned` | the same with EK and owner, and keys to be loaded (`Owned`) |

Every test gets a TPM of its own; EK, owner and keys are made once a session and copied.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from bootproof.tpm.persistence.store import Kind
from tests.tpm.client.prepared import Made, Owned, prepare
from tests.tpm.client.subjects import Ours, Subject, Swtpm

needs_swtpm = pytest.mark.skipif(shutil.which("swtpm") is None, reason="swtpm is not installed")
_NAMES = ["ours", pytest.param("swtpm", marks=needs_swtpm)]


@pytest.fixture(scope="session")
def prepared_ours() -> tuple[dict[Kind, bytes], Made]:
    """The permanent state of our TPM with an owner."""
    subject = Ours()
    made = prepare(subject.tpm)
    return subject.frozen(), made


@pytest.fixture(scope="session")
def prepared_swtpm(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Made]:
    """The state directory of swtpm with an owner."""
    subject = Swtpm(tmp_path_factory.mktemp("s"))
    try:
        made = prepare(subject.tpm)
    finally:
        subject.close()
    return subject.state, made


@pytest.fixture
def ours() -> Iterator[Ours]:
    subject = Ours()
    yield subject
    subject.close()


@pytest.fixture
def swtpm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Swtpm]:
    if shutil.which("swtpm") is None:
        pytest.skip("swtpm is not installed")
    subject = Swtpm(tmp_path_factory.mktemp("s"))
    yield subject
    subject.close()


@pytest.fixture(params=_NAMES)
def both(request: pytest.FixtureRequest) -> Subject:
    subject: Subject = request.getfixturevalue(request.param)
    return subject


@pytest.fixture
def ours_owned(prepared_ours: tuple[dict[Kind, bytes], Made]) -> Iterator[Owned]:
    content, made = prepared_ours
    subject = Ours(content)
    yield Owned(subject, made)
    subject.close()


@pytest.fixture
def swtpm_owned(
    prepared_swtpm: tuple[Path, Made], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Owned]:
    state, made = prepared_swtpm
    subject = Swtpm(tmp_path_factory.mktemp("s"), state)
    yield Owned(subject, made)
    subject.close()


@pytest.fixture(params=_NAMES)
def both_owned(request: pytest.FixtureRequest) -> Owned:
    subject: Owned = request.getfixturevalue(f"{request.param}_owned")
    return subject
