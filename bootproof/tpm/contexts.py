# SPDX-License-Identifier: GPL-3.0-or-later
"""Keys and sessions that are kept outside the TPM for a while (Part 1, 21; Part 3, 21).

A context is encrypted with AES-128 in counter mode and carries an HMAC, which is verified before anything in
it is looked at. Both keys come from tpmProof, so that clearing the TPM makes every context worthless; for
sessions they depend on the session nonce too, so that these live no longer than the power. A session's
context can be loaded once: its number is struck off then.
"""

from __future__ import annotations

import hmac
import os
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from bootproof.tpm.codes import DIGEST_SIZE, Rc, TpmError
from bootproof.tpm.limits import CONTEXTS
from bootproof.tpm.numbers import Resource
from bootproof.tpm.sessions import hmac_sha1, new_nonce
from bootproof.tpm.structures.context import LABEL_SIZE, ContextBlob, ContextCount, ContextSensitive

if TYPE_CHECKING:
    from bootproof.tpm.machine import Tpm

_ZEROS: Final = bytes(DIGEST_SIZE)
_AES_BLOCK: Final = 16
_LAST_COUNT: Final = 0xFFFFFFFE
_NO_LABEL: Final = bytes(LABEL_SIZE)


def save_key(tpm: Tpm, handle: int, data: bytes, label: bytes = _NO_LABEL) -> bytes:
    """Return the TPM_CONTEXT_BLOB of a key."""
    if tpm.contexts.key_nonce == _ZEROS:
        tpm.contexts = replace(tpm.contexts, key_nonce=new_nonce())
    return _seal(tpm, ContextBlob(Resource.KEY, handle, label, 0, _ZEROS, b"", b""), data)


def save_session(tpm: Tpm, resource: Resource, handle: int, data: bytes, label: bytes) -> bytes:
    """Return the TPM_CONTEXT_BLOB of a session, and note that it is out.

    TOOMANYCONTEXTS when all numbers are used up, NOCONTEXTSPACE when too many are out. The numbers of those
    that are out are kept as they are, so no gap between them is too large (CONTEXT_GAP).
    """
    known = tpm.contexts
    if known.last > _LAST_COUNT:
        raise TpmError(Rc.TOOMANYCONTEXTS)
    if len(known.out) >= CONTEXTS:
        raise TpmError(Rc.NOCONTEXTSPACE)
    count = known.last + 1
    nonce = new_nonce() if known.session_nonce == _ZEROS else known.session_nonce
    tpm.contexts = replace(known, session_nonce=nonce, last=count, out=(*known.out, ContextCount(count)))
    return _seal(tpm, ContextBlob(resource, handle, label, count, _ZEROS, b"", b""), data)


def open_context(tpm: Tpm, encoded: bytes) -> tuple[ContextBlob, ContextSensitive]:
    """Return what a blob holds; BADCONTEXT for one that was not made by this TPM as it is now, or changed.

    Of a session, it is also checked that it was saved since the TPM was switched on, and is still out.
    """
    try:
        blob = ContextBlob.decode(encoded)
    except TpmError as error:
        raise TpmError(Rc.BADCONTEXT) from error
    known = tpm.contexts
    is_key = blob.resource == Resource.KEY
    secret = tpm.permanent.tpm_proof if is_key else known.session_nonce
    if secret == _ZEROS or len(blob.additional) != _AES_BLOCK:
        raise TpmError(Rc.BADCONTEXT)
    encryption, integrity = _secrets(tpm, blob.resource)
    clear = _crypt(encryption, blob.additional, blob.sensitive)
    expected = hmac_sha1(integrity, replace(blob, integrity=_ZEROS, sensitive=clear).encode())
    if not hmac.compare_digest(expected, blob.integrity):
        raise TpmError(Rc.BADCONTEXT)
    if not is_key and ContextCount(blob.count) not in known.out:
        raise TpmError(Rc.BADCONTEXT)
    return blob, ContextSensitive.decode(clear)


def strike_off(tpm: Tpm, count: int) -> None:
    """Note that the session with that number is not out any more; BAD_PARAMETER if it was not."""
    gone = ContextCount(count)
    if gone not in tpm.contexts.out:
        raise TpmError(Rc.BAD_PARAMETER)
    tpm.contexts = replace(tpm.contexts, out=tuple(one for one in tpm.contexts.out if one != gone))


def _seal(tpm: Tpm, blob: ContextBlob, data: bytes) -> bytes:
    nonce = tpm.contexts.key_nonce if blob.resource == Resource.KEY else tpm.contexts.session_nonce
    encryption, integrity = _secrets(tpm, blob.resource)
    counter = os.urandom(_AES_BLOCK)
    clear = replace(blob, additional=counter, sensitive=ContextSensitive(nonce, data).encode())
    proof = hmac_sha1(integrity, clear.encode())
    return replace(clear, integrity=proof, sensitive=_crypt(encryption, counter, clear.sensitive)).encode()


def _secrets(tpm: Tpm, resource: int) -> tuple[bytes, bytes]:
    """Return the keys of encryption and integrity for a kind of resource."""
    lifetime = b"" if resource == Resource.KEY else tpm.contexts.session_nonce
    root = hmac_sha1(tpm.permanent.tpm_proof, b"context", lifetime)
    return hmac_sha1(root, b"encryption")[:_AES_BLOCK], hmac_sha1(root, b"integrity")


def _crypt(key: bytes, counter: bytes, data: bytes) -> bytes:
    from bootproof.tpm.crypto.symmetric import aes_ctr

    return aes_ctr(key, counter, data)
