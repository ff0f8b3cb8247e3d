# SPDX-License-Identifier: GPL-3.0-or-later
"""Recipe to ISO, in content-addressed steps."""
