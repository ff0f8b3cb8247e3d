# SPDX-License-Identifier: GPL-3.0-or-later
"""Where two transcripts may differ: what is new every time, and what our TPM does differently on purpose."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True)
class Difference:
    """A line of swtpm's transcript (a regular expression) and what stands in ours instead."""

    swtpm: str
    ours: str
    why: str


DIFFERENCES = (
    Difference(r"\| (  Chip Version: +)1\.2\.\d+\.\d+", r"| \g<1>1.2.0.1", "who made it"),
    Difference(r"\| (  TPM Vendor ID: +)IBM.", r"| \g<1>BTPF", "who made it"),
    Difference(r"\| (  Manufacturer Info: +)49424d00", r"| \g<1>42545046", "who made it"),
    Difference(
        r"\|   TPM Test Results: [0-9a-f ]+",
        "|   TPM Test Results: 70617373 6564",
        "the text is the maker's: swtpm counts its starts and stops, ours says `passed`",
    ),
    Difference(r"> GetTestResult \d+ bytes", "> GetTestResult 20 bytes", "the text is the maker's"),
)

# Keys and random numbers are shown as rows of words.
VOLATILE = (re.compile(r"^(\| \t)[0-9a-f]{8}( [0-9a-f]{8})+$"),)


def expected(swtpm: Iterable[str]) -> list[str]:
    """Return the transcript that ours must have, made from swtpm's."""
    return [_translated(line) for line in comparable(swtpm)]


def comparable(transcript: Iterable[str]) -> list[str]:
    """Return a transcript without what is new every time."""
    return [_without_volatile(line) for line in transcript]


def _translated(line: str) -> str:
    for one in DIFFERENCES:
        if found := re.fullmatch(one.swtpm, line):
            return found.expand(one.ours)
    return line


def _without_volatile(line: str) -> str:
    for pattern in VOLATILE:
        line = pattern.sub(r"\1(words)", line)
    return line
