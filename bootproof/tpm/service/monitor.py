# SPDX-License-Identifier: GPL-3.0-or-later
"""The monitor: a side channel that shows the TPM to the outside, and says for the platform whether somebody
stands in front of the machine. One request a line, one JSON object a line in return.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Final

from bootproof.tpm import limits
from bootproof.tpm.machine import Tpm

_LONGEST_LINE: Final = 256


def _pcrs(tpm: Tpm) -> dict[str, object]:
    return {
        "algorithm": "sha1",
        "pcrs": {str(index): value.hex() for index, value in enumerate(tpm.pcrs.values)},
    }


def _info(tpm: Tpm) -> dict[str, object]:
    return {
        "manufacturer": limits.MANUFACTURER.decode(),
        "version": limits.VERSION,
        "commands": tpm.executed,
        "established": tpm.permanent.flags.established,
        "running": tpm.running,
        "started": tpm.running and not tpm.post_init,
        "presence": tpm.presence_signal,
    }


def _signal_presence(present: bool) -> Callable[[Tpm], dict[str, object]]:
    def request(tpm: Tpm) -> dict[str, object]:
        tpm.presence_signal = present
        return {"presence": present}

    return request


_REQUESTS: Final[dict[bytes, Callable[[Tpm], dict[str, object]]]] = {
    b"pcrs": _pcrs,
    b"info": _info,
    b"presence on": _signal_presence(True),
    b"presence off": _signal_presence(False),
}


class Monitor:
    """One monitor connection."""

    def __init__(self, tpm: Tpm) -> None:
        self._tpm = tpm
        self._rest = b""

    def feed(self, data: bytes) -> bytes:
        """Return the answers to the lines that are complete now."""
        *lines, self._rest = (self._rest + data).split(b"\n")
        if len(self._rest) > _LONGEST_LINE:
            lines.append(self._rest)
            self._rest = b""
        return b"".join(self._answer(line.strip()) for line in lines)

    def _answer(self, line: bytes) -> bytes:
        request = _REQUESTS.get(line)
        known = ", ".join(name.decode() for name in _REQUESTS)
        answer = {"error": f"unknown request; known: {known}"} if request is None else request(self._tpm)
        return json.dumps(answer, separators=(",", ":")).encode() + b"\n"
