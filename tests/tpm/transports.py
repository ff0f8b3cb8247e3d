# SPDX-License-Identifier: GPL-3.0-or-later
"""Transport sessions for tests."""

from __future__ import annotations

import pytest

from tests.tpm.client import transport
from tests.tpm.client.constants import (
    Algorithm,
    EncScheme,
)
from tests.tpm.client.prepared import USAGE, Owned
from tests.tpm.client.transport import ENCRYPT, Transport, TransportPublic

SECRET = b"a transport secret.."
REPLAY = b"replay of a release."
PLAIN = TransportPublic()
CIPHERS = {
    "MGF1": (Algorithm.MGF1, EncScheme.NONE),
    "AES-CTR": (Algorithm.AES128, EncScheme.CTR),
    "AES-OFB": (Algorithm.AES128, EncScheme.OFB),
}
cipher = pytest.mark.parametrize("algorithm, scheme", CIPHERS.values(), ids=CIPHERS)


def encrypted(
    owned: Owned, attributes: int = ENCRYPT, algorithm: int = Algorithm.AES128, scheme: int = EncScheme.CTR
) -> Transport:
    """Open a session with a secret that travels encrypted for the storage key."""
    public = TransportPublic(attributes, algorithm, scheme)
    made = owned.made.storage
    return transport.establish(owned.tpm, public, SECRET, USAGE, owned.storage(), made.public)
