# SPDX-License-Identifier: GPL-3.0-or-later
"""Logs against PCRs: does what the machine says it booted add up to what its TPM holds?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from bootproof.measure import algorithms, described, pcr
from bootproof.measure.bootlog import BootLog
from bootproof.measure.imalog import ImaEntry
from bootproof.measure.pcr import PcrBank

FIRMWARE_PCRS = range(8)


@dataclass(frozen=True, slots=True)
class PcrCheck:
    """One PCR: `value` is the TPM's (None: it could not be read), `replayed` the log's after `events`
    events.

    `misdescribed` are the numbers of events whose text is not what their digest was made from.
    """

    index: int
    algorithm: str
    value: bytes | None
    replayed: bytes
    events: int
    misdescribed: tuple[int, ...] = ()

    @property
    def ok(self) -> bool:
        return self.value == self.replayed and not self.misdescribed


@dataclass(frozen=True, slots=True)
class ImaCheck:
    """The IMA log against its PCR. `matched` of `entries` entries add up to `value`; later ones came after
    the PCR was read. `replayed` is the value after the matched entries, or after all of them if no prefix
    matches.

    `boot_aggregate_ok` is None where the log cannot tell: it has no such entry, or one of another bank.
    `inconsistent` are the numbers of entries whose fields do not belong to their stored hash.
    """

    algorithm: str
    value: bytes | None
    replayed: bytes
    entries: int
    matched: int | None
    boot_aggregate_ok: bool | None
    violations: int
    inconsistent: tuple[int, ...]

    @property
    def ok(self) -> bool:
        """True if the log explains the PCR. Violations do not make it false: they are in the PCR like all
        else."""
        explained = self.matched is not None and (self.matched > 0 or self.entries == 0)
        return explained and self.boot_aggregate_ok is not False and not self.inconsistent


@dataclass(frozen=True, slots=True)
class BankCheck:
    """One bank of the TPM against both logs; `boot` is None if the boot log has no digests for this bank."""

    algorithm: str
    boot: tuple[PcrCheck, ...] | None
    ima: ImaCheck

    @property
    def ok(self) -> bool:
        return self.boot is not None and all(check.ok for check in self.boot) and self.ima.ok


def compare_bank(log: BootLog, entries: Sequence[ImaEntry], bank: PcrBank, algorithm: str) -> BankCheck:
    """Compare a bank with both logs; a log that is missing is one without events or entries."""
    # A log without events says nothing about algorithms: it leaves the PCRs of any bank as they were.
    usable = log if log.events else BootLog((), (algorithm,))
    boot = compare_boot(usable, bank, algorithm) if algorithm in usable.algorithms else None
    return BankCheck(algorithm, boot, compare_ima(entries, bank, algorithm))


def compare_boot(log: BootLog, bank: PcrBank, algorithm: str) -> tuple[PcrCheck, ...]:
    """Compare PCR 0 to 7, and every other PCR the boot log extends but IMA's, with the TPM's `bank`.

    A PCR without events must still hold its value after power-on. Raises `ValueError` if the log lacks the
    algorithm.
    """
    replayed = pcr.replay_boot(log, algorithm)
    indices = sorted({*FIRMWARE_PCRS, *replayed} - {pcr.IMA_PCR})
    return tuple(
        _check(log, i, bank.get(i), replayed.get(i) or pcr.initial(algorithm, i), algorithm) for i in indices
    )


def _check(log: BootLog, index: int, value: bytes | None, replayed: bytes, algorithm: str) -> PcrCheck:
    events = [event for event in log.measured if event.pcr == index and algorithm in event.digests]
    wrong = tuple(event.number for event in events if described.is_measured(event, algorithm) is False)
    return PcrCheck(index, algorithm, value, replayed, len(events), wrong)


def compare_ima(entries: Sequence[ImaEntry], bank: PcrBank, algorithm: str) -> ImaCheck:
    """Compare the IMA log with PCR 10 of the TPM's `bank`, and its first entry with the boot PCRs."""
    algorithms.size(algorithm)
    own = [entry for entry in entries if entry.pcr == pcr.IMA_PCR]
    value = bank.get(pcr.IMA_PCR)
    matched = None if value is None else pcr.matching_prefix(own, algorithm, value)
    return ImaCheck(
        algorithm=algorithm,
        value=value,
        replayed=pcr.replay_ima(own[:matched], algorithm),
        entries=len(own),
        matched=matched,
        boot_aggregate_ok=_boot_aggregate_ok(own, bank, algorithm),
        violations=sum(entry.is_violation for entry in own),
        inconsistent=tuple(entry.number for entry in own if not entry.is_consistent),
    )


def _boot_aggregate_ok(entries: Sequence[ImaEntry], bank: PcrBank, algorithm: str) -> bool | None:
    if not entries or entries[0].path != "boot_aggregate" or entries[0].digest_algorithm != algorithm:
        return None
    try:
        return entries[0].digest == pcr.boot_aggregate(bank, algorithm)
    except ValueError:
        return None
