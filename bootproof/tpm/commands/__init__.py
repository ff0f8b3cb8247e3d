# SPDX-License-Identifier: GPL-3.0-or-later
"""The commands, one module for each group of Part 3; `table.py` lists them all."""
