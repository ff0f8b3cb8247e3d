# SPDX-License-Identifier: GPL-3.0-or-later
"""What the tests of saved contexts have in common."""

from __future__ import annotations

from tests.tpm.client import signing
from tests.tpm.client.prepared import USAGE
from tests.tpm.client.sessions import Session
from tests.tpm.client.tpm import Tpm
from tests.tpm.client.wire import sha1

SECRET = b"a transport secret.."


def works(tpm: Tpm, key: int, auth: bytes | Session = USAGE) -> bool:
    """Tell whether that key signs."""
    return len(signing.sign(tpm, auth, key, sha1(b"x"))) == 256
