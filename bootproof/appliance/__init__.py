# SPDX-License-Identifier: GPL-3.0-or-later
"""What only runs inside the ISO: the agent that reports to the smoke test."""
