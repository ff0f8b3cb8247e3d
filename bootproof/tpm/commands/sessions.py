# SPDX-License-Identifier: GPL-3.0-or-later
"""Resources that are named by a handle (Part 3, 22). This tier has none, so every handle is unknown."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from bootproof.tpm.codes import Rc, TpmError
from bootproof.tpm.wire import Structure, structure, uint32

if TYPE_CHECKING:
    from bootproof.tpm.machine import Tpm

RT_KEY: Final = 1
RT_AUTH: Final = 2
RT_TRANS: Final = 4
RT_CONTEXT: Final = 5
RT_COUNTER: Final = 6
RT_DAA: Final = 8

_UNKNOWN_HANDLE: Final = {
    RT_KEY: Rc.BAD_PARAMETER,
    RT_AUTH: Rc.INVALID_AUTHHANDLE,
    RT_TRANS: Rc.INVALID_AUTHHANDLE,
    RT_CONTEXT: Rc.BAD_PARAMETER,
    RT_DAA: Rc.BAD_HANDLE,
}


@structure
class FlushIn(Structure):
    """TPM_FlushSpecific."""

    handle: int = uint32()
    resource: int = uint32()


def flush_specific(_tpm: Tpm, args: FlushIn) -> None:
    """The code of an unknown handle of that resource type; INVALID_RESOURCE for a type that cannot be
    flushed.
    """
    raise TpmError(_UNKNOWN_HANDLE.get(args.resource, Rc.INVALID_RESOURCE))
