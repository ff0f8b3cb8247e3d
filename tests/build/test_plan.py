# SPDX-License-Identifier: GPL-3.0-or-later
"""Which change makes which steps anew; the manifest; tool versions; room."""

from __future__ import annotations

import dataclasses
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from bootproof import recipe as recipes
from bootproof.build import manifest, needs, toolchain
from bootproof.build.boot import CommandLine
from bootproof.build.debs import DebStore
from bootproof.build.files import sha256_of
from bootproof.build.plan import Plan
from bootproof.build.settings import Settings
from bootproof.build.steps import Step
from bootproof.build.verity import Verity
from bootproof.errors import HostError
from bootproof.host import tools
from bootproof.recipe import Recipe

from .packages import lock, package

PROJECT = Path(__file__).parents[2]
LOCK = lock(package(b"one"))


@pytest.fixture
def project(tmp_path: Path) -> Path:
    for name in ("bootproof", "overlays", "initrd", "grub"):
        shutil.copytree(
            PROJECT / name, tmp_path / name, symlinks=True, ignore=shutil.ignore_patterns("__pycache__")
        )
    return tmp_path


@pytest.fixture
def demo() -> Recipe:
    return recipes.load("demo", PROJECT / "recipes", PROJECT / "overlays")


def layers(folder: Path, root: str = "ab" * 32) -> tuple[Path, Path]:
    """Make the results of the layer steps, as far as the ISO's step looks at them."""
    found = []
    for name in ("base", "product"):
        place = folder / name / root[:8]
        place.mkdir(parents=True, exist_ok=True)
        Verity(3, root).save(place / "verity.json")
        digest = sha256_of(place / "verity.json")
        (place / "step.json").write_text(json.dumps({"results": {"verity.json": digest}}))
        found.append(place)
    return found[0], found[1]


def ids(plan: Plan, folder: Path) -> dict[str, str]:
    steps: list[Step] = [plan.tree, plan.kernel, plan.base_layer, plan.product_layer, plan.initrd, plan.grub]
    return {step.name: step.id for step in (*steps, plan.iso(*layers(folder)))}


def changed(project: Path, recipe: Recipe, change: Callable[[Plan], Plan | None]) -> set[str]:
    def plan() -> Plan:
        return Plan(recipe, LOCK, 1000, project, DebStore(project), project)

    before = ids(plan(), project / "layers")
    after = ids(change(plan()) or plan(), project / "layers")
    return {name for name in before if before[name] != after[name]}


def edit(path: Path) -> None:
    path.write_text(path.read_text() + "\n# changed\n")


def test_nothing_changes_by_itself(project: Path, demo: Recipe) -> None:
    assert changed(project, demo, lambda plan: plan) == set()


@pytest.mark.parametrize(
    ("path", "steps"),
    [
        ("overlays/base/etc/fstab", {"product", "iso"}),
        ("bootproof/cli/pcr.py", {"product", "iso"}),
        ("bootproof/recipe/load.py", set()),
        ("grub/grub.cfg.j2", {"iso"}),
        ("grub/early.cfg", {"grub", "iso"}),
        ("initrd/init", {"initrd", "iso"}),
        ("initrd/ima-policy/exec", {"initrd", "iso"}),
        ("initrd/ima-policy/full", set()),
    ],
)
def test_a_changed_file_changes_what_it_is_in_and_no_more(
    project: Path, demo: Recipe, path: str, steps: set[str]
) -> None:
    assert changed(project, demo, lambda _: edit(project / path)) == steps


@pytest.mark.parametrize(
    ("update", "steps"),
    [
        ({"smoke": {"memory": 512}}, set()),
        ({"menu": {"timeout": 9}}, {"iso"}),
        ({"kernel": {"command_line": ("quiet",)}}, {"iso"}),
        ({"kernel": {"modules": ("net/packet",)}}, {"kernel", "base", "initrd", "iso"}),
        ({"kernel": {"blacklist": ("floppy",)}}, {"product", "iso"}),
        ({"packages": {"exclude_paths": ("/usr/share/doc",)}}, {"base", "iso"}),
        ({"layers": {"level": 9}}, {"base", "product", "iso"}),
        ({"ima": {"policy": "full"}}, {"initrd", "product", "iso"}),
    ],
)
def test_a_changed_setting_changes_what_it_decides(
    project: Path, demo: Recipe, update: dict[str, dict[str, object]], steps: set[str]
) -> None:
    parts = {key: getattr(demo, key).model_copy(update=value) for key, value in update.items()}
    other = demo.model_copy(update=parts)
    assert changed(project, demo, lambda plan: dataclasses.replace(plan, recipe=other)) == steps


def test_a_package_an_epoch_or_a_tool_changes_its_steps(
    project: Path, demo: Recipe, monkeypatch: pytest.MonkeyPatch
) -> None:
    new = dataclasses.replace(LOCK, kernel=(package(b"two"),))
    assert changed(project, demo, lambda plan: dataclasses.replace(plan, lock=new)) == {
        "kernel",
        "base",
        "initrd",
        "iso",
    }
    assert changed(project, demo, lambda plan: dataclasses.replace(plan, epoch=7)) == {
        "base",
        "product",
        "iso",
    }
    real = toolchain.versions

    def newer(plan: Plan) -> Plan:
        monkeypatch.setattr(
            toolchain,
            "versions",
            lambda *names: {**real(*names)} | ({"zstd": "99"} if "zstd" in names else {}),
        )
        return dataclasses.replace(plan)

    assert changed(project, demo, newer) == {"initrd", "iso"}


def test_the_label_is_short_enough_and_tells_images_apart(project: Path, demo: Recipe) -> None:
    long = demo.model_copy(update={"name": "a-very-long-name-of-a-recipe"})
    plan = Plan(long, LOCK, 1000, project, DebStore(project), project)
    labels = {plan._command_line(*layers(project, root * 32)).label for root in ("ab", "cd")}
    assert len(labels) == 2
    assert all(len(label) <= 32 and label.startswith("BOOTPROOF_A_VERY_LONG_N_") for label in labels)


def test_dpkgs_status_gives_versions(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    status = tmp_path / "status"
    status.write_text(
        "Package: gcc\nStatus: install ok installed\nVersion: 4:14.2-1\n\n"
        "Package: gcc-doc\nStatus: install ok installed\nVersion: 1\n\n"
        "Package: gone\nStatus: deinstall ok config-files\nVersion: 2\n"
    )
    monkeypatch.setattr(toolchain, "STATUS", status)
    toolchain._status.cache_clear()
    try:
        assert toolchain.versions("gcc", "gone", "never") == {
            "gcc": "4:14.2-1",
            "gone": "unknown",
            "never": "unknown",
        }
        toolchain._status.cache_clear()
        monkeypatch.setattr(toolchain, "STATUS", tmp_path / "none")
        assert toolchain.versions("gcc") == {"gcc": "unknown"}
    finally:
        toolchain._status.cache_clear()


def test_the_manifest_lists_every_file(tmp_path: Path, demo: Recipe) -> None:
    (tmp_path / "kernel").write_bytes(b"k")
    (tmp_path / "files.json").write_text('[{"path": "/x", "size": 1, "sha256": "00"}]')
    line = CommandLine("LABEL", Verity(1, "ab"), Verity(2, "cd"), "/sbin/init", "sha256", ())
    found = manifest.describe(
        demo, line, {"/live/vmlinuz": tmp_path / "kernel"}, {"base": tmp_path / "files.json"}
    )
    assert json.loads(json.dumps(found)) == found
    assert found["iso"] == {"/live/vmlinuz": sha256_of(tmp_path / "kernel")}
    assert found["files"]["base"][0]["path"] == "/x"
    assert list(found["command_lines"]) == ["live", "toram", "rescue"]
    assert found["layers"]["product"] == {"blocks": 2, "root_hash": "cd"}


def test_tool_versions_are_told_apart_from_nothing() -> None:
    found = manifest.tool_versions(["squashfs-tools", "zstd"])
    assert "mksquashfs" in found["squashfs-tools"] and "1." in found["zstd"]


def test_room_is_asked_for_before_the_work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: dict[Path, int] = {}
    monkeypatch.setattr(tools, "require_disk", lambda path, size: asked.update({path: size}))
    monkeypatch.setenv("TMPDIR", str(tmp_path / "work"))
    needs.require_room(LOCK, tmp_path, with_tree=False)
    assert list(asked) == [tmp_path]
    less = asked[tmp_path]
    needs.require_room(LOCK, tmp_path, with_tree=True)
    assert asked[tmp_path] > less and asked[tmp_path / "work"] > 0


def test_folders_that_cannot_be_written_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for output, cache, named in (("/proc/x", tmp_path, "/proc/x"), (tmp_path, "/proc/y", "/proc/y")):
        with pytest.raises(HostError, match=f"cannot write to {named}"):
            needs.require_host(Settings(output=Path(output), cache=Path(cache)))
    monkeypatch.setenv("TMPDIR", "/proc/z")
    with pytest.raises(HostError, match="cannot write to /proc/z") as caught:
        needs.require_host(Settings(output=tmp_path, cache=tmp_path))
    assert "TMPDIR" in caught.value.hint
