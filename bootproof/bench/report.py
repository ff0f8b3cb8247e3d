# SPDX-License-Identifier: GPL-3.0-or-later
"""Measurements -> docs/benchmarks.md."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import jinja2

from bootproof.bench.boots import LIMITS, ROUNDS, Boots
from bootproof.bench.builds import Again, Cold

_TEMPLATE = Path(__file__).with_name("benchmarks.md.j2")
_AGAIN_LIMITS = {"an overlay": 5.0, "our own code": 5.0, "the menu": 2.0}  # CPU seconds
_UNCHANGED_LIMIT = 1.0  # seconds of wall time
_SIZE_LIMITS = {"demo": 240e6, "minimal": 50e6}  # bytes
_MEMORY_LIMIT = 400.0  # MiB
_LIVE_BUILD_SHARE = 1 / 8


@dataclass(frozen=True)
class Goal:
    """What was to be reached, in words, what was found, and whether it was reached."""

    what: str
    wanted: str
    found: str
    met: bool


def goals(cold: Mapping[str, Cold], again: Again, boots: Boots, sizes: Mapping[str, int]) -> list[Goal]:
    """Compare the measurements with what was promised."""
    peer, ours = cold["live-build"], cold["bootproof"]
    share = ours.usage.cpu / peer.usage.cpu
    unchanged = again.usage["nothing changed"].wall
    found = [
        _goal("CPU of a cold build, share of live-build's", share, _LIVE_BUILD_SHARE, "{:.3f}"),
        _goal("size of that ISO, share of live-build's", ours.size / peer.size, 1.0, "{:.2f}"),
        _goal("build with nothing changed, wall seconds", unchanged, _UNCHANGED_LIMIT, "{:.2f}"),
        _goal("peak memory of the builder, MiB", again.memory, _MEMORY_LIMIT, "{:.0f}"),
    ]
    for name, limit in _AGAIN_LIMITS.items():
        found.append(
            _goal(f"build after a change of {name}, CPU seconds", again.usage[name].cpu, limit, "{:.2f}")
        )
    for name, size_limit in _SIZE_LIMITS.items():
        found.append(_goal(f"{name} ISO, MB", sizes[name] / 1e6, size_limit / 1e6, "{:.1f}"))
    for name, ratio_limit in LIMITS.items():
        what = f"power-on to login of {name}, times the bare kernel's"
        found.append(_goal(what, boots.ratio(name), ratio_limit, "{:.2f}"))
    return found


def _goal(what: str, value: float, limit: float, form: str) -> Goal:
    return Goal(what, f"at most {form.format(limit)}", form.format(value), value <= limit)


def page(cold: Mapping[str, Cold], again: Again, boots: Boots, reached: Sequence[Goal], machine: str) -> str:
    """Render the page."""
    environment = jinja2.Environment(  # noqa: S701 - Markdown
        undefined=jinja2.StrictUndefined, trim_blocks=True, keep_trailing_newline=True
    )
    return environment.from_string(_TEMPLATE.read_text()).render(
        cold=cold,
        peer=cold["live-build"],
        again=again,
        boots=boots,
        goals=reached,
        machine=machine,
        rounds=ROUNDS,
    )
