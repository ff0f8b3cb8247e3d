# SPDX-License-Identifier: GPL-3.0-or-later
"""Reading the evidence of the machine we run on.

Sources: Linux, Documentation/ABI/stable/sysfs-class-tpm (pcrs, pcr-ALGORITHM/INDEX, tpm_version_major);
drivers/char/tpm/eventlog/common.c and security/integrity/ima/ima_fs.c (the logs in securityfs).
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import BinaryIO

from bootproof.attest.evidence import Evidence
from bootproof.errors import HostError
from bootproof.measure import algorithms

TPM = "sys/class/tpm/tpm0"
BOOT_LOG = "sys/kernel/security/tpm0/binary_bios_measurements"
# Linux 6.12 has one file per bank; the plain name is then a link to the one with SHA-1 template hashes.
IMA_LOGS = (
    "sys/kernel/security/ima/binary_runtime_measurements",
    "sys/kernel/security/ima/binary_runtime_measurements_sha1",
)
# Boot logs have tens of kilobytes, IMA logs a few hundred bytes an entry.
LARGEST_LOG = 256 << 20
_PIECE = 1 << 16
_VERSIONS = {"1": "1.2", "2": "2.0"}
_PCR_LINE = re.compile(r"PCR-(\d{2}): ((?:[0-9A-Fa-f]{2} ?){20})")


def read_evidence(root: Path = Path("/")) -> Evidence:
    """Read the PCRs, then the logs, so that the logs can only be longer than what the PCRs hold.

    What does not exist is left out; what exists and cannot be read is a `HostError`.
    """
    tpm = root / TPM
    pcrs = _banks(tpm)
    version = _text(tpm / "tpm_version_major")
    ima_log = next((data for name in IMA_LOGS if (data := read_log(root / name)) is not None), None)
    return Evidence(
        boot_log=read_log(root / BOOT_LOG),
        ima_log=ima_log,
        pcrs=pcrs,
        tpm_version=_VERSIONS.get((version or "").strip()),
    )


def read_log(path: Path) -> bytes | None:
    """Return the bytes of a log, None if the file does not exist; a `HostError` if it cannot be read."""
    try:
        with path.open("rb") as stream:
            data = _read_in_pieces(stream)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise _unreadable(path, error) from None
    if len(data) > LARGEST_LOG:
        raise HostError(f"{path} is larger than {LARGEST_LOG >> 20} MiB", "this is no measurement log")
    return data


def _read_in_pieces(stream: BinaryIO) -> bytes:
    """Read a log, or a piece more than the largest; one read of that size would take the memory at once."""
    data = bytearray()
    while len(data) <= LARGEST_LOG and (piece := stream.read(_PIECE)):
        data += piece
    return bytes(data)


def parse_pcrs(text: str) -> dict[int, bytes]:
    """Read the kernel's `pcrs` file of a TPM 1.2 ("PCR-00: 3A 3F ..." a line); a bad line is a
    `ValueError`."""
    values: dict[int, bytes] = {}
    for number, line in enumerate(text.splitlines(), 1):
        match = _PCR_LINE.fullmatch(line.strip())
        if match is None:
            raise ValueError(f"line {number} is no PCR: {line[:60]!r}")
        values[int(match[1])] = bytes.fromhex(match[2])
    return values


def _banks(tpm: Path) -> dict[str, dict[int, bytes]]:
    banks: dict[str, dict[int, bytes]] = {}
    for folder in sorted(tpm.glob("pcr-*")):
        name = folder.name.removeprefix("pcr-").replace("-", "_")
        algorithm = "sm3_256" if name == "sm3" else name
        if algorithm in algorithms.SIZES:
            banks[algorithm] = _bank(folder)
    return banks or _old_bank(tpm)


def _bank(folder: Path) -> dict[int, bytes]:
    files = sorted(
        (path for path in folder.iterdir() if path.name.isdigit()), key=lambda path: int(path.name)
    )
    values: dict[int, bytes] = {}
    for path in files:
        text = (_text(path) or "").strip()
        try:
            values[int(path.name)] = bytes.fromhex(text)
        except ValueError:
            raise HostError(
                f"{path} holds no PCR value: {text[:60]!r}", "is the TPM in order? see dmesg"
            ) from None
    return values


def _old_bank(tpm: Path) -> dict[str, dict[int, bytes]]:
    """Kernels before 5.12 have one text file, in one of two places."""
    for path in (tpm / "pcrs", tpm / "device/pcrs"):
        text = _text(path)
        if text:
            try:
                return {"sha1": parse_pcrs(text)}
            except ValueError as error:
                raise HostError(f"{path}: {error}", "is the TPM in order? see dmesg") from None
    return {}


def _text(path: Path) -> str | None:
    try:
        return path.read_text(encoding="ascii", errors="replace")
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise _unreadable(path, error) from None


def _unreadable(path: Path, error: OSError) -> HostError:
    if isinstance(error, PermissionError):
        return HostError(f"only root may read {path}", "run the command with sudo")
    return HostError(f"{path} cannot be read: {error.strerror}", "is the TPM in order? see dmesg")
