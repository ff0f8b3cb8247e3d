# SPDX-License-Identifier: GPL-3.0-or-later
"""GRUB's scripts, read as GRUB reads them, or refused."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bootproof.measure import grubmenu
from bootproof.measure.expected import digests
from bootproof.measure.grubscript import parse
from bootproof.measure.predictionerror import PredictionError


@pytest.mark.parametrize(
    ("text", "commands"),
    [
        ("", []),
        ("a b\n\n  c;d", ["a b", "c", "d"]),
        ("a 'b  c' \"d'e\" f\\ g\n", ["a b  c d'e f g"]),
        ('a "b\\"c" "d\\e" \'f\\\'\n', ['a b"c d\\e f\\']),
        ("a # b\n# c\nd#e\n", ["a", "d#e"]),
        ("a b\\\nc \\\n d\n", ["a bc d"]),
        ("x=y\n", ["x=y"]),
        ("a '' b\n", ["a  b"]),
        ("m 'a b' {\n\tc 'd }' # }\n  e { f }\n}\ng", ["m a b {\n\tc 'd }' # }\n  e { f }\n}", "g"]),
        ("m {\n# not in it\n # in it\n}\n", ["m {\n # in it\n}"]),
        ("m { a $b }\n", ["m { a $b }"]),
    ],
)
def test_commands_are_what_grub_makes_of_the_text(text: str, commands: list[str]) -> None:
    assert [command.text for command in parse(text, "x")] == commands


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a\n\nif true; then b; fi", "menu, line 3: 'if' decides"),
        ("a $b", "line 1: '\\$'"),
        ('a "$b"', "line 1: '\\$'"),
        ("a | b", "line 1: '|'"),
        ("a }", "line 1: '}'"),
        ("m {\n a", "line 1: a block without an end"),
        ("\na 'b", "line 2: a quotation without an end"),
    ],
)
def test_what_cannot_be_told_is_refused_with_its_line(text: str, said: str) -> None:
    with pytest.raises(PredictionError, match=said):
        parse(text, "menu")


@given(st.text(alphabet="ab \t\n;#'\"\\{}$=", max_size=60))
def test_any_text_ends_in_commands_or_in_a_refusal(text: str) -> None:
    try:
        assert all(command.words for command in parse(text, "x"))
    except PredictionError as error:
        assert "line" in str(error)


def menu(text: str) -> grubmenu.Menu:
    return grubmenu.read("/menu", text.encode(), lambda path: digests(path.encode()))


@pytest.mark.parametrize("chosen", ["", "set default=0\n", "set default=a\n", "set default='A title'\n"])
def test_the_entry_that_starts_by_itself(chosen: str) -> None:
    text = f"{chosen}menuentry 'A title' --class x --id=a {{ linux /k; }}\nmenuentry b {{ linux /k; }}\n"
    read = menu(text)
    assert (read.default, list(read.entries)) == ("a", ["a", "b"])


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("menuentry a { linux /k; }\nset default=b", "no entry starts by itself"),
        ("menuentry a --on-fire { linux /k; }", "menuentry with --on-fire"),
        ("menuentry { linux /k; }", "without title"),
        ("menuentry a", "without title or block"),
        ("loadfont /f\nmenuentry a { linux /k; }", "'loadfont' reads is not known"),
    ],
)
def test_menus_that_cannot_be_told(text: str, said: str) -> None:
    with pytest.raises(PredictionError, match=said):
        menu(text)


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ("linux /k 'a b'", "blanks, quotes or backslashes"),
        ("linux (hd0)/k", "only files on the medium"),
        ("linux /k\nchainloader +1", "'chainloader' reads is not known"),
    ],
)
def test_entries_that_cannot_be_told(body: str, said: str) -> None:
    read = menu(f"menuentry a {{\n{body}\n}}\n")
    with pytest.raises(PredictionError, match=said):
        grubmenu.start(read, read.entries["a"], lambda _: digests(b""))


def test_words_behind_the_title_are_parameters() -> None:
    read = menu("menuentry 'A b' c --id d { linux /k; }\n")
    events = grubmenu.start(read, read.entries["d"], lambda _: digests(b""))
    assert events[0].text == "grub_cmd: setparams A b c"
    assert grubmenu.starts_kernel(read.entries["d"])
