# SPDX-License-Identifier: GPL-3.0-or-later
"""A TPM 1.2 client for tests, written without the emulator's code so that it can judge it: README.md."""
