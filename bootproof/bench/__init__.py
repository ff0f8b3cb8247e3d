# SPDX-License-Identifier: GPL-3.0-or-later
"""Measures what the documentation claims, beside a peer in the same run: `make bench`."""
