# SPDX-License-Identifier: GPL-3.0-or-later
"""What holds for all tests."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, settings
from xdist.remote import Producer
from xdist.scheduler import LoadScopeScheduling

# A busy machine makes single examples slow; the time limit of the whole test remains.
settings.register_profile("bootproof", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("bootproof")

# Each of these files is run as a whole by one of the processes that build and boot machines in `make test`:
# what its first build gives serves all its tests; and libfaketime calls its shared memory by the number of a
# process, of which every build without root has its own.
TOGETHER = ("tests/build/test_real_builds.py", "tests/reproduce/test_verify.py")


class Scheduler(LoadScopeScheduling):  # type: ignore[misc] # xdist has no types
    """Give each process one test after the other, and some files as a whole: those first."""

    def _split_scope(self, nodeid: str) -> str:
        file = nodeid.partition("::")[0]
        return file if file in TOGETHER else nodeid


def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> Scheduler | None:
    """Take the place of `--dist loadscope`.

    `--dist loadgroup` would be made for this, but does nothing with pytest 9.2 (pytest-xdist, issue 1386).
    """
    return Scheduler(config, log) if config.getvalue("dist") == "loadscope" else None
