# SPDX-License-Identifier: GPL-3.0-or-later
"""The machine we build, run and test on: what it has to have, and what is missing."""
