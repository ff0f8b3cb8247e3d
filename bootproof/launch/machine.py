# SPDX-License-Identifier: GPL-3.0-or-later
"""What a virtual machine is made of, and which wishes this version can fulfil."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from bootproof.errors import BootproofError, HostError

TPM_VERSIONS = ("1.2", "2.0")
VTPMS = ("python", "swtpm", "passthrough", "none")
FIRMWARES = ("bios", "uefi", "secureboot")
MEDIA = ("cd", "usb", "disk", "net")
ACCELERATORS = ("auto", "kvm", "tcg")
DISPLAYS = ("auto", "gtk", "sdl", "curses", "serial", "none")

HOST_TPM = Path("/dev/tpm0")
SMALLEST_MEMORY = 128
LARGEST_MEMORY = 1 << 20


@dataclass(frozen=True, kw_only=True)
class Machine:
    """A virtual machine that boots one ISO image.

    `memory` is in MiB; `accel` is the accelerator that was settled on, `kvm` or `tcg`; the other words are
    those of the command line (`--vtpm`, `--tpm`, `--media`, `--display`, `--firmware`). `network` attaches
    user networking.
    """

    iso: Path
    name: str
    vtpm: str = "python"
    tpm: str = "1.2"
    firmware: str = "bios"
    media: str = "cd"
    accel: str = "tcg"
    memory: int = 1024
    display: str = "none"
    network: bool = False


def check_wishes(
    *, vtpm: str, tpm: str, firmware: str, media: str, accel: str, memory: int, display: str
) -> None:
    """Raise a usage error for a word that is unknown or a combination that is not available yet."""
    _one_of("--vtpm", vtpm, VTPMS)
    _one_of("--tpm", tpm, TPM_VERSIONS)
    _one_of("--firmware", firmware, FIRMWARES)
    _one_of("--media", media, MEDIA)
    _one_of("--accel", accel, ACCELERATORS)
    _one_of("--display", display, DISPLAYS)
    if not SMALLEST_MEMORY <= memory <= LARGEST_MEMORY:
        raise BootproofError(
            f"--memory {memory}: not between {SMALLEST_MEMORY} and {LARGEST_MEMORY}",
            "the number is in MiB; 1024 suits most",
        )
    if vtpm == "python" and tpm == "2.0":
        raise BootproofError(
            "--vtpm python --tpm 2.0 is not available yet", "for a TPM 2.0 use --vtpm swtpm"
        )
    if firmware != "bios":
        raise BootproofError(f"--firmware {firmware} is not available yet", "use --firmware bios")
    if media == "net":
        raise BootproofError("--media net is not available yet", "use --media cd, usb or disk")
    if vtpm == "passthrough" and not HOST_TPM.exists():
        raise HostError(f"--vtpm passthrough: there is no {HOST_TPM} on this machine", "use --vtpm python")


def _one_of(option: str, word: str, allowed: tuple[str, ...]) -> None:
    if word not in allowed:
        raise BootproofError(f"{option} {word}: not known", f"one of: {', '.join(allowed)}")
