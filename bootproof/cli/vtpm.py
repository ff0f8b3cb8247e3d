# SPDX-License-Identifier: GPL-3.0-or-later
"""`vtpm`: the TPM emulator by itself. Its words are its own, so typer only lists it."""

from __future__ import annotations

from typing import Final

PASSED_ON: Final = {"allow_extra_args": True, "ignore_unknown_options": True, "help_option_names": []}


def listed() -> None:
    """A TPM emulator for QEMU and others; takes swtpm's options (vtpm --help)."""


def vtpm(words: list[str]) -> int:
    """Run the emulator until it is told to end; return its exit status."""
    from bootproof.tpm.service.program import main as emulator

    return emulator(words)
