# SPDX-License-Identifier: GPL-3.0-or-later
"""Fuzzing the TPM emulator: `python -m fuzz --seconds 60`. See README.md."""
