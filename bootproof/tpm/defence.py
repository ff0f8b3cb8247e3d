# SPDX-License-Identifier: GPL-3.0-or-later
"""Dictionary attacks: whoever guesses secrets has to wait (Part 1, 19).

Every wrong HMAC counts, whatever it was for: keys, the owner, NV areas, the operator. The first FREE_GUESSES
cost nothing; each further one locks all commands with an authorisation for twice as long as the one before,
from a second up to LONGEST_LOCK. Nothing but TPM_ResetLockValue, clearing the TPM and time bring the count
down: one failure is forgotten for every FORGET_AFTER without a lock or another failure. Count and time are
permanent state, so switching off does not help, and real time, so it does not harm.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

from bootproof.tpm.codes import Rc, TpmError
from bootproof.tpm.structures.defence import DaInfo, DaInfoLimited, Guesses

if TYPE_CHECKING:
    from bootproof.tpm.machine import Tpm

FREE_GUESSES: Final = 5
LONGEST_LOCK: Final = 24 * 3600 * 1000  # in milliseconds, as all times here
FORGET_AFTER: Final = 3600 * 1000
_FIRST_LOCK: Final = 1000
_MOST_DOUBLINGS: Final = LONGEST_LOCK.bit_length()
_MOST_REPORTED: Final = 0xFFFF


def lock_time(count: int) -> int:
    """Return for how long that many failures lock the TPM."""
    excess = count - FREE_GUESSES
    if excess <= 0:
        return 0
    return min(_FIRST_LOCK << min(excess - 1, _MOST_DOUBLINGS), LONGEST_LOCK)


def lock_left(guesses: Guesses, now: int) -> int:
    """Return how much longer the TPM is locked: 0 if it is not."""
    return max(0, lock_time(guesses.count) - _since(guesses, now))


def count_at(guesses: Guesses, now: int) -> int:
    """Return how many failures are not forgotten at that time."""
    free = max(0, _since(guesses, now) - lock_time(guesses.count))
    return max(0, guesses.count - free // FORGET_AFTER)


def _since(guesses: Guesses, now: int) -> int:
    """Return the time since the last failure; none has passed for a clock that was set back."""
    return max(0, now - guesses.last)


def note_failure(tpm: Tpm) -> None:
    """Count a failed authorisation. IOERROR if that cannot be kept for ever; it counts nevertheless."""
    now = tpm.clock()
    count = count_at(tpm.permanent.guesses, now) + 1
    permanent = replace(tpm.permanent, guesses=Guesses(count, now))
    try:
        tpm.commit(permanent)
    except TpmError:
        tpm.permanent = permanent
        raise


def check(tpm: Tpm) -> None:
    """DEFEND_LOCK_RUNNING while the TPM is locked."""
    if locked(tpm):
        raise TpmError(Rc.DEFEND_LOCK_RUNNING)


def locked(tpm: Tpm) -> bool:
    """Tell whether the TPM is locked; once it is not, TPM_ResetLockValue may be tried again."""
    guesses = tpm.permanent.guesses
    if guesses.count > FREE_GUESSES:
        now = tpm.clock()
        if now < guesses.last:
            guesses = replace(guesses, last=now)
            tpm.commit(replace(tpm.permanent, guesses=guesses))
        if lock_left(guesses, now):
            return True
    if tpm.stclear_data.disable_reset_lock:
        tpm.stclear_data = replace(tpm.stclear_data, disable_reset_lock=False)
    return False


def information(tpm: Tpm) -> DaInfo | DaInfoLimited:
    """Return what TPM_GetCapability tells: less where disableFullDALogicInfo is set."""
    guesses, now = tpm.permanent.guesses, tpm.clock()
    left = lock_left(guesses, now)
    state = 1 if left else 0
    if tpm.permanent.flags.disable_full_da_logic_info:
        return DaInfoLimited(state)
    count = min(count_at(guesses, now), _MOST_REPORTED)
    return DaInfo(state, count, FREE_GUESSES, action_value=-(-left // 1000))
