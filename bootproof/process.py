# SPDX-License-Identifier: GPL-3.0-or-later
"""The one door through which Bootproof starts other programs.

Arguments are lists, standard input is closed unless given, the environment is small and in the C.UTF-8
locale, and a failure prints the command ready to paste into a shell.
"""

from __future__ import annotations

import ctypes
import os
import shlex
import signal
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from bootproof.errors import HostError

_KEPT = (
    "PATH",
    "HOME",
    "TMPDIR",
    "TERM",
    "USER",
    "LOGNAME",
    "http_proxy",
    "https_proxy",
    "no_proxy",
    "XDG_RUNTIME_DIR",
)
_PR_SET_PDEATHSIG = 1
_LIBC = ctypes.CDLL(None)
_TAIL_LINES = 12


def environment(extra: Mapping[str, str] | None = None) -> dict[str, str]:
    """Return the scrubbed environment that children get, with `extra` on top."""
    kept = {name: os.environ[name] for name in _KEPT if name in os.environ}
    path = kept.get("PATH", "/usr/bin:/bin")
    # mkfs-like tools live in sbin, which an ordinary user's PATH on Debian leaves out
    for folder in ("/usr/local/sbin", "/usr/sbin", "/sbin"):
        if folder not in path.split(":"):
            path += f":{folder}"
    return kept | {"PATH": path, "LC_ALL": "C.UTF-8", "TZ": "UTC"} | dict(extra or {})


def paste(argv: Sequence[str | os.PathLike[str]]) -> str:
    """Return `argv` quoted for a shell."""
    return shlex.join(os.fspath(word) for word in argv)


def _die_with_parent() -> None:
    """Ask the kernel to end this child when its parent is gone, so that no process is left behind."""
    _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)


def spawn(
    argv: Sequence[str | os.PathLike[str]],
    *,
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
    stdin: int | IO[bytes] = subprocess.DEVNULL,
    stdout: int | IO[bytes] | None = None,
    stderr: int | IO[bytes] | None = None,
    pass_fds: Sequence[int] = (),
) -> subprocess.Popen[bytes]:
    """Start a program that dies with us; a missing program is a `HostError`."""
    words = [os.fspath(word) for word in argv]
    try:
        return subprocess.Popen(
            words, env=environment(env), cwd=cwd, stdin=stdin, stdout=stdout, stderr=stderr,
            pass_fds=tuple(pass_fds),
            preexec_fn=_die_with_parent,  # noqa: PLW1509 - one system call
        )  # fmt: skip
    except FileNotFoundError:
        raise HostError(
            f"{words[0]} not found", "`./builder.py doctor` names the package it comes from"
        ) from None


def failure(
    argv: Sequence[str | os.PathLike[str]], status: int, output: str, log: Path | None = None
) -> HostError:
    """Return the error for a program that ended with `status`: its last lines, and the command itself."""
    tail = "\n".join(f"    {line}" for line in output.strip().splitlines()[-_TAIL_LINES:])
    how = f"ended with status {status}" if status >= 0 else f"was ended by {signal.Signals(-status).name}"
    where = f"; all of it: {log}" if log else ""
    said = f"\n{tail}" if tail else ""
    return HostError(f"{os.fspath(argv[0])} {how}{said}", f"the command: {paste(argv)}{where}")


def run(
    argv: Sequence[str | os.PathLike[str]],
    *,
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
    data: bytes | None = None,
    log: Path | None = None,
    check: bool = True,
    grace: float = 5.0,
) -> subprocess.CompletedProcess[bytes]:
    """Run a program to its end and return its status and output (bytes; appended to `log` as well).

    A non-zero status is a `HostError` unless `check` is false.
    """
    stdin = subprocess.DEVNULL if data is None else subprocess.PIPE
    pipe = subprocess.PIPE
    with running(argv, grace=grace, env=env, cwd=cwd, stdin=stdin, stdout=pipe, stderr=pipe) as child:
        out, err = child.communicate(data)
    if log is not None:
        with log.open("ab") as stream:
            stream.write(f"$ {paste(argv)}\n".encode() + out + err)
    if check and child.returncode != 0:
        raise failure(argv, child.returncode, (err or out).decode(errors="replace"), log)
    return subprocess.CompletedProcess([os.fspath(word) for word in argv], child.returncode, out, err)


@contextmanager
def running(
    argv: Sequence[str | os.PathLike[str]], grace: float = 5.0, **how: Any
) -> Iterator[subprocess.Popen[bytes]]:
    """Run a program for the length of a `with` block; whatever ends the block ends the program.

    `grace` is how many seconds it gets to clean up after SIGTERM.
    """
    child = spawn(argv, **how)
    try:
        yield child
    finally:
        end(child, grace)


def end(child: subprocess.Popen[bytes], grace: float = 5.0) -> None:
    """End a child politely, then firmly, and reap it. A child that has ended already is only reaped."""
    if child.poll() is None:
        child.terminate()
        try:
            child.wait(grace)
        except subprocess.TimeoutExpired:
            child.kill()
    child.wait()
    for stream in (child.stdin, child.stdout, child.stderr):
        if stream is not None:
            stream.close()
