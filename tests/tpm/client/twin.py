# SPDX-License-Identifier: GPL-3.0-or-later
"""Two TPMs that get the same commands and have to answer the same.

What a TPM makes by chance (nonces, keys, handles) differs between the two, so steps are told in names: each
side has a `World` of its own, in which a name stands for its handle, blob or session.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from random import Random

from tests.tpm.client import capability, delegation, identity, keys, owner
from tests.tpm.client.constants import (
    SRK,
    WELL_KNOWN,
    AuthUsage,
    KeyFlags,
    KeyUsage,
    Ord,
    Resource,
    SigScheme,
)
from tests.tpm.client.keyblobs import Key, PubKey, template
from tests.tpm.client.pcr import PcrInfo, PcrInfoLong, Selection, composite_digest
from tests.tpm.client.prepared import MIGRATION, OWNER_SECRET, USAGE
from tests.tpm.client.storage import StoredData
from tests.tpm.client.subjects import Subject
from tests.tpm.client.tpm import ResponseError, Tpm, TpmCodeError
from tests.tpm.client.wire import ShortResponseError, sha1, u32

SECRET = b"a secret of the steps"[:20]
KEYS = (
    "srk", "sha1", "der", "info", "bind", "legacy", "never", "pcr", "long", "shown", "storage", "open",
    "migratable", "aik",
)  # fmt: skip
_ZERO = composite_digest([0], [bytes(20)])
_NO_PCRS = PcrInfo(Selection.of(0), _ZERO)
_LONG = PcrInfoLong(Selection.of(0), _ZERO, Selection.of(0, 1), locality_at_release=0x03)


def templates() -> dict[str, Key]:
    """Return the keys that every world has, by name."""
    return {
        "sha1": template(KeyUsage.SIGNING),
        "der": template(KeyUsage.SIGNING, sig_scheme=SigScheme.DER, key12=True),
        "info": template(KeyUsage.SIGNING, sig_scheme=SigScheme.INFO),
        "bind": template(KeyUsage.BIND),
        "legacy": template(KeyUsage.LEGACY),
        "never": template(KeyUsage.SIGNING, KeyFlags.NONE, AuthUsage.NEVER),
        "pcr": template(KeyUsage.SIGNING, pcr_info=_NO_PCRS),
        "long": template(KeyUsage.SIGNING, pcr_info=_LONG, key12=True),
        "shown": template(
            KeyUsage.SIGNING, KeyFlags.PCR_IGNORED_ON_READ, AuthUsage.PRIVATE_USE_ONLY, pcr_info=_NO_PCRS
        ),
        "storage": template(KeyUsage.STORAGE),
        "open": template(KeyUsage.STORAGE, KeyFlags.NONE, AuthUsage.NEVER),
        "migratable": template(KeyUsage.SIGNING, KeyFlags.MIGRATABLE),
    }


@dataclass(frozen=True)
class Stock:
    """What is prepared once for each side: EK, SRK, wrapped keys by name (secrets USAGE and MIGRATION)."""

    ek: PubKey
    srk: Key
    keys: dict[str, Key]


def stock(tpm: Tpm) -> Stock:
    """Make an EK, an owner and all keys."""
    ek = owner.create_ek(tpm)
    srk = owner.take_ownership(tpm, OWNER_SECRET, pubek=ek)
    made = {
        name: keys.create_wrap_key(tpm, WELL_KNOWN, SRK, wanted, USAGE, MIGRATION)
        for name, wanted in templates().items()
    }
    made["aik"] = identity.make_identity(tpm, WELL_KNOWN, OWNER_SECRET, USAGE, sha1(b"label")).key
    return Stock(ek, srk, made)


@dataclass
class World:
    """One side: its TPM, and what the names stand for."""

    subject: Subject
    stock: Stock
    handles: dict[str, int] = field(default_factory=dict)
    sealed: dict[str, StoredData] = field(default_factory=dict)
    blobs: dict[str, bytes] = field(default_factory=dict)
    counters: dict[str, int] = field(default_factory=dict)
    families: list[delegation.Family] = field(default_factory=list)
    refused: bytes = b""  # the last request of a step that was refused

    @property
    def tpm(self) -> Tpm:
        return self.subject.tpm

    def handle(self, name: str) -> int:
        """Return a key's handle, after loading it if it is not loaded."""
        if name == "srk":
            return SRK
        if name not in self.handles:
            self.handles[name] = keys.load_key2(self.tpm, WELL_KNOWN, self.stock.keys[name])
        return self.handles[name]

    def secret(self, name: str) -> bytes:
        return WELL_KNOWN if name == "srk" else USAGE

    def public(self, name: str) -> PubKey:
        return (self.stock.srk if name == "srk" else self.stock.keys[name]).public

    def tidy(self) -> tuple[int, int, list[str]]:
        """End all sessions, flush keys without a name; return how many there were of each, and the names."""
        tpm = self.tpm
        sessions = capability.handles(tpm, Resource.AUTH)
        for handle in sessions:
            keys.flush_specific(tpm, handle, Resource.AUTH)
        loaded = capability.handles(tpm)
        self.handles = {name: handle for name, handle in self.handles.items() if handle in loaded}
        nameless = set(loaded) - set(self.handles.values())
        for handle in sorted(nameless):
            tpm.raw(Ord.FLUSH_SPECIFIC, u32(handle) + u32(Resource.KEY))
        return len(sessions), len(nameless), sorted(self.handles)


Step = Callable[[World, Random], object]
Outcome = tuple[object, ...]


def maybe(chance: Random, right: bytes) -> bytes | None:
    """Return the right secret, mostly."""
    return chance.choices([right, SECRET, None], [0.9, 0.05, 0.05])[0]


def outcome(step: Step, world: World, chance: Random) -> Outcome:
    """Return what a step came to, in a form that is the same for both sides."""
    try:
        return "done", step(world, chance)
    except TpmCodeError as error:
        world.refused = error.request
        return "refused", error.ordinal, error.rc
    except (ResponseError, ShortResponseError) as error:
        return "wrong response", type(error).__name__
