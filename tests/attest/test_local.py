# SPDX-License-Identifier: GPL-3.0-or-later
"""Reading a machine's evidence, from files laid out as Linux 6.1 and 6.12 lay out sysfs and securityfs."""

from __future__ import annotations

import errno
import tracemalloc
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bootproof.attest import local
from bootproof.errors import HostError
from tests.measure import recorded


def _machine(root: Path, name: str, ima_log: str = local.IMA_LOGS[0]) -> Path:
    """Write the files of a recorded boot where a kernel would show them."""
    for bank in ("sha1", "sha256"):
        if (name, bank) in recorded.BANKS:
            folder = root / local.TPM / f"pcr-{bank}"
            folder.mkdir(parents=True)
            for index, value in recorded.bank(name, bank).items():
                (folder / str(index)).write_text(f"{value.hex().upper()}\n")
    (root / local.TPM / "tpm_version_major").write_text("2\n" if "tpm20" in name else "1\n")
    for path, data in ((local.BOOT_LOG, recorded.boot_log(name)), (ima_log, recorded.ima_log(name))):
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_bytes(data)
    return root


@pytest.mark.parametrize("ima_log", local.IMA_LOGS)
def test_a_machine_with_tpm_2(tmp_path: Path, ima_log: str) -> None:
    evidence = local.read_evidence(_machine(tmp_path, "boot-6.12-tpm20", ima_log))
    assert evidence.tpm_version == "2.0"
    assert evidence.boot_log == recorded.boot_log("boot-6.12-tpm20")
    assert evidence.ima_log == recorded.ima_log("boot-6.12-tpm20")
    assert evidence.pcrs == {bank: recorded.bank("boot-6.12-tpm20", bank) for bank in ("sha1", "sha256")}


def test_a_machine_with_tpm_1_2(tmp_path: Path) -> None:
    evidence = local.read_evidence(_machine(tmp_path, "boot-6.1-tpm12"))
    assert evidence.tpm_version == "1.2"
    assert evidence.pcrs == {"sha1": recorded.bank("boot-6.1-tpm12", "sha1")}


@pytest.mark.parametrize("name", ["pcrs", "device/pcrs"])
def test_an_old_kernel_has_one_text_file(tmp_path: Path, name: str) -> None:
    values = recorded.bank("boot-6.1-tpm12", "sha1")
    path = tmp_path / local.TPM / name
    path.parent.mkdir(parents=True)
    path.write_text("".join(f"PCR-{i:02d}: {value.hex(' ').upper()} \n" for i, value in values.items()))
    assert local.read_evidence(tmp_path).pcrs == {"sha1": values}
    path.write_text("PCR-00: nonsense\n")
    with pytest.raises(HostError, match="line 1 is no PCR"):
        local.read_evidence(tmp_path)


def test_a_machine_without_any_of_it(tmp_path: Path) -> None:
    evidence = local.read_evidence(tmp_path)
    assert (evidence.boot_log, evidence.ima_log, evidence.pcrs, evidence.tpm_version) == (
        None,
        None,
        {},
        None,
    )


def test_a_bank_nobody_knows_is_left_out(tmp_path: Path) -> None:
    root = _machine(tmp_path, "boot-6.1-tpm12")
    (root / local.TPM / "pcr-newhash").mkdir()
    (root / local.TPM / "pcr-newhash/0").write_text("00\n")
    (root / local.TPM / "pcr-sm3").mkdir()
    (root / local.TPM / "pcr-sm3/0").write_text(f"{'00' * 32}\n")
    assert local.read_evidence(root).pcrs == {
        "sha1": recorded.bank("boot-6.1-tpm12", "sha1"),
        "sm3_256": {0: bytes(32)},
    }


def test_a_tpm_that_answers_nonsense(tmp_path: Path) -> None:
    root = _machine(tmp_path, "boot-6.1-tpm12")
    (root / local.TPM / "pcr-sha1/7").write_text("error\n")
    with pytest.raises(HostError, match="pcr-sha1/7 holds no PCR value: 'error'"):
        local.read_evidence(root)


def test_the_pcrs_are_read_before_the_logs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = _machine(tmp_path, "boot-6.1-tpm12")
    order: list[str] = []
    opened = Path.open

    def watch(self: Path, *arguments: str, **named: str) -> object:
        order.append(self.name)
        return opened(self, *arguments, **named)  # type: ignore[call-overload]

    monkeypatch.setattr(Path, "open", watch)
    local.read_evidence(root)
    assert order.index("23") < order.index("binary_runtime_measurements")
    assert order.index("23") < order.index("binary_bios_measurements")


def test_a_log_only_root_may_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = _machine(tmp_path, "boot-6.1-tpm12")
    opened = Path.open

    def refuse(self: Path, *arguments: str, **named: str) -> object:
        # the tests may run as root, whom no file mode stops
        if self.name == "binary_bios_measurements":
            raise PermissionError(errno.EACCES, "Permission denied")
        return opened(self, *arguments, **named)  # type: ignore[call-overload]

    monkeypatch.setattr(Path, "open", refuse)
    with pytest.raises(
        HostError, match=r"only root may read .*binary_bios_measurements \(run the command with sudo\)"
    ):
        local.read_evidence(root)


def test_a_file_that_is_no_log_at_all_is_refused_unread(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(local, "LARGEST_LOG", 1 << 20)
    with (tmp_path / "log").open("wb") as stream:
        stream.truncate(64 << 20)
    tracemalloc.start()
    try:
        with pytest.raises(HostError, match="larger than 1 MiB"):
            local.read_log(tmp_path / "log")
        assert tracemalloc.get_traced_memory()[1] < 8 << 20
    finally:
        tracemalloc.stop()
    with pytest.raises(HostError, match="cannot be read: Is a directory"):
        local.read_log(tmp_path)


@given(st.text(max_size=200))
def test_any_text_is_pcrs_or_a_value_error(text: str) -> None:
    try:
        values = local.parse_pcrs(text)
    except ValueError:
        return
    assert all(len(value) == 20 for value in values.values())
