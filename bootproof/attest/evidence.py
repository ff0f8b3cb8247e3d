# SPDX-License-Identifier: GPL-3.0-or-later
"""What a machine says it booted: its PCRs and the logs that explain them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Evidence:
    """Raw evidence: `pcrs` by bank and index, logs as the kernel gives them (None: there is none).

    `tpm_version` is "1.2" or "2.0", None if it is not known or there is no TPM.
    """

    boot_log: bytes | None = None
    ima_log: bytes | None = None
    pcrs: Mapping[str, Mapping[int, bytes]] = field(default_factory=dict)
    tpm_version: str | None = None
