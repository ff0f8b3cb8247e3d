# SPDX-License-Identifier: GPL-3.0-or-later
"""Keys for tests."""

from __future__ import annotations

from tests.tpm.client import integrity, keys
from tests.tpm.client.constants import (
    SRK,
    WELL_KNOWN,
    KeyUsage,
)
from tests.tpm.client.keyblobs import Key, template
from tests.tpm.client.pcr import PcrInfoLong, Selection, composite_digest
from tests.tpm.client.prepared import MIGRATION, USAGE, Owned

DIGEST = bytes(range(20))
SMALL = template(KeyUsage.SIGNING, bits=1024)
BAD_HANDLE = 0x05123456


def make(owned: Owned, wanted: Key, parent: int = SRK, parent_auth: bytes = WELL_KNOWN) -> Key:
    return keys.create_wrap_key(owned.tpm, parent_auth, parent, wanted, USAGE, MIGRATION)


def bound_to_now(owned: Owned, *indices: int, localities: int = 0x1F) -> PcrInfoLong:
    """Return a binding to the PCRs as they are."""
    digest = composite_digest(indices, [integrity.pcr_read(owned.tpm, index) for index in indices])
    return PcrInfoLong(
        Selection.of(*indices), digest, Selection.of(*indices), locality_at_release=localities
    )
