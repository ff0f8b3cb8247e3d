# SPDX-License-Identifier: GPL-3.0-or-later
"""What the two builds differ in, and how a build is put into such surroundings.

Pure functions that make command lines, environments and scripts.
"""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

_DAY = 86400


@dataclass(frozen=True)
class Surroundings:
    """Everything around a build that must not matter.

    `shift` is by how many seconds the clock of its tools is ahead, `one_processor` whether it and mksquashfs
    have just one, `touched` the mtime that the files of its checkout have.
    """

    name: str
    folder: str
    umask: int
    timezone: str
    language: str
    hash_seed: int
    hostname: str
    touched: int
    shift: int = 0
    one_processor: bool = False


# The first is an ordinary build; time zones are spelled out (POSIX), so that no zone file is needed
FIRST = Surroundings(
    name="first", folder="a", umask=0o022, timezone="UTC0", language="C.UTF-8", hash_seed=1,
    hostname="first", touched=1_000_000_000,
)  # fmt: skip
SECOND = Surroundings(
    name="second", folder="b/in a folder with a longer name", umask=0o077, timezone="XYZ-13:45",
    language="de_DE.UTF-8", hash_seed=2, hostname="the-second-machine", touched=1_700_000_000,
    shift=400 * _DAY + 7 * 3600 + 13 * 60 + 29, one_processor=True,
)  # fmt: skip


@dataclass(frozen=True)
class Clock:
    """libfaketime: the library where host programs find it, and a copy whose path a chroot has too.

    `proof` is the file that receives what `date` says within the chroot, and without.
    """

    library: Path
    shared: Path
    proof: Path


def build_command(
    around: Surroundings, build: Sequence[str], *, processor: int | None, own_hostname: bool
) -> list[str]:
    """Return `build` in its surroundings. Each link of the chain becomes the next, so signals reach it."""
    words = ["sh", "-c", f'umask {around.umask:04o}; exec "$@"', "sh", *build]
    if own_hostname:
        words = ["unshare", "--uts", "sh", "-c", 'hostname "$0"; exec "$@"', around.hostname, *words]
    if around.one_processor and processor is not None:
        words = ["taskset", "--cpu-list", str(processor), *words]
    return words


def clock_variables(library: Path, shift: int) -> list[str]:
    """Return what makes a program see a shifted clock.

    Times of files stay as they are (those from packages are old), and so does the clock for durations.
    """
    return [f"LD_PRELOAD={library}", f"FAKETIME=+{shift}s", "NO_FAKE_STAT=1", "DONT_FAKE_MONOTONIC=1"]


def environment(
    around: Surroundings, *, home: Path, temporary: Path, programs: Path, path: str, cache: Path
) -> dict[str, str]:
    """Return a build's environment; `programs` has the scripts of `wrappers`, `path` is the usual PATH."""
    return {
        "HOME": str(home),
        "TMPDIR": str(temporary),
        "PATH": f"{programs}:{path}",
        "TZ": around.timezone,
        "LANG": around.language,
        "LC_ALL": around.language,
        "PYTHONHASHSEED": str(around.hash_seed),
        "PYTHONDONTWRITEBYTECODE": "1",
        "BOOTPROOF_CACHE": str(cache),
    }


def wrappers(
    around: Surroundings, tools: Mapping[str, Path], clock: Clock, *, chroot: bool
) -> dict[str, str]:
    """Return a shell script for each tool that starts differently; none for an ordinary build.

    The builder gives its children a clean environment but its own PATH, so that is how it is done.
    The builder itself keeps the real clock: under libfaketime Python's sleep fails or its waiting hangs.
    `chroot`: packages run programs while they are installed, and the clock has to get there too.
    """
    if not around.shift:
        return {}
    variables = clock_variables(clock.library, around.shift)
    scripts = {name: _script(variables, [str(path), '"$@"']) for name, path in tools.items()}
    if "mksquashfs" in tools and around.one_processor:
        scripts["mksquashfs"] = _script(variables, [str(tools["mksquashfs"]), '"$@"', "-processors", "1"])
    if chroot and "mmdebstrap" in tools:
        hooks = [f"--extract-hook={_enter(clock)}", f"--customize-hook={_leave(clock)}"]
        quoted = [str(tools["mmdebstrap"]), *map(shlex.quote, hooks), '"$@"']
        scripts["mmdebstrap"] = _script(clock_variables(clock.shared, around.shift), quoted)
    return scripts


def _script(variables: Sequence[str], words: Sequence[str]) -> str:
    return f"#!/bin/sh\n{' '.join(variables)} exec {' '.join(words)}\n"


def _enter(clock: Clock) -> str:
    """Return the hook that puts the library into the chroot, so that what runs there sees the shifted clock.

    It leaves no trace: the folder's time is put back.
    """
    folder, parent = clock.shared.parent, clock.shared.parent.parent
    return (
        f'unset LD_PRELOAD; test -d "$1{parent}" || exit 0; before=$(stat -c @%.9Y "$1{parent}"); '
        f'mkdir -m 755 "$1{folder}"; install -m 644 {clock.shared} "$1{folder}/"; '
        f'touch -d $before "$1{parent}"'
    )


def _leave(clock: Clock) -> str:
    """Return the hook that writes down both clocks and takes the library out again."""
    folder, parent = clock.shared.parent, clock.shared.parent.parent
    return (
        f'test -d "$1{folder}" || exit 0; inside=$(chroot "$1" date +%s); unset LD_PRELOAD; '
        f'echo "$inside" "$(date +%s)" > {shlex.quote(str(clock.proof))}; '
        f'before=$(stat -c @%.9Y "$1{parent}"); rm -r "$1{folder}"; touch -d $before "$1{parent}"'
    )


def proven(proof: str, shift: int) -> bool:
    """Return whether the clocks that `_leave` wrote down were apart as they should be."""
    words = proof.split()
    return (
        len(words) == 2
        and all(word.isdigit() for word in words)
        and abs(int(words[0]) - int(words[1]) - shift) < 60
    )
