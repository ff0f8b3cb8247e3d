# SPDX-License-Identifier: GPL-3.0-or-later
"""Builds an image twice in different surroundings, and names every difference down to the file."""
