# SPDX-License-Identifier: GPL-3.0-or-later
"""Keys that are in the TPM: loaded ones, the storage root key, and those that the owner keeps in."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
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
        from bootproof.tpm.crypto.rsa import DEFAULT_EXPONENT, PrivateKey

        exponent = int.from_bytes(rsa_parameters(self.key.parameters).exponent) or DEFAULT_EXPONENT
        return PrivateKey(self.key.public, self.secret.private, exponent)

    @cached_property
    def condition(self) -> PcrInfoShort | None:
        """What PCRs and locality have to be for its use."""
        return release_condition(self.key.pcr_info)

    @cached_property
    def identity(self) -> bytes:
        """What ties sessions to this key, whatever its handle: a digest of its public part."""
        return sha1(b"key", self.key.encode())

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
        owner = self._tpm.permanent.owner
        evict = [] if owner is None else [self._owner_key(stored) for stored in owner.evict]
        return iter([*self.loaded(), *evict])

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
        owner = self._tpm.permanent.owner
        for stored in () if owner is None else owner.evict:
            if stored.handle == handle:
                return self._owner_key(stored)
        raise TpmError(Rc.INVALID_KEYHANDLE)

    def srk(self) -> LoadedKey:
        """NOSRK without an owner."""
        owner = self._tpm.permanent.owner
        if owner is None:
            raise TpmError(Rc.NOSRK)
        return self._owner_key(owner.srk)

    def _owner_key(self, stored: StoredKey) -> LoadedKey:
        """Return the usable form of a key in the permanent state; the same one until that changes."""
        known = self._owned.get(stored.handle)
        if known is None or known.stored is not stored:
            known = self._owned[stored.handle] = LoadedKey(stored)
        return known

    def add(self, key: Key, secret: StoreAsymKey, parent_pcr: bool) -> LoadedKey:
        """Give a key a slot and a handle; NOSPACE if all are taken."""
        if self.free < 1:
            raise TpmError(Rc.NOSPACE)
        loaded = LoadedKey(StoredKey(self._new_handle(), key, secret, parent_pcr))
        self._loaded[loaded.handle] = loaded
        return loaded

    def insert(self, stored: StoredKey) -> LoadedKey:
        """Put a saved key back, under its old handle if that is free; NOSPACE if all slots are taken."""
        if self.free < 1:
            raise TpmError(Rc.NOSPACE)
        taken = {loaded.handle for loaded in self}
        handle = stored.handle if stored.handle not in taken else self._new_handle()
        loaded = LoadedKey(StoredKey(handle, stored.key, stored.secret, stored.parent_pcr))
        self._loaded[handle] = loaded
        return loaded

    def remove(self, handle: int) -> None:
        """Forget a loaded key; INVALID_KEYHANDLE if there is none."""
        if self._loaded.pop(handle, None) is None:
            raise TpmError(Rc.INVALID_KEYHANDLE)

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
