# SPDX-License-Identifier: GPL-3.0-or-later
"""`python -m fuzz`: both harnesses one after the other; exit code 1 if the emulator failed."""

from __future__ import annotations

import argparse
import importlib.util
import sys
from pathlib import Path

from bootproof import process
from bootproof.errors import BootproofError, ExitCode
from fuzz import coverage, structured
from fuzz.target import memory

GROWTH = 64 << 20
_WARM_UP = 5.0
_CORPUS = Path(__file__).parents[1] / "out/fuzz/corpus"


def libfuzzer(seconds: int, corpus: Path) -> list[str]:
    """Return the command of the coverage-guided harness; it fails at a crash, a hang, or too much memory."""
    return [
        sys.executable, "-m", "fuzz.guided", f"-max_total_time={seconds}", "-timeout=20",
        "-rss_limit_mb=1024", "-max_len=4096", "-print_final_stats=1", f"-artifact_prefix={corpus.parent}/",
        str(corpus),
    ]  # fmt: skip


def run_structured(seconds: float) -> int:
    """Run the generated scripts; BootproofError if the process has grown too much meanwhile."""
    done = structured.run(min(_WARM_UP, seconds))
    before = memory()
    done += structured.run(max(seconds - _WARM_UP, 0))
    growth = memory() - before
    if growth > GROWTH:
        raise BootproofError(f"memory grew by {growth >> 20} MB in {done} scripts")
    say(f"structured: {done} scripts, memory grew by {growth / 2**20:.1f} MB")
    return done


def say(text: str) -> None:
    print(text, flush=True)  # noqa: T201 - this is a program


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="fuzz", description="fuzz the TPM emulator")
    parser.add_argument("--seconds", type=int, default=60, help="how long, both harnesses together")
    parser.add_argument("--only", choices=["structured", "coverage"], help="only that harness")
    parser.add_argument("--replay", type=Path, help="run what the coverage-guided harness has found again")
    chosen = parser.parse_args(arguments)
    if chosen.replay is not None:
        from fuzz.target import Target

        Target().run(coverage.decoded(chosen.replay.read_bytes()))
        return ExitCode.PASS
    guided = importlib.util.find_spec("atheris") is not None
    if chosen.only == "coverage" and not guided:
        raise BootproofError("atheris is not installed", "pip install atheris")
    both = chosen.only is None and guided
    share = chosen.seconds // 2 if both else chosen.seconds
    if chosen.only != "coverage":
        run_structured(share)
    if chosen.only != "structured" and guided:
        coverage.write_seeds(_CORPUS)
        process.run(libfuzzer(share, _CORPUS), log=_CORPUS.parent / "coverage.log", cwd=_CORPUS.parents[2])
        say(f"coverage-guided: {share} s, corpus of {len(list(_CORPUS.iterdir()))} inputs in {_CORPUS}")
    elif not guided:
        say("coverage-guided: left out, atheris is not installed")
    return ExitCode.PASS


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except BootproofError as error:
        print(f"fuzz: {error}", file=sys.stderr)  # noqa: T201
        sys.exit(int(error.code))
