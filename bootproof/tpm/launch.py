# SPDX-License-Identifier: GPL-3.0-or-later
"""The dynamic launch: signals of the chip set, not commands (PC Client TIS 1.3, section 11.3)."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from bootproof.tpm.codes import Rc, TpmError
from bootproof.tpm.pcrs import LAUNCH_LOCALITY, LAUNCH_PCR

if TYPE_CHECKING:
    from bootproof.tpm.machine import Tpm


def hash_start(tpm: Tpm) -> None:
    """TPM_HASH_START: PCR 17 to 22 zero, the establishment flag set. INVALID_POSTINIT before Startup."""
    _need_started(tpm)
    tpm.commit_flags(established=True)
    tpm.os_present = True
    tpm.pcrs.start_dynamic_launch()
    tpm.launch_hash = hashlib.sha1(usedforsecurity=False)


def hash_data(tpm: Tpm, data: bytes) -> None:
    """TPM_HASH_DATA; SHA_THREAD without a hash_start."""
    _need_started(tpm)
    if tpm.launch_hash is None:
        raise TpmError(Rc.SHA_THREAD)
    tpm.launch_hash.update(data)


def hash_end(tpm: Tpm) -> None:
    """TPM_HASH_END: extend PCR 17 with the SHA-1 of all the data; SHA_THREAD without a hash_start."""
    _need_started(tpm)
    if tpm.launch_hash is None:
        raise TpmError(Rc.SHA_THREAD)
    tpm.pcrs.extend(LAUNCH_PCR, tpm.launch_hash.digest(), LAUNCH_LOCALITY)
    tpm.launch_hash = None


def _need_started(tpm: Tpm) -> None:
    if not tpm.running:
        raise TpmError(Rc.FAIL)
    if tpm.post_init:
        raise TpmError(Rc.INVALID_POSTINIT)
