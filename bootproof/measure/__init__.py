# SPDX-License-Identifier: GPL-3.0-or-later
"""Event-log formats, PCRs and replay: pure functions over bytes, no input or output, no imports from the
rest."""
