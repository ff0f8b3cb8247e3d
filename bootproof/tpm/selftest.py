# SPDX-License-Identifier: GPL-3.0-or-later
"""What the TPM checks about itself (Part 1, 7; Part 3, 4)."""

from __future__ import annotations

import hashlib
import hmac
import os
from typing import TYPE_CHECKING, Final

from bootproof.tpm.codes import DIGEST_SIZE, TpmError
from bootproof.tpm.keys import LoadedKey
from bootproof.tpm.pcrs import PcrBank

if TYPE_CHECKING:
    from bootproof.tpm.machine import Tpm

_SHA1_OF_ABC: Final = bytes.fromhex("a9993e364706816aba3e25717850c26c9cd0d89d")  # FIPS 180-2, A.1
_HMAC_KEY, _HMAC_DATA = b"Jefe", b"what do ya want for nothing?"
_HMAC_VALUE: Final = bytes.fromhex("effcdf6ae5eb2fa2d27416d5f184df9c259a7c79")  # RFC 2202, 3, test case 2


def outstanding_tests_pass() -> bool:
    """Test what every command stands on: hashes, HMACs, random numbers, the extending of a PCR."""
    sha1 = hashlib.sha1(b"abc", usedforsecurity=False).digest()
    extended = PcrBank().extend(0, sha1, locality=0)
    return (
        sha1 == _SHA1_OF_ABC
        and hmac.digest(_HMAC_KEY, _HMAC_DATA, "sha1") == _HMAC_VALUE
        and os.urandom(DIGEST_SIZE) != os.urandom(DIGEST_SIZE)
        and extended == hashlib.sha1(bytes(DIGEST_SIZE) + _SHA1_OF_ABC, usedforsecurity=False).digest()
    )


def all_tests_pass(tpm: Tpm) -> bool:
    """Test the above and, if there is one, that the endorsement key decrypts what was encrypted for it."""
    return outstanding_tests_pass() and _endorsement_key_works(tpm)


def _endorsement_key_works(tpm: Tpm) -> bool:
    if tpm.permanent.ek is None:
        return True
    text = os.urandom(DIGEST_SIZE)
    try:
        ek = LoadedKey(tpm.permanent.ek).rsa
        return ek.decrypt_oaep(ek.public.encrypt_oaep(text)) == text
    except TpmError:
        return False
