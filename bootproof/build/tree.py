# SPDX-License-Identifier: GPL-3.0-or-later
"""Lock -> root tree: one tar, made by mmdebstrap from a repository of exactly the locked packages."""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote

from bootproof import process
from bootproof.build import repository
from bootproof.build.debs import DebStore
from bootproof.build.files import locked
from bootproof.build.lock import Lock
from bootproof.build.settings import work_folder
from bootproof.errors import HostError

_HOOKS = Path("/usr/share/mmdebstrap/hooks")
_PREFIX = "bootproof-tree-"
_SUBUID_FILES = (Path("/etc/subuid"), Path("/etc/subgid"))


def mmdebstrap_command(
    *, suite: str, variant: str, install: Sequence[str], repo: Path, target: Path, root: bool
) -> list[str]:
    """Return the command that makes `target` (a tar) from the packages in `repo`; without root in a user
    namespace.
    """
    merge = [f"--hook-dir={_HOOKS}/merged-usr"] if suite == "bookworm" else []
    include = [f"--include={','.join(install)}"] if install else []
    return [
        "mmdebstrap",
        f"--mode={'root' if root else 'unshare'}",
        f"--variant={variant}",
        "--format=tar",
        "--architectures=amd64",
        "--skip=output/dev",
        # a tree that is thrown away when the machine stops need not reach the disk file by file
        "--dpkgopt=force-unsafe-io",
        *merge,
        *include,
        suite,
        str(target),
        f"deb [trusted=yes] copy://{quote(str(repo))} ./",
    ]  # fmt: skip


def build(
    folder: Path, *, lock: Lock, variant: str, install: Sequence[str], store: DebStore, log: Path
) -> list[str]:
    """Write `tree.tar` into `folder`; `log` stays where mmdebstrap fails."""
    target = folder / "tree.tar"
    with _workplace() as work:
        repository.write(work / "repo", lock.root, store, lock)
        command = mmdebstrap_command(
            suite=lock.suite, variant=variant, install=install, repo=work / "repo", target=work / "tree.tar",
            root=os.geteuid() == 0,
        )  # fmt: skip
        env = {
            "SOURCE_DATE_EPOCH": str(lock.epoch),
            "TMPDIR": str(work),
            "DEBIAN_FRONTEND": "noninteractive",
        }
        log.unlink(missing_ok=True)
        process.run(command, env=env, log=log, grace=60)
        shutil.move(work / "tree.tar", target)
    log.unlink()
    return [f"{len(lock.root)} packages"]


def require_namespace() -> None:
    """Make sure that this user may build without root: sub-user ids, and user namespaces in the kernel."""
    if os.geteuid() == 0:
        return
    user = _user_name()
    for path in _SUBUID_FILES:
        names = [line.split(":", 1)[0] for line in path.read_text().splitlines()] if path.exists() else []
        if user not in names and str(os.getuid()) not in names:
            raise HostError(
                f"{user} has no range of ids in {path}, so the root tree cannot be made without root",
                f"sudo usermod --add-subuids 100000-165535 --add-subgids 100000-165535 {user}",
            )
    if process.run(["unshare", "--user", "true"], check=False).returncode != 0:
        raise HostError(
            "this kernel does not let ordinary users make user namespaces",
            "run as root, or set kernel.unprivileged_userns_clone=1",
        )


def _user_name() -> str:
    import pwd

    return pwd.getpwuid(os.getuid()).pw_name


@contextmanager
def _workplace() -> Iterator[Path]:
    """Yield a folder that mmdebstrap's inner user may enter; those of killed builds are swept away first.

    It lies outside our own folders because in a user namespace root is another user, who cannot pass a
    private home.
    """
    parent = work_folder()
    with locked(parent / f".{_PREFIX}{os.getuid()}.lock"):  # nobody sweeps a folder that is not locked yet
        _sweep(parent)
        work = Path(tempfile.mkdtemp(prefix=_PREFIX, dir=parent))
        work.chmod(0o755)
        handle = os.open(work, os.O_RDONLY)
        fcntl.flock(handle, fcntl.LOCK_EX)
    try:
        yield work
    finally:
        _remove(work)
        os.close(handle)


def _sweep(parent: Path) -> None:
    for path in parent.glob(f"{_PREFIX}*"):
        if path.stat().st_uid != os.getuid():
            continue
        handle = os.open(path, os.O_RDONLY)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            _remove(path)
        except BlockingIOError:
            pass  # a build is at work in it
        finally:
            os.close(handle)


def _remove(path: Path) -> None:
    """Remove a work folder, including what belongs to the sub-users of a killed mmdebstrap."""
    shutil.rmtree(path, ignore_errors=True)
    if path.exists():
        process.run(["unshare", "--map-auto", "--map-root-user", "rm", "-rf", path], check=False)
