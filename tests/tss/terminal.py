# SPDX-License-Identifier: GPL-3.0-or-later
"""Programs that ask for passwords at their terminal, answered from a list."""

from __future__ import annotations

import os
import pty
import select
import subprocess
import tempfile
import termios
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO

from bootproof import process

_PATIENCE = 60.0


def answer(
    argv: Sequence[str], answers: Sequence[str], *, env: Mapping[str, str], cwd: Path
) -> tuple[int, str, str]:
    """Run a program with a terminal of its own and return its status, standard output and standard error.

    Each prompt (the program writes a colon, to the terminal or to standard error, and has switched the echo
    off) gets the next answer; a program that asks for more reads the end of its input.
    """
    terminal, inner = pty.openpty()
    try:
        with tempfile.TemporaryFile() as output, tempfile.TemporaryFile() as errors:
            # getpass() opens /dev/tty: the program must be the leader of a session that has this terminal
            words = ["setsid", "--ctty", *argv]
            with process.running(
                words, env=env, cwd=cwd, stdin=inner, stdout=output, stderr=errors
            ) as child:
                os.close(inner)
                inner = -1
                _Typist(terminal, errors, [*answers]).serve(child)
            return child.returncode, _content(output), _content(errors)
    finally:
        os.close(terminal)
        if inner >= 0:
            os.close(inner)


def _content(stream: IO[bytes]) -> str:
    stream.seek(0)
    return stream.read().decode(errors="replace")


class _Typist:
    """Sees prompts and answers them."""

    def __init__(self, terminal: int, errors: IO[bytes], answers: list[str]) -> None:
        self._terminal = terminal
        self._errors = errors.fileno()
        self._answers = answers
        self._seen = b""
        self._answered = 0  # how much there was on standard error at the last answer

    def serve(self, child: subprocess.Popen[bytes]) -> None:
        """Answer until the program ends."""
        deadline = time.monotonic() + _PATIENCE
        while child.poll() is None:
            assert time.monotonic() < deadline, f"{child.args!r} does not end; it said {self._seen!r}"
            if select.select([self._terminal], [], [], 0.01)[0]:
                try:
                    self._seen += os.read(self._terminal, 4096)
                except OSError:  # the program has closed its terminal, or ended
                    child.wait(max(deadline - time.monotonic(), 0))
                    break
            if self._asked() and not termios.tcgetattr(self._terminal)[3] & termios.ECHO:
                self._type()
        assert not self._answers, f"{child.args!r} never asked for {self._answers}"

    def _asked(self) -> bool:
        size = os.fstat(self._errors).st_size
        if size - self._answered >= 2 and os.pread(self._errors, 2, size - 2) == b": ":
            return True
        return self._seen.rstrip(b" ").endswith(b":")

    def _type(self) -> None:
        text = f"{self._answers.pop(0)}\n" if self._answers else "\x04"
        os.write(self._terminal, text.encode())
        self._seen = b""
        self._answered = os.fstat(self._errors).st_size
