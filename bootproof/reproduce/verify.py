# SPDX-License-Identifier: GPL-3.0-or-later
"""Builds an image twice from scratch, each time in other surroundings, and compares the two."""

from __future__ import annotations

import json
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from bootproof import console, process
from bootproof.build.files import disk_errors, sha256_of, write_atomically
from bootproof.build.needs import require_host
from bootproof.build.settings import Settings, work_folder
from bootproof.errors import BootproofError, ExitCode
from bootproof.host import tools
from bootproof.launch.leftovers import private_folder
from bootproof.recipe import Recipe
from bootproof.reproduce.difference import Difference
from bootproof.reproduce.images import compare_images
from bootproof.reproduce.sharedmemory import tidied
from bootproof.reproduce.surroundings import (
    FIRST,
    SECOND,
    Clock,
    Surroundings,
    build_command,
    environment,
    proven,
    wrappers,
)  # fmt: skip

VERB = "verify-reproducible"
_WORK_BYTES = 4 << 30
_PARTS = ("builder.py", "bootproof", "grub", "initrd", "overlays", "recipes", "setup")
_CLOCK_PARENT = Path("/var/tmp")  # noqa: S108 - exists on the host as in the chroot; the folder in it is private
_FORMAT = 1
_LOCK = "packages.lock"


@dataclass(frozen=True)
class Outcome:
    """One build: its surroundings, the ISO's sha256, how long it took and when it began (in seconds)."""

    around: Surroundings
    sha256: str
    seconds: float
    began: float


@dataclass(frozen=True)
class Verdict:
    """Both builds, what differs, and what could not be varied on this machine and why."""

    recipe: str
    builds: tuple[Outcome, ...]
    differences: tuple[Difference, ...]
    not_varied: tuple[str, ...]
    kept: Path | None = None

    @property
    def identical(self) -> bool:
        return len({build.sha256 for build in self.builds}) == 1

    def described(self) -> dict[str, Any]:
        """Return the verdict as it is written to reproducible.json."""
        return {
            "format": _FORMAT,
            "recipe": self.recipe,
            "identical": self.identical,
            "builds": [asdict(build) for build in self.builds],
            "not_varied": list(self.not_varied),
            "differences": [asdict(difference) for difference in self.differences],
        }


@dataclass
class _Session:
    """What both builds share."""

    recipe: Recipe
    source: str
    settings: Settings
    work: Path
    lease: int
    clock: Clock
    keep: bool
    not_varied: list[str] = field(default_factory=list)

    @property
    def chroot(self) -> bool:
        """Whether packages run programs of theirs while they are installed."""
        return self.recipe.packages.variant != "extract"

    @property
    def lock(self) -> Path:
        return self.settings.image_folder(self.recipe.name) / _LOCK


def verify(recipe: Recipe, source: str, settings: Settings, *, keep: bool) -> Verdict:
    """Build `recipe` (loaded as `source`) twice with the same lock and compare; write reproducible.json.

    The lock is the one in the image's folder if it fits, else the first build makes one, which is put there.
    """
    require_host(settings)
    tools.require(tools.needed_by(VERB))
    with tidied(), _folders(keep) as (work, lease, clock), disk_errors(work):
        session = _Session(recipe, source, settings, work, lease, clock, keep)
        shutil.copyfile(clock.library, clock.shared)
        for around in (FIRST, SECOND):
            _copy_project(settings.project, work / around.folder / "project", around)
        builds = [_build(session, around) for around in (FIRST, SECOND)]
        differences: Sequence[Difference] = ()
        if builds[0].sha256 != builds[1].sha256:
            with console.step("comparison"):
                differences = compare_images(*(_iso(session, build.around) for build in builds))
        verdict = Verdict(
            recipe.name, tuple(builds), tuple(differences), tuple(session.not_varied), work if keep else None
        )
    report = settings.image_folder(recipe.name) / "reproducible.json"
    write_atomically(report, json.dumps(verdict.described(), indent=1) + "\n")
    return verdict


@contextmanager
def _folders(keep: bool) -> Iterator[tuple[Path, int, Clock]]:
    """Yield a folder for the builds, a descriptor that keeps it alive, and the clock in its own folder."""
    parent = work_folder()
    tools.require_disk(parent, _WORK_BYTES)
    library = tools.locate(tools.tools()["libfaketime"])
    assert library is not None
    with (
        private_folder(parent, "bootproof-twice-") as place,
        private_folder(_CLOCK_PARENT, "bootproof-clock-") as own,
    ):
        work = Path(tempfile.mkdtemp(prefix="bootproof-kept-", dir=parent)) if keep else place.path
        # in a user namespace root is another user, who has to get in
        for folder in (work, own.path):
            folder.chmod(0o755)
        proof = work / "clock-in-chroot"
        proof.touch()
        proof.chmod(0o666)
        yield work, place.lease, Clock(library, own.path / library.name, proof)


def _build(session: _Session, around: Surroundings) -> Outcome:
    """Build once; only the ISO is left of it."""
    home = session.work / around.folder
    for name in ("home", "tmp", "bin", "out"):
        (home / name).mkdir()
    own, shared = home / "out" / session.recipe.name / _LOCK, session.lock
    if shared.is_file():
        own.parent.mkdir()
        shutil.copyfile(shared, own)
    began, started = time.time(), time.monotonic()
    with console.step(f"{around.name} build from scratch") as line:
        _run(session, around, home)
        digest = sha256_of(_iso(session, around))
        line.note(f"sha256 {digest[:16]}…")
    if not shared.is_file() or shared.read_bytes() != own.read_bytes():
        write_atomically(shared, own.read_bytes())
    if not session.keep:
        shutil.rmtree(home / "out" / ".steps")
    return Outcome(around, digest, round(time.monotonic() - started, 1), round(began))


def _iso(session: _Session, around: Surroundings) -> Path:
    return session.work / around.folder / "out" / session.recipe.name / f"{session.recipe.name}.iso"


def _run(session: _Session, around: Surroundings, home: Path) -> None:
    clock, settings = session.clock, session.settings
    programs = {tool.name: path for tool in _programs() if (path := tools.locate(tool))}
    for name, script in wrappers(around, programs, clock, chroot=session.chroot).items():
        (home / "bin" / name).write_text(script)
        (home / "bin" / name).chmod(0o755)
    env = environment(
        around, home=home / "home", temporary=home / "tmp", programs=home / "bin",
        path=process.environment()["PATH"], cache=settings.cache,
    )  # fmt: skip
    if settings.epoch is not None:
        env["SOURCE_DATE_EPOCH"] = str(settings.epoch)
    build = [
        sys.executable,
        str(home / "project" / "builder.py"),
        "build",
        session.source,
        "--output",
        str(home / "out"),
    ]
    build += ["--mirror", settings.mirror] if settings.mirror else []
    build += ["--locked"] if around is not FIRST else []
    processors = sorted(os.sched_getaffinity(0))
    command = build_command(
        around,
        build,
        processor=processors[0] if len(processors) > 1 else None,
        own_hostname=_may_rename(),
    )
    with process.running(
        command, grace=70, env=env, stdout=-1, stderr=-1, pass_fds=(session.lease,)
    ) as child:
        _, err = child.communicate()
    if child.returncode != 0:
        raise _failure(session, around, child.returncode, err.decode(errors="replace"))
    _note_limits(session, around, one_processor=len(processors) == 1)


def _failure(session: _Session, around: Surroundings, status: int, said: str) -> BootproofError:
    """Return the error of a build that failed, in its own words."""
    message = said.rpartition("builder.py: ")[2].strip() or f"ended with status {status}"
    code = ExitCode(status) if status in set(ExitCode) else ExitCode.HOST
    return BootproofError(
        f"the {around.name} build failed: {message}",
        f"its folder: {session.work}" if session.keep else "--keep leaves its folder",
        code,
    )


def _note_limits(session: _Session, around: Surroundings, *, one_processor: bool) -> None:
    """Add what these surroundings should have changed and did not."""
    if not around.shift:
        return
    if session.chroot and not proven(session.clock.proof.read_text(), around.shift):
        session.not_varied.append(
            "the clock of what packages run while they are installed: libfaketime does not work there"
        )
    if not _may_rename():
        session.not_varied.append("the host's name: this user may not change it for a process")
    if one_processor:
        session.not_varied.append("the number of processors: there is just one")


def _programs() -> list[tools.Tool]:
    """Return the programs that a build starts; the two that open a user namespace keep the real clock."""
    entries = [tools.tools()[name] for name in tools.needed_by("build")]
    return [tool for tool in entries if not tool.path and tool.name not in ("unshare", "newuidmap")]


def _may_rename() -> bool:
    return process.run(["unshare", "--uts", "true"], check=False).returncode == 0


def _copy_project(project: Path, target: Path, around: Surroundings) -> None:
    """Copy what a build reads, as another checkout has it: other times, and modes that suit the umask."""
    target.mkdir(parents=True)
    for part in _PARTS:
        source = project / part
        if source.is_dir():
            shutil.copytree(
                source, target / part, symlinks=True, ignore=shutil.ignore_patterns("__pycache__")
            )
        else:
            shutil.copy2(source, target / part)
    for path in (target, *target.rglob("*")):
        if not path.is_symlink():
            path.chmod((0o777 if path.is_dir() or path.stat().st_mode & 0o100 else 0o666) & ~around.umask)
        os.utime(path, (around.touched, around.touched), follow_symlinks=False)
