# SPDX-License-Identifier: GPL-3.0-or-later
"""What a test does on a stack, as data; carrying it out gives a transcript, to be compared line by line."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from tests.tss.relay import FLUSH_SPECIFIC
from tests.tss.stack import Done, Emulator, Stack

INVALID_AUTHHANDLE = 0x22


@dataclass(frozen=True)
class Tool:
    """Run a program, written as for a shell without any of a shell's features.

    `answers` are its passwords, `status` how it must end, `codes` what the TPM refuses on the way.
    TrouSerS flushes sessions that are gone already, after every command: that one is not listed.
    """

    command: str
    status: int = 0
    codes: tuple[int, ...] = ()
    answers: tuple[str, ...] = ()
    quiet: bool = False
    """Its standard error is not to be compared: the program writes memory that it never set."""


@dataclass(frozen=True)
class Presence:
    """Assert physical presence, or take it back."""

    asserted: bool


@dataclass(frozen=True)
class Extend:
    """Extend a PCR with some digest, past tcsd."""

    index: int


@dataclass(frozen=True)
class PowerCycle:
    """Switch TPM and tcsd off and on again."""


@dataclass(frozen=True)
class Write:
    """Make a file in the folder in which the programs run."""

    name: str
    content: str


@dataclass(frozen=True)
class MinimalDer:
    """Rewrite the public key that tpm_mkaik wrote: OpenSSL refuses TrouSerS' padded numbers."""

    name: str


Step = Tool | Presence | Extend | PowerCycle | Write | MinimalDer


@dataclass(frozen=True)
class Scenario:
    """Steps on a TPM that is in the state which `beginning` (see beginnings.py) names."""

    name: str
    beginning: str
    steps: Sequence[Step]
    slots: bool = False
    """opencryptoki's slot daemon has to run, too."""


def perform(scenario: Scenario, on: Stack) -> list[str]:
    """Carry out all steps and return the transcript, one line for each thing that can be compared."""
    transcript: list[str] = []
    for step in scenario.steps:
        match step:
            case Tool():
                done = on.run(shlex.split(step.command), step.answers)
                if on.emulator is Emulator.SWTPM:
                    _judge(step, done)
                transcript += _lines(step, done)
            case Presence():
                on.presence(step.asserted)
            case Extend(index):
                on.extend(index)
            case PowerCycle():
                on.restart()
            case Write():
                (on.work / step.name).write_text(step.content)
            case MinimalDer():
                path = on.work / step.name
                path.write_bytes(minimal_der(path.read_bytes()))
    return transcript


def _judge(step: Tool, done: Done) -> None:
    """Compare with what the scenario says, so that two emulators cannot be wrong alike.

    The other one is not judged here: its transcript must be the same.
    """
    codes = tuple(
        one.code
        for one in done.exchanges
        if one.code and (one.ordinal, one.code) != (FLUSH_SPECIFIC, INVALID_AUTHHANDLE)
    )
    wanted, found = (step.status, step.codes), (done.status, codes)
    complaint = f"swtpm: {found} instead of {wanted}"
    assert found == wanted, "\n".join([complaint, *_lines(step, done)])


def _lines(step: Tool, done: Done) -> Iterator[str]:
    yield f"$ {step.command}"
    yield f"status {done.status}"
    yield from (f"| {line}" for line in done.output.splitlines())
    if not step.quiet:
        yield from (f"! {line}" for line in done.errors.splitlines())
    yield from (f"> {exchange}" for exchange in done.exchanges)


def minimal_der(data: bytes) -> bytes:
    """Return one of TrouSerS' blobs (a sequence of three integers and an octet string) in minimal DER."""
    body, end = _element(data, 0, 0x30)
    assert end == len(data)
    parts: list[bytes] = []
    at = 0
    for tag in (0x02, 0x02, 0x02, 0x04):
        content, at = _element(body, at, tag)
        if tag == 0x02:
            number = int.from_bytes(content, "big")
            content = number.to_bytes(number.bit_length() // 8 + 1, "big")
        parts.append(_encoded(tag, content))
    assert at == len(body)
    return _encoded(0x30, b"".join(parts))


def _element(data: bytes, at: int, tag: int) -> tuple[bytes, int]:
    """Return the content of the element at `at` and where the next one begins."""
    assert data[at] == tag
    length, at = data[at + 1], at + 2
    if length & 0x80:
        size = length & 0x7F
        length, at = int.from_bytes(data[at : at + size], "big"), at + size
    return data[at : at + length], at + length


def _encoded(tag: int, content: bytes) -> bytes:
    length = len(content)
    if length < 0x80:
        return bytes((tag, length)) + content
    size = (length.bit_length() + 7) // 8
    return bytes((tag, 0x80 | size)) + length.to_bytes(size, "big") + content
