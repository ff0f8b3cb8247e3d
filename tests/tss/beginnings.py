# SPDX-License-Identifier: GPL-3.0-or-later
"""States of a TPM that scenarios begin with; each is made once and then copied."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from tests.tss.scenario import Scenario, Step, Tool, perform
from tests.tss.stack import Emulator, stack

_ENDORSED: Final = (Tool("tpm_createek"),)
_OWNED: Final = (*_ENDORSED, Tool("tpm_takeownership -y -z"))
_IDENTITY: Final = (*_OWNED, Tool("tpm_mkuuid uuid"), Tool("tpm_mkaik -z aik.blob aik.pub"))
BEGINNINGS: Final[dict[str, Sequence[Step]]] = {
    "fresh": (),
    "endorsed": _ENDORSED,
    "owned": _OWNED,
    "identity": _IDENTITY,
}


class Beginnings:
    """Makes them when they are first asked for, below `place`; owner and SRK have the well-known secret."""

    def __init__(self, place: Path) -> None:
        self._place = place

    def folder(self, emulator: Emulator, name: str) -> Path | None:
        """Return the folder of a stack that is switched off, to be copied; None if it would be empty."""
        if not BEGINNINGS[name]:
            return None
        kept = self._place / f"{emulator.name}-{name}"
        if not kept.exists():
            with stack(emulator) as made:
                perform(Scenario(name, "fresh", BEGINNINGS[name]), made)
                made.stop()
                shutil.copytree(made.place, kept)
        return kept


@contextmanager
def beginnings() -> Iterator[Beginnings]:
    with tempfile.TemporaryDirectory(prefix="tss") as place:
        yield Beginnings(Path(place))
