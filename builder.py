#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""Bootproof's command line on the host: `./builder.py --help`."""

import os
import sys
from pathlib import Path

PROJECT = Path(__file__).resolve().parent
PYTHON = PROJECT / ".venv" / "bin" / "python"

if __name__ == "__main__":
    if Path(sys.prefix) != PYTHON.parents[1] and PYTHON.exists():
        os.execv(  # noqa: S606 - the same program again, with the packages of .venv
            PYTHON,
            [str(PYTHON), str(PROJECT / "builder.py"), *sys.argv[1:]],
        )
    sys.path.insert(0, str(PROJECT))
    try:
        from bootproof.cli.app import main
    except ModuleNotFoundError as error:
        from bootproof.errors import ExitCode

        print(f"builder.py: the Python package {error.name} is missing (run setup/install)", file=sys.stderr)  # noqa: T201
        sys.exit(ExitCode.HOST)
    sys.exit(main())
