# SPDX-License-Identifier: GPL-3.0-or-later
"""Where two transcripts may differ: what is new every time, and what our TPM does differently on purpose."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True)
class Difference:
    """Lines of swtpm's transcript (a regular expression) and what ours has instead."""

    swtpm: str
    ours: str
    why: str


DIFFERENCES = (
    Difference(r"^(\|   Chip Version: +)1\.2\.\d+\.\d+$", r"\g<1>1.2.0.1", "who made it"),
    Difference(r"^(\|   TPM Vendor ID: +)IBM.$", r"\g<1>BTPF", "who made it"),
    Difference(r"^(\|   Manufacturer Info: +)49424d00$", r"\g<1>42545046", "who made it"),
    Difference(
        r"^\|   TPM Test Results: [0-9a-f ]+$",
        "|   TPM Test Results: 70617373 6564",
        "the text is the maker's: swtpm counts its starts and stops, ours says `passed`",
    ),
    Difference(r"^> GetTestResult \d+ bytes$", "> GetTestResult 20 bytes", "the text is the maker's"),
    Difference(r"^\| blob 113$", "| blob 119", "a delegation's secret part is encrypted as the maker likes"),
    Difference(
        r"^> (Delegate_CreateOwnerDelegation|Delegate_UpdateVerification)\+a1 168 bytes$",
        r"> \g<1>+a1 174 bytes",
        "so blobs of delegations are six bytes longer",
    ),
    Difference(
        r"^> Delegate_CreateKeyDelegation\+a1 188 bytes$",
        "> Delegate_CreateKeyDelegation+a1 194 bytes",
        "so blobs of delegations are six bytes longer",
    ),
    Difference(
        r"^\| families 0 delegations 1$",
        "| families 0 delegations 0",
        "the end of a family may be the end of its delegations, and here it is",
    ),
    Difference(r"^> Delegate_ReadTable 73 bytes$", "> Delegate_ReadTable 18 bytes", "as the row before"),
)

# Keys and random numbers are shown as rows of words.
_VOLATILE = re.compile(r"^(\| \t)[0-9a-f]{8}( [0-9a-f]{8})+$", re.MULTILINE)


def expected(swtpm: Iterable[str]) -> list[str]:
    """Return the transcript that ours must have, made from swtpm's."""
    text = "\n".join(swtpm)
    for one in DIFFERENCES:
        text = re.sub(one.swtpm, one.ours, text, flags=re.MULTILINE)
    return comparable(text.split("\n"))


def comparable(transcript: Iterable[str]) -> list[str]:
    """Return a transcript without what is new every time."""
    return _VOLATILE.sub(r"\1(words)", "\n".join(transcript)).split("\n")
