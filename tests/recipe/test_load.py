# SPDX-License-Identifier: GPL-3.0-or-later
"""Loading and merging: what a chain of recipes comes to."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from bootproof.recipe import RecipeError, available, canonical, load
from tests.recipe.conftest import ROOT, Kitchen

PROJECT = Path(__file__).parents[2]


def test_a_child_inherits_merges_and_replaces(kitchen: Kitchen) -> None:
    recipe = kitchen.child(
        '[menu]\ntimeout = 9\n[packages]\ninstall = ["less", "python3"]\n[vm]\nmemory = 2048'
    )
    assert (recipe.name, recipe.extends, recipe.description) == ("child", "root", "A child")
    assert recipe.menu.timeout == 9
    assert recipe.vm.memory == 2048
    assert recipe.packages.install == ("systemd-sysv", "python3", "python3-typer", "python3-rich", "less")
    assert recipe.kernel.command_line == ("quiet", "console=tty0", "console=ttyS0")
    assert recipe.layers.level == 3


def test_removing_an_item_and_moving_one_to_the_end(kitchen: Kitchen) -> None:
    recipe = kitchen.child('[kernel]\ncommand_line = ["!quiet", "!console=tty0", "console=tty0"]')
    assert recipe.kernel.command_line == ("console=ttyS0", "console=tty0")


def test_a_chain_of_three(kitchen: Kitchen) -> None:
    kitchen.child('overlays = ["extra"]\n[menu]\ntimeout = 1', "middle")
    kitchen.write("leaf", 'description = "Leaf"\nextends = "middle"\noverlays = ["!common"]\n')
    recipe = kitchen.load("leaf")
    assert recipe.overlays == ("extra",)
    assert recipe.menu.timeout == 1
    assert recipe.description == "Leaf"


def test_a_new_compression_does_not_inherit_the_level(kitchen: Kitchen) -> None:
    assert kitchen.child('[layers]\ncompression = "xz"').layers.level is None
    assert kitchen.child('[layers]\ncompression = "gzip"\nlevel = 9').layers.level == 9


def test_a_recipe_by_path_finds_its_parent(kitchen: Kitchen, tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text('description = "Mine"\nextends = "root"\n')
    assert kitchen.load(str(path)).overlays == ("common",)
    (tmp_path / "root.toml").write_text(ROOT.replace("quiet", "debug"))
    assert kitchen.load(str(path)).kernel.command_line[0] == "debug"


def test_a_recipe_is_frozen(kitchen: Kitchen) -> None:
    with pytest.raises(ValidationError):
        kitchen.load("root").menu.timeout = 5


def test_canonical_is_json_and_tells_content_not_origin(kitchen: Kitchen) -> None:
    kitchen.child("", "same")
    first = canonical(kitchen.load("same"))
    assert json.loads(json.dumps(first)) == first
    kitchen.write("same", ROOT.replace("A root recipe", "A child"))
    assert canonical(kitchen.load("same")) == first
    assert canonical(kitchen.child("[menu]\ntimeout = 1", "same")) != first


def test_available_lists_broken_recipes_too(kitchen: Kitchen) -> None:
    kitchen.child("")
    kitchen.write("wrong", "description = ")
    listed = {one.name: one for one in available(kitchen.recipes)}
    assert list(listed) == ["child", "root", "wrong"]
    assert (listed["child"].description, listed["child"].extends) == ("A child", "root")
    assert listed["wrong"].description.startswith("unusable: is not TOML")
    assert available(kitchen.recipes / "none") == []


@pytest.mark.parametrize("name", ["base", "demo", "minimal"])
def test_the_shipped_recipes_are_right(name: str) -> None:
    recipe = load(name, PROJECT / "recipes", PROJECT / "overlays")
    assert recipe.init == ("serial" if name == "minimal" else "systemd")
    assert {"python3", "python3-typer", "python3-rich"} <= set(recipe.packages.install)


@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(content=st.binary(max_size=300))
def test_any_bytes_end_in_a_recipe_error(kitchen: Kitchen, content: bytes) -> None:
    kitchen.write("noise", content)
    with pytest.raises(RecipeError):
        kitchen.load("noise")


_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["level", "x"]), inner, max_size=2)
    ),
    max_leaves=6,
)
_KEYS = st.sampled_from(
    ["name", "extends", "suite", "overlays", "kernel", "packages", "menu", "layers", "smoke", "x"]
)


def _toml(value: object) -> str:
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key} = {_toml(item)}" for key, item in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(_toml, value)) + "]"
    return '""' if value is None else json.dumps(value)


@settings(max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(tables=st.dictionaries(_KEYS, _VALUES, max_size=4))
def test_any_tables_are_a_recipe_or_a_recipe_error(kitchen: Kitchen, tables: dict[str, object]) -> None:
    kitchen.write("noise", "\n".join(f"{key} = {_toml(value)}" for key, value in tables.items()))
    with pytest.raises(RecipeError) as caught:
        kitchen.load("noise")
    assert "description: is missing" in str(caught.value) or "is not TOML" in str(caught.value)
