# SPDX-License-Identifier: GPL-3.0-or-later
"""What goes when an owner comes or goes, and what stays (Part 3, 6.1, 6.2 and 14.3)."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from bootproof.tpm import audit
from bootproof.tpm.codes import DIGEST_SIZE
from bootproof.tpm.state import Permanent
from bootproof.tpm.structures.counters import NO_COUNTER
from bootproof.tpm.structures.defence import Guesses
from bootproof.tpm.structures.migration import Restrictions
from bootproof.tpm.structures.nv import NvLocks
from bootproof.tpm.structures.stclear import StClearData

if TYPE_CHECKING:
    from bootproof.tpm.machine import Tpm


def without_owner(tpm: Tpm) -> Permanent:
    """Return its permanent state without its owner and all that was his, disabled and deactivated.

    EK, DIR, NV areas of the platform, the count that the next counter starts from, the audit's count and
    the settings of physical presence stay.
    """
    permanent = tpm.permanent
    none = bytes(DIGEST_SIZE)
    flags = replace(
        permanent.flags,
        disable=True,
        deactivated=True,
        read_pubek=True,
        disable_owner_clear=False,
        disable_full_da_logic_info=False,
        allow_maintenance=True,
        read_srk_pub=False,
        ownership=True,
        operator=False,
        maintenance_done=False,
    )
    return replace(
        permanent,
        flags=flags,
        owner=None,
        tpm_proof=none,
        operator_auth=none,
        guesses=Guesses(),
        nv=permanent.nv.owner_cleared(),
        counters=permanent.counters.owner_cleared(),
        delegations=permanent.delegations.owner_cleared(),
        restrictions=Restrictions(),
        audit=audit.initial(tpm.commands, permanent.audit.count),
    )


def clear(tpm: Tpm, permanent: Permanent) -> None:
    """Make `permanent`, from `without_owner`, the permanent state, and forget keys, sessions and everything
    else volatile but PCRs and STCLEAR flags. IOERROR.
    """
    tpm.begins_audit = tpm.auditing
    tpm.commit(permanent)
    tpm.keys.remove_all()
    tpm.reset_sessions()
    tpm.stclear_data = StClearData()
    tpm.active_counter = NO_COUNTER
    areas = permanent.nv
    tpm.nv_locks = NvLocks(tuple(lock for lock in tpm.nv_locks.locks if areas.find(lock.index)))
