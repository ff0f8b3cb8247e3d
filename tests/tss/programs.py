# SPDX-License-Identifier: GPL-3.0-or-later
"""TSS programs of our own: `python -m tests.tss.programs NAME`, where the environment says which tcsd."""

from __future__ import annotations

import sys

from tests.tss import (
    identity_programs,
    key_programs,
    migration_programs,
    nv_programs,
    owner_programs,
    session_programs,
)
from tests.tss.tspi import session

PROGRAMS = {
    one.__name__: one
    for module in (
        key_programs,
        owner_programs,
        migration_programs,
        session_programs,
        identity_programs,
        nv_programs,
    )
    for one in module.PROGRAMS
}

if __name__ == "__main__":
    with session() as opened:
        PROGRAMS[sys.argv[1]](opened)
