# SPDX-License-Identifier: GPL-3.0-or-later
"""`python -m bootproof.bench`: measure everything, write docs/benchmarks.md, tell which goals are missed."""

from __future__ import annotations

import sys

from bootproof import console
from bootproof.bench import boots, builds, report, usage
from bootproof.build.files import write_atomically
from bootproof.build.settings import PROJECT, Settings, cache_folder
from bootproof.errors import BootproofError, ExitCode


def main() -> int:
    settings = Settings(output=PROJECT / "out", cache=cache_folder())
    work = settings.output / "bench"
    work.mkdir(parents=True, exist_ok=True)
    for name in ("minimal", "demo"):
        usage.measured(builds.build_command(PROJECT, name, settings.output), log=work / f"{name}.log")
    sizes = {
        name: (settings.image_folder(name) / f"{name}.iso").stat().st_size for name in ("minimal", "demo")
    }
    cold = builds.compare_with_live_build(settings, work)
    again = builds.rebuild(work)
    started = boots.run(settings, work)
    goals = report.goals(cold, again, started, sizes)
    write_atomically(
        PROJECT / "docs" / "benchmarks.md", report.page(cold, again, started, goals, usage.machine())
    )
    for goal in goals:
        console.say(f"{'✓' if goal.met else '✗'} {goal.what}: {goal.found} (goal: {goal.wanted})")
    return ExitCode.PASS if all(goal.met for goal in goals) else ExitCode.MEASUREMENT


if __name__ == "__main__":
    try:
        sys.exit(main())
    except BootproofError as error:
        print(f"bench: {error}", file=sys.stderr)  # noqa: T201
        sys.exit(int(error.code))
