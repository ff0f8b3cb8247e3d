# SPDX-License-Identifier: GPL-3.0-or-later
"""Reading evidence that was written to files: a smoke test's result directory, or single logs.

A directory holds `binary_bios_measurements`, `binary_runtime_measurements` (as the kernel names them) and
`pcrs.json`, {"BANK": {"INDEX": "hex value"}}; any of them may be missing.
"""

from __future__ import annotations

import json
from pathlib import Path

from bootproof.attest.evidence import Evidence
from bootproof.attest.local import read_log
from bootproof.errors import BootproofError
from bootproof.measure import algorithms, pcr

BOOT_LOG = "binary_bios_measurements"
IMA_LOG = "binary_runtime_measurements"
PCRS = "pcrs.json"


def read_directory(directory: Path) -> Evidence:
    """Return what lies in `directory`; a directory that has none of the files is a `BootproofError`."""
    boot_log, ima_log = read_log(directory / BOOT_LOG), read_log(directory / IMA_LOG)
    pcrs = read_pcrs(directory / PCRS) if (directory / PCRS).is_file() else {}
    if boot_log is None and ima_log is None and not pcrs:
        raise BootproofError(
            f"{directory} holds neither {BOOT_LOG} nor {IMA_LOG} nor {PCRS}",
            "give the result directory of a smoke test, such as out/demo/smoke",
        )
    return Evidence(boot_log, ima_log, pcrs)


def read_file(path: Path) -> bytes:
    """Return the bytes of a log that must be there."""
    data = read_log(path)
    if data is None:
        raise BootproofError(f"{path} does not exist", "give the name of a binary measurement log")
    return data


def read_pcrs(path: Path) -> dict[str, dict[int, bytes]]:
    """Return the PCR values in a JSON file; anything but banks of values of the right size is a
    `BootproofError`."""
    try:
        return parse_pcrs(read_file(path).decode())
    except ValueError as error:
        hint = 'the format is {"sha1": {"0": "hex value", ...}, ...}'
        raise BootproofError(f"{path} is no file of PCR values: {error}", hint) from None


def parse_pcrs(text: str) -> dict[str, dict[int, bytes]]:
    """Read {"BANK": {"INDEX": "hex value"}}; a `ValueError` says what is wrong with it."""
    try:
        document = json.loads(text)
    except RecursionError:
        raise ValueError("it is nested too deep") from None
    if not isinstance(document, dict):
        raise ValueError("it is no JSON object")  # noqa: TRY004 (input, not types)
    return {name: _bank(name, values) for name, values in document.items()}


def _bank(name: str, values: object) -> dict[int, bytes]:
    size = algorithms.size(name)
    if not isinstance(values, dict):
        raise ValueError(f"bank {name} is no JSON object")  # noqa: TRY004
    bank: dict[int, bytes] = {}
    for index, value in values.items():
        if not (index.isascii() and index.isdigit() and len(index) <= 2 and int(index) < pcr.COUNT):
            raise ValueError(f"bank {name}: no PCR {index[:20]!r}")
        if not isinstance(value, str) or len(value) != 2 * size:
            raise ValueError(f"bank {name}, PCR {index}: a value has {2 * size} hex digits")
        bank[int(index)] = bytes.fromhex(value)
    return bank
