# SPDX-License-Identifier: GPL-3.0-or-later
"""Fetching one file over HTTP: what has arrived before is not fetched again, and no more is taken than was
announced.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from http import HTTPStatus
from pathlib import Path

import requests

from bootproof.errors import HostError

_PIECE = 1 << 14  # what of it has arrived when the connection breaks is lost
_TIMEOUT = (10, 60)  # seconds to connect, and between two pieces
_ATTEMPTS = 3
_PAUSE = 0.5  # seconds before the second attempt; doubled for the third
_GONE = (HTTPStatus.NOT_FOUND, HTTPStatus.GONE)


def fetch(address: str, part: Path, size: int, proxies: Mapping[str, str]) -> bool:
    """Bring `part` to `size` bytes from `address`, going on where it ends; return whether the server has the
    file.

    Raises `HostError` when the network or the server fails again and again; what has arrived stays in
    `part`.
    """
    for attempt in range(_ATTEMPTS):
        if attempt:
            time.sleep(_PAUSE * 2 ** (attempt - 1))
        try:
            return _attempt(address, part, size, proxies)
        except requests.RequestException as error:
            reason = _reason(error)
    raise HostError(
        f"cannot download {address}: {reason}",
        "check the network and the mirror; what has arrived is kept, and the next build goes on from there",
    )


def _attempt(address: str, part: Path, size: int, proxies: Mapping[str, str]) -> bool:
    have = part.stat().st_size if part.exists() else 0
    if have == size:
        return True  # a build was ended before it could judge the whole file
    headers = {"Accept-Encoding": "identity"} | ({"Range": f"bytes={have}-"} if have else {})
    with requests.get(
        address, headers=headers, stream=True, timeout=_TIMEOUT, proxies=dict(proxies)
    ) as answer:
        if answer.status_code in _GONE:
            return False
        if answer.status_code == HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE:
            part.unlink(missing_ok=True)  # the server's file is shorter than what we have of it
        answer.raise_for_status()
        goes_on = answer.status_code == HTTPStatus.PARTIAL_CONTENT
        room = size - (have if goes_on else 0)
        with part.open("ab" if goes_on else "wb") as stream:
            for piece in answer.iter_content(_PIECE):
                stream.write(piece[:room])
                room -= len(piece)
                if room < 0:
                    break
    return True


def _reason(error: requests.RequestException) -> str:
    """Return the innermost cause in one line: requests wraps it in layers that name their Python objects."""
    inner: BaseException = error
    while True:
        deeper = getattr(inner, "reason", None) or next(
            (arg for arg in inner.args if isinstance(arg, Exception)), None
        )
        if not isinstance(deeper, BaseException):
            break
        inner = deeper
    text = str(inner).rpartition("object at 0x")[2].partition(">: ")[2] or str(inner)
    return (text or type(inner).__name__).split("\n", 1)[0][:200]
