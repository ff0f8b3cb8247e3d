# SPDX-License-Identifier: GPL-3.0-or-later
"""Monotonic counters (Part 3, 25). Between two starts only one of them can be incremented."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

from bootproof.tpm import entities
from bootproof.tpm.codes import Rc, TpmError
from bootproof.tpm.command import Command
from bootproof.tpm.numbers import Protocol
from bootproof.tpm.ordinals import Ord
from bootproof.tpm.structures.counters import (
    LABEL_SIZE,
    NO_COUNTER,
    RELEASED_COUNTER,
    Counter,
    CounterValue,
    incremented,
)
from bootproof.tpm.wire import Structure, digest, nested, raw, structure, uint32

if TYPE_CHECKING:
    from bootproof.tpm.call import Call
    from bootproof.tpm.machine import Tpm


@structure
class CreateCounterIn(Structure):
    """TPM_CreateCounter."""

    encrypted_auth: bytes = digest()
    label: bytes = raw(LABEL_SIZE)


@structure
class CreateCounterOut(Structure):
    """The new counter's handle and first value."""

    handle: int = uint32()
    value: CounterValue = nested(CounterValue)


@structure
class CounterIn(Structure):
    """The handle of a counter, which the HMAC covers."""

    handle: int = uint32()


def create_counter(call: Call, args: CreateCounterIn) -> CreateCounterOut:
    """AUTHFAIL, BAD_MODE, RESOURCES. The first value is higher than any that a counter ever had."""
    tpm = call.tpm
    call.owner(protocol=Protocol.OSAP)
    auth = call.decrypt_auth(args.encrypted_auth)
    counter = tpm.permanent.counters.new(auth, args.label)
    call.end_session()
    tpm.commit(replace(tpm.permanent, counters=tpm.permanent.counters.put(counter)))
    return CreateCounterOut(counter.handle, counter.value)


def increment_counter(call: Call, args: CounterIn) -> CounterValue:
    """BAD_COUNTER for one that does not exist, or another than the first of this start; AUTHFAIL."""
    tpm = call.tpm
    if tpm.active_counter not in (NO_COUNTER, args.handle):
        raise TpmError(Rc.BAD_COUNTER)
    counter = tpm.permanent.counters.get(args.handle)
    call.authorize(entities.of_counter(counter))
    counter = incremented(counter)
    tpm.commit(replace(tpm.permanent, counters=tpm.permanent.counters.put(counter)))
    tpm.active_counter = args.handle
    return counter.value


def read_counter(tpm: Tpm, args: CounterIn) -> CounterValue:
    """BAD_COUNTER."""
    return tpm.permanent.counters.get(args.handle).value


def release_counter(call: Call, args: CounterIn) -> None:
    """BAD_COUNTER, AUTHFAIL."""
    counter = call.tpm.permanent.counters.get(args.handle)
    call.authorize(entities.of_counter(counter))
    _release(call, counter)


def release_counter_owner(call: Call, args: CounterIn) -> None:
    """AUTHFAIL, BAD_COUNTER."""
    call.owner()
    _release(call, call.tpm.permanent.counters.get(args.handle))


def _release(call: Call, counter: Counter) -> None:
    """Forget it; if it was incremented since the start, none can be before the next one."""
    tpm = call.tpm
    tpm.commit(replace(tpm.permanent, counters=tpm.permanent.counters.drop(counter.handle)))
    tpm.sessions.close_where(entities.of_counter(counter).identity)
    if tpm.active_counter == counter.handle:
        tpm.active_counter = RELEASED_COUNTER


ROWS: Final = (
    Command(
        Ord.CREATE_COUNTER,
        "TPM_CreateCounter",
        "25.1",
        create_counter,
        CreateCounterIn,
        auths=(1,),
        needs_owner=True,
        owner_right=4,
    ),
    Command(
        Ord.INCREMENT_COUNTER,
        "TPM_IncrementCounter",
        "25.2",
        increment_counter,
        CounterIn,
        auths=(1,),
        needs_owner=True,
    ),
    Command(Ord.READ_COUNTER, "TPM_ReadCounter", "25.3", read_counter, CounterIn),
    Command(Ord.RELEASE_COUNTER, "TPM_ReleaseCounter", "25.4", release_counter, CounterIn, auths=(1,)),
    Command(
        Ord.RELEASE_COUNTER_OWNER,
        "TPM_ReleaseCounterOwner",
        "25.5",
        release_counter_owner,
        CounterIn,
        auths=(1,),
        needs_owner=True,
        owner_right=3,
    ),
)
