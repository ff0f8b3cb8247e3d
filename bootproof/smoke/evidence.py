# SPDX-License-Identifier: GPL-3.0-or-later
"""The guest's report and the emulator's word, typed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from bootproof.appliance.frames import Frame
from bootproof.measure.expected import Forecast

BOOT_LOG = "binary_bios_measurements"
IMA_LOG = "binary_runtime_measurements"

Bank = Mapping[int, bytes]
_NO_FORECAST = Forecast(None, "nobody has made one")


@dataclass(frozen=True)
class Evidence:
    """What there is to judge. PCR banks are number -> value; None means that nobody could tell.

    `outside` are the emulator's own PCRs, in the bank `outside_bank`; `sysfs` the kernel's, by bank;
    `trousers` what TrouSerS read (sha1). `facts` is the guest's report as it came, `forecast` what the image
    should have measured.
    """

    vtpm: str
    facts: Mapping[str, Any] = field(default_factory=dict)
    boot_log: bytes | None = None
    ima_log: bytes | None = None
    outside: Bank | None = None
    outside_bank: str = "sha1"
    sysfs: Mapping[str, Bank] = field(default_factory=dict)
    trousers: Bank | None = None
    forecast: Forecast = _NO_FORECAST

    @property
    def bank(self) -> str:
        """The bank that logs are replayed into: sha1 if the TPM has it, which is so for every TPM 1.2."""
        return "sha1" if "sha1" in self.sysfs or not self.sysfs else min(self.sysfs)

    def inside(self, bank: str | None = None) -> Bank:
        """Return the PCRs as the guest's kernel shows them in `bank` (default: `self.bank`)."""
        return self.sysfs.get(bank or self.bank, {})

    @property
    def judged(self) -> Bank:
        """The PCRs that logs are held against: the emulator's own, where it tells them."""
        if self.outside is not None and self.outside_bank == self.bank:
            return self.outside
        return self.inside()

    def fact(self, *keys: str) -> Any:
        """Return the fact under `keys`, or None where the report lacks it."""
        value: Any = self.facts
        for key in keys:
            if not isinstance(value, Mapping):
                return None
            value = value.get(key)
        return value


def evidence(
    vtpm: str, report: Frame, outside: Mapping[str, Any] | None, forecast: Forecast | None = None
) -> Evidence:
    """Return the evidence in the guest's `report` and in the emulator's answer (None: it has no monitor).

    Values that are no hexadecimal numbers are left out; the judge then misses them.
    """
    banks = _mapping(_mapping(report.facts.get("pcrs")).get("sysfs"))
    trousers = _mapping(report.facts.get("pcrs")).get("trousers")
    return Evidence(
        vtpm=vtpm,
        facts=report.facts,
        boot_log=report.blobs.get(BOOT_LOG),
        ima_log=report.blobs.get(IMA_LOG),
        outside=None if outside is None else _bank(outside.get("pcrs")),
        outside_bank=str((outside or {}).get("algorithm", "sha1")),
        sysfs={str(name): _bank(values) for name, values in banks.items()},
        trousers=_bank(trousers) if isinstance(trousers, Mapping) else None,
        forecast=forecast or _NO_FORECAST,
    )


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _bank(values: Any) -> dict[int, bytes]:
    bank: dict[int, bytes] = {}
    for number, text in _mapping(values).items():
        try:
            bank[int(number)] = bytes.fromhex(text)
        except (ValueError, TypeError):
            continue
    return bank
