# SPDX-License-Identifier: GPL-3.0-or-later
"""A TPM with an owner and keys, ready for a test."""

from __future__ import annotations

from dataclasses import dataclass

from tests.tpm.client import keys, owner
from tests.tpm.client.constants import SRK, WELL_KNOWN, KeyFlags, KeyUsage
from tests.tpm.client.keyblobs import Key, PubKey, template
from tests.tpm.client.subjects import Ours, Subject
from tests.tpm.client.tpm import Tpm

OWNER_SECRET = b"owner's 20 byte key."
USAGE = b"usage's 20 byte key."
MIGRATION = b"a migration secret.."


@dataclass(frozen=True)
class Made:
    """What a prepared TPM has: EK, SRK, and wrapped keys with the secrets USAGE and MIGRATION."""

    ek: PubKey
    srk: Key
    signing: Key
    storage: Key
    migratable: Key


def prepare(tpm: Tpm) -> Made:
    """Make an EK, an owner (OWNER_SECRET; the SRK's secret is well known) and keys under the SRK."""

    def key(usage: KeyUsage, flags: KeyFlags = KeyFlags.NONE) -> Key:
        return keys.create_wrap_key(tpm, WELL_KNOWN, SRK, template(usage, flags), USAGE, MIGRATION)

    ek = owner.create_ek(tpm)
    srk = owner.take_ownership(tpm, OWNER_SECRET, pubek=ek)
    storage = key(KeyUsage.STORAGE)
    return Made(ek, srk, key(KeyUsage.SIGNING), storage, key(KeyUsage.SIGNING, KeyFlags.MIGRATABLE))


@dataclass
class Owned:
    """A TPM with an owner."""

    subject: Subject
    made: Made

    @property
    def tpm(self) -> Tpm:
        return self.subject.tpm

    @property
    def ours(self) -> Ours:
        """Our emulator, for what cannot be asked by commands."""
        assert isinstance(self.subject, Ours)
        return self.subject

    def load(self, key: Key, parent_auth: bytes = WELL_KNOWN, parent: int = SRK) -> int:
        """Load a key and return its handle."""
        return keys.load_key2(self.tpm, parent_auth, key, parent)

    def signing(self) -> int:
        """Load the signing key."""
        return self.load(self.made.signing)

    def storage(self) -> int:
        """Load the storage key."""
        return self.load(self.made.storage)
