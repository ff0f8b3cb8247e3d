# SPDX-License-Identifier: GPL-3.0-or-later
"""What holds for all tests."""

from __future__ import annotations

from hypothesis import HealthCheck, settings

# A busy machine makes single examples slow; the time limit of the whole test remains.
settings.register_profile("bootproof", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("bootproof")
