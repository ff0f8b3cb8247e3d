# SPDX-License-Identifier: GPL-3.0-or-later
"""The recorded boots and logs that these tests, and those of attest and cli, compare with."""

from __future__ import annotations

import json
from pathlib import Path

DATA = Path(__file__).parent.parent / "data"
BOOTS = sorted(path.name for path in DATA.glob("boot-*"))
BANKS = [(name, bank) for name in BOOTS for bank in json.loads((DATA / name / "pcrs.json").read_text())]


def boot_log(name: str) -> bytes:
    return (DATA / name / "binary_bios_measurements").read_bytes()


def ima_log(name: str) -> bytes:
    return (DATA / name / "binary_runtime_measurements").read_bytes()


def bank(name: str, algorithm: str) -> dict[int, bytes]:
    """Return the PCRs the TPM of that boot held."""
    return values(DATA / name / "pcrs.json")[algorithm]


def values(path: Path) -> dict[str, dict[int, bytes]]:
    banks = json.loads(path.read_text())
    return {
        name: {int(i): bytes.fromhex(value) for i, value in pcrs.items()} for name, pcrs in banks.items()
    }
