# SPDX-License-Identifier: GPL-3.0-or-later
"""NV areas for tests."""

from __future__ import annotations

from tests.tpm.client import nv
from tests.tpm.client.nv import Nv, NvPublic
from tests.tpm.client.pcr import UNBOUND, PcrInfoShort
from tests.tpm.client.prepared import OWNER_SECRET, Owned
from tests.tpm.client.tpm import Tpm

AREA = 0x00010001
OTHER = 0x00010002
EK_CERTIFICATE = 0x1000F000
SECRET = b"area's 20 byte secre"


def owned_area(
    owned: Owned,
    attributes: Nv,
    size: int = 16,
    index: int = AREA,
    read_pcrs: PcrInfoShort = UNBOUND,
    write_pcrs: PcrInfoShort = UNBOUND,
) -> Tpm:
    """Set nvLocked, let the owner define an area, and return the TPM."""
    nv.lock(owned.tpm)
    public = NvPublic(index, attributes, size, read_pcrs, write_pcrs)
    nv.define_space(owned.tpm, OWNER_SECRET, public, SECRET)
    return owned.tpm
