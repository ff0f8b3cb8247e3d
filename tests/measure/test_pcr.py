# SPDX-License-Identifier: GPL-3.0-or-later
"""PCR arithmetic against TPMs (recorded boots), against tpm2-tools, and against the definition."""

from __future__ import annotations

import hashlib
import struct

import pytest

from bootproof.measure import bootlog, imalog, pcr
from tests.measure import recorded


def test_extend_is_the_hash_of_old_value_and_digest() -> None:
    assert pcr.extend("sha1", bytes(20), b"\x11" * 20) == hashlib.sha1(bytes(20) + b"\x11" * 20).digest()
    with pytest.raises(ValueError, match="sha256 PCRs and digests have 32 bytes, not 32 and 20"):
        pcr.extend("sha256", bytes(32), bytes(20))
    with pytest.raises(ValueError, match="unknown hash algorithm"):
        pcr.extend("md5", bytes(16), bytes(16))


@pytest.mark.parametrize(("name", "bank"), recorded.BANKS)
def test_initial_values_are_those_a_tpm_has(name: str, bank: str) -> None:
    values = recorded.bank(name, bank)
    for index in [8, 9, *range(11, 24)]:
        assert pcr.initial(bank, index) == values[index]


def test_initial_refuses_what_does_not_exist() -> None:
    assert pcr.initial("sha1", 17, "1.2") == b"\xff" * 20
    with pytest.raises(ValueError, match=r"a TPM 1\.2 has no sha256 bank"):
        pcr.initial("sha256", 0, "1.2")
    with pytest.raises(ValueError, match="no PCR 24"):
        pcr.initial("sha1", 24)


@pytest.mark.parametrize("name", ["tpm20-cd", "uefi"])
def test_replay_agrees_with_tpm2_tools_in_every_bank(name: str) -> None:
    log = bootlog.parse((recorded.DATA / f"{name}.log.bin").read_bytes())
    expected = recorded.values(recorded.DATA / f"{name}.pcrs.json")
    assert set(log.algorithms) == set(expected)
    for algorithm, values in expected.items():
        assert pcr.replay_boot(log, algorithm) == values


def test_both_layouts_replay_to_the_same_sha1_values() -> None:
    old = bootlog.parse((recorded.DATA / "tpm12-cd.log.bin").read_bytes())
    assert pcr.replay_boot(old, "sha1") == recorded.values(recorded.DATA / "tpm20-cd.pcrs.json")["sha1"]
    with pytest.raises(ValueError, match="the boot log has no sha256 digests, only sha1"):
        pcr.replay_boot(old, "sha256")


@pytest.mark.parametrize("locality", [0, 3, 4])
def test_startup_locality_is_where_pcr_0_begins(locality: int) -> None:
    told = b"StartupLocality\0" + bytes([locality])
    log = bootlog.parse(
        struct.pack("<II20sI", 0, 3, bytes(20), len(told)) + told
        + struct.pack("<II20sI", 0, 8, b"v" * 20, 0)
        + struct.pack("<II20sI", 1, 8, b"v" * 20, 0)
    )  # fmt: skip
    values = pcr.replay_boot(log, "sha1")
    assert values[0] == hashlib.sha1(bytes(19) + bytes([locality]) + b"v" * 20).digest()
    assert values[1] == hashlib.sha1(bytes(20) + b"v" * 20).digest()


@pytest.mark.parametrize(("name", "bank"), recorded.BANKS)
def test_ima_logs_replay_to_pcr_10(name: str, bank: str) -> None:
    entries = imalog.parse(recorded.ima_log(name))
    value = recorded.bank(name, bank)[10]
    assert pcr.replay_ima(entries, bank) == value
    assert pcr.matching_prefix(entries, bank, value) == len(entries)


def test_a_log_that_has_grown_matches_at_the_prefix() -> None:
    entries = imalog.parse(recorded.ima_log("boot-6.1-tpm12"))
    earlier = pcr.replay_ima(entries[:4], "sha1")
    assert pcr.matching_prefix(entries, "sha1", earlier) == 4
    assert pcr.matching_prefix(entries, "sha1", bytes(20)) == 0
    assert pcr.matching_prefix(entries[:3], "sha1", earlier) is None
    assert pcr.replay_ima(entries[4:], "sha1", start=earlier) == pcr.replay_ima(entries, "sha1")
    assert pcr.matching_prefix(entries[4:], "sha1", pcr.replay_ima(entries, "sha1"), start=earlier) == 6


@pytest.mark.parametrize(
    ("name", "bank"),
    [
        ("boot-6.1-tpm12", "sha1"),
        ("boot-6.1-tpm12-template-ima", "sha1"),
        ("boot-6.1-tpm20-sha1", "sha1"),
        ("boot-6.12-tpm12-template-ng", "sha1"),
        ("boot-6.12-tpm20", "sha256"),
    ],
)
def test_boot_aggregate_is_what_the_kernel_logged(name: str, bank: str) -> None:
    first = imalog.parse(recorded.ima_log(name))[0]
    assert (first.path, first.digest_algorithm) == ("boot_aggregate", bank)
    assert pcr.boot_aggregate(recorded.bank(name, bank), bank) == first.digest


def test_boot_aggregate_names_what_it_misses() -> None:
    with pytest.raises(ValueError, match="boot_aggregate needs PCR 8, 9"):
        pcr.boot_aggregate({index: bytes(32) for index in range(8)}, "sha256")
