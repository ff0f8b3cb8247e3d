# SPDX-License-Identifier: GPL-3.0-or-later
"""Finds a recipe and all it extends, merges them and checks the result; reports every fault at once."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from bootproof.recipe.faults import Fault, RecipeError, suggestion
from bootproof.recipe.model import RECIPE_NAME, Recipe
from bootproof.recipe.parse import Parsed, parse, table_faults
from bootproof.recipe.rules import RULES


@dataclass(frozen=True)
class RecipeSummary:
    """What `list` shows; the description of a file that cannot be read says so."""

    name: str
    description: str
    extends: str | None


@dataclass
class _Merge:
    """The merged tables so far, and which file set each dotted key last."""

    tables: dict[str, Any] = field(default_factory=dict)
    origin: dict[str, str] = field(default_factory=dict)
    faults: list[Fault] = field(default_factory=list)


def available(recipes_dir: Path) -> list[RecipeSummary]:
    """Return all recipes of a folder, by name; a broken file is listed too, with its first fault."""
    summaries = []
    for path in sorted(recipes_dir.glob("*.toml")):
        parsed = parse(path)
        description = parsed.tables.get("description")
        extends = parsed.tables.get("extends")
        if parsed.faults:
            description = f"unusable: {parsed.faults[0].problem}"
        summaries.append(
            RecipeSummary(path.stem, description if isinstance(description, str) else "",
                          extends if isinstance(extends, str) else None)
        )  # fmt: skip
    return summaries


def load(name_or_path: str, recipes_dir: Path, overlays_dir: Path) -> Recipe:
    """Return the recipe of that name in `recipes_dir`, or of that path to a .toml file; merged and checked.

    Raises `RecipeError` with all faults of the whole chain.
    """
    chain = _chain(_locate(name_or_path, recipes_dir), recipes_dir)
    faults = [fault for parsed in chain for fault in parsed.faults]
    faults += [fault for parsed in chain for fault in _overlay_faults(parsed, overlays_dir)]
    bad_keys = {_without_index(fault.key) for fault in faults}
    merge = _Merge()
    for parsed in reversed(chain):
        _merge_table(merge, merge.tables, parsed.sound, parsed.file, "")
    recipe = _build(merge, chain[0], faults)
    if recipe is not None and all(parsed.readable for parsed in chain):
        merge.faults += _contradictions(recipe, merge, chain[0].file, bad_keys)
    if faults or merge.faults or recipe is None:
        raise RecipeError((*faults, *merge.faults))
    return recipe


def _locate(name_or_path: str, recipes_dir: Path) -> Path:
    if "/" in name_or_path or name_or_path.endswith(".toml"):
        path = Path(name_or_path)
        if not re.fullmatch(RECIPE_NAME, path.stem) or path.suffix != ".toml":
            fault = Fault(str(path), "", "is no name for a recipe file", "a-z, 0-9 and -, then .toml")
            raise RecipeError([fault])
    else:
        path = recipes_dir / f"{name_or_path}.toml"
    if not path.is_file():
        raise RecipeError([Fault(str(path), "", *_no_such_recipe(path.stem, recipes_dir))])
    return path


def _no_such_recipe(name: str, recipes_dir: Path) -> tuple[str, str]:
    known = sorted(path.stem for path in recipes_dir.glob("*.toml"))
    return f'there is no recipe "{name}"{suggestion(name, known)}', ", ".join(known) or "none here"


def _chain(path: Path, recipes_dir: Path) -> list[Parsed]:
    """Return the recipe and its ancestors, nearest first; a fault ends the chain where it cannot go on."""
    chain = [parse(path)]
    seen = [path.resolve()]
    while (parent := chain[-1].sound.get("extends")) is not None:
        beside = path.parent / f"{parent}.toml"
        path = beside if beside.is_file() else recipes_dir / f"{parent}.toml"
        if path.resolve() in seen:
            loop = " -> ".join([*(parsed.name for parsed in chain), parent])
            fault = Fault(chain[-1].file, "extends", f"goes round in a circle: {loop}", "a recipe that ends")
        elif not path.is_file():
            fault = Fault(chain[-1].file, "extends", *_no_such_recipe(parent, recipes_dir))
        else:
            chain.append(parse(path))
            seen.append(path.resolve())
            continue
        chain[-1].faults.append(fault)
        chain[-1].readable = False
        break
    return chain


def _overlay_faults(parsed: Parsed, overlays_dir: Path) -> list[Fault]:
    known = sorted(path.name for path in overlays_dir.glob("*") if path.is_dir())
    return [
        Fault(parsed.file, f"overlays[{index}]", f'there is no folder "{name}"{suggestion(name, known)}',
              ", ".join(known) or f"none: {overlays_dir} is empty")
        for index, name in enumerate(parsed.sound.get("overlays", ()))
        if not name.startswith("!") and name not in known
    ]  # fmt: skip


def _merge_table(
    merge: _Merge, target: dict[str, Any], child: dict[str, Any], file: str, prefix: str
) -> None:
    for key, value in child.items():
        dotted = f"{prefix}{key}"
        if isinstance(value, dict):
            _merge_table(merge, target.setdefault(key, {}), value, file, f"{dotted}.")
            continue
        if isinstance(value, tuple):
            target[key] = _merge_list(merge, target.get(key, ()), value, file, dotted)
        else:
            target[key] = value
        merge.origin[dotted] = file
    if prefix == "layers." and "compression" in child and "level" not in child:
        # a level belongs to its algorithm; kept, it could not be taken back in TOML
        target.pop("level", None)


def _merge_list(
    merge: _Merge, parent: tuple[str, ...], child: tuple[str, ...], file: str, dotted: str
) -> tuple[str, ...]:
    """Return the parent's items less those that `!item` names, then the child's own; no duplicates."""
    removed = [item[1:] for item in child if item.startswith("!")]
    for index, item in enumerate(child):
        if item.startswith("!") and item[1:] not in parent:
            problem = f'"{item}" has nothing to remove{suggestion(item[1:], parent)}'
            allowed = f"items of the extended recipe: {', '.join(parent) or 'it has none'}"
            merge.faults.append(Fault(file, f"{dotted}[{index}]", problem, allowed))
    kept = [item for item in parent if item not in removed]
    return tuple(dict.fromkeys([*kept, *(item for item in child if not item.startswith("!"))]))


def _build(merge: _Merge, leaf: Parsed, faults: list[Fault]) -> Recipe | None:
    """Return the merged recipe, of all that is sound; None, and a fault, if a merged list broke its rule."""
    own = {key: leaf.sound.get(key) for key in ("description", "extends")}
    tables = merge.tables | own | {"name": leaf.name}
    if own["description"] is None:
        tables["description"] = (
            "missing"  # its fault is known already; the rest is to be judged all the same
        )
    try:
        return Recipe.model_validate(tables)
    except ValidationError as error:
        faults += table_faults(error, leaf.file)
        return None


def _contradictions(recipe: Recipe, merge: _Merge, leaf: str, bad_keys: set[str]) -> list[Fault]:
    """Return what the rules find; a rule that reads a key with a fault of its own is left out."""
    return [
        Fault(merge.origin.get(rule.keys[0], leaf), rule.keys[0], problem, allowed)
        for rule in RULES
        if not bad_keys & {*rule.keys, *(key.partition(".")[0] for key in rule.keys)}
        for problem, allowed in rule.check(recipe)
    ]


def _without_index(key: str) -> str:
    return key.partition("[")[0]
