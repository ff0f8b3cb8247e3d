# SPDX-License-Identifier: GPL-3.0-or-later
"""GRUB's scripts, as far as our menus use them: simple commands, quotes, comments and blocks.

What depends on the machine (variables, conditions, loops) is refused: a wrong prediction is worse than none.
Source: GNU GRUB Manual 2.12, "Shell-like scripting".
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from bootproof.measure.predictionerror import PredictionError

_BLANK = " \t"
_END = "\n;"
_ESCAPED = ('"', "\\", "$", "\n")  # in double quotes; before anything else a backslash is one
_REFUSED = "|&<>}{$"
_KEYWORDS = frozenset(
    {
        "if", "then", "elif", "else", "fi", "for", "in", "while", "until", "do", "done", "case", "esac",
        "function", "select", "time", "[[", "]]", "!",
    }
)  # fmt: skip
_WHOLE_LINE_COMMENT = re.compile(r"^#.*\n", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Command:
    """A command: its words without quotes. A block is one word, with braces, as it stands in the text."""

    words: tuple[str, ...]
    line: int

    @property
    def text(self) -> str:
        """What GRUB hands to verifiers before it runs the command."""
        return " ".join(self.words)


def parse(text: str, name: str) -> tuple[Command, ...]:
    """Return the commands of a script; `name` is the script's in errors."""
    return tuple(_Scanner(text, name).commands())


class _Scanner:
    def __init__(self, text: str, name: str) -> None:
        self.text = text
        self.name = name
        self.at = 0

    def commands(self) -> Iterator[Command]:
        """Yield all commands up to the end."""
        while self.at < len(self.text):
            line = self._line
            words = self._words()
            if words:
                if words[0] in _KEYWORDS:
                    raise self._refused(f"'{words[0]}' decides while the machine starts", line)
                yield Command(tuple(words), line)

    def _words(self) -> list[str]:
        """Read one command, and the end of line or semicolon behind it."""
        words: list[str] = []
        while (letter := self._next()) is not None:
            if letter in _BLANK:
                self.at += 1
            elif letter in _END:
                self.at += 1
                break
            elif letter == "#":
                self._comment()
            elif letter == "{":
                words.append(self._block())
            else:
                words.append(self._word())
        return words

    def _next(self) -> str | None:
        """Return the next character, behind line breaks that a backslash takes back."""
        while self.text.startswith("\\\n", self.at):
            self.at += 2
        return self.text[self.at] if self.at < len(self.text) else None

    def _comment(self) -> None:
        end = self.text.find("\n", self.at)
        self.at = len(self.text) if end < 0 else end

    def _block(self) -> str:
        """GRUB passes over lines that begin with '#' when it reads the file: they are not in the block."""
        start, line = self.at, self._line
        self.at += 1
        while (letter := self._next()) is not None:
            if letter == "}":
                self.at += 1
                return _WHOLE_LINE_COMMENT.sub("", self.text[start : self.at])
            if letter == "{":
                self._block()
            elif letter == "#":
                self._comment()
            elif letter in _BLANK + _END:
                self.at += 1
            else:
                self._word(in_block=True)
        raise self._refused("a block without an end", line)

    def _word(self, *, in_block: bool = False) -> str:
        word: list[str] = []
        while (letter := self._next()) is not None and letter not in _BLANK + _END:
            if letter in "'\"":
                word.append(self._quoted(letter, in_block))
            elif letter == "\\":
                word.append(self.text[self.at + 1 : self.at + 2])
                self.at += 2
            elif letter in _REFUSED and not in_block:
                raise self._refused(f"'{letter}' is nothing that can be told in advance", self._line)
            elif letter in "{}":
                break
            else:
                word.append(letter)
                self.at += 1
        return "".join(word)

    def _quoted(self, quote: str, in_block: bool) -> str:
        line = self._line
        text: list[str] = []
        self.at += 1
        while self.at < len(self.text):
            letter = self.text[self.at]
            self.at += 1
            if letter == quote:
                return "".join(text)
            if quote == '"' and letter == "$" and not in_block:
                raise self._refused("'$' is nothing that can be told in advance", line)
            if quote == '"' and letter == "\\" and self.text[self.at : self.at + 1] in _ESCAPED:
                letter = self.text[self.at].replace("\n", "")
                self.at += 1
            text.append(letter)
        raise self._refused("a quotation without an end", line)

    @property
    def _line(self) -> int:
        return self.text.count("\n", 0, self.at) + 1

    def _refused(self, why: str, line: int) -> PredictionError:
        return PredictionError(f"{self.name}, line {line}: {why}")
