# SPDX-License-Identifier: GPL-3.0-or-later
"""Keys that are in the TPM: loaded ones, the storage root key, and those that the owner keeps in."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from dataclasses import replace
from functools import cached_property
from typing import TYPE_CHECKING, Final

from bootproof.tpm.codes import Rc, TpmError
from bootproof.tpm.limits import KEY_SLOTS
from bootproof.tpm.numbers import Handle, KeyUsage
from bootproof.tpm.state import StoredKey
from bootproof.tpm.structures.keys import Key, StoreAsymKey, rsa_parameters, sha1
from bootproof.tpm.structures.pcrinfo import PcrInfoShort, release_condition

if TYPE_CHECKING:
    from bootproof.tpm.crypto.rsa import PrivateKey
    from bootproof.tpm.machine import Tpm

_HANDLE_PREFIX: Final = 0x05


class LoadedKey:
    """A key that can be used; what is derived from it is computed once."""

    def __init__(self, stored: StoredKey) -> None:
        self.stored = stored

    @property
    def handle(self) -> int:
        """The handle it is known by."""
        return self.stored.handle

    @property
    def key(self) -> Key:
        """Its TPM_KEY or TPM_KEY12."""
        return self.stored.key

    @property
    def secret(self) -> StoreAsymKey:
        """Its authorisation data and private part."""
        return self.stored.secret

    @cached_property
    def rsa(self) -> PrivateKey:
        """The RSA key."""
        from bootproof.tpm.crypto.rsa import PrivateKey

        exponent = rsa_parameters(self.key.parameters).public_exponent
        return PrivateKey(self.key.public, self.secret.private, exponent)

    @cached_property
    def condition(self) -> PcrInfoShort | None:
        """What PCRs and locality have to be for its use."""
        return release_condition(self.key.pcr_info)

    @property
    def uses_pcrs(self) -> bool:
        """Whether its use depends on PCRs."""
        return self.condition is not None and bool(self.condition.selection.indices())

    @cached_property
    def identity(self) -> bytes:
        """What ties sessions to this key, whatever its handle: a digest of what it is and of its secret, so
        that a session opened before the secret was changed is worth nothing.
        """
        return sha1(b"key", self.key.encode(), self.secret.usage_auth)

    def need_usage(self, *usages: KeyUsage) -> None:
        """INVALID_KEYUSAGE unless it is a key for one of these uses."""
        if self.key.usage not in usages:
            raise TpmError(Rc.INVALID_KEYUSAGE)


class KeySlots:
    """The keys with a handle of their own; `tpm` lends the owner's."""

    def __init__(self, tpm: Tpm) -> None:
        self._tpm = tpm
        self._loaded: dict[int, LoadedKey] = {}
        self._owned: dict[int, LoadedKey] = {}

    def __iter__(self) -> Iterator[LoadedKey]:
        """The loaded keys and those that the owner keeps in, without the SRK."""
        return iter([*self.loaded(), *(self._owner_key(stored) for stored in self._kept())])

    def loaded(self) -> list[LoadedKey]:
        """Return the keys that can be flushed."""
        return list(self._loaded.values())

    @property
    def free(self) -> int:
        """How many more keys can be loaded."""
        return KEY_SLOTS - sum(1 for _ in self)

    def get(self, handle: int) -> LoadedKey:
        """INVALID_KEYHANDLE for a handle that names no key, NOSRK for the SRK of a TPM without an owner."""
        if handle == Handle.SRK:
            return self.srk()
        found = self._loaded.get(handle)
        if found is not None:
            return found
        for stored in self._kept():
            if stored.handle == handle:
                return self._owner_key(stored)
        raise TpmError(Rc.INVALID_KEYHANDLE)

    def own(self, handle: int) -> LoadedKey:
        """Return a key that has a slot, which the SRK has not; INVALID_KEYHANDLE."""
        if handle == Handle.SRK:
            raise TpmError(Rc.INVALID_KEYHANDLE)
        return self.get(handle)

    def srk(self) -> LoadedKey:
        """NOSRK without an owner."""
        owner = self._tpm.permanent.owner
        if owner is None:
            raise TpmError(Rc.NOSRK)
        return self._owner_key(owner.srk)

    def ek(self) -> LoadedKey:
        """Return the endorsement key, which has no handle here; NO_ENDORSEMENT."""
        stored = self._tpm.permanent.ek
        if stored is None:
            raise TpmError(Rc.NO_ENDORSEMENT)
        return self._owner_key(stored)

    def _owner_key(self, stored: StoredKey) -> LoadedKey:
        """Return the usable form of a key in the permanent state; the same one until that changes."""
        known = self._owned.get(stored.handle)
        if known is None or known.stored is not stored:
            known = self._owned[stored.handle] = LoadedKey(stored)
        return known

    def add(self, key: Key, secret: StoreAsymKey, parent_pcr: bool) -> LoadedKey:
        """Give a key a slot and a handle; NOSPACE if all are taken.

        BAD_KEY_PROPERTY where the halves of the key do not belong together.
        """
        loaded = LoadedKey(StoredKey(self._new_handle(), key, secret, parent_pcr))
        bits = rsa_parameters(key.parameters).bits
        try:
            sound = loaded.rsa.size * 8 == bits
        except TpmError:
            sound = False
        if not sound:
            raise TpmError(Rc.BAD_KEY_PROPERTY)
        if self.free < 1:
            raise TpmError(Rc.NOSPACE)
        self._loaded[loaded.handle] = loaded
        return loaded

    def insert(self, stored: StoredKey, same_handle: bool = False) -> LoadedKey:
        """Put a saved key back, under its old handle if that is free; NOSPACE if all slots are taken,
        BAD_HANDLE if it is not free but has to be the same.
        """
        if self.free < 1:
            raise TpmError(Rc.NOSPACE)
        taken = stored.handle in {loaded.handle for loaded in self}
        if taken and same_handle:
            raise TpmError(Rc.BAD_HANDLE)
        handle = self._new_handle() if taken else stored.handle
        loaded = LoadedKey(StoredKey(handle, stored.key, stored.secret, stored.parent_pcr))
        self._loaded[handle] = loaded
        return loaded

    def flush(self, handle: int) -> None:
        """Forget a loaded key and the sessions that are tied to it.

        INVALID_KEYHANDLE if there is none, KEY_OWNER_CONTROL for one that the owner keeps in.
        """
        self._tpm.sessions.close_where(self.set_aside(handle).identity)

    def set_aside(self, handle: int) -> LoadedKey:
        """Forget a loaded key, but not the sessions that are tied to it, because it will come back.

        Codes as of flush.
        """
        self.own(handle)
        if handle not in self._loaded:
            raise TpmError(Rc.KEY_OWNER_CONTROL)
        return self._loaded.pop(handle)

    def keep(self, handle: int) -> None:
        """Make a loaded key one that outlives the power, until the owner lets it go; IOERROR."""
        loaded = self._loaded[handle]
        self._commit_kept((*self._kept(), loaded.stored))
        self._owned[handle] = self._loaded.pop(handle)

    def let_go(self, handle: int) -> None:
        """Make a key that the owner keeps in an ordinary loaded one, under the same handle; IOERROR."""
        loaded = self.own(handle)
        self._commit_kept(tuple(stored for stored in self._kept() if stored.handle != handle))
        self._owned.pop(handle, None)
        self._loaded[handle] = loaded

    def kept(self, handle: int) -> bool:
        """Whether the owner keeps that one in."""
        return any(stored.handle == handle for stored in self._kept())

    def _kept(self) -> tuple[StoredKey, ...]:
        owner = self._tpm.permanent.owner
        return () if owner is None else owner.evict

    def _commit_kept(self, evict: tuple[StoredKey, ...]) -> None:
        permanent = self._tpm.permanent
        if permanent.owner is not None:
            self._tpm.commit(replace(permanent, owner=replace(permanent.owner, evict=evict)))

    @property
    def kept_count(self) -> int:
        """How many slots the owner's keys take."""
        return len(self._kept())

    def remove_all(self) -> None:
        """Forget all loaded keys, and what was derived from the owner's."""
        self._loaded.clear()
        self._owned.clear()

    def _new_handle(self) -> int:
        taken = {loaded.handle for loaded in self}
        while True:
            handle = _HANDLE_PREFIX << 24 | int.from_bytes(os.urandom(3))
            if handle not in taken:
                return handle

    def stored(self) -> tuple[StoredKey, ...]:
        """Return the loaded keys for a snapshot."""
        return tuple(loaded.stored for loaded in self.loaded())

    def restore(self, keys: Iterable[StoredKey]) -> None:
        """Take the loaded keys from a snapshot."""
        self._loaded = {stored.handle: LoadedKey(stored) for stored in keys}
