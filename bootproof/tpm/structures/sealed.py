# SPDX-License-Identifier: GPL-3.0-or-later
"""Sealed and bound data (Part 2, 9)."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from bootproof.tpm.codes import Rc, TpmError
from bootproof.tpm.numbers import VERSION_1_1, Payload, Tag
from bootproof.tpm.structures.keys import sha1
from bootproof.tpm.wire import Reader, Structure, digest, raw, sized32, structure, uint8

_TAG12: Final = Tag.STORED_DATA12.to_bytes(2)


def _check_head(found: bytes) -> None:
    """BAD_VERSION unless it is one of the two."""
    if found[:2] not in (_TAG12, VERSION_1_1[:2]):
        raise TpmError(Rc.BAD_VERSION)


@structure
class StoredData(Structure):
    """TPM_STORED_DATA (9.1) and TPM_STORED_DATA12 (9.2), which differ in their first four bytes only: a
    version, or a tag and how the data leave the TPM (`transport`).
    """

    head: bytes = raw(4, check=_check_head)
    seal_info: bytes = sized32()
    encrypted: bytes = sized32()

    @property
    def is_stored_data12(self) -> bool:
        """Whether it is a TPM_STORED_DATA12."""
        return self.head[:2] == _TAG12

    @property
    def transport(self) -> int:
        """How the data leave the TPM: 0 in the clear, else a TPM_ENTITY_TYPE that names the scheme."""
        return int.from_bytes(self.head[2:]) if self.is_stored_data12 else 0

    def digest(self) -> bytes:
        """Return SHA-1 over everything but the encrypted data (9.3, storedDigest)."""
        return sha1(replace(self, encrypted=b"").encode())


@structure
class SealedData(Structure):
    """TPM_SEALED_DATA (9.3): what the encrypted part of sealed data holds."""

    payload: int = uint8()
    auth: bytes = digest()
    tpm_proof: bytes = digest()
    stored_digest: bytes = digest()
    data: bytes = sized32()


@structure
class BoundHead(Structure):
    """The beginning of TPM_BOUND_DATA (9.5); the rest is the data."""

    version: bytes = raw(4)
    payload: int = uint8()


def bound_data(decrypted: bytes) -> bytes:
    """Return the data of a TPM_BOUND_DATA; BAD_VERSION for another one than 1.1 (5.1), INVALID_STRUCTURE if
    it is none.
    """
    reader = Reader(decrypted)
    try:
        head = BoundHead.read(reader)
    except TpmError as error:
        raise TpmError(Rc.INVALID_STRUCTURE) from error
    if head.version[:2] != VERSION_1_1[:2]:
        raise TpmError(Rc.BAD_VERSION)
    if head.payload != Payload.BIND:
        raise TpmError(Rc.INVALID_STRUCTURE)
    return decrypted[len(head.encode()) :]
