# SPDX-License-Identifier: GPL-3.0-or-later
"""The check `boot-events`: which event is named, and how."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from bootproof.build import predict
from bootproof.errors import BootproofError
from bootproof.measure import bootlog
from bootproof.measure.expected import Expected, Forecast, digests
from bootproof.smoke import bootevents
from bootproof.smoke.evidence import BOOT_LOG
from tests.measure import images
from tests.smoke.recorded import BOOT, forecast, good

LOG = bootlog.parse((BOOT / BOOT_LOG).read_bytes())


def judged(*events: Expected) -> tuple[bool, str]:
    return bootevents.judge(replace(good(), forecast=Forecast(events, "a test")))


def test_a_machine_that_did_as_predicted() -> None:
    assert bootevents.judge(good()) == (
        True,
        "10 events and PCR 0, 3, 4, 5, 6, 7 are as predicted by a record",
    )


def test_the_first_event_that_differs_is_named_with_both_digests() -> None:
    events = list(forecast().events or ())
    at = next(n for n, event in enumerate(events) if event.text == "Calling INT 19h")
    events[at] = replace(events[at], digests=digests(b"other"), text="boot stage 2")
    events[at + 3] = replace(events[at + 3], digests=digests(b"later"))
    ok, detail = judged(*events)
    number = LOG.events[at].number
    assert not ok
    assert detail.startswith(f"event {number}, 'boot stage 2' (PCR 4): sha1 should be d0941e68da8f38151ff8")
    assert f"and is {LOG.events[at].digests['sha1'].hex()};" in detail
    assert detail.endswith("the log says 'Calling INT 19h', EV_ACTION, PCR 4")


def test_missing_and_additional_events_are_named() -> None:
    events = forecast().events or ()
    more = Expected(8, "IPL", "kernel /k\n", digests(b""))
    assert judged(*events, more) == (False, "the log ends before 'kernel /k\\n' (PCR 8)")
    last = LOG.events[-1]
    assert judged(*events[:-1]) == (
        False,
        f"event {last.number} was not predicted: '{last.text}' (PCR {last.pcr})",
    )


def test_an_event_in_another_pcr_is_named() -> None:
    events = forecast().events or ()
    ok, detail = judged(*events[:-1], replace(events[-1], pcr=9))
    assert not ok and "(PCR 9): the digest is right; the log says 'separator'" in detail


@pytest.fixture
def iso(tmp_path: Path) -> Path:
    images.made(tmp_path)
    return tmp_path / "x.iso"


def test_a_forecast_is_the_manifests_or_else_the_images(iso: Path) -> None:
    itself = predict.of_boot(iso, "bios", "cd")
    assert itself.events and itself.source.startswith("the ISO itself")
    (iso.parent / "manifest.json").write_text(json.dumps({"boot": predict.for_manifest(iso)}))
    assert predict.of_boot(iso, "bios", "cd") == Forecast(itself.events, "manifest.json")
    changed = bytearray(iso.read_bytes())
    changed[17 * 2048 + 100] ^= 1  # nothing that is measured
    changed[100] ^= 1  # the MBR
    iso.write_bytes(changed)
    assert predict.of_boot(iso, "bios", "usb") == predict.of_boot(iso, "bios", "disk")
    assert predict.of_boot(iso, "bios", "usb").events != predict.of_iso(iso).events["disk"]["live"]


def test_what_cannot_be_told_is_said(iso: Path) -> None:
    assert predict.of_boot(iso, "uefi", "cd") == Forecast(None, "predicted for BIOS only", applies=False)
    (iso.parent / "manifest.json").write_text('{"boot": {"events": []}}')
    damaged = predict.of_boot(iso, "bios", "cd")
    assert damaged.events is None and damaged.applies and "manifest.json: it is damaged" in damaged.source
    (iso.parent / "manifest.json").unlink()
    iso.write_bytes(b"\0" * 40960)
    other = predict.of_boot(iso, "bios", "cd")
    assert not other.applies and "no ISO 9660 image" in other.source
    with pytest.raises(BootproofError, match="cannot be told: this is no ISO 9660 image"):
        predict.for_manifest(iso)
    with pytest.raises(BootproofError, match="cannot be read"):
        predict.of_iso(iso.parent / "none.iso")


def test_a_menu_whose_choice_starts_no_kernel(tmp_path: Path) -> None:
    images.made(tmp_path, images.MENU.replace("default=live", "default=checker"))
    told = predict.of_boot(tmp_path / "x.iso", "bios", "cd")
    assert told == Forecast(None, "the entry 'checker' starts no kernel", applies=False)
