# SPDX-License-Identifier: GPL-3.0-or-later
"""NV storage (Part 2, 19): areas as they are described, and as the TPM keeps them."""

from __future__ import annotations

from dataclasses import replace
from enum import IntFlag
from typing import Final

from bootproof.tpm.codes import DIGEST_SIZE, Rc, TpmError
from bootproof.tpm.limits import NV_SIZE
from bootproof.tpm.numbers import LOCALITY_BITS
from bootproof.tpm.structures.pcrinfo import PcrInfoShort, check_locality_bits
from bootproof.tpm.wire import (
    Structure,
    boolean,
    digest,
    listed,
    nested,
    raw,
    sized16,
    sized32,
    structure,
    structure_tag,
    uint32,
)

INDEX_LOCK: Final = 0xFFFFFFFF  # TPM_NV_INDEX_LOCK: defining it locks the storage for ever
INDEX_GLOBAL_LOCK: Final = 0  # TPM_NV_INDEX0: writing to it sets bGlobalLock
INDEX_DIR: Final = 0x10000001  # the data integrity register of TPM 1.1
INDEX_TRIAL: Final = 0x0000F004  # defining it only tells whether that would succeed
D_BIT: Final = 0x10000000  # set in manufacturing, never added or removed later
_RESERVED_BITS: Final = 0x0F000000
_GPIO: Final = range(0x00011600, 0x00011700)  # general purpose pins: this TPM has none


class NvFlag(IntFlag):
    """Attributes of an area (19.2); a name of its own for each TPM_NV_PER_..."""

    PP_WRITE = 1 << 0
    OWNER_WRITE = 1 << 1
    AUTH_WRITE = 1 << 2
    WRITE_ALL = 1 << 12
    WRITE_DEFINE = 1 << 13
    WRITE_STCLEAR = 1 << 14
    GLOBAL_LOCK = 1 << 15
    PP_READ = 1 << 16
    OWNER_READ = 1 << 17
    AUTH_READ = 1 << 18
    READ_STCLEAR = 1 << 31


_WRITE_RULES: Final = NvFlag.OWNER_WRITE | NvFlag.AUTH_WRITE | NvFlag.WRITE_DEFINE | NvFlag.PP_WRITE


@structure
class NvAttributes(Structure):
    """TPM_NV_ATTRIBUTES (19.2): bits of NvFlag."""

    tag: int = structure_tag(default=0x0017)
    bits: int = uint32()


@structure
class NvPublic(Structure):
    """TPM_NV_DATA_PUBLIC (19.3)."""

    tag: int = structure_tag(default=0x0018)
    index: int = uint32()
    read_binding: PcrInfoShort = nested(PcrInfoShort, refusal=Rc.INVALID_STRUCTURE)  # pcrInfoRead
    write_binding: PcrInfoShort = nested(PcrInfoShort, refusal=Rc.INVALID_STRUCTURE)  # pcrInfoWrite
    attributes: NvAttributes = nested(NvAttributes)
    read_locked: bool = boolean(default=False)  # bReadSTClear
    write_locked: bool = boolean(default=False)  # bWriteSTClear
    write_defined: bool = boolean(default=False)  # bWriteDefine
    size: int = uint32(default=0)

    def has(self, flag: NvFlag) -> bool:
        """Whether that attribute is set."""
        return bool(self.attributes.bits & flag)

    @property
    def writable(self) -> bool:
        """Whether a rule says who may write it: that there is none must not mean that everybody may."""
        ruled = self.attributes.bits & _WRITE_RULES
        return bool(ruled) or self.write_binding.locality_at_release != LOCALITY_BITS


@structure
class NvArea(Structure):
    """An area as it is kept (TPM_NV_DATA_SENSITIVE, 19.4).

    `definition` is its NvPublic, encoded: a commit writes the areas that nobody has touched without taking
    them apart. The locks that end with TPM_Startup are not in it (see NvLocks).
    """

    index: int = uint32()
    auth: bytes = digest()
    definition: bytes = sized16()
    data: bytes = sized32()

    @property
    def public(self) -> NvPublic:
        """What is known about it."""
        return NvPublic.decode(self.definition)

    @property
    def overhead(self) -> int:
        """How many bytes of the storage it takes besides its data."""
        return len(self.encode()) - len(self.data)


_DIR_ATTRIBUTES: Final = NvAttributes(NvFlag.OWNER_WRITE | NvFlag.WRITE_ALL)


@structure
class NvStorage(Structure):
    """All areas, the DIR, and how often somebody wrote while there was no owner (noOwnerNVWrite)."""

    areas: tuple[NvArea, ...] = listed(NvArea, default=())
    register: bytes = raw(DIGEST_SIZE, default=bytes(DIGEST_SIZE))
    ownerless_writes: int = uint32(default=0)

    def find(self, index: int) -> NvArea | None:
        """Return the area of that index; the DIR is none."""
        return next((area for area in self.areas if area.index == index), None)

    def get(self, index: int) -> NvArea:
        """BADINDEX where no area is defined."""
        area = self.find(index)
        if area is None:
            raise TpmError(Rc.BADINDEX)
        return area

    def get_accessible(self, index: int) -> NvArea:
        """Return what TPM_NV_ReadValue and TPM_NV_WriteValue reach: an area, or the DIR; BADINDEX."""
        if index != INDEX_DIR:
            return self.get(index)
        public = NvPublic(index, PcrInfoShort(), PcrInfoShort(), _DIR_ATTRIBUTES, size=DIGEST_SIZE)
        return NvArea(index, bytes(DIGEST_SIZE), public.encode(), self.register)

    def put(self, area: NvArea) -> NvStorage:
        """Return the storage with that area in the place of the one of the same index."""
        if area.index == INDEX_DIR:
            return replace(self, register=area.data)
        if self.find(area.index) is None:
            return replace(self, areas=(*self.areas, area))
        return replace(self, areas=tuple(area if old.index == area.index else old for old in self.areas))

    def drop(self, index: int) -> NvStorage:
        """Return the storage without the area of that index."""
        return replace(self, areas=tuple(area for area in self.areas if area.index != index))

    @property
    def free(self) -> int:
        """How many bytes are left for areas and what it takes to manage them."""
        return NV_SIZE - sum(area.overhead + len(area.data) for area in self.areas)

    @property
    def available(self) -> int:
        """The size of the largest area, in bytes, that can be defined now."""
        unbound = NvPublic(0, PcrInfoShort(), PcrInfoShort(), NvAttributes(0))
        return max(0, self.free - NvArea(0, bytes(DIGEST_SIZE), unbound.encode(), b"").overhead)

    def allocate(self, public: NvPublic, auth: bytes) -> NvArea:
        """Return an area of that kind, without locks, all its bytes ff; NOSPACE."""
        definition = replace(public, read_locked=False, write_locked=False, write_defined=False).encode()
        area = NvArea(public.index, auth, definition, b"")
        if area.overhead + public.size > self.free:
            raise TpmError(Rc.NOSPACE)
        return replace(area, data=b"\xff" * public.size)

    def owner_cleared(self) -> NvStorage:
        """Return what is left when the owner goes (Part 3, 6.2): all that was not his or has the D bit."""
        owners = NvFlag.OWNER_READ | NvFlag.OWNER_WRITE
        kept = [
            area for area in self.areas if area.index & D_BIT or not area.public.attributes.bits & owners
        ]
        return replace(self, areas=tuple(kept), ownerless_writes=0)

    def trust_revoked(self) -> NvStorage:
        """Return what is left when the EK goes (Part 3, 14.3): the D bit protects no longer."""
        kept = tuple(area for area in self.areas if not area.index & D_BIT)
        return replace(self, areas=kept).owner_cleared()


_CONFLICTS: Final = (NvFlag.OWNER_WRITE | NvFlag.AUTH_WRITE, NvFlag.OWNER_READ | NvFlag.AUTH_READ)


def check_definition(wanted: NvPublic) -> None:
    """Check that an area as wanted makes sense (Part 3, 20.1, actions 7 to 9).

    INVALID_STRUCTURE, AUTH_CONFLICT, PER_NOWRITE, BADINDEX, BAD_PARAM_SIZE.
    """
    _check_binding(wanted.read_binding)
    _check_binding(wanted.write_binding)
    bits = wanted.attributes.bits
    if any(bits & both == both for both in _CONFLICTS):
        raise TpmError(Rc.AUTH_CONFLICT)
    if not wanted.writable:
        raise TpmError(Rc.PER_NOWRITE)
    _check_index(wanted.index)
    if not wanted.size:
        raise TpmError(Rc.BAD_PARAM_SIZE)


def _check_binding(binding: PcrInfoShort) -> None:
    """INVALID_STRUCTURE for localities that do not exist, or none at all."""
    try:
        check_locality_bits(binding.locality_at_release)
    except TpmError as error:
        raise TpmError(Rc.INVALID_STRUCTURE) from error


def _check_index(index: int) -> None:
    """BADINDEX unless an area may be defined there."""
    if index in (INDEX_LOCK, INDEX_GLOBAL_LOCK, INDEX_DIR) or index & _RESERVED_BITS or index in _GPIO:
        raise TpmError(Rc.BADINDEX)


@structure
class NvLock(Structure):
    """The locks of one area until the next TPM_Startup(ST_CLEAR): bReadSTClear, bWriteSTClear."""

    index: int = uint32()
    read_locked: bool = boolean(default=False)
    write_locked: bool = boolean(default=False)


@structure
class NvLocks(Structure):
    """The areas that are locked until the next TPM_Startup(ST_CLEAR)."""

    locks: tuple[NvLock, ...] = listed(NvLock, default=())

    def of(self, index: int) -> NvLock:
        """Return the locks of that area."""
        return next((lock for lock in self.locks if lock.index == index), NvLock(index))

    def put(self, lock: NvLock) -> NvLocks:
        """Return all locks with these in the place of those of the same area."""
        others = [old for old in self.locks if old.index != lock.index]
        return NvLocks((*others, lock) if lock.read_locked or lock.write_locked else tuple(others))
