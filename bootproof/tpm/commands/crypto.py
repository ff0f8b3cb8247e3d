# SPDX-License-Identifier: GPL-3.0-or-later
"""Random numbers and the SHA-1 thread (Part 3, 13)."""

from __future__ import annotations

import hashlib
import os
from typing import TYPE_CHECKING, Final

from bootproof.tpm.codes import HEADER_SIZE, Rc, TpmError
from bootproof.tpm.command import Command, In
from bootproof.tpm.commands.integrity import extend_pcr
from bootproof.tpm.limits import BUFFER_SIZE
from bootproof.tpm.ordinals import Ord
from bootproof.tpm.wire import Nothing, Structure, digest, sized32, structure, uint32

if TYPE_CHECKING:
    from bootproof.tpm.machine import Tpm

_BLOCK: Final = 64
_SIZE_FIELD: Final = 4
_MOST_BYTES: Final = (BUFFER_SIZE - HEADER_SIZE - _SIZE_FIELD) // _BLOCK * _BLOCK


@structure
class GetRandomIn(Structure):
    """TPM_GetRandom: how many bytes."""

    size: int = uint32()


@structure
class BytesOut(Structure):
    """Bytes with their number in front."""

    data: bytes = sized32()


@structure
class BytesIn(Structure):
    """Bytes with their number in front."""

    data: bytes = sized32()


@structure
class Sha1StartOut(Structure):
    """TPM_SHA1Start: how many bytes one TPM_SHA1Update takes."""

    most_bytes: int = uint32()


@structure
class DigestOut(Structure):
    """A SHA-1 digest."""

    value: bytes = digest()


@structure
class CompleteExtendIn(Structure):
    """TPM_SHA1CompleteExtend."""

    pcr: int = uint32()
    data: bytes = sized32()


@structure
class CompleteExtendOut(Structure):
    """TPM_SHA1CompleteExtend: the digest, and the new value of the PCR."""

    hash_value: bytes = digest()
    pcr_value: bytes = digest()


def get_random(tpm: Tpm, args: GetRandomIn) -> BytesOut:
    """Return as many bytes as were asked for, or as fit into a response."""
    return BytesOut(os.urandom(min(args.size, tpm.room - HEADER_SIZE - _SIZE_FIELD)))


def stir_random(_tpm: Tpm, _args: BytesIn) -> None:
    """Accept the bytes. The generator is the kernel's, which gains nothing from an untrusted caller's."""


def sha1_start(tpm: Tpm, _args: Nothing) -> Sha1StartOut:
    """Begin anew; any command but Update, Complete and CompleteExtend ends the thread."""
    tpm.sha1, tpm.sha1_transport = hashlib.sha1(usedforsecurity=False), tpm.within_handle
    return Sha1StartOut(_MOST_BYTES)


def sha1_update(tpm: Tpm, args: BytesIn) -> None:
    """SHA_THREAD without a start; SHA_ERROR, and the thread ends, unless these are whole blocks of 64
    bytes.
    """
    if tpm.sha1 is None:
        raise TpmError(Rc.SHA_THREAD)
    if len(args.data) % _BLOCK:
        tpm.sha1 = None
        raise TpmError(Rc.SHA_ERROR)
    tpm.sha1.update(args.data)


def sha1_complete(tpm: Tpm, args: BytesIn) -> DigestOut:
    """SHA_ERROR for more than 64 bytes, SHA_THREAD without a start; the thread ends in any case."""
    return DigestOut(_finish(tpm, args.data))


def sha1_complete_extend(tpm: Tpm, args: CompleteExtendIn) -> CompleteExtendOut:
    """As sha1_complete, then as extend."""
    value = _finish(tpm, args.data)
    return CompleteExtendOut(value, extend_pcr(tpm, args.pcr, value))


def _finish(tpm: Tpm, data: bytes) -> bytes:
    thread, tpm.sha1 = tpm.sha1, None
    if len(data) > _BLOCK:
        raise TpmError(Rc.SHA_ERROR)
    if thread is None:
        raise TpmError(Rc.SHA_THREAD)
    thread.update(data)
    return bytes(thread.digest())


ROWS: Final = (
    Command(Ord.GET_RANDOM, "TPM_GetRandom", "13.6", get_random, GetRandomIn),
    Command(Ord.STIR_RANDOM, "TPM_StirRandom", "13.7", stir_random, BytesIn),
    Command(Ord.SHA1_START, "TPM_SHA1Start", "13.1", sha1_start, Nothing, In.OFF, keeps_sha1=True),
    Command(Ord.SHA1_UPDATE, "TPM_SHA1Update", "13.2", sha1_update, BytesIn, In.OFF, keeps_sha1=True),
    Command(Ord.SHA1_COMPLETE, "TPM_SHA1Complete", "13.3", sha1_complete, BytesIn, In.OFF, keeps_sha1=True),
    Command(
        Ord.SHA1_COMPLETE_EXTEND,
        "TPM_SHA1CompleteExtend",
        "13.4",
        sha1_complete_extend,
        CompleteExtendIn,
        In.OFF,
        keeps_sha1=True,
    ),
)
