# SPDX-License-Identifier: GPL-3.0-or-later
"""Programs that ask for passwords at their terminal, answered from a list."""

from __future__ import annotations

import os
import pty
import select
import subprocess
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from bootproof import process

_PATIENCE = 60.0


def answer(
    argv: Sequence[str], answers: Sequence[str], *, env: Mapping[str, str], cwd: Path
) -> tuple[int, str, str]:
    """Run a program with a terminal of its own and return its status, standard output and standard error.

    Each prompt (the program writes a colon to the terminal and waits) gets the next answer; a program that asks
    for more reads the end of its input.
    """
    terminal, inner = pty.openpty()
    try:
        with tempfile.TemporaryFile() as output, tempfile.TemporaryFile() as errors:
            # getpass() opens /dev/tty: the program must be the leader of a session that has this terminal
            words = ["setsid", "--ctty", *argv]
            streams = {"stdin": inner, "stdout": output, "stderr": errors}
            with process.running(words, env=env, cwd=cwd, **streams) as child:
                os.close(inner)
                inner = -1
                _type(terminal, child, [*answers])
            texts = []
            for stream in (output, errors):
                stream.seek(0)
                texts.append(stream.read().decode(errors="replace"))
            return child.returncode, texts[0], texts[1]
    finally:
        os.close(terminal)
        if inner >= 0:
            os.close(inner)


def _type(terminal: int, child: subprocess.Popen[bytes], answers: list[str]) -> None:
    """Answer prompts until the program ends."""
    deadline = time.monotonic() + _PATIENCE
    seen = b""
    while child.poll() is None:
        assert time.monotonic() < deadline, f"{child.args!r} does not end; it said {seen!r}"
        if not select.select([terminal], [], [], 0.01)[0]:
            continue
        try:
            seen += os.read(terminal, 4096)
        except OSError:  # the program has closed its terminal, or ended
            child.wait(max(deadline - time.monotonic(), 0))
            return
        if seen.rstrip(b" ").endswith(b":"):
            text = f"{answers.pop(0)}\n" if answers else "\x04"
            os.write(terminal, text.encode())
            seen = b""
    assert not answers, f"{child.args!r} never asked for {answers}"
