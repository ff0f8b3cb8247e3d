# SPDX-License-Identifier: GPL-3.0-or-later
"""Saved contexts (Part 2, 18), and what the TPM remembers of them."""

from __future__ import annotations

from bootproof.tpm.codes import DIGEST_SIZE
from bootproof.tpm.wire import Structure, digest, listed, raw, sized32, structure, structure_tag, uint32

LABEL_SIZE = 16


@structure
class ContextBlob(Structure):
    """TPM_CONTEXT_BLOB (18.1). `integrity` is the HMAC of the blob with zeros in its place and `sensitive`
    in the clear; `additional` is ours: the counter block that `sensitive` is encrypted with.
    """

    tag: int = structure_tag(default=0x0001)
    resource: int = uint32()
    handle: int = uint32()
    label: bytes = raw(LABEL_SIZE)
    count: int = uint32()
    integrity: bytes = digest()
    additional: bytes = sized32()
    sensitive: bytes = sized32()


@structure
class ContextSensitive(Structure):
    """TPM_CONTEXT_SENSITIVE (18.2): what is encrypted; `data` is the encoded resource."""

    tag: int = structure_tag(default=0x0002)
    nonce: bytes = digest()
    data: bytes = sized32()


@structure
class ContextCount(Structure):
    """The number of a saved session."""

    value: int = uint32()


@structure
class Contexts(Structure):
    """The fields of TPM_STCLEAR_DATA and TPM_STANY_DATA (Part 2, 7.5 and 7.6) that tell which saved contexts
    may be loaded: two nonces (zeros: not needed yet), the last number given, and the numbers of the sessions
    that are out, the oldest first.
    """

    key_nonce: bytes = digest(default=bytes(DIGEST_SIZE))
    session_nonce: bytes = digest(default=bytes(DIGEST_SIZE))
    last: int = uint32(default=0)
    out: tuple[ContextCount, ...] = listed(ContextCount, default=())
