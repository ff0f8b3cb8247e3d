# SPDX-License-Identifier: GPL-3.0-or-later
"""State blobs: how a TPM travels, for QEMU's savevm and live migration. Each is a container."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

from bootproof.tpm.machine import Tpm
from bootproof.tpm.persistence.container import Kind, pack, unpack, unwrap, wrap
from bootproof.tpm.persistence.encryption import StateKey
from bootproof.tpm.state import Permanent, SavedState, Volatile
from bootproof.tpm.wire import Structure

_LAYOUTS: Final[dict[Kind, type[Structure]]] = {
    Kind.PERMANENT: Permanent,
    Kind.VOLATILE: Volatile,
    Kind.SAVED: SavedState,
}


@dataclass(frozen=True)
class Keys:
    """What encrypts the state: in its files (`--key`), and on its way elsewhere (`--migration-key`)."""

    state: StateKey | None = None
    migration: StateKey | None = None


def make_blob(tpm: Tpm, kind: Kind, keys: Keys, decrypted: bool) -> bytes:
    """Return the blob, nothing if there is no such state.

    It is encrypted with the state key unless `decrypted` is wished, and then with the migration key: that
    one is never left out.
    """
    if kind == Kind.SAVED:
        payload = tpm.permanent.saved
    else:
        payload = (tpm.permanent if kind == Kind.PERMANENT else tpm.snapshot()).encode()
    if not payload:
        return b""
    blob = pack(kind, payload, None if decrypted else keys.state)
    return blob if keys.migration is None else wrap(kind, blob, keys.migration)


def take_blob(tpm: Tpm, kind: Kind, blob: bytes, keys: Keys) -> None:
    """Make a blob the state, for the next INIT; StateError or TpmError, and nothing is changed, if it is not
    sound.

    A blob that is not encrypted is taken whatever keys there are: this is how a TPM gets to have keys.
    """
    payload = unpack(kind, unwrap(kind, blob, keys.migration), keys.state, plain_too=True)
    content = _LAYOUTS[kind].decode(payload)
    if isinstance(content, Permanent):
        tpm.commit(content)
    elif kind == Kind.VOLATILE:
        tpm.store.save(kind, payload)
    else:
        tpm.commit(replace(tpm.permanent, saved=payload))
