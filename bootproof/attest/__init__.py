# SPDX-License-Identifier: GPL-3.0-or-later
"""What a machine can tell about itself: PCRs, logs, TrouSerS."""
