# SPDX-License-Identifier: GPL-3.0-or-later
"""What coverage-guided fuzzing mutates: bytes that are a list of actions. One byte says which action, two
how many bytes belong to it.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from fuzz.target import Action, Authorised, Control, Locality, Power, Raw, ordinals
from tests.tpm.client.catalogue import requests

_COMMAND, _RAW, _CONTROL, _POWER, _LOCALITY = range(5)


def encoded(kind: int, data: bytes) -> bytes:
    """Return one action as bytes."""
    return bytes([kind]) + len(data).to_bytes(2) + data


def decoded(data: bytes) -> Iterator[Action]:
    """Yield the actions that bytes stand for; all bytes stand for some."""
    known = ordinals()
    at = 0
    while at + 3 <= len(data):
        kind, size = data[at] % 5, int.from_bytes(data[at + 1 : at + 3])
        body = data[at + 3 : at + 3 + size]
        at += 3 + size
        if kind == _RAW:
            yield Raw(body)
        elif kind == _CONTROL:
            yield Control(body)
        elif kind == _POWER:
            yield Power(body[0] % 4 if body else 1)
        elif kind == _LOCALITY:
            yield Locality(body[0] if body else 0)
        elif len(body) >= 4:
            handles = body[1] >> 4, body[1] & 15
            auths = tuple((body[2] >> 4 * at & 3, bool(body[2] >> 4 * at & 4)) for at in range(body[3] % 3))
            yield Authorised(known[body[0] % len(known)], body[4:], handles, auths)


def seeds() -> Iterator[bytes]:
    """Yield what libFuzzer begins with: every command, as bytes and with sessions that exist."""
    known = ordinals()
    for request in requests():
        yield encoded(_RAW, request)
        ordinal, auths = int.from_bytes(request[6:10]), int.from_bytes(request[:2]) - 0xC1
        if ordinal in known:
            body = request[10 : len(request) - 45 * auths]
            yield encoded(_COMMAND, bytes([known.index(ordinal), 0x78, 0x26, auths]) + body)
    for code in range(0x14):
        yield encoded(_CONTROL, code.to_bytes(4) + bytes(12))


def write_seeds(corpus: Path) -> None:
    """Put the seeds into a folder, beside what earlier runs have found."""
    corpus.mkdir(parents=True, exist_ok=True)
    for number, data in enumerate(seeds()):
        (corpus / f"seed-{number:03}").write_bytes(data)
