# SPDX-License-Identifier: GPL-3.0-or-later
"""Integrity collection (Part 3, 16): Extend, PcrRead, PCR_Reset."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from bootproof.tpm.codes import Rc, TpmError
from bootproof.tpm.command import Command, In
from bootproof.tpm.ordinals import Ord
from bootproof.tpm.pcrs import ZEROS
from bootproof.tpm.structures.pcrinfo import PcrSelection
from bootproof.tpm.wire import Structure, digest, nested, structure, uint32

if TYPE_CHECKING:
    from bootproof.tpm.machine import Tpm


@structure
class ExtendIn(Structure):
    """TPM_Extend."""

    pcr: int = uint32()
    digest: bytes = digest()


@structure
class PcrReadIn(Structure):
    """TPM_PCRRead."""

    pcr: int = uint32()


@structure
class PcrValueOut(Structure):
    """The value of one PCR."""

    value: bytes = digest()


@structure
class PcrResetIn(Structure):
    """TPM_PCR_Reset: which PCRs."""

    selection: PcrSelection = nested(PcrSelection)


def extend(tpm: Tpm, args: ExtendIn) -> PcrValueOut:
    """BADINDEX, BAD_LOCALITY. A TPM that is off extends, but answers zeros."""
    return PcrValueOut(extend_pcr(tpm, args.pcr, args.digest))


def extend_pcr(tpm: Tpm, pcr: int, value: bytes) -> bytes:
    """Extend and return what the response shows: the new value, or zeros where the TPM is off."""
    tpm.pcrs.check_index(pcr)
    new = tpm.pcrs.extend(pcr, value, tpm.locality)
    return ZEROS if tpm.permanent.flags.disable or tpm.stclear.deactivated else new


def pcr_read(tpm: Tpm, args: PcrReadIn) -> PcrValueOut:
    """BADINDEX."""
    tpm.pcrs.check_index(args.pcr)
    return PcrValueOut(tpm.pcrs.values[args.pcr])


def pcr_reset(tpm: Tpm, args: PcrResetIn) -> None:
    """INVALID_PCR_INFO for a selection that is too long or empty, NOTRESETABLE, NOTLOCAL; all or nothing."""
    selected = args.selection.indices()
    if not selected:
        raise TpmError(Rc.INVALID_PCR_INFO)
    tpm.pcrs.reset(selected, tpm.locality, tpm.os_present)


ROWS: Final = (
    Command(Ord.EXTEND, "TPM_Extend", "16.1", extend, ExtendIn, In.OFF),
    Command(Ord.PCR_READ, "TPM_PCRRead", "16.2", pcr_read, PcrReadIn),
    Command(Ord.PCR_RESET, "TPM_PCR_Reset", "16.4", pcr_reset, PcrResetIn, In.OFF),
)
