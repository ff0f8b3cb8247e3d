# SPDX-License-Identifier: GPL-3.0-or-later
"""Command lines in swtpm's way: getopt's words, and key=value,... behind an option. Faults are collected."""

from __future__ import annotations

import grp
import pwd
from collections.abc import Collection, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True)
class Syntax:
    """The options that a command line can have; `short` maps a letter to its long form."""

    switches: Collection[str]
    with_value: Collection[str]
    short: Mapping[str, str]
    refused: Mapping[str, str] = field(default_factory=dict)  # what to say about options that swtpm has

    def split(self, arguments: list[str], faults: list[str]) -> dict[str, str]:
        """Return the options that were given with their values (switches: empty)."""
        given: dict[str, str] = {}
        rest = list(arguments)
        while rest:
            word = rest.pop(0)
            if word.startswith("--"):
                name, equals, value = word.partition("=")
                self._take(self._whole(name), value if equals else None, rest, given, faults)
            elif word.startswith("-") and len(word) > 1:
                self._cluster(word[1:], rest, given, faults)
            else:
                faults.append(f"unknown option {word}; --help lists them")
        return given

    def _cluster(self, letters: str, rest: list[str], given: dict[str, str], faults: list[str]) -> None:
        """Take single-letter options; the first one with a value has what follows it in the same word."""
        while letters:
            name, letters = self.short.get(letters[0], f"-{letters[0]}"), letters[1:]
            if name in self.switches:
                self._take(name, None, rest, given, faults)
            else:
                self._take(name, letters.removeprefix("=") or None, rest, given, faults)
                return

    def _whole(self, name: str) -> str:
        """Return the option that a name begins, if it is only one."""
        known = (*self.switches, *self.with_value, *self.refused)
        found = [option for option in known if option.startswith(name)]
        return found[0] if len(found) == 1 and name != "--" and name not in known else name

    def _take(
        self, name: str, value: str | None, rest: list[str], given: dict[str, str], faults: list[str]
    ) -> None:
        if name in self.refused:
            faults.append(f"{name}: {self.refused[name]}")
        elif name in self.switches:
            given[name] = ""
            if value is not None:
                faults.append(f"{name}: takes no value")
        elif name not in self.with_value:
            faults.append(f"unknown option {name}; --help lists them")
        elif value is None and (not rest or rest[0].startswith("-")):
            faults.append(f"{name}: needs a value")
        else:
            if name in given:
                faults.append(f"{name}: is given twice")
            given[name] = rest.pop(0) if value is None else value


class Values:
    """The key=value,... part of one option; what nobody asks for is a fault."""

    def __init__(self, option: str, text: str, faults: list[str]) -> None:
        self.option = option
        self._faults = faults
        self._values: dict[str, str] = {}
        for part in text.split(","):
            key, _, value = part.partition("=")
            if key in self._values:
                self.fault(f"{key} is given twice")
            self._values[key] = value
        self._known: list[str] = []

    def fault(self, text: str) -> None:
        """Note a fault of this option."""
        self._faults.append(f"{self.option}: {text}")

    def text(self, key: str) -> str | None:
        """Return the value of a key, None if it is not there."""
        self._known.append(key)
        value = self._values.pop(key, None)
        if value == "":
            self.fault(f"{key}= needs a value")
            return None
        return value

    def word(self) -> str:
        """Return the text of an option that has no keys."""
        values, self._values = self._values, {}
        return ",".join(f"{key}={value}" if value else key for key, value in values.items())

    def switch(self, key: str) -> bool:
        """Return whether a key is there that may be followed by =true or =false."""
        self._known.append(key)
        value = self._values.pop(key, "false")
        if value not in ("", "true", "false"):
            self.fault(f"{key}={value} is not {key}, {key}=true or {key}=false")
        return value in ("", "true")

    def choice(self, key: str, choices: Collection[str], default: str) -> str:
        """Return the value of a key that has to be one of a few words."""
        value = self.text(key)
        if value is not None and value not in choices:
            self.fault(f"{key}={value} is not one of {', '.join(choices)}")
            return default
        return value or default

    def number(self, key: str, highest: int, base: int = 10) -> int | None:
        """Return the value of a key that has to be a number from 0 to `highest`."""
        value = self.text(key)
        if value is None:
            return None
        try:
            number = int(value, base)
        except ValueError:
            number = -1
        if not 0 <= number <= highest:
            what = "octal number" if base == 8 else f"number from 0 to {highest}"
            self.fault(f"{key}={value} is not a{'n' if base == 8 else ''} {what}")
            return None
        return number

    def identity(self, key: str, highest: int) -> int | None:
        """Return the value of a key `uid` or `gid`: a number, or a name that this machine knows."""
        value = self.text(key)
        if value is None:
            return None
        with suppress(ValueError):
            if 0 <= int(value) <= highest:
                return int(value)
        try:
            return pwd.getpwnam(value).pw_uid if key == "uid" else grp.getgrnam(value).gr_gid
        except (KeyError, ValueError):
            self.fault(f"{key}={value} is nobody that this machine knows")
            return None

    def path(self, key: str) -> Path | None:
        """Return the value of a key that names a file."""
        value = self.text(key)
        return None if value is None else Path(value)

    def end(self) -> None:
        """Note what nobody has asked for."""
        for key in self._values:
            self.fault(f"unknown {key or 'empty part'}; known: {', '.join(self._known)}")
