# SPDX-License-Identifier: GPL-3.0-or-later
import errno
import os
from collections.abc import Sequence
from pathlib import Path

import pytest

from bootproof.appliance import collect
from bootproof.appliance.port import find_port

MIB = 1 << 20


def test_every_byte_is_read(tmp_path: Path) -> None:
    (tmp_path / "layer").write_bytes(os.urandom(3 * MIB + 4096))
    told: list[str] = []
    found = collect.read_all(tmp_path / "layer", told.append)
    assert found == {"size": 3 * MIB + 4096, "read": 3 * MIB + 4096, "error": None, "bad_offset": None}


def test_progress_is_told_now_and_then(tmp_path: Path) -> None:
    (tmp_path / "layer").write_bytes(bytes(33 * MIB))
    told: list[str] = []
    collect.read_all(tmp_path / "layer", told.append)
    assert told == ["16 of 33 MiB read", "32 of 33 MiB read"]


def test_first_bad_block_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "layer").write_bytes(bytes(4 * MIB))
    bad = 2 * MIB + 5 * 4096
    real = os.preadv

    def preadv(descriptor: int, buffers: Sequence[bytearray], offset: int) -> int:
        if offset <= bad < offset + sum(map(len, buffers)):
            raise OSError(errno.EIO, "Input/output error")
        return real(descriptor, buffers, offset)

    monkeypatch.setattr(os, "preadv", preadv)
    found = collect.read_all(tmp_path / "layer", lambda text: None)
    assert found == {"size": 4 * MIB, "read": bad, "error": "Input/output error", "bad_offset": bad}


def test_device_that_is_not_there(tmp_path: Path) -> None:
    assert "No such file" in collect.read_all(tmp_path / "none", lambda text: None)["error"]


def test_only_our_layers_are_read(tmp_path: Path) -> None:
    for device, name in (("dm-0", "bootproof-base"), ("dm-1", "other"), ("dm-2", "bootproof-product")):
        (tmp_path / "sys" / device / "dm").mkdir(parents=True)
        (tmp_path / "sys" / device / "dm" / "name").write_text(name + "\n")
        (tmp_path / device).write_bytes(bytes(8192))
    layers = collect.verity_facts(lambda text: None, tmp_path / "sys", tmp_path)
    assert [layer["name"] for layer in layers] == ["bootproof-base", "bootproof-product"]
    assert all(layer["read"] == 8192 for layer in layers)
    # this machine's device mapper does not know them, and says so
    assert all(layer["status"] is None and layer["fault"] for layer in layers)


def test_tcsd_is_found_by_its_process(tmp_path: Path) -> None:
    for number, name in ((12, "bash"), (34, "tcsd"), (7, "init")):
        (tmp_path / str(number)).mkdir()
        (tmp_path / str(number) / "comm").write_text(name + "\n")
    (tmp_path / "99").mkdir()  # has just ended
    assert collect.tcsd_facts(tmp_path)["pid"] == 34
    (tmp_path / "34" / "comm").write_text("other\n")
    assert collect.tcsd_facts(tmp_path)["pid"] is None


def test_tpm_version_that_is_not_installed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("bootproof.process.environment", lambda extra=None: {"PATH": str(tmp_path)})
    monkeypatch.setenv("PATH", str(tmp_path))
    found = collect.tpm_version_facts()
    assert found["status"] is None
    assert "tpm_version" in found["output"]


def test_report_port_is_found_by_its_name(tmp_path: Path) -> None:
    assert find_port(tmp_path, Path("/dev")) is None
    for device, name in (("vport0p1", "org.qemu.guest_agent.0"), ("vport1p1", "org.bootproof.report")):
        (tmp_path / device).mkdir()
        (tmp_path / device / "name").write_text(name + "\n")
    assert find_port(tmp_path, Path("/dev")) == Path("/dev/vport1p1")
