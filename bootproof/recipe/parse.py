# SPDX-License-Identifier: GPL-3.0-or-later
"""One recipe file: read, checked key by key against the model, its sound part kept for merging."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo

from bootproof.recipe.faults import Fault, suggestion
from bootproof.recipe.model import Recipe

MAX_BYTES = 1 << 20
_KINDS = {
    "string_type": "text",
    "int_type": "a whole number",
    "int_from_float": "a whole number",
    "tuple_type": "a list",
    "model_type": "a table",
    "model_attributes_type": "a table",
}


@dataclass
class Parsed:
    """A file's content: `tables` as written (lists as tuples), `sound` without the keys that have faults."""

    file: str
    name: str
    tables: dict[str, Any] = field(default_factory=dict)
    sound: dict[str, Any] = field(default_factory=dict)
    faults: list[Fault] = field(default_factory=list)
    readable: bool = True


def parse(path: Path) -> Parsed:
    """Return a file's content with all its faults; whatever the bytes, it does not raise."""
    parsed = Parsed(str(path), path.stem)
    try:
        parsed.tables = _read(path)
    except ValueError as error:
        parsed.faults.append(Fault(parsed.file, "", str(error)))
        parsed.readable = False
        return parsed
    parsed.sound = _copy(parsed.tables)
    try:
        Recipe.model_validate(_unmarked(parsed.tables) | {"name": parsed.name})
    except ValidationError as error:
        parsed.faults += table_faults(error, parsed.file)
        for one in error.errors(include_url=False):
            _drop(parsed.sound, one["loc"])
    if "name" in parsed.tables:
        parsed.sound.pop("name", None)
        parsed.faults.append(Fault(parsed.file, "name", "is given by the name of the file", "leave it out"))
    parsed.faults += _duplicates(parsed.sound, parsed.file)
    return parsed


def _read(path: Path) -> dict[str, Any]:
    """Return a file as plain tables; raises ValueError, with the line, for whatever is wrong with it."""
    try:
        with path.open("rb") as stream:
            content = stream.read(MAX_BYTES + 1)
    except OSError as error:
        raise ValueError(f"cannot be read: {error.strerror}") from None
    if len(content) > MAX_BYTES:
        raise ValueError(f"is larger than {MAX_BYTES} bytes")
    try:
        tables: dict[str, Any] = _as_tuples(tomllib.loads(content.decode()))
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise ValueError(f"is not UTF-8 (at line {line})") from None
    except tomllib.TOMLDecodeError as error:
        raise ValueError(f"is not TOML: {error}") from None
    except RecursionError:
        raise ValueError("is nested too deeply") from None
    except ValueError as error:  # int() refuses numbers of thousands of digits
        raise ValueError(f"has a value that is out of range: {error}") from None
    return tables


def table_faults(error: ValidationError, file: str) -> list[Fault]:
    """Return pydantic's findings as faults with dotted keys."""
    faults = []
    for one in error.errors(include_url=False):
        loc, kind = one["loc"], one["type"]
        if kind == "extra_forbidden":
            known = list(_table_at(loc[:-1]).model_fields)
            problem, allowed = f"unknown key{suggestion(str(loc[-1]), known)}", ", ".join(known)
        else:
            problem, allowed = _problem(kind, one["input"]), allowed_at(loc)
        faults.append(Fault(file, _dotted(loc), problem, allowed))
    return faults


def _problem(kind: str, value: Any) -> str:
    if kind == "missing":
        return "is missing"
    if kind in _KINDS:
        return f"must be {_KINDS[kind]}, not {_shown(value)}"
    if kind == "too_short":
        return "must not be empty"
    return f"{_shown(value)} is not allowed"


def _shown(value: Any) -> str:
    if isinstance(value, Mapping):
        return "a table"
    if isinstance(value, tuple):
        return "a list"
    if isinstance(value, bool):
        return str(value).lower()
    text = f'"{value}"' if isinstance(value, str) else str(value)
    return text if len(text) <= 80 else f"{text[:77]}..."


def allowed_at(loc: tuple[int | str, ...]) -> str:
    """Return the allowed values, in words, of the setting at a pydantic location."""
    names = [step for step in loc if isinstance(step, str)]
    info = _table_at(tuple(names[:-1])).model_fields.get(names[-1]) if names else None
    return allowed_values(info) if info is not None else ""


def allowed_values(info: FieldInfo) -> str:
    """Return the allowed values of a field in words: as it says itself, or from its type and bounds."""
    if isinstance(info.json_schema_extra, dict) and "allowed" in info.json_schema_extra:
        return str(info.json_schema_extra["allowed"])
    annotation = info.annotation
    if get_origin(annotation) is tuple:
        annotation = get_args(annotation)[0]
    if get_origin(annotation) is Literal:
        return ", ".join(get_args(annotation))
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return ", ".join(annotation.model_fields)
    low = next((item.ge for item in info.metadata if hasattr(item, "ge")), None)
    high = next((item.le for item in info.metadata if hasattr(item, "le")), None)
    return f"{low} to {high}"


def _table_at(loc: tuple[int | str, ...]) -> type[BaseModel]:
    table: type[BaseModel] = Recipe
    for step in loc:
        annotation = table.model_fields[str(step)].annotation
        assert isinstance(annotation, type)
        assert issubclass(annotation, BaseModel)
        table = annotation
    return table


def _dotted(loc: tuple[int | str, ...]) -> str:
    text = ""
    for step in loc:
        text += f"[{step}]" if isinstance(step, int) else f".{step}"
    return text.removeprefix(".")


def _as_tuples(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _as_tuples(item) for key, item in value.items()}
    return tuple(map(_as_tuples, value)) if isinstance(value, list) else value


def _unmarked(value: Any) -> Any:
    """Return the tables with the `!` of list items taken off, for the check of what they name."""
    if isinstance(value, dict):
        return {key: _unmarked(item) for key, item in value.items()}
    if isinstance(value, tuple):
        return tuple(item.removeprefix("!") if isinstance(item, str) else item for item in value)
    return value


def _copy(tables: dict[str, Any]) -> dict[str, Any]:
    return {key: _copy(value) if isinstance(value, dict) else value for key, value in tables.items()}


def _drop(tables: dict[str, Any], loc: tuple[int | str, ...]) -> None:
    """Take the setting at `loc` out of the tables; a list goes as a whole."""
    names = [step for step in loc if isinstance(step, str)]
    for name in names[:-1]:
        inner = tables.get(name)
        if not isinstance(inner, dict):
            break
        tables = inner
    tables.pop(names[-1], None)


def _duplicates(tables: dict[str, Any], file: str, prefix: str = "") -> list[Fault]:
    faults = []
    for key, value in tables.items():
        if isinstance(value, dict):
            faults += _duplicates(value, file, f"{prefix}{key}.")
        elif isinstance(value, tuple):
            faults += [
                Fault(file, f"{prefix}{key}[{index}]", f'"{item}" is there twice', "each item once")
                for index, item in enumerate(value)
                if item in value[:index]
            ]
    return faults
