# SPDX-License-Identifier: GPL-3.0-or-later
"""Boots an image without a screen, follows it to its login, asks the guest for evidence and judges it."""
