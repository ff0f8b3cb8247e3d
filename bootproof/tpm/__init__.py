# SPDX-License-Identifier: GPL-3.0-or-later
"""The TPM 1.2 emulator: a program of its own (`python -m bootproof.tpm socket ...`) that imports nothing of
Bootproof.
"""
