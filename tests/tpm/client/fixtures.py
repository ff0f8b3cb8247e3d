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

import pytest

from bootproof.tpm.persistence.store import Kind
from tests.tpm.client.prepared import Made, Owned, prepare
from tests.tpm.client.subjects import Ours, Subject, Swtpm

_NAMES = ("ours", "swtpm")


@pytest.fixture(scope="session")
def prepared_ours() -> tuple[dict[Kind, bytes], Made]:
    """The permanent state of our TPM with an owner."""
    subject = Ours()
    made = prepare(subject.tpm)
    return subject.frozen(), made


@pytest.fixture(scope="session")
def blank_swtpm() -> Iterator[Swtpm]:
    """swtpm's TPM as it is when it is new, to be copied."""
    if shutil.which("swtpm") is None:
        pytest.skip("swtpm is not installed")
    subject = Swtpm.begin()
    yield subject
    subject.close()


@pytest.fixture(scope="session")
def prepared_swtpm(blank_swtpm: Swtpm) -> Iterator[tuple[Swtpm, Made]]:
    """swtpm's TPM with an owner, to be copied."""
    subject = blank_swtpm.copy()
    made = prepare(subject.tpm)
    subject.power_cycle()
    yield subject, made
    subject.close()


@pytest.fixture
def ours() -> Iterator[Ours]:
    subject = Ours()
    yield subject
    subject.close()


@pytest.fixture
def swtpm(blank_swtpm: Swtpm) -> Iterator[Swtpm]:
    subject = blank_swtpm.copy()
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
def swtpm_owned(prepared_swtpm: tuple[Swtpm, Made]) -> Iterator[Owned]:
    subject = prepared_swtpm[0].copy()
    yield Owned(subject, prepared_swtpm[1])
    subject.close()


@pytest.fixture(params=_NAMES)
def both_owned(request: pytest.FixtureRequest) -> Owned:
    subject: Owned = request.getfixturevalue(f"{request.param}_owned")
    return subject
