# SPDX-License-Identifier: GPL-3.0-or-later
"""Ending the lock-out after a dictionary attack (Part 3, 9.3)."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

from bootproof.tpm import defence
from bootproof.tpm.codes import Rc, TpmError
from bootproof.tpm.command import Command
from bootproof.tpm.ordinals import Ord
from bootproof.tpm.structures.defence import Guesses
from bootproof.tpm.wire import Nothing

if TYPE_CHECKING:
    from bootproof.tpm.call import Call


def reset_lock_value(call: Call, _args: Nothing) -> None:
    """AUTHFAIL; also, right or wrong, for the rest of the lock-out in which it was wrong once."""
    tpm = call.tpm
    if defence.locked(tpm) and tpm.stclear_data.disable_reset_lock:
        raise TpmError(Rc.AUTHFAIL)
    try:
        call.owner()
    except TpmError:
        tpm.stclear_data = replace(tpm.stclear_data, disable_reset_lock=True)
        raise
    tpm.commit(replace(tpm.permanent, guesses=Guesses()))


ROWS: Final = (
    Command(
        Ord.RESET_LOCK_VALUE,
        "TPM_ResetLockValue",
        "9.3",
        reset_lock_value,
        Nothing,
        auths=(1,),
        needs_owner=True,
        owner_right=17,
    ),
)
