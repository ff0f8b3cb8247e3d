# SPDX-License-Identifier: GPL-3.0-or-later
"""The structures of Part 2 of the TPM Main Specification 1.2, a module for each chapter."""
