# SPDX-License-Identifier: GPL-3.0-or-later
"""The store of downloaded packages: shared by all builds, every file verified by sha256 before it gets its
name.

A file is `SHA256.deb`; a download under way is `SHA256.part` and is resumed by the next attempt. A lock file
per package keeps two builds from fetching the same one.
"""

from __future__ import annotations

import queue
import shutil
import threading
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from bootproof.build.archives import Archives, local_path
from bootproof.build.files import disk_errors, locked, sha256_of, sync
from bootproof.build.lock import Package
from bootproof.errors import HostError
from bootproof.host.tools import require_disk

_PARALLEL = 4
_MARGIN = 1.1


class DebStore:
    """A folder of verified .deb files by sha256."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def path(self, package: Package) -> Path:
        return self.folder / f"{package.sha256}.deb"

    def missing(self, packages: Iterable[Package]) -> list[Package]:
        return [package for package in packages if not self.path(package).is_file()]

    def fetch(
        self, packages: Iterable[Package], archives: Archives, proxies: Mapping[str, str]
    ) -> tuple[int, int]:
        """Download what is not there yet; return (files, bytes) fetched. All packages that are gone are
        named at once.
        """
        wanted = self.missing(packages)
        size = sum(package.size for package in wanted)
        addresses = [archives.address(package.archive, package.filename) for package in wanted]
        with disk_errors(self.folder):
            self.folder.mkdir(parents=True, exist_ok=True)
            require_disk(self.folder, int(size * _MARGIN))
            found = self._fetch_all(wanted, addresses, proxies)
        gone = [str(package) for package, there in zip(wanted, found, strict=True) if not there]
        if gone:
            raise HostError(
                f"the mirror no longer has: {', '.join(gone)}",
                "use a mirror that keeps them (--mirror), or make a new lock with --update",
            )
        return len(wanted), size

    def verified(self, package: Package) -> Path:
        """Return a package's file after hashing it again; a damaged one is removed and reported."""
        path = self.path(package)
        if not path.is_file() or sha256_of(path) != package.sha256:
            path.unlink(missing_ok=True)
            raise HostError(
                f"the cached file of {package} was damaged and has been removed",
                "run the same command again",
            )
        return path

    def _fetch_all(
        self, packages: Sequence[Package], addresses: Sequence[str], proxies: Mapping[str, str]
    ) -> list[bool]:
        """Fetch some packages at a time; the first failure ends it.

        The threads are daemons: Ctrl-C and failures must not wait for a mirror that no longer answers. What
        they leave is a partial file, as after any other end.
        """
        jobs: queue.SimpleQueue[int] = queue.SimpleQueue()
        results: queue.SimpleQueue[tuple[int, bool | Exception]] = queue.SimpleQueue()
        failed = threading.Event()

        def fetch_jobs() -> None:
            while not failed.is_set():
                try:
                    index = jobs.get_nowait()
                except queue.Empty:
                    return
                try:
                    results.put((index, self._fetch_one(packages[index], addresses[index], proxies)))
                except Exception as error:  # raised again in the main thread
                    results.put((index, error))

        for index in range(len(packages)):
            jobs.put(index)
        for _ in range(min(_PARALLEL, len(packages))):
            threading.Thread(target=fetch_jobs, daemon=True).start()
        found = [False] * len(packages)
        for _ in packages:
            index, result = results.get()
            if isinstance(result, Exception):
                failed.set()
                raise result
            found[index] = result
        return found

    def _fetch_one(self, package: Package, address: str, proxies: Mapping[str, str]) -> bool:
        """Return whether the package is there now. A partial file that turns out to be none of it is fetched
        anew, once.
        """
        part = self.folder / f"{package.sha256}.part"
        with locked(self.folder / f"{package.sha256}.lock"):
            if self.path(package).is_file():
                return True
            for resumed in (part.exists(), False):
                if not _bring(address, part, package.size, proxies):
                    return False
                if self._accept(package, part):
                    return True
                if not resumed:
                    break
        raise HostError(
            f"the mirror's file of {package} is not the one in the package lists",
            "try again later, or use another mirror",
        )

    def _accept(self, package: Package, part: Path) -> bool:
        if part.stat().st_size != package.size or sha256_of(part) != package.sha256:
            part.unlink()
            return False
        sync(part)
        part.rename(self.path(package))
        return True


def _bring(address: str, part: Path, size: int, proxies: Mapping[str, str]) -> bool:
    if not address.startswith("file:"):
        from bootproof.build import download

        return download.fetch(address, part, size, proxies)
    source = local_path(address)
    if not source.is_file():
        return False
    shutil.copyfile(source, part)
    return True
