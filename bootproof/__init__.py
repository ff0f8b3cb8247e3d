# SPDX-License-Identifier: GPL-3.0-or-later
"""Bootproof: a live ISO that can prove what it booted, and everything needed to check the proof."""

__version__ = "0.1.0"
