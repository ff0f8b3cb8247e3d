# SPDX-License-Identifier: GPL-3.0-or-later
"""Coverage-guided fuzzing with atheris: a process of its own, because libFuzzer ends it.

`python -m fuzz.guided -max_total_time=60 CORPUS`: the arguments are libFuzzer's. What is imported here is
imported late, so that atheris sees the emulator's code load.
"""

from __future__ import annotations

import sys
from typing import Any


def main(arguments: list[str]) -> None:
    import atheris  # type: ignore

    fuzzer: Any = atheris
    with fuzzer.instrument_imports(include=["bootproof.tpm"]):
        from fuzz.coverage import decoded
        from fuzz.target import Target

    def one(data: bytes) -> None:
        Target().run(decoded(data))

    fuzzer.Setup([sys.argv[0], *arguments], one)
    fuzzer.Fuzz()


if __name__ == "__main__":
    main(sys.argv[1:])
