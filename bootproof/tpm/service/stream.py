# SPDX-License-Identifier: GPL-3.0-or-later
"""The data channel: finds the commands in a stream of bytes.

A TPM client sends one command and waits for its response, so everything that has arrived belongs to one
command. A command that stays shorter than its header says is answered with BAD_PARAM_SIZE after a grace
period, so that no client waits for ever.
"""

from __future__ import annotations

import time
from typing import Final

from bootproof.tpm.codes import HEADER_SIZE
from bootproof.tpm.machine import Tpm
from bootproof.tpm.service.handover import Handover

GRACE_SECONDS: Final = 0.5
_LENGTH: Final = slice(2, 6)


class CommandStream:
    """One data connection."""

    def __init__(self, tpm: Tpm, handover: Handover | None = None) -> None:
        self._tpm = tpm
        self._execute = (handover or Handover(tpm)).execute
        self._partial = b""
        self.deadline: float | None = None  # of the incomplete command, on the monotonic clock

    def feed(self, data: bytes) -> bytes:
        """Return the response, or nothing if the command is not complete."""
        if self._partial:
            data = self._partial + data
            self._partial = b""
            self.deadline = None
        claimed = int.from_bytes(data[_LENGTH])
        if len(data) < HEADER_SIZE or len(data) < claimed <= self._tpm.buffer_size:
            self._partial = data
            self.deadline = time.monotonic() + GRACE_SECONDS
            return b""
        return self._execute(data)

    def give_up(self) -> bytes:
        """Return the response to the command that did not become complete."""
        data, self._partial = self._partial, b""
        self.deadline = None
        return self._execute(data)
