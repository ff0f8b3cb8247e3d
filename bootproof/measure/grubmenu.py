# SPDX-License-Identifier: GPL-3.0-or-later
"""What GRUB-IMA measures from the menu on: the menu, its commands, and what the chosen entry loads.

Sources: grub/module/verifier.c for PCRs and texts; GNU GRUB Manual 2.12, "Commands", for what commands do.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from bootproof.measure.expected import Digests, Expected, of_text
from bootproof.measure.grubscript import Command, parse
from bootproof.measure.predictionerror import PredictionError

MENU_PCR = 5
LOADED_PCR = 8
_IPL = "IPL"
# Commands that read no file
_QUIET = frozenset(
    {"echo", "export", "serial", "set", "setparams", "sleep", "terminal_input", "terminal_output", "unset"}
)
_WITH_VALUE = ("--class", "--hotkey", "--id", "--users")
_WITHOUT_VALUE = ("--unrestricted",)
# In these GRUB would put quotes or backslashes into the kernel's command line
_QUOTED_IN_COMMAND_LINES = set(" \\'\"")

FileDigests = Callable[[str], Digests]


@dataclass(frozen=True, slots=True)
class Entry:
    """A menu entry: the events of its start follow `words`, its title and what stands beside it."""

    id: str
    words: tuple[str, ...]
    body: str


@dataclass(frozen=True, slots=True)
class Menu:
    """A menu that has been read: the events of reading it, its entries by id, and the one that starts by
    itself.
    """

    path: str
    events: tuple[Expected, ...]
    entries: dict[str, Entry]
    default: str


def read(path: str, content: bytes, digests_of: FileDigests) -> Menu:
    """Read the menu `path` as GRUB does; what cannot be told in advance is `PredictionError`."""
    try:
        text = content.decode()
    except UnicodeDecodeError:
        raise PredictionError(f"{path} is not UTF-8") from None
    commands = parse(text, path)
    menu = Expected(MENU_PCR, _IPL, f"menu {path}", digests_of(path))
    entries = [_entry(command, path) for command in commands if command.words[0] == "menuentry"]
    events = (menu, *_events(commands, path, digests_of))
    return Menu(path, events, {entry.id: entry for entry in entries}, _default(commands, entries, path))


def starts_kernel(entry: Entry) -> bool:
    """Tell whether an entry starts a kernel of the medium; a checker, say, does not."""
    return any(command.words[0] == "linux" for command in parse(entry.body, entry.id))


def start(menu: Menu, entry: Entry, digests_of: FileDigests) -> tuple[Expected, ...]:
    """Return the events of starting an entry."""
    setparams = Command(("setparams", *entry.words), 0)
    commands = (setparams, *parse(entry.body, f"{menu.path}, entry {entry.id}"))
    return tuple(_events(commands, menu.path, digests_of))


def _events(commands: Iterable[Command], where: str, digests_of: FileDigests) -> Iterator[Expected]:
    for command in commands:
        yield of_text(MENU_PCR, _IPL, command.text, "grub_cmd: ")
        name, *words = command.words
        if name == "linux":
            yield from _kernel(words, where, digests_of)
        elif name == "initrd":
            yield from (_file("initrd", path, digests_of) for path in words)
        elif name not in _QUIET and name != "menuentry":
            raise PredictionError(f"{where}: what the command '{name}' reads is not known")


def _kernel(words: list[str], where: str, digests_of: FileDigests) -> Iterator[Expected]:
    if not words or any(_QUOTED_IN_COMMAND_LINES & set(word) for word in words):
        raise PredictionError(f"{where}: blanks, quotes or backslashes in the kernel's words")
    yield _file("kernel", words[0], digests_of)
    yield of_text(LOADED_PCR, _IPL, " ".join(words), "kernel_cmdline: ")


def _file(kind: str, path: str, digests_of: FileDigests) -> Expected:
    if not path.startswith("/"):
        raise PredictionError(f"{kind} {path}: only files on the medium itself can be told in advance")
    return Expected(LOADED_PCR, _IPL, f"{kind} {path}", digests_of(path))


def _entry(command: Command, where: str) -> Entry:
    *words, block = command.words[1:] or ("",)
    options: dict[str, str] = {}
    plain: list[str] = []
    left = iter(words)
    for word in left:
        option, equals, value = word.partition("=")
        if option in _WITH_VALUE:
            options[option] = value if equals else next(left, "")
        elif word.startswith("--") and word not in _WITHOUT_VALUE:
            raise PredictionError(f"{where}, line {command.line}: menuentry with {word}")
        elif not word.startswith("--"):
            plain.append(word)
    if not plain or not block.startswith("{"):
        raise PredictionError(f"{where}, line {command.line}: a menuentry without title or block")
    return Entry(options.get("--id", plain[0]), tuple(plain), block[1:-1])


def _default(commands: Iterable[Command], entries: list[Entry], where: str) -> str:
    """Return the id of the entry that `default` names: by its id, its title or its number."""
    chosen = "0"
    for command in commands:
        assigned = command.words[1] if command.words[0] == "set" and len(command.words) > 1 else ""
        name, _, value = assigned.partition("=")
        if name == "default":
            chosen = value
    for number, entry in enumerate(entries):
        if chosen in (entry.id, entry.words[0], str(number)):
            return entry.id
    raise PredictionError(f"{where}: no entry starts by itself (default is {chosen!r})")
