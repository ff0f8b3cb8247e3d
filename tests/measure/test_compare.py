# SPDX-License-Identifier: GPL-3.0-or-later
"""Logs against PCRs: real boots pass, and every kind of tampering is named."""

from __future__ import annotations

import struct
from dataclasses import replace

import pytest

from bootproof.measure import bootlog, compare, described, imalog
from bootproof.measure.bootlog import BootLog
from tests.measure import recorded


@pytest.mark.parametrize(("name", "bank"), recorded.BANKS)
def test_real_boots_are_explained(name: str, bank: str) -> None:
    log, entries = bootlog.parse(recorded.boot_log(name)), imalog.parse(recorded.ima_log(name))
    check = compare.compare_bank(log, entries, recorded.bank(name, bank), bank)
    assert check.ok
    assert check.boot is not None
    assert [one.index for one in check.boot] == list(range(8))
    assert [one.events for one in check.boot] == [1, 2, 5, 1, 2, 1, 1, 1]
    assert (check.ima.matched, check.ima.entries, check.ima.violations) == (10, 10, 2)
    aggregate = entries[0].digest_algorithm == bank
    assert check.ima.boot_aggregate_ok is (True if aggregate else None)


def test_pcrs_beyond_the_firmwares_are_compared_too() -> None:
    log = bootlog.parse((recorded.DATA / "uefi.log.bin").read_bytes())
    values = recorded.values(recorded.DATA / "uefi.pcrs.json")["sha256"]
    checks = compare.compare_boot(log, values, "sha256")
    assert [check.index for check in checks] == list(range(10))
    assert all(check.ok for check in checks)


@pytest.mark.parametrize("number", [1, 5, 14])
def test_a_flipped_digest_bit_names_the_pcr(number: int) -> None:
    log = bootlog.parse(recorded.boot_log("boot-6.1-tpm12"))
    event = log.events[number - 1]
    flipped = bytes([event.digests["sha1"][0] ^ 1]) + event.digests["sha1"][1:]
    changed = tuple(replace(e, digests={"sha1": flipped}) if e is event else e for e in log.events)
    checks = compare.compare_boot(
        BootLog(changed, log.algorithms), recorded.bank("boot-6.1-tpm12", "sha1"), "sha1"
    )
    assert [check.index for check in checks if not check.ok] == [event.pcr]


@pytest.mark.parametrize("offset", range(8, 28))
def test_a_flipped_byte_of_the_raw_log_names_the_pcr(offset: int) -> None:
    data = bytearray(recorded.boot_log("boot-6.1-tpm12"))
    data[offset] ^= 0x80
    checks = compare.compare_boot(
        bootlog.parse(bytes(data)), recorded.bank("boot-6.1-tpm12", "sha1"), "sha1"
    )
    assert [check.index for check in checks if not check.ok] == [1]


def test_a_falsified_command_line_is_seen_though_the_replay_fits() -> None:
    data = (recorded.DATA / "tpm12-cd.log.bin").read_bytes()
    values = recorded.values(recorded.DATA / "tpm20-cd.pcrs.json")["sha1"]
    log = bootlog.parse(
        data.replace(b"kernel_cmdline: /boot/vmlinuz console", b"kernel_cmdline: /boot/vmlinux console")
    )
    (wrong,) = [check for check in compare.compare_boot(log, values, "sha1") if not check.ok]
    assert (wrong.index, wrong.misdescribed) == (8, (23,))
    assert wrong.value == wrong.replayed


@pytest.mark.parametrize("name", ["tpm12-cd", "tpm20-cd", "uefi"])
def test_honest_texts_belong_to_their_digests(name: str) -> None:
    log = bootlog.parse((recorded.DATA / f"{name}.log.bin").read_bytes())
    told = [described.is_measured(event, log.algorithms[-1]) for event in log.measured]
    assert False not in told
    assert told.count(True) > 10
    assert None in told  # files: the log has only their names


def test_a_pcr_nobody_read_is_no_match() -> None:
    values = recorded.bank("boot-6.1-tpm12", "sha1")
    del values[3]
    log = bootlog.parse(recorded.boot_log("boot-6.1-tpm12"))
    assert [check.index for check in compare.compare_boot(log, values, "sha1") if not check.ok] == [3]


def test_a_missing_log_explains_nothing_but_untouched_pcrs() -> None:
    nothing = BootLog((), ("sha1",))
    values = recorded.bank("boot-6.12-tpm20", "sha256")
    check = compare.compare_bank(nothing, (), values, "sha256")
    assert not check.ok
    assert check.boot is not None
    assert not any(one.ok for one in check.boot)
    assert check.ima.matched is None
    assert compare.compare_bank(nothing, (), {index: bytes(32) for index in range(24)}, "sha256").ok


def test_a_bank_the_log_does_not_know_is_not_judged_by_it() -> None:
    log = bootlog.parse(recorded.boot_log("boot-6.1-tpm12"))
    check = compare.compare_bank(log, (), {index: bytes(32) for index in range(24)}, "sha256")
    assert check.boot is None
    assert not check.ok


def _ima(name: str, data: bytes) -> compare.ImaCheck:
    return compare.compare_ima(imalog.parse(data), recorded.bank(name, "sha1"), "sha1")


def test_a_changed_ima_entry_is_named() -> None:
    data = recorded.ima_log("boot-6.1-tpm12").replace(b"/bin/kload", b"/bin/klqad")
    check = _ima("boot-6.1-tpm12", data)
    assert not check.ok
    assert check.matched is None
    assert check.inconsistent == (8,)


def test_a_stored_hash_that_does_not_belong_to_its_entry_is_named() -> None:
    stored = imalog.parse(recorded.ima_log("boot-6.1-tpm12"))[1].template_hash
    data = recorded.ima_log("boot-6.1-tpm12").replace(stored, b"\x01" * 20)
    check = _ima("boot-6.1-tpm12", data)
    assert (check.matched, check.inconsistent, check.ok) == (10, (2,), False)


def test_a_removed_ima_entry_is_seen() -> None:
    entries = imalog.parse(recorded.ima_log("boot-6.1-tpm12"))
    values = recorded.bank("boot-6.1-tpm12", "sha1")
    assert not compare.compare_ima(entries[:3] + entries[4:], values, "sha1").ok
    assert not compare.compare_ima(entries[:-1], values, "sha1").ok
    assert not compare.compare_ima((), values, "sha1").ok


def test_a_tail_added_to_the_ima_log_is_not_counted() -> None:
    data = recorded.ima_log("boot-6.1-tpm12")
    start = 0
    first = struct.unpack_from("<I", data, 24 + 4 + 7)[0]
    check = _ima("boot-6.1-tpm12", data + data[start : 24 + 4 + 7 + 4 + first])
    assert (check.matched, check.entries, check.ok) == (10, 11, True)


def test_entries_that_never_reached_the_tpm_are_no_match() -> None:
    entries = imalog.parse(recorded.ima_log("boot-6.1-tpm12"))
    check = compare.compare_ima(entries, recorded.bank("boot-6.1-tpm12", "sha1") | {10: bytes(20)}, "sha1")
    assert (check.matched, check.ok) == (0, False)


def test_another_boots_aggregate_is_seen() -> None:
    values = recorded.bank("boot-6.1-tpm12", "sha1") | {4: bytes(20)}
    check = compare.compare_ima(imalog.parse(recorded.ima_log("boot-6.1-tpm12")), values, "sha1")
    assert check.matched == 10
    assert check.boot_aggregate_ok is False
    assert not check.ok
