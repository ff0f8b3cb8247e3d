# SPDX-License-Identifier: GPL-3.0-or-later
"""What `log` and `pcr` have in common: where the evidence comes from."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from bootproof.errors import BootproofError, ExitCode, HostError

if TYPE_CHECKING:
    from bootproof.attest.evidence import Evidence
    from bootproof.measure.bootlog import BootLog
    from bootproof.measure.imalog import ImaEntry


def evidence(directory: str, boot_log: str, ima_log: str, pcrs: str = "") -> Evidence:
    """Return the evidence the options name; files come before the directory, and with neither it is this
    machine's."""
    from bootproof.attest import local, recorded
    from bootproof.attest.evidence import Evidence

    if not (directory or boot_log or ima_log or pcrs):
        return local.read_evidence()
    base = recorded.read_directory(Path(directory)) if directory else Evidence()
    return Evidence(
        boot_log=recorded.read_file(Path(boot_log)) if boot_log else base.boot_log,
        ima_log=recorded.read_file(Path(ima_log)) if ima_log else base.ima_log,
        pcrs=recorded.read_pcrs(Path(pcrs)) if pcrs else base.pcrs,
        tpm_version=base.tpm_version,
    )


def no_evidence(what: str) -> HostError:
    """Return the error for a machine that has none of what was asked for."""
    return HostError(
        f"this machine has {what}",
        "it needs a TPM that firmware and kernel measured into; files are read with --directory",
    )


def parse_boot(data: bytes) -> BootLog:
    """Return the boot log, or end with what is wrong with it."""
    from bootproof.measure import bootlog

    try:
        return bootlog.parse(data)
    except bootlog.LogError as error:
        raise _damaged("boot log", error) from None


def parse_ima(data: bytes) -> tuple[ImaEntry, ...]:
    """Return the IMA log's entries, or end with what is wrong with it."""
    from bootproof.measure import imalog

    try:
        return imalog.parse(data)
    except imalog.LogError as error:
        raise _damaged("IMA log", error) from None


def _damaged(name: str, error: ValueError) -> BootproofError:
    hint = "is it the kernel's binary log, copied whole?"
    return BootproofError(f"the {name} is damaged: {error}", hint, ExitCode.MEASUREMENT)
