# SPDX-License-Identifier: GPL-3.0-or-later
"""The verbs `log` and `pcr` on recorded boots: what they print, where it fits, and what they refuse."""

from __future__ import annotations

import hashlib
import io
import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import typer
from rich.console import Console
from typer.testing import CliRunner

from bootproof import console
from bootproof.attest import local
from bootproof.attest import recorded as files
from bootproof.attest.evidence import Evidence
from bootproof.cli.log import log
from bootproof.cli.pcr import pcr
from bootproof.errors import BootproofError, ExitCode, HostError
from bootproof.measure import imalog
from bootproof.measure import pcr as pcrs
from tests.measure import recorded

APP = typer.Typer()
APP.command()(log)
APP.command()(pcr)
BOOT = recorded.DATA / "boot-6.12-tpm20"
CD = recorded.DATA / "tpm12-cd.log.bin"


def _run(*words: str | Path, status: int = 0) -> str:
    result = CliRunner().invoke(APP, list(map(str, words)))
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    assert result.exit_code == status
    return result.stdout


def _terminal(monkeypatch: pytest.MonkeyPatch, width: int, *words: str | Path) -> list[str]:
    screen = Console(
        file=io.StringIO(), force_terminal=True, width=width, highlight=False, color_system=None
    )
    monkeypatch.setattr(console, "out", lambda: screen)
    _run(*words)
    assert isinstance(screen.file, io.StringIO)
    return screen.file.getvalue().splitlines()


@pytest.fixture
def tampered(tmp_path: Path) -> Path:
    """A result directory in whose boot log a bit of event 5's digest (PCR 2) is another."""
    shutil.copytree(recorded.DATA / "boot-6.1-tpm12", tmp_path, dirs_exist_ok=True)
    path = tmp_path / "binary_bios_measurements"
    digest = bytes.fromhex("5ea5ddb98ff8fccfa7b0a18b2eac74b13f9844f1")
    data = path.read_bytes()
    assert data.count(digest) == 1
    path.write_bytes(data.replace(digest, bytes([digest[0] ^ 1]) + digest[1:]))
    return tmp_path


def test_log_lists_every_event_and_entry() -> None:
    lines = _run("log", "--directory", BOOT).splitlines()
    assert lines[0] == "Boot log: 14 events, crypto-agile format (sha1, sha256)"
    assert lines[1].split() == ["#", "PCR", "Type", "sha256", "What"]
    assert lines[2].split(maxsplit=1) == ["0", "NO_ACTION  not extended  Spec ID Event03: sha1 sha256"]
    digest = hashlib.sha256(b"Calling INT 19h").hexdigest()
    assert lines[8].split(maxsplit=4) == ["6", "4", "ACTION", digest[:12], "Calling INT 19h"]
    assert "IMA log: 10 entries, 2 violations" in lines
    entries = lines[lines.index("IMA log: 10 entries, 2 violations") + 2 :]
    assert [line.split()[0] for line in entries] == [str(number) for number in range(1, 11)]
    assert entries[4].split() == ["5", "10", "ima-sig", "violation", "/var/open"]
    assert entries[9].endswith("kexec-cmdline = console=ttyS0 kexec=test")


def test_log_shows_whole_digests_when_asked() -> None:
    digest = "3d9f2889d6782537624a4e1a10e68a2ddd53e0ee8bac02676f27308f42ec6bf6"
    assert f"sha256:{digest}" in _run("log", "--no-boot", "--full", "--directory", BOOT)
    short = _run("log", "--no-boot", "--directory", BOOT)
    assert digest not in short
    assert f"sha256:{digest[:12]}" in short


def test_log_shows_the_parts_asked_for() -> None:
    assert "IMA log" not in _run("log", "--no-ima", "--directory", BOOT)
    assert "Boot log" not in _run("log", "--no-boot", "--directory", BOOT)
    assert "IMA log: none" in _run("log", "--boot-log", CD)
    with pytest.raises(BootproofError, match="leave nothing to show"):
        _run("log", "--no-boot", "--no-ima")


def test_log_as_json_holds_everything() -> None:
    document = json.loads(_run("log", "--json", "--directory", BOOT))
    event = document["boot"]["events"][6]
    assert (event["number"], event["pcr"], event["type"]) == (6, 4, "EV_ACTION")
    assert bytes.fromhex(event["data"]) == event["text"].encode() == b"Calling INT 19h"
    assert len(event["digests"]["sha256"]) == 64
    violation = document["ima"]["entries"][4]
    assert (violation["path"], violation["violation"], violation["digest"]) == ("/var/open", True, "0" * 64)


def test_log_marks_what_was_changed_afterwards(tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_bytes(
        CD.read_bytes().replace(b"kernel_cmdline: /boot/vmlinuz", b"kernel_cmdline: /boot/vmlinux")
    )
    (line,) = [one for one in _run("log", "--boot-log", path).splitlines() if "not what was measured" in one]
    assert line.split()[0] == "23"


@pytest.mark.parametrize("width", [80, 120])
def test_tables_fit_the_terminal_and_lose_nothing(monkeypatch: pytest.MonkeyPatch, width: int) -> None:
    uefi = recorded.DATA / "uefi.log.bin"
    lines = _terminal(monkeypatch, width, "log", "--full", "--boot-log", uefi, "--directory", BOOT)
    assert max(map(len, lines)) <= width
    letters = "".join("".join(line.split()) for line in lines)
    assert "…" not in letters
    lines = _terminal(monkeypatch, width, "pcr", "--directory", BOOT)
    assert max(map(len, lines)) <= width
    assert f"  0  {recorded.bank(BOOT.name, 'sha256')[0].hex()}  ✓ 1" in [line.rstrip() for line in lines]


def test_pcr_explains_a_real_boot() -> None:
    lines = _run("pcr", "--directory", BOOT).splitlines()
    value = recorded.bank(BOOT.name, "sha256")
    assert f" 10  {value[10].hex()}  ✓ 10" in lines
    assert "     untouched since power-on: 8-9, 11-23" in lines
    assert lines[-2:] == [
        "sha1: PCR 0-7 replay from 14 boot events; "
        "PCR 10 from 10 IMA entries, boot_aggregate is for another bank, 2 violations",
        "sha256: PCR 0-7 replay from 14 boot events; "
        "PCR 10 from 10 IMA entries, boot_aggregate ok, 2 violations",
    ]


def test_pcr_names_the_pcr_of_a_tampered_event(tampered: Path) -> None:
    lines = _run("pcr", "--directory", tampered, status=ExitCode.MEASUREMENT).splitlines()
    value = recorded.bank("boot-6.1-tpm12", "sha1")[2].hex()
    place = lines.index(f"  2  {value}  ✗ TPM has")
    assert lines[place + 1].endswith("✗ log has")
    assert value not in lines[place + 1]
    assert lines[-1].startswith("sha1: PCR 2 not explained by the boot log; PCR 10 from 10 IMA entries")


def test_pcr_as_json(tampered: Path) -> None:
    good = json.loads(_run("pcr", "--json", "--directory", BOOT))
    assert good["ok"] is True
    assert good["banks"]["sha256"]["values"]["0"] == recorded.bank(BOOT.name, "sha256")[0].hex()
    assert good["banks"]["sha256"]["ima"]["matched"] == 10
    bad = json.loads(_run("pcr", "--json", "--directory", tampered, status=ExitCode.MEASUREMENT))
    assert bad["ok"] is False
    assert [one["pcr"] for one in bad["banks"]["sha1"]["boot"] if not one["ok"]] == [2]


def _with_ima(directory: Path, old: bytes, new: bytes) -> None:
    path = directory / "binary_runtime_measurements"
    assert old in path.read_bytes()
    path.write_bytes(path.read_bytes().replace(old, new))


@pytest.mark.parametrize(
    ("change", "summary"),
    [
        ("entry", "PCR 10 not explained by 10 IMA entries"),
        ("missing", "PCR 10 not explained by 0 IMA entries"),
        ("text", "text of boot event #6 is not what was measured"),
    ],
)
def test_pcr_tells_other_tampering(tmp_path: Path, change: str, summary: str) -> None:
    shutil.copytree(recorded.DATA / "boot-6.1-tpm12", tmp_path, dirs_exist_ok=True)
    boot = tmp_path / "binary_bios_measurements"
    if change == "entry":
        _with_ima(tmp_path, b"/bin/kload", b"/bin/klqad")
    elif change == "missing":
        (tmp_path / "binary_runtime_measurements").unlink()
    else:
        boot.write_bytes(boot.read_bytes().replace(b"Calling INT 19h", b"Calling INT 18h"))
    assert summary in _run("pcr", "--directory", tmp_path, status=ExitCode.MEASUREMENT).splitlines()[-1]


def test_pcr_with_single_files_and_a_grown_log(tmp_path: Path) -> None:
    source = recorded.DATA / "boot-6.1-tpm12"
    entries = imalog.parse(recorded.ima_log(source.name))
    banks = json.loads((source / "pcrs.json").read_text())
    banks["sha1"]["10"] = pcrs.replay_ima(entries[:6], "sha1").hex()
    (tmp_path / "earlier.json").write_text(json.dumps(banks))
    words: list[Any] = ["--boot-log", source / "binary_bios_measurements"]
    words += ["--ima-log", source / "binary_runtime_measurements", "--pcrs", tmp_path / "earlier.json"]
    assert "PCR 10 from the first 6 of 10 IMA entries" in _run("pcr", *words).splitlines()[-1]
    with pytest.raises(BootproofError, match="no PCR values to compare"):
        _run("pcr", *words[:4])


def test_pcr_shows_values_that_no_log_explains(tmp_path: Path) -> None:
    shutil.copytree(recorded.DATA / "boot-6.1-tpm12", tmp_path, dirs_exist_ok=True)
    banks = json.loads((tmp_path / "pcrs.json").read_text())
    banks["sha1"]["11"] = "ab" * 20
    (tmp_path / "pcrs.json").write_text(json.dumps(banks))
    lines = _run("pcr", "--directory", tmp_path).splitlines()
    assert f" 11  {'ab' * 20}  ? no log" in lines
    assert "     untouched since power-on: 8-9, 12-23" in lines


def test_a_bank_without_digests_in_the_log_is_no_verdict(tmp_path: Path) -> None:
    shutil.copytree(recorded.DATA / "boot-6.12-tpm20", tmp_path, dirs_exist_ok=True)
    (tmp_path / "binary_bios_measurements").write_bytes(recorded.boot_log("boot-6.12-tpm12-template-ng"))
    banks = json.loads((tmp_path / "pcrs.json").read_text())
    del banks["sha1"]
    (tmp_path / "pcrs.json").write_text(json.dumps(banks))
    text = _run("pcr", "--directory", tmp_path, status=ExitCode.MEASUREMENT)
    assert "sha256: the boot log has no digests for this bank" in text


def test_damaged_logs_end_with_one_line(tmp_path: Path) -> None:
    (tmp_path / "boot").write_bytes(CD.read_bytes()[:-1])
    (tmp_path / "ima").write_bytes(recorded.ima_log(BOOT.name)[:-1])
    with pytest.raises(
        BootproofError, match=r"the boot log is damaged: byte \d+: data of event 26"
    ) as caught:
        _run("log", "--boot-log", tmp_path / "boot")
    assert caught.value.code == ExitCode.MEASUREMENT
    with pytest.raises(BootproofError, match=r"the IMA log is damaged: byte \d+: entry 10: fields needs"):
        _run("log", "--ima-log", tmp_path / "ima")


@pytest.mark.parametrize("verb", ["log", "pcr"])
def test_a_machine_without_tpm(monkeypatch: pytest.MonkeyPatch, verb: str) -> None:
    monkeypatch.setattr(local, "read_evidence", Evidence)
    with pytest.raises(HostError, match=r"this machine has no .*it needs a TPM"):
        _run(verb)


def test_a_machine_with_tpm_but_without_logs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(local, "read_evidence", lambda: Evidence(pcrs={"sha1": {0: bytes(20)}}))
    with pytest.raises(HostError, match="neither a boot log nor an IMA log"):
        _run("pcr")


def test_this_machine_is_what_is_read_by_default(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(local, "read_evidence", lambda: files.read_directory(BOOT))
    assert "sha256: PCR 0-7 replay from 14 boot events" in _run("pcr")
    assert "Boot log: 14 events" in _run("log")


def test_the_text_console_gets_signs_it_has(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "linux")
    text = _run("pcr", "--directory", BOOT)
    assert text.isascii()
    assert "= 10" in text
