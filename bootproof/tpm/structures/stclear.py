# SPDX-License-Identifier: GPL-3.0-or-later
"""TPM_STCLEAR_DATA (Part 2, 7.5): those of its fields that belong to no table of their own."""

from __future__ import annotations

from bootproof.tpm.numbers import Handle
from bootproof.tpm.wire import Structure, boolean, structure, uint32


@structure
class StClearData(Structure):
    """Lost at TPM_Startup(ST_CLEAR) and when the TPM is cleared, kept by TPM_SaveState.

    `disable_reset_lock`: TPM_ResetLockValue is shut until the lock-out ends, because it failed.
    `deferred_presence`: bits of TPM_DEFERRED_PRESENCE, what presence was vouched for in advance.
    `owner_pointer`: ownerReference, the owner himself or the index of a row of the delegate table.
    """

    disable_reset_lock: bool = boolean(default=False)
    deferred_presence: int = uint32(default=0)
    owner_pointer: int = uint32(default=int(Handle.OWNER))
