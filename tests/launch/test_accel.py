# SPDX-License-Identifier: GPL-3.0-or-later
from pathlib import Path

import pytest

from bootproof.errors import BootproofError, ExitCode
from bootproof.launch import accel
from bootproof.launch.accel import Finding, choose, host_key, kvm_finding, probe, recall, remember
from tests.launch.guests import FIRST_LINE, LAST_LINE, linux_image

KEY = {"qemu": "7", "kernel": "6", "cpu": "x"}


def never() -> bytes:
    raise AssertionError("no kernel should be asked for")


def test_probe_believes_a_guest_that_starts_and_panics() -> None:
    finding = probe("tcg", linux_image(FIRST_LINE + LAST_LINE))
    assert finding.works
    assert "booted under TCG" in finding.reason


def test_probe_does_not_believe_a_silent_guest() -> None:
    finding = probe("tcg", linux_image(b"something else"), first_line=1.0)
    assert not finding.works
    assert "did not print a line within 1 s" in finding.reason


def test_probe_does_not_believe_a_guest_that_only_starts() -> None:
    finding = probe("tcg", linux_image(FIRST_LINE), panic=0.5)
    assert not finding.works
    assert "did not boot" in finding.reason


def test_probe_tells_why_qemu_did_not_start() -> None:
    finding = probe("no-such-accelerator", linux_image(FIRST_LINE))
    assert not finding.works
    assert "no-such-accelerator" in finding.reason


def test_finding_is_remembered_and_told_as_such(tmp_path: Path) -> None:
    cache = tmp_path / "deep" / "accel.json"
    remember(cache, KEY, Finding(works=False, reason="it hung"))
    assert recall(cache, KEY) == Finding(works=False, reason="it hung", remembered=True)
    assert [path.name for path in cache.parent.iterdir()] == ["accel.json"]


@pytest.mark.parametrize("change", ["qemu", "kernel", "cpu"])
def test_finding_is_forgotten_when_the_host_changes(tmp_path: Path, change: str) -> None:
    cache = tmp_path / "accel.json"
    remember(cache, KEY, Finding(works=True, reason="it booted"))
    assert recall(cache, KEY | {change: "other"}) is None


@pytest.mark.parametrize(
    "text", ["", "{", "[]", '{"key": 1}', '{"key": {}, "finding": {"works": 1, "reason": 2}}', "\0"]
)
def test_damaged_cache_is_no_finding(tmp_path: Path, text: str) -> None:
    cache = tmp_path / "accel.json"
    cache.write_text(text)
    assert recall(cache, KEY) is None
    assert recall(cache, {}) is None


def test_cache_that_cannot_be_written_is_no_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    remember(tmp_path / "file" / "accel.json", KEY, Finding(works=True, reason=""))


def test_probe_is_made_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    device, cache = tmp_path / "kvm", tmp_path / "accel.json"
    device.write_text("")
    monkeypatch.setattr(accel, "KVM_DEVICE", device)
    probes: list[str] = []

    def count(name: str, kernel: bytes) -> Finding:
        probes.append(name)
        return Finding(works=False, reason="it hung")

    monkeypatch.setattr(accel, "probe", count)
    assert not kvm_finding(lambda: b"kernel", cache).remembered
    cache.write_text(cache.read_text()[:20])
    assert not kvm_finding(lambda: b"kernel", cache).remembered
    assert kvm_finding(never, cache).remembered
    assert probes == ["kvm", "kvm"]
    line = choose("auto", never, cache).line
    assert line == f"accelerator: TCG (it hung; remembered in {cache})"


def test_no_device_no_probe(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(accel, "KVM_DEVICE", tmp_path / "kvm")
    chosen = choose("auto", never, tmp_path / "accel.json")
    assert chosen.name == "tcg"
    assert "there is no" in chosen.line


def test_device_of_others_no_probe(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    device = tmp_path / "kvm"
    device.write_text("")
    monkeypatch.setattr(accel, "KVM_DEVICE", device)
    monkeypatch.setattr("os.access", lambda path, mode: False)
    chosen = choose("auto", never, tmp_path / "accel.json")
    assert chosen.name == "tcg"
    assert "group kvm" in chosen.line


def test_kvm_asked_for_in_vain_is_an_error_of_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(accel, "KVM_DEVICE", tmp_path / "kvm")
    with pytest.raises(BootproofError) as caught:
        choose("kvm", never, tmp_path / "accel.json")
    assert caught.value.code is ExitCode.QEMU
    assert "--accel tcg" in caught.value.hint


def test_tcg_asked_for_needs_no_probe() -> None:
    assert choose("tcg", never).name == "tcg"


def test_host_key_names_what_a_finding_depends_on() -> None:
    key = host_key()
    assert "QEMU" in key["qemu"]
    assert all(key.values())
