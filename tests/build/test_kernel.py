# SPDX-License-Identifier: GPL-3.0-or-later
"""Modules on small trees: what they need comes along, in an order in which they can be loaded."""

from __future__ import annotations

import json
import lzma
import tarfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bootproof.build import kernel
from bootproof.build.kernel import Modules
from bootproof.errors import BootproofError

from .packages import real_deb


def module(depends: str = "", softdep: str = "", alias: str = "") -> bytes:
    fields = [("depends", depends), ("softdep", softdep), ("alias", alias)]
    info = b"\0".join(f"{key}={value}".encode() for key, value in fields if value or key == "depends")
    return b"\x7fELF junk depends=not-this \0license=GPL\0" + info + b"\0rest"


@pytest.fixture
def modules(tmp_path: Path) -> Modules:
    files = {
        "drivers/net/virtio_net.ko": module("failover,net-failover", alias="virtio:d00000001v*"),
        "net/core/failover.ko": module(),
        "drivers/net/net_failover.ko.xz": lzma.compress(module("failover")),
        "drivers/net/other.ko": module(alias="fs-other"),
        "fs/squashfs/squashfs.ko": module("", "pre: zstd-helper post: late"),
        "lib/zstd_helper.ko": module(),
    }
    for path, data in files.items():
        (tmp_path / "kernel" / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "kernel" / path).write_bytes(data)
    (tmp_path / "modules.builtin").write_text(
        "kernel/drivers/virtio/virtio_pci.ko\nkernel/fs/ext4/ext4.ko\n"
    )
    return Modules(tmp_path)


def test_what_is_needed_comes_first(modules: Modules) -> None:
    assert modules.closure(["virtio_net"], soft=False) == ["failover", "net_failover", "virtio_net"]
    assert modules.closure(["failover", "virtio_net"], soft=False) == [
        "failover",
        "net_failover",
        "virtio_net",
    ]


def test_soft_dependencies_only_if_asked_for_and_there(modules: Modules) -> None:
    assert modules.closure(["squashfs"], soft=False) == ["squashfs"]
    assert set(modules.closure(["squashfs"], soft=True)) == {"squashfs", "zstd_helper"}


def test_globs_and_folders(modules: Modules) -> None:
    assert set(modules.matching(["drivers/net"])) == {"virtio_net", "net_failover", "other"}
    assert modules.matching(["drivers/net/virtio_net"]) == ["virtio_net"]
    assert modules.matching(["kernel/drivers/net/net_failover/"]) == ["net_failover"]
    assert set(modules.matching(["drivers/net/*fail*", "fs/*"])) == {"net_failover", "squashfs"}
    assert modules.matching(["drivers/virtio", "fs/ext4"]) == []  # built in


def test_all_globs_that_match_nothing_are_named(modules: Modules) -> None:
    with pytest.raises(BootproofError, match="matches: drivers/nothing, fs/no"):
        modules.matching(["drivers/nothing", "drivers/net", "fs/no"])


def test_names_with_either_dash(modules: Modules) -> None:
    assert modules.named(["net-failover", "virtio_pci", "virtio-net"]) == ["net_failover", "virtio_net"]
    with pytest.raises(BootproofError, match="no module one, two"):
        modules.named(["one", "failover", "two"])


def test_drivers_are_told_from_the_rest_by_their_aliases(modules: Modules) -> None:
    assert modules.drives_devices("virtio_net")
    assert not modules.drives_devices("other")
    assert not modules.drives_devices("failover")


@given(st.binary(max_size=300))
def test_any_module_can_be_looked_at(data: bytes) -> None:
    assert set(kernel.modinfo(data)) <= {"depends", "softdep", "alias"}


def test_a_package_that_is_no_kernel(tmp_path: Path) -> None:
    deb = real_deb(tmp_path, "other", {"usr/share/x": b"x"})
    (tmp_path / "out").mkdir()
    with pytest.raises(BootproofError, match="is not a kernel package") as caught:
        kernel.unpack(tmp_path / "out", deb=deb, keep=[], initrd=[])
    assert "kernel.package" in caught.value.hint


def test_a_small_kernel_package(tmp_path: Path) -> None:
    home = "lib/modules/6.1-x/kernel/drivers/net"
    deb = real_deb(tmp_path, "linux", {
        "boot/vmlinuz-6.1-x": b"kernel", f"{home}/a.ko": module("b"), f"{home}/b.ko": module(),
        f"{home}/c.ko": module(),
        "lib/modules/6.1-x/modules.order": b"", "lib/modules/6.1-x/modules.builtin": b"",
    })  # fmt: skip
    out = tmp_path / "out"
    out.mkdir()
    try:
        notes = kernel.unpack(out, deb=deb, keep=["drivers/net/c"], initrd=["a"])
    except BootproofError as error:
        pytest.fail(str(error))
    assert notes[0] == "6.1-x"
    assert (out / "vmlinuz").read_bytes() == b"kernel"
    record = json.loads((out / "initrd.json").read_text())
    assert record["version"] == "6.1-x" and record["always"] == ["a"]
    assert [path.rpartition("/")[2] for path in record["files"]] == ["b.ko", "a.ko"]
    with tarfile.open(out / "modules.tar") as archive:
        members = {member.name: member for member in archive}
    assert {name.rpartition("/")[2] for name in members if name.endswith(".ko")} == {"a.ko", "b.ko", "c.ko"}
    assert all((each.uid, each.mtime) == (0, 0) for each in members.values())
    assert sorted(path.name for path in out.iterdir()) == ["initrd.json", "modules.tar", "vmlinuz"]
