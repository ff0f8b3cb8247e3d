# SPDX-License-Identifier: GPL-3.0-or-later
"""Judges what a machine reported about itself. Pure: evidence in, checks out; what is missing is wrong."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from bootproof.measure import bootlog, compare, imalog
from bootproof.measure.reader import LogError
from bootproof.smoke import bootevents
from bootproof.smoke.evidence import Bank, Evidence

GUEST = "guest"
MEASUREMENT = "measurement"
FIRMWARE_PCRS = range(8)

# What `tpm_version` has to say of an emulator: its vendor id as TrouSerS prints it
VENDORS: Mapping[str, str] = {"python": "BTPF", "swtpm": "IBM"}

_TPM_CHECKS = (
    "pcrs",
    "sysfs-pcrs",
    "trousers-pcrs",
    "boot-log",
    "boot-events",
    "ima-log",
    "boot-aggregate",
    "tcsd",
    "tpm-version",
)
_TPM12_CHECKS = ("trousers-pcrs", "tcsd", "tpm-version")
_OUTSIDE_CHECKS = ("pcrs", "sysfs-pcrs")


@dataclass(frozen=True)
class Check:
    """One verdict; `kind` is `guest` or `measurement`, `ok` None if it does not apply to this machine."""

    name: str
    ok: bool | None
    detail: str
    kind: str


def judge(evidence: Evidence, wanted: Iterable[str], tpm: str = "1.2") -> list[Check]:
    """Judge `evidence` by the `wanted` checks (names of `CHECKS`), in order, and by the failed units."""
    checks = [_judge_one(name, evidence, tpm) for name in wanted]
    units = evidence.fact("failed_units")
    if units is not None:
        detail = "none failed" if not units else f"failed: {', '.join(map(str, units))}"
        checks.append(Check("units", not units, detail, GUEST))
    return checks


def _judge_one(name: str, evidence: Evidence, tpm: str) -> Check:
    kind, function = CHECKS[name]
    reason = _not_applicable(name, evidence, tpm)
    if reason:
        return Check(name, None, reason, kind)
    ok, detail = function(evidence)
    return Check(name, ok, detail, kind)


def _not_applicable(name: str, evidence: Evidence, tpm: str) -> str:
    vtpm = evidence.vtpm
    if vtpm == "none" and name in _TPM_CHECKS:
        return "this machine has no TPM"
    if tpm == "2.0" and name in _TPM12_CHECKS:
        return "TrouSerS is for TPM 1.2"
    if vtpm != "python" and name in _OUTSIDE_CHECKS:
        return f"the PCRs of --vtpm {vtpm} cannot be read from outside"
    if name == "boot-events" and not evidence.forecast.applies:
        return evidence.forecast.source
    return ""


Verdict = tuple[bool, str]


def _pcrs(evidence: Evidence) -> Verdict:
    """The emulator tells all its PCRs, and the firmware has extended 0 to 7."""
    if not evidence.outside:
        return False, "the emulator told no PCRs"
    untouched = [n for n in FIRMWARE_PCRS if not any(evidence.outside.get(n, b""))]
    if untouched:
        return False, f"never extended: PCR {_numbers(untouched)}"
    return True, f"{len(evidence.outside)} PCRs read from the emulator; the firmware extended 0-7"


def _sysfs_pcrs(evidence: Evidence) -> Verdict:
    return _same(evidence.inside(evidence.outside_bank), "the kernel", evidence.outside, "the emulator")


def _trousers_pcrs(evidence: Evidence) -> Verdict:
    if evidence.trousers is None:
        return (
            False,
            f"TrouSerS told no PCRs: {evidence.fact('pcrs', 'trousers_fault') or 'no reason given'}",
        )
    if evidence.outside is not None:
        return _same(evidence.trousers, "TrouSerS", evidence.outside, "the emulator")
    return _same(evidence.trousers, "TrouSerS", evidence.inside("sha1"), "the kernel")


def _same(left: Bank | None, left_name: str, right: Bank | None, right_name: str) -> Verdict:
    if not left or not right:
        silent = right_name if left else left_name
        return False, f"{silent} told no PCRs"
    different = [number for number in sorted({*left, *right}) if left.get(number) != right.get(number)]
    if different:
        first = different[0]
        return False, (
            f"PCR {_numbers(different)} differ; PCR {first} is {_hex(left.get(first))} to {left_name}, "
            f"{_hex(right.get(first))} to {right_name}"
        )
    return True, f"{len(left)} PCRs, the same to {left_name} and to {right_name}"


def _boot_log(evidence: Evidence) -> Verdict:
    if not evidence.boot_log:
        return False, "the guest has no boot log"
    try:
        log = bootlog.parse(evidence.boot_log)
        rows = compare.compare_boot(log, evidence.judged, evidence.bank)
    except (LogError, ValueError) as error:
        return False, f"the boot log cannot be read: {error}"
    wrong = [row.index for row in rows if not row.ok]
    if wrong:
        row = next(row for row in rows if not row.ok)
        return False, (
            f"PCR {_numbers(wrong)} do not follow from the log; PCR {row.index} is {_hex(row.value)}, "
            f"its {row.events} events make it {row.replayed.hex()}"
        )
    silent = [row.index for row in rows if row.index in FIRMWARE_PCRS and not row.events]
    if silent:
        return False, f"no event in the log for PCR {_numbers(silent)}"
    return True, f"{len(log.events)} events, PCR {_numbers([row.index for row in rows])} follow from them"


def _ima_log(evidence: Evidence) -> Verdict:
    found = _compare_ima(evidence, evidence.bank)
    if isinstance(found, str):
        return False, found
    fault = _ima_fault(found, evidence)
    return (False, fault) if fault else (True, f"{found.entries} entries make PCR 10; no violation")


def _ima_fault(found: compare.ImaCheck, evidence: Evidence) -> str:
    """Return the first thing that is wrong with the IMA log, or nothing."""
    count, violations = evidence.fact("ima", "count"), evidence.fact("ima", "violations")
    if found.inconsistent:
        return f"entry {found.inconsistent[0]} is not what its hash says"
    if not evidence.fact("ima", "steady"):
        return "the log grew each time the PCRs were read; PCR 10 never held still"
    if found.entries == 0 or found.matched != found.entries:
        where = f" (it is that after entry {found.matched})" if found.matched else ""
        replayed = found.replayed.hex()
        return f"PCR 10 is {_hex(found.value)}{where}; {found.entries} entries of the log make {replayed}"
    if count != found.entries:
        return f"the kernel counts {count} entries, the log has {found.entries}"
    if violations != 0 or found.violations:
        return f"{found.violations} violations in the log, the kernel counts {violations}"
    return ""


def _boot_aggregate(evidence: Evidence) -> Verdict:
    """The kernel writes boot_aggregate for one bank, not always the one that logs are replayed into."""
    found: compare.ImaCheck | str = "the guest told no PCRs"
    for name in (evidence.bank, *sorted(evidence.sysfs.keys() - {evidence.bank})):
        found = _compare_ima(evidence, name)
        if isinstance(found, str) or found.boot_aggregate_ok is not None:
            break
    if isinstance(found, str):
        return False, found
    if found.boot_aggregate_ok is None:
        return False, "the log does not start with a boot_aggregate of a bank that this TPM has"
    if not found.boot_aggregate_ok:
        return False, "the log's first entry is not the hash of the boot PCRs"
    return True, "the IMA log's first entry is the hash of the boot PCRs"


def _compare_ima(evidence: Evidence, bank: str) -> compare.ImaCheck | str:
    if not evidence.ima_log:
        return "the guest has no IMA log"
    try:
        entries = imalog.parse(evidence.ima_log)
        values = evidence.judged if bank == evidence.bank else evidence.inside(bank)
        return compare.compare_ima(entries, values, bank)
    except (LogError, ValueError) as error:
        return f"the IMA log cannot be read: {error}"


def _tcsd(evidence: Evidence) -> Verdict:
    pid, unit = evidence.fact("tcsd", "pid"), evidence.fact("tcsd", "unit")
    if pid is None:
        return False, f"no tcsd runs{f'; its unit is {unit}' if unit else ''}"
    if unit not in (None, "active"):
        return False, f"tcsd runs, but its unit is {unit}"
    return True, f"runs as process {pid}"


def _tpm_version(evidence: Evidence) -> Verdict:
    status, output = (
        evidence.fact("tpm_version", "status"),
        str(evidence.fact("tpm_version", "output") or ""),
    )
    if status != 0:
        return False, f"tpm_version ended with status {status}: {_one_line(output)}"
    vendor = VENDORS.get(evidence.vtpm)
    told = _field(output, "TPM Vendor ID")
    if not told or (vendor is not None and told != vendor):
        return False, f"the vendor is {told or 'not told'}, not {vendor or 'told'}"
    return True, f"TPM {_field(output, 'Chip Version')}, vendor {told}"


def _field(output: str, name: str) -> str:
    for line in output.splitlines():
        key, colon, value = line.strip().partition(":")
        if colon and key.strip() == name:
            # the tool appends what follows the four bytes of the name
            return value.strip().partition(" ")[0].rstrip("\0")
    return ""


def _verity(evidence: Evidence) -> Verdict:
    layers = evidence.fact("verity")
    if not isinstance(layers, Sequence) or not layers:
        return False, f"no verity layer is active{_fault(layers)}"
    names = [layer.get("name") for layer in layers]
    if names != ["bootproof-base", "bootproof-product"]:
        return (
            False,
            f"the active layers are {', '.join(map(str, names))}, not bootproof-base and bootproof-product",
        )
    for layer in layers:
        fault = _layer_fault(layer)
        if fault:
            return False, f"{layer.get('name')}: {fault}"
    read = sum(layer["read"] for layer in layers)
    return True, f"{', '.join(names)}: every block read and right ({read / 1e6:.1f} MB)"


def _layer_fault(layer: Mapping[str, Any]) -> str:
    """Return what is wrong with a layer, or nothing."""
    if layer.get("error"):
        return f"{layer['error']} at byte {layer.get('bad_offset')} of {layer.get('size')}"
    if not layer.get("size") or layer.get("read") != layer.get("size"):
        return f"{layer.get('read')} of {layer.get('size')} bytes read"
    if layer.get("fault"):
        return f"the device mapper will not tell: {layer['fault']}"
    if layer.get("status") != "verity V":
        return f"its status is {layer.get('status')!r}, not 'verity V'"
    if " verity " not in str(layer.get("table")):
        return f"it is no verity device: {layer.get('table')}"
    return ""


def _fault(value: Any) -> str:
    return f": {value['fault']}" if isinstance(value, Mapping) and value.get("fault") else ""


def _numbers(numbers: Sequence[int]) -> str:
    return ", ".join(map(str, numbers))


def _hex(value: bytes | None) -> str:
    return "unknown" if value is None else value.hex()


def _one_line(text: str) -> str:
    return " / ".join(line.strip() for line in text.splitlines() if line.strip())[:200]


CHECKS: Mapping[str, tuple[str, Callable[[Evidence], Verdict]]] = {
    "pcrs": (MEASUREMENT, _pcrs),
    "sysfs-pcrs": (MEASUREMENT, _sysfs_pcrs),
    "trousers-pcrs": (MEASUREMENT, _trousers_pcrs),
    "boot-log": (MEASUREMENT, _boot_log),
    "boot-events": (MEASUREMENT, bootevents.judge),
    "ima-log": (MEASUREMENT, _ima_log),
    "boot-aggregate": (MEASUREMENT, _boot_aggregate),
    "tcsd": (GUEST, _tcsd),
    "tpm-version": (GUEST, _tpm_version),
    "verity": (GUEST, _verity),
}
