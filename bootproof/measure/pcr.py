# SPDX-License-Identifier: GPL-3.0-or-later
"""PCR arithmetic: what a log says the PCRs must hold.

Sources: TCG PC Client Platform TPM Profile 1.05, "PCR Attributes" (values after a reset); TPM 2.0 Library
Part 3, TPM2_PCR_Extend; TCG PC Client Platform Firmware Profile 1.05, TCG_EfiStartupLocalityEvent.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from bootproof.measure import algorithms
from bootproof.measure.bootlog import BootLog
from bootproof.measure.imalog import ImaEntry, template_digest

PcrBank = Mapping[int, bytes]
IMA_PCR = 10
COUNT = 24
_DYNAMIC = range(17, 23)


def extend(algorithm: str, value: bytes, digest: bytes) -> bytes:
    """Return the PCR value after `digest` was extended into a PCR that held `value`."""
    size = algorithms.size(algorithm)
    if len(value) != size or len(digest) != size:
        raise ValueError(
            f"{algorithm} PCRs and digests have {size} bytes, not {len(value)} and {len(digest)}"
        )
    return algorithms.digest(algorithm, value + digest)


def initial(algorithm: str, index: int, spec: str = "2.0") -> bytes:
    """Return what PCR `index` holds after power-on: ones in 17 to 22, which wait for a dynamic launch, else
    zeros.

    `spec` is "1.2" or "2.0"; a TPM 1.2 has no bank but sha1. An index or a bank that does not exist is a
    `ValueError`.
    """
    if not 0 <= index < COUNT:
        raise ValueError(f"no PCR {index}, there are 0 to {COUNT - 1}")
    if spec == "1.2" and algorithm != "sha1":
        raise ValueError(f"a TPM 1.2 has no {algorithm} bank")
    return (b"\xff" if index in _DYNAMIC else b"\0") * algorithms.size(algorithm)


def replay_boot(log: BootLog, algorithm: str) -> dict[int, bytes]:
    """Return the values of all PCRs that the log extends, in the bank of `algorithm`.

    An event without a digest for that bank did not reach it. An algorithm the log does not have is a
    `ValueError`.
    """
    if algorithm not in log.algorithms:
        raise ValueError(f"the boot log has no {algorithm} digests, only {', '.join(log.algorithms)}")
    values: dict[int, bytes] = {}
    locality = next((e.startup_locality for e in log.events if e.startup_locality is not None), 0)
    for event in log.measured:
        digest = event.digests.get(algorithm)
        if digest is not None:
            before = values.get(event.pcr) or _at_start(algorithm, event.pcr, locality)
            values[event.pcr] = extend(algorithm, before, digest)
    return values


def _at_start(algorithm: str, index: int, locality: int) -> bytes:
    value = initial(algorithm, index)
    return value[:-1] + bytes([locality]) if index == 0 else value


def replay_ima(
    entries: Iterable[ImaEntry], algorithm: str, start: bytes | None = None, index: int = IMA_PCR
) -> bytes:
    """Return what PCR `index` holds after `entries`; `start` is its value before them (default: after
    power-on)."""
    value = initial(algorithm, index) if start is None else start
    for entry in entries:
        if entry.pcr == index:
            value = extend(algorithm, value, template_digest(entry, algorithm))
    return value


def matching_prefix(
    entries: Iterable[ImaEntry],
    algorithm: str,
    value: bytes,
    start: bytes | None = None,
    index: int = IMA_PCR,
) -> int | None:
    """Return after how many of `entries` PCR `index` holds `value` (0: before the first), or None if it
    never does.

    A PCR is read before the log, so the log may have grown in between: a prefix that matches is all one can
    ask.
    """
    current = initial(algorithm, index) if start is None else start
    if current == value:
        return 0
    for count, entry in enumerate(entries, 1):
        if entry.pcr == index:
            current = extend(algorithm, current, template_digest(entry, algorithm))
            if current == value:
                return count
    return None


def boot_aggregate(bank: PcrBank, algorithm: str) -> bytes:
    """Return IMA's first entry: the hash over PCR 0 to 7 for sha1, over PCR 0 to 9 for every other bank.

    Source: ima_calc_boot_aggregate_tfm() in Linux 5.8 and later. A PCR missing in `bank` is a `ValueError`.
    """
    indices = range(8) if algorithm == "sha1" else range(10)
    missing = [str(index) for index in indices if index not in bank]
    if missing:
        raise ValueError(f"boot_aggregate needs PCR {', '.join(missing)}")
    return algorithms.digest(algorithm, b"".join(bank[index] for index in indices))
