# SPDX-License-Identifier: GPL-3.0-or-later
"""The list of tools, and the one error for all that is missing."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest

from bootproof.errors import ExitCode, HostError
from bootproof.host import tools
from bootproof.host.tools import Tool


@pytest.fixture
def bare(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A machine whose only program is mksquashfs."""
    (tmp_path / "mksquashfs").write_text("#!/bin/sh\n")
    (tmp_path / "mksquashfs").chmod(0o755)
    monkeypatch.setattr("bootproof.process.environment", lambda: {"PATH": str(tmp_path)})
    return tmp_path


def test_the_list_is_complete_and_each_tool_has_a_line_of_its_own() -> None:
    listed = tools.tools()
    lines = [line for line in tools.LIST.read_text().splitlines() if line.startswith("    {")]
    assert [re.findall(r'name = "([^"]+)", package = "([^"]+)"', line) for line in lines] == [
        [(tool.name, tool.package)] for tool in listed.values()
    ]
    verbs = {"build", "run", "smoke", "verify-reproducible", "test", "bench"}
    assert all(tool.verbs and set(tool.verbs) <= verbs for tool in listed.values())
    assert {"mmdebstrap", "mksquashfs"} <= set(tools.needed_by("build"))
    assert "qemu-system-x86_64" in tools.needed_by("smoke")
    assert "swtpm" not in tools.needed_by("build", "run", "smoke")


def test_locate_finds_programs_and_files(bare: Path) -> None:
    assert tools.locate(tools.tools()["mksquashfs"]) == bare / "mksquashfs"
    assert tools.locate(tools.tools()["zstd"]) is None
    (bare / "lib3").mkdir()
    (bare / "lib3" / "x").touch()
    assert tools.locate(Tool("x", "x", "", ("build",), f"{bare}/lib*/x")) == bare / "lib3" / "x"
    assert tools.locate(Tool("x", "x", "", ("build",), f"{bare}/none/x")) is None


def test_one_error_names_all_that_is_missing(bare: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    with pytest.raises(HostError) as caught:
        tools.require(["mksquashfs", "zstd", "unsquashfs", "depmod"])
    assert caught.value.message == "missing on this machine: zstd, unsquashfs, depmod"
    assert caught.value.hint == (
        "to install: sudo apt-get install --no-install-recommends kmod squashfs-tools zstd"
    )
    assert caught.value.code is ExitCode.HOST
    tools.require(["mksquashfs"])


def test_root_needs_no_sudo(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    assert tools.install_command([tools.tools()["zstd"]]).startswith("apt-get ")


def test_disk_space_is_asked_of_the_nearest_folder_that_exists(tmp_path: Path) -> None:
    target = tmp_path / "not" / "yet"
    tools.require_disk(target, 1)
    with pytest.raises(HostError, match=r"has \d+ MiB of free space, 1125899906842624 are needed"):
        tools.require_disk(target, 1 << 70)
    assert not target.exists()


def test_writable(tmp_path: Path) -> None:
    assert tools.writable(tmp_path / "new" / "folder")
    assert not tools.writable(Path("/proc/new"))
