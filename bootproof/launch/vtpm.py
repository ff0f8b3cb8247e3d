# SPDX-License-Identifier: GPL-3.0-or-later
"""Starting a TPM emulator for QEMU: our own (`bootproof.tpm`) or swtpm. Pure functions."""

from __future__ import annotations

import sys
from pathlib import Path

EMULATED = ("python", "swtpm")
_PACKAGE_ROOT = Path(__file__).resolve().parents[2]


def emulator_command(
    vtpm: str, tpm: str, *, state: Path, control: int, monitor: int | None, log: Path
) -> list[str]:
    """Return the command of the emulator `vtpm` (one of `EMULATED`) for a TPM of version `tpm`.

    It keeps its state in the folder `state`, serves QEMU's control channel on the inherited socket
    `control`, and ends when QEMU closes it. `monitor` is one more inherited socket, on which our emulator
    tells its PCRs; swtpm has none.
    """
    options = [
        "socket",
        "--tpmstate", f"dir={state.resolve()}",
        "--ctrl", f"type=unixio,clientfd={control}",
        "--terminate",
        "--log", f"file={log.resolve()}",
    ]  # fmt: skip
    if vtpm == "swtpm":
        return ["swtpm", *options, *(["--tpm2"] if tpm == "2.0" else [])]
    told = [] if monitor is None else ["--monitor", f"type=unixio,clientfd={monitor}"]
    return [sys.executable, "-m", "bootproof.tpm", *options, *told]


def emulator_environment() -> dict[str, str]:
    """Return what the emulator's environment needs so that Python finds our package from any folder."""
    return {"PYTHONPATH": str(_PACKAGE_ROOT)}
