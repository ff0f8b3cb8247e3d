# SPDX-License-Identifier: GPL-3.0-or-later
"""PCRs, SHA-1, random numbers, and the data integrity register (Part 3, 13 and 16; 28.7 and 28.8)."""

from __future__ import annotations

from tests.tpm.client.constants import Ord
from tests.tpm.client.pcr import Selection
from tests.tpm.client.tpm import Auth, Tpm
from tests.tpm.client.wire import sized, u32


def extend(tpm: Tpm, index: int, digest: bytes) -> bytes:
    """TPM_Extend (16.1); return the new value."""
    answer = tpm.call(Ord.EXTEND, u32(index) + digest)
    value = answer.digest()
    answer.end()
    return value


def pcr_read(tpm: Tpm, index: int) -> bytes:
    """TPM_PCRRead (16.2)."""
    answer = tpm.call(Ord.PCR_READ, u32(index))
    value = answer.digest()
    answer.end()
    return value


def pcr_reset(tpm: Tpm, selection: Selection) -> None:
    """TPM_PCR_Reset (16.4)."""
    tpm.call(Ord.PCR_RESET, selection.encode()).end()


def sha1_start(tpm: Tpm) -> int:
    """TPM_SHA1Start (13.1); return how many bytes an update may have."""
    answer = tpm.call(Ord.SHA1_START)
    most = answer.u32()
    answer.end()
    return most


def sha1_update(tpm: Tpm, data: bytes) -> None:
    """TPM_SHA1Update (13.2): whole blocks of 64 bytes."""
    tpm.call(Ord.SHA1_UPDATE, sized(data)).end()


def sha1_complete(tpm: Tpm, data: bytes) -> bytes:
    """TPM_SHA1Complete (13.3)."""
    answer = tpm.call(Ord.SHA1_COMPLETE, sized(data))
    digest = answer.digest()
    answer.end()
    return digest


def sha1_complete_extend(tpm: Tpm, index: int, data: bytes) -> tuple[bytes, bytes]:
    """TPM_SHA1CompleteExtend (13.4); return the hash and the PCR's new value."""
    answer = tpm.call(Ord.SHA1_COMPLETE_EXTEND, u32(index) + sized(data))
    found = answer.digest(), answer.digest()
    answer.end()
    return found


def get_random(tpm: Tpm, count: int) -> bytes:
    """TPM_GetRandom (13.6)."""
    answer = tpm.call(Ord.GET_RANDOM, u32(count))
    data = answer.sized()
    answer.end()
    return data


def stir_random(tpm: Tpm, data: bytes) -> None:
    """TPM_StirRandom (13.7)."""
    tpm.call(Ord.STIR_RANDOM, sized(data)).end()


def dir_read(tpm: Tpm, index: int = 0) -> bytes:
    """TPM_DirRead (28.8, deprecated)."""
    answer = tpm.call(Ord.DIR_READ, u32(index))
    value = answer.digest()
    answer.end()
    return value


def dir_write_auth(tpm: Tpm, owner: Auth, value: bytes, index: int = 0) -> None:
    """TPM_DirWriteAuth (28.7, deprecated)."""
    tpm.call(Ord.DIR_WRITE_AUTH, u32(index) + value, owner).end()
