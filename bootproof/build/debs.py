# SPDX-License-Identifier: GPL-3.0-or-later
"""The store of downloaded packages: shared by all builds, every file verified by sha256 before it gets its name.

A file is `SHA256.deb`; a download under way is `SHA256.part` and is resumed by the next attempt. A lock file per package
keeps two builds from fetching the same one.
"""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import requests

from bootproof.build.archives import Archives, proxy
from bootproof.build.files import disk_errors, locked, sha256_of
from bootproof.build.lock import Package
from bootproof.errors import HostError

_PIECE = 1 << 18
_TIMEOUT = (10, 60)  # seconds to connect, and between two pieces
_PARALLEL = 4
_ATTEMPTS = 3


class DebStore:
    """A folder of verified .deb files by sha256."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def path(self, package: Package) -> Path:
        return self.folder / f"{package.sha256}.deb"

    def missing(self, packages: Iterable[Package]) -> list[Package]:
        return [package for package in packages if not self.path(package).is_file()]

    def fetch(self, packages: Iterable[Package], archives: Archives) -> tuple[int, int]:
        """Download what is not there yet; return (files, bytes) fetched. All packages that are gone are named at once."""
        wanted = self.missing(packages)
        if not wanted:
            return 0, 0
        with disk_errors(self.folder):
            self.folder.mkdir(parents=True, exist_ok=True)
            self._need_room(sum(package.size for package in wanted))
            with requests.Session() as session, ThreadPoolExecutor(_PARALLEL) as pool:
                session.proxies.update(proxy())
                results = list(pool.map(lambda package: self._fetch_one(package, archives, session), wanted))
        gone = [str(package) for package, found in zip(wanted, results, strict=True) if not found]
        if gone:
            raise HostError(
                f"the mirror no longer has: {', '.join(gone)}",
                "use a mirror that keeps them (--mirror), or build without --locked to lock today's versions",
            )
        return len(wanted), sum(package.size for package in wanted)

    def verified(self, package: Package) -> Path:
        """Return a package's file after hashing it again; a damaged one is removed and reported."""
        path = self.path(package)
        if sha256_of(path) != package.sha256:
            path.unlink()
            raise HostError(
                f"the cached file of {package} was damaged and has been removed",
                "run the same command again",
            )
        return path

    def _fetch_one(self, package: Package, archives: Archives, session: requests.Session) -> bool:
        address = archives.address(package.archive, package.filename)
        if address.startswith("file:"):
            return self._copy(package, Path(address.removeprefix("file://")))
        with locked(self.folder / f"{package.sha256}.lock"):
            if self.path(package).is_file():
                return True
            for attempt in range(1, _ATTEMPTS + 1):
                try:
                    return self._download(package, address, session)
                except requests.RequestException as error:
                    if attempt == _ATTEMPTS:
                        raise HostError(
                            f"cannot download {package}: {_reason(error)}",
                            "check the network and the mirror; what has arrived is kept, and the next build goes on from there",
                        ) from None
        return False

    def _download(self, package: Package, address: str, session: requests.Session) -> bool:
        part = self.folder / f"{package.sha256}.part"
        have = part.stat().st_size if part.exists() else 0
        headers = {"Range": f"bytes={have}-"} if 0 < have < package.size else {}
        with session.get(address, headers=headers, stream=True, timeout=_TIMEOUT) as answer:
            if answer.status_code in (404, 410):
                return False
            answer.raise_for_status()
            with part.open("ab" if answer.status_code == 206 else "wb") as stream:
                for piece in answer.iter_content(_PIECE):
                    stream.write(piece)
        return self._accept(package, part)

    def _copy(self, package: Package, source: Path) -> bool:
        if not source.is_file():
            return False
        part = self.folder / f"{package.sha256}.part"
        shutil.copyfile(source, part)
        return self._accept(package, part)

    def _accept(self, package: Package, part: Path) -> bool:
        if part.stat().st_size != package.size or sha256_of(part) != package.sha256:
            part.unlink()
            raise HostError(
                f"the mirror's file of {package} is not the one in the package lists",
                "try again later, or use another mirror",
            )
        part.rename(self.path(package))
        (self.folder / f"{package.sha256}.lock").unlink(missing_ok=True)
        return True

    def _need_room(self, size: int) -> None:
        free = shutil.disk_usage(self.folder).free
        if free < size * 1.1:
            raise HostError(
                f"the packages need {size >> 20} MB in {self.folder}, {free >> 20} MB are free",
                "free some space, or set BOOTPROOF_CACHE to a folder on another disk",
            )


def _reason(error: requests.RequestException) -> str:
    return str(error).split("\n", 1)[0][:200]


def digest_of_names(packages: Iterable[Package]) -> str:
    """Return one digest for a set of packages."""
    return hashlib.sha256("\n".join(sorted(package.sha256 for package in packages)).encode()).hexdigest()
