# SPDX-License-Identifier: GPL-3.0-or-later
"""Saving and loading contexts, new and old style (Part 3, 22 and 28.12 to 28.15)."""

from __future__ import annotations

from tests.tpm.client.constants import Ord
from tests.tpm.client.tpm import Tpm
from tests.tpm.client.wire import flag, sized, u32


def save_context(tpm: Tpm, handle: int, resource: int, label: bytes = bytes(16)) -> bytes:
    """TPM_SaveContext (21.2); return the TPM_CONTEXT_BLOB."""
    answer = tpm.call(Ord.SAVE_CONTEXT, u32(resource) + label, handles=[handle])
    blob = answer.sized()
    answer.end()
    return blob


def load_context(tpm: Tpm, blob: bytes, entity: int = 0, keep_handle: bool = False) -> int:
    """TPM_LoadContext (21.3); `entity` is the entity that a saved OSAP session belongs to."""
    answer = tpm.call(Ord.LOAD_CONTEXT, flag(keep_handle) + sized(blob), handles=[entity])
    handle = answer.u32()
    answer.end()
    return handle


def save_key_context(tpm: Tpm, key: int) -> bytes:
    """TPM_SaveKeyContext (deprecated)."""
    return _blob(tpm, Ord.SAVE_KEY_CONTEXT, key)


def save_auth_context(tpm: Tpm, session: int) -> bytes:
    """TPM_SaveAuthContext (deprecated)."""
    return _blob(tpm, Ord.SAVE_AUTH_CONTEXT, session)


def load_key_context(tpm: Tpm, blob: bytes) -> int:
    """TPM_LoadKeyContext (deprecated)."""
    return _load(tpm, Ord.LOAD_KEY_CONTEXT, blob)


def load_auth_context(tpm: Tpm, blob: bytes) -> int:
    """TPM_LoadAuthContext (deprecated)."""
    return _load(tpm, Ord.LOAD_AUTH_CONTEXT, blob)


def _blob(tpm: Tpm, ordinal: int, handle: int) -> bytes:
    answer = tpm.call(ordinal, handles=[handle])
    blob = answer.sized()
    answer.end()
    return blob


def _load(tpm: Tpm, ordinal: int, blob: bytes) -> int:
    answer = tpm.call(ordinal, sized(blob))
    handle = answer.u32()
    answer.end()
    return handle
