# SPDX-License-Identifier: GPL-3.0-or-later
"""Non-volatile storage (Part 3, 20; Part 2, 19)."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntFlag
from typing import Self

from tests.tpm.client.constants import OWNER, WELL_KNOWN, Entity, Ord
from tests.tpm.client.pcr import UNBOUND, PcrInfoShort
from tests.tpm.client.tpm import Auth, Tpm
from tests.tpm.client.wire import Reader, Struct, flag, sized, u16, u32

LOCK = 0xFFFFFFFF  # TPM_NV_INDEX_LOCK
INDEX0 = 0x00000000
DIR = 0x10000001  # TPM_NV_INDEX_DIR
D_BIT = 0x10000000


class Nv(IntFlag):
    """Attributes of an index (Part 2, 19.2)."""

    NONE = 0
    PP_WRITE = 1 << 0
    OWNER_WRITE = 1 << 1
    AUTH_WRITE = 1 << 2
    WRITE_ALL = 1 << 12
    WRITE_DEFINE = 1 << 13
    WRITE_ST_CLEAR = 1 << 14
    GLOBAL_LOCK = 1 << 15
    PP_READ = 1 << 16
    OWNER_READ = 1 << 17
    AUTH_READ = 1 << 18
    READ_ST_CLEAR = 1 << 31


@dataclass(frozen=True)
class NvPublic(Struct):
    """TPM_NV_DATA_PUBLIC (Part 2, 19.3)."""

    index: int
    attributes: int
    size: int
    read_pcrs: PcrInfoShort = UNBOUND
    write_pcrs: PcrInfoShort = UNBOUND
    read_locked: bool = False
    write_locked: bool = False
    defined: bool = False

    def encode(self) -> bytes:
        pcrs = self.read_pcrs.encode() + self.write_pcrs.encode()
        locks = flag(self.read_locked) + flag(self.write_locked) + flag(self.defined)
        permission = u16(0x17) + u32(self.attributes)
        return u16(0x18) + u32(self.index) + pcrs + permission + locks + u32(self.size)

    @classmethod
    def read(cls, source: Reader) -> Self:
        source.tag(0x18)
        index = source.u32()
        read_pcrs, write_pcrs = PcrInfoShort.read(source), PcrInfoShort.read(source)
        source.tag(0x17)
        attributes = source.u32()
        locks = bool(source.u8()), bool(source.u8()), bool(source.u8())
        return cls(index, attributes, source.u32(), read_pcrs, write_pcrs, *locks)


def define_space(tpm: Tpm, owner: Auth, public: NvPublic, secret: bytes = WELL_KNOWN) -> None:
    """TPM_NV_DefineSpace (20.1); size 0 releases the index. Without an owner `owner` is None."""
    if owner is None:
        tpm.call(Ord.NV_DEFINE_SPACE, public.encode() + secret).end()
        return
    session = tpm.session_for(owner, Entity.OWNER, OWNER)
    tpm.call(Ord.NV_DEFINE_SPACE, public.encode() + session.encrypt(secret), session).end()


def lock(tpm: Tpm) -> None:
    """Define TPM_NV_INDEX_LOCK: from then on NV attributes are enforced."""
    define_space(tpm, None, NvPublic(LOCK, Nv.NONE, 0))


def write_value(tpm: Tpm, owner: Auth, index: int, data: bytes, offset: int = 0) -> None:
    """TPM_NV_WriteValue (20.2): by the owner, or without authorisation if the attributes allow it."""
    tpm.call(Ord.NV_WRITE_VALUE, u32(index) + u32(offset) + sized(data), owner).end()


def write_value_auth(tpm: Tpm, auth: Auth, index: int, data: bytes, offset: int = 0) -> None:
    """TPM_NV_WriteValueAuth (20.3): with the index's own secret."""
    tpm.call(Ord.NV_WRITE_VALUE_AUTH, u32(index) + u32(offset) + sized(data), auth).end()


def read_value(tpm: Tpm, owner: Auth, index: int, size: int, offset: int = 0) -> bytes:
    """TPM_NV_ReadValue (20.4)."""
    return _read(tpm, Ord.NV_READ_VALUE, owner, index, size, offset)


def read_value_auth(tpm: Tpm, auth: Auth, index: int, size: int, offset: int = 0) -> bytes:
    """TPM_NV_ReadValueAuth (20.5)."""
    return _read(tpm, Ord.NV_READ_VALUE_AUTH, auth, index, size, offset)


def _read(tpm: Tpm, ordinal: int, auth: Auth, index: int, size: int, offset: int) -> bytes:
    answer = tpm.call(ordinal, u32(index) + u32(offset) + u32(size), auth)
    data = answer.sized()
    answer.end()
    return data
