# SPDX-License-Identifier: GPL-3.0-or-later
"""Evidence from files: a result directory, and everything that can be wrong with it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bootproof.attest import recorded as files
from bootproof.errors import BootproofError
from tests.measure import recorded

BOOT = recorded.DATA / "boot-6.12-tpm20"


def test_a_result_directory() -> None:
    evidence = files.read_directory(BOOT)
    assert evidence.boot_log == recorded.boot_log(BOOT.name)
    assert evidence.ima_log == recorded.ima_log(BOOT.name)
    assert evidence.pcrs == {bank: recorded.bank(BOOT.name, bank) for bank in ("sha1", "sha256")}
    assert evidence.tpm_version is None


def test_a_directory_may_hold_a_part(tmp_path: Path) -> None:
    (tmp_path / files.BOOT_LOG).write_bytes(recorded.boot_log(BOOT.name))
    evidence = files.read_directory(tmp_path)
    assert evidence.boot_log is not None
    assert (evidence.ima_log, evidence.pcrs) == (None, {})


def test_a_directory_with_nothing_in_it(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "missing"):
        with pytest.raises(
            BootproofError, match=r"holds neither .*give the result directory of a smoke test"
        ):
            files.read_directory(path)


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(BootproofError, match=r"nothing does not exist"):
        files.read_file(tmp_path / "nothing")


@pytest.mark.parametrize(
    ("document", "message"),
    [
        ("{", "Expecting property name"),
        ("[]", "it is no JSON object"),
        ('{"md5": {}}', "unknown hash algorithm 'md5'"),
        ('{"sha1": []}', "bank sha1 is no JSON object"),
        ('{"sha1": {"24": "00"}}', "no PCR '24'"),
        ('{"sha1": {"x": "00"}}', "no PCR 'x'"),
        ('{"sha1": {"0": 7}}', "PCR 0: a value has 40 hex digits"),
        ('{"sha256": {"0": "00"}}', "PCR 0: a value has 64 hex digits"),
        (f'{{"sha1": {{"0": "{"zz" * 20}"}}}}', "non-hexadecimal"),
    ],
)
def test_bad_pcr_files(tmp_path: Path, document: str, message: str) -> None:
    path = tmp_path / files.PCRS
    path.write_text(document)
    with pytest.raises(BootproofError, match=f"is no file of PCR values: .*{message}"):
        files.read_directory(tmp_path)


def test_bytes_that_are_no_text(tmp_path: Path) -> None:
    path = tmp_path / files.PCRS
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(BootproofError, match="is no file of PCR values"):
        files.read_pcrs(path)


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=42),
    lambda inner: st.dictionaries(
        st.sampled_from(["sha1", "sha256", "0", "23", "²", "x"]), inner, max_size=3
    ),
    max_leaves=6,
)


@given(st.text(max_size=100) | _JSON.map(json.dumps))
def test_any_text_is_pcrs_or_a_value_error(text: str) -> None:
    try:
        banks = files.parse_pcrs(text)
    except ValueError:
        return
    assert all(isinstance(value, bytes) for bank in banks.values() for value in bank.values())
