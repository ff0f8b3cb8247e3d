# SPDX-License-Identifier: GPL-3.0-or-later
"""Ticks and counters (Part 3, 23 and 25)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

from tests.tpm.client.constants import OWNER, Entity, Ord
from tests.tpm.client.tpm import Auth, Tpm
from tests.tpm.client.wire import Reader, Struct, sha1, sized, u16, u32, u64


@dataclass(frozen=True)
class Ticks(Struct):
    """TPM_CURRENT_TICKS (Part 2, 15.1)."""

    ticks: int
    rate: int
    nonce: bytes

    def encode(self) -> bytes:
        return u16(0x14) + u64(self.ticks) + u16(self.rate) + self.nonce

    @classmethod
    def read(cls, source: Reader) -> Self:
        source.tag(0x14)
        return cls(source.u64(), source.u16(), source.digest())


def get_ticks(tpm: Tpm) -> Ticks:
    """TPM_GetTicks (23.1)."""
    answer = tpm.call(Ord.GET_TICKS)
    ticks = Ticks.read(answer)
    answer.end()
    return ticks


@dataclass(frozen=True)
class Stamp:
    """The time, and the signature over it and the digest."""

    ticks: Ticks
    signature: bytes

    def signed_digest(self, replay: bytes, digest: bytes) -> bytes:
        return sha1(u16(0x05), b"TSTP", replay, sized(digest + self.ticks.encode()))


def tick_stamp_blob(tpm: Tpm, auth: Auth, key: int, replay: bytes, digest: bytes) -> Stamp:
    """TPM_TickStampBlob (23.2)."""
    answer = tpm.call(Ord.TICK_STAMP_BLOB, replay + digest, auth, handles=[key])
    made = Stamp(Ticks.read(answer), answer.sized())
    answer.end()
    return made


@dataclass(frozen=True)
class Counter(Struct):
    """TPM_COUNTER_VALUE (Part 2, 15.3)."""

    label: bytes
    count: int

    def encode(self) -> bytes:
        return u16(0x0E) + self.label + u32(self.count)

    @classmethod
    def read(cls, source: Reader) -> Self:
        source.tag(0x0E)
        return cls(source.take(4), source.u32())


def create_counter(tpm: Tpm, owner: Auth, label: bytes, secret: bytes) -> tuple[int, Counter]:
    """TPM_CreateCounter (25.1); return its id and value."""
    session = tpm.session_for(owner, Entity.OWNER, OWNER)
    answer = tpm.call(Ord.CREATE_COUNTER, session.encrypt(secret) + label, session)
    number, value = answer.u32(), Counter.read(answer)
    answer.end()
    return number, value


def increment_counter(tpm: Tpm, auth: Auth, number: int) -> Counter:
    """TPM_IncrementCounter (25.2)."""
    answer = tpm.call(Ord.INCREMENT_COUNTER, u32(number), auth)
    value = Counter.read(answer)
    answer.end()
    return value


def read_counter(tpm: Tpm, number: int) -> Counter:
    """TPM_ReadCounter (25.3)."""
    answer = tpm.call(Ord.READ_COUNTER, u32(number))
    value = Counter.read(answer)
    answer.end()
    return value


def release_counter(tpm: Tpm, auth: Auth, number: int) -> None:
    """TPM_ReleaseCounter (25.4)."""
    tpm.call(Ord.RELEASE_COUNTER, u32(number), auth).end()


def release_counter_owner(tpm: Tpm, owner: Auth, number: int) -> None:
    """TPM_ReleaseCounterOwner (25.5)."""
    tpm.call(Ord.RELEASE_COUNTER_OWNER, u32(number), owner).end()
