# SPDX-License-Identifier: GPL-3.0-or-later
"""The data integrity register (Part 3, 27.3), which NV storage has under the index 10000001, too."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

from bootproof.tpm.codes import Rc, TpmError
from bootproof.tpm.command import Command
from bootproof.tpm.limits import DIR_COUNT
from bootproof.tpm.ordinals import Ord
from bootproof.tpm.wire import Structure, digest, structure, uint32

if TYPE_CHECKING:
    from bootproof.tpm.call import Call
    from bootproof.tpm.machine import Tpm


@structure
class DirWriteIn(Structure):
    """TPM_DirWriteAuth."""

    index: int = uint32()
    value: bytes = digest()


@structure
class DirReadIn(Structure):
    """TPM_DirRead."""

    index: int = uint32()


@structure
class DirOut(Structure):
    """The content of the register."""

    value: bytes = digest()


def dir_write_auth(call: Call, args: DirWriteIn) -> None:
    """AUTHFAIL, without an owner, too; BADINDEX."""
    tpm = call.tpm
    call.owner()
    _check_index(args.index)
    tpm.commit(replace(tpm.permanent, nv=replace(tpm.permanent.nv, register=args.value)))


def dir_read(tpm: Tpm, args: DirReadIn) -> DirOut:
    """BADINDEX."""
    _check_index(args.index)
    return DirOut(tpm.permanent.nv.register)


def _check_index(index: int) -> None:
    if index >= DIR_COUNT:
        raise TpmError(Rc.BADINDEX)


ROWS: Final = (
    Command(
        Ord.DIR_WRITE_AUTH,
        "TPM_DirWriteAuth",
        "27.3.1",
        dir_write_auth,
        DirWriteIn,
        auths=(1,),
        owner_right=29,
    ),
    Command(Ord.DIR_READ, "TPM_DirRead", "27.3.2", dir_read, DirReadIn),
)
