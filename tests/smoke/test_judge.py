# SPDX-License-Identifier: GPL-3.0-or-later
"""Every check passes on a good machine and fails on one that is bad in one place."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, get_args

import pytest

from bootproof.measure import imalog, pcr
from bootproof.measure.expected import Forecast
from bootproof.recipe import model
from bootproof.smoke.evidence import Evidence
from bootproof.smoke.judge import CHECKS, GUEST, MEASUREMENT, Check, judge
from tests.smoke.recorded import good, layer

Change = Callable[[Evidence], Evidence]


def facts(**changes: Any) -> Change:
    return lambda evidence: replace(evidence, facts={**evidence.facts, **changes})


def ima(**changes: Any) -> Change:
    return lambda evidence: facts(ima={**evidence.facts["ima"], **changes})(evidence)


def outside(number: int, value: bytes) -> Change:
    return lambda evidence: replace(evidence, outside={**(evidence.outside or {}), number: value})


def failed(checks: list[Check]) -> set[str]:
    return {check.name for check in checks if check.ok is False}


def test_a_good_machine_passes_every_check() -> None:
    checks = judge(good(), CHECKS)
    assert [check.name for check in checks] == [*CHECKS, "units"]
    assert failed(checks) == set()
    assert all(check.ok and check.detail for check in checks)


@pytest.mark.parametrize("name", CHECKS)
def test_a_machine_that_told_nothing_fails_every_check(name: str) -> None:
    checks = judge(Evidence("python"), [name])
    assert failed(checks) == {name}


OTHER = b"\x55" * 20
BAD: list[tuple[str, Change, str]] = [
    ("pcrs", lambda e: replace(e, outside=None), "told no PCRs"),
    ("pcrs", outside(3, bytes(20)), "never extended: PCR 3"),
    ("sysfs-pcrs", outside(16, OTHER), "PCR 16 differ"),
    ("sysfs-pcrs", lambda e: replace(e, sysfs={}), "the kernel told no PCRs"),
    ("trousers-pcrs", lambda e: replace(e, trousers={**(e.trousers or {}), 2: OTHER}), "PCR 2 differ"),
    ("trousers-pcrs", lambda e: replace(e, trousers=None), "TrouSerS told no PCRs"),
    ("boot-log", outside(4, OTHER), "PCR 4 do not follow"),
    ("boot-log", lambda e: replace(e, boot_log=None), "no boot log"),
    ("boot-log", lambda e: replace(e, boot_log=(e.boot_log or b"")[:-1]), "cannot be read"),
    ("boot-events", outside(4, OTHER), "PCR 4 (sha1) should be a9fd"),
    ("boot-events", lambda e: replace(e, boot_log=None), "no boot log"),
    ("boot-events", lambda e: replace(e, boot_log=(e.boot_log or b"")[:-1]), "cannot be read"),
    ("boot-events", lambda e: replace(e, forecast=Forecast(None, "it rained")), "no prediction: it rained"),
    ("ima-log", outside(10, OTHER), "PCR 10 is 5555"),
    ("ima-log", lambda e: replace(e, ima_log=None), "no IMA log"),
    ("ima-log", lambda e: replace(e, ima_log=(e.ima_log or b"")[:-1]), "cannot be read"),
    ("ima-log", ima(violations=1), "the kernel counts 1"),
    ("ima-log", ima(count=4711), "counts 4711"),
    ("ima-log", ima(steady=False), "never held still"),
    ("boot-aggregate", outside(0, OTHER), "not the hash of the boot PCRs"),
    ("tcsd", facts(tcsd={"pid": None, "unit": "failed"}), "no tcsd runs"),
    ("tcsd", facts(tcsd={"pid": 5, "unit": "activating"}), "activating"),
    ("tpm-version", facts(tpm_version={"status": 1, "output": "Tspi_Context_Connect failed"}), "status 1"),
    (
        "tpm-version",
        facts(tpm_version={"status": 0, "output": "TPM Vendor ID: IBM"}),
        "vendor is IBM, not BTPF",
    ),
    ("tpm-version", facts(tpm_version={"status": 0, "output": ""}), "not told"),
    ("verity", facts(verity=[]), "no verity layer"),
    ("verity", facts(verity=[layer("bootproof-base")]), "the active layers are bootproof-base"),
    ("units", facts(failed_units=["ssh.service"]), "failed: ssh.service"),
]
BAD_LAYERS: list[tuple[dict[str, Any], str]] = [
    ({"error": "Input/output error", "bad_offset": 8192}, "Input/output error at byte 8192"),
    ({"read": 0}, "0 of 4096 bytes read"),
    ({"size": 0, "read": 0}, "0 of 0 bytes read"),
    ({"status": "verity C"}, "verity C"),
    ({"table": "0 8 linear 7:0 0"}, "no verity device"),
    ({"fault": "denied"}, "denied"),
]


@pytest.mark.parametrize(
    ("name", "change", "detail"), BAD, ids=[f"{row[0]}-{n}" for n, row in enumerate(BAD)]
)
def test_a_machine_that_is_bad_in_one_place_fails_there(name: str, change: Change, detail: str) -> None:
    checks = judge(change(good()), CHECKS)
    assert name in failed(checks)
    assert detail in next(check.detail for check in checks if check.name == name)


@pytest.mark.parametrize(("changes", "detail"), BAD_LAYERS)
@pytest.mark.parametrize("bad", [0, 1])
def test_each_layer_is_judged(bad: int, changes: dict[str, Any], detail: str) -> None:
    layers = [layer("bootproof-base"), layer("bootproof-product")]
    layers[bad] |= changes
    checks = judge(facts(verity=layers)(good()), ["verity"])
    assert failed(checks) == {"verity"}
    assert detail in checks[0].detail


def test_a_changed_log_entry_is_found() -> None:
    evidence = good()
    log = bytearray(evidence.ima_log or b"")
    log[len(log) // 2] ^= 1
    assert "ima-log" in failed(judge(replace(evidence, ima_log=bytes(log)), CHECKS))


def test_a_pcr_that_lacks_the_last_entry_is_found() -> None:
    evidence = good()
    entries = imalog.parse(evidence.ima_log or b"")
    before_last = pcr.replay_ima(entries[:-1], "sha1")
    checks = judge(outside(10, before_last)(evidence), ["ima-log"])
    assert failed(checks) == {"ima-log"}
    assert f"after entry {len(entries) - 1}" in checks[0].detail


def test_an_entry_too_many_is_found() -> None:
    evidence = good()
    log = evidence.ima_log or b""
    assert "ima-log" in failed(judge(replace(evidence, ima_log=log + log), CHECKS))


def test_kinds() -> None:
    kinds = {check.name: check.kind for check in judge(good(), CHECKS)}
    assert {name for name, kind in kinds.items() if kind == GUEST} == {
        "tcsd",
        "tpm-version",
        "verity",
        "units",
    }
    assert set(kinds.values()) == {GUEST, MEASUREMENT}


def test_what_does_not_apply_is_said_and_not_failed() -> None:
    none = {check.name: check.ok for check in judge(good("none"), CHECKS)}
    assert {name for name, ok in none.items() if ok is None} == set(CHECKS) - {"verity"}
    newer = {check.name: check.ok for check in judge(good("swtpm"), CHECKS, tpm="2.0")}
    assert newer["tcsd"] is None
    assert newer["pcrs"] is None
    assert newer["boot-log"] is True


def test_an_image_that_nothing_can_be_told_of_is_not_judged_by_its_events() -> None:
    evidence = replace(good(), forecast=Forecast(None, "predicted for BIOS only", applies=False))
    (check, _) = judge(evidence, ["boot-events"])
    assert (check.ok, check.detail) == (None, "predicted for BIOS only")


def test_only_what_the_recipe_asks_for_is_judged() -> None:
    assert [check.name for check in judge(good(), ["verity"])] == ["verity", "units"]


def test_recipes_can_ask_for_exactly_the_checks_there_are() -> None:
    assert set(get_args(model.Check)) == set(CHECKS)


def tpm20() -> Evidence:
    """A recorded boot with TPM 2.0: two banks, and IMA writes boot_aggregate for sha256."""
    folder = Path(__file__).parents[1] / "data/boot-6.12-tpm20"
    banks = json.loads((folder / "pcrs.json").read_text())
    return Evidence(
        "swtpm",
        ima_log=(folder / "binary_runtime_measurements").read_bytes(),
        sysfs={name: {int(n): bytes.fromhex(v) for n, v in bank.items()} for name, bank in banks.items()},
    )


def test_boot_aggregate_is_judged_in_the_bank_it_was_made_for() -> None:
    assert tpm20().bank == "sha1"
    assert failed(judge(tpm20(), ["boot-aggregate"], "2.0")) == set()


@pytest.mark.parametrize("number", [0, 9])
def test_boot_aggregate_of_other_pcrs_fails_in_that_bank(number: int) -> None:
    evidence = tpm20()
    changed = {**evidence.sysfs["sha256"], number: b"\x55" * 32}
    evidence = replace(evidence, sysfs={**evidence.sysfs, "sha256": changed})
    assert failed(judge(evidence, ["boot-aggregate"], "2.0")) == {"boot-aggregate"}
