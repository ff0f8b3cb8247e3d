# SPDX-License-Identifier: GPL-3.0-or-later
"""Where Debian's packages come from: the build host's own apt configuration, the recipe's mirror, or
`--mirror`.
"""

from __future__ import annotations

import urllib.parse
from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path

from bootproof import console, process
from bootproof.errors import BootproofError, HostError

KEYRING = Path("/usr/share/keyrings/debian-archive-keyring.gpg")
MAIN, SECURITY = "debian", "debian-security"
_FORMAT = "$(COMPONENT)|$(RELEASE)|$(ORIGIN)|$(REPO_URI)"
_SCHEMES = ("http://", "https://", "file:/")
_PROBE_SECONDS = 20.0


@dataclass(frozen=True)
class Archives:
    """Base addresses by archive name; every address ends with a slash. `debian` is always there."""

    bases: Mapping[str, str]

    def address(self, archive: str, filename: str) -> str:
        if archive not in self.bases:
            raise HostError(
                f"the lock needs the archive {archive}",
                "add it to the apt configuration of this machine, or use --mirror",
            )
        return self.bases[archive] + filename

    def sources(self, suite: str) -> str:
        """Return the sources.list for `suite`: its releases, updates and, where there is one, security."""
        options = f"[signed-by={KEYRING}]"
        lines = [f"deb {options} {self.bases[MAIN]} {name} main" for name in (suite, f"{suite}-updates")]
        if SECURITY in self.bases:
            lines.append(f"deb {options} {self.bases[SECURITY]} {suite}-security main")
        return "\n".join(lines) + "\n"

    def of(self, address: str) -> str:
        """Return the name of the archive that a package's address lies in."""
        for archive, base in sorted(self.bases.items(), key=lambda item: -len(item[1])):
            if address.startswith(base):
                return archive
        raise HostError(f"apt names a package outside the configured archives: {address}")


def find(chosen: str | None) -> Archives:
    """Return the archives of `chosen` (a mirror's address, its security archive beside it) or of this host's
    apt.
    """
    return from_mirror(chosen) if chosen else from_host()


def from_mirror(mirror: str) -> Archives:
    """A mirror carries the main archive; security updates stand beside it under `debian-security` if it has
    them.
    """
    if not mirror.startswith(_SCHEMES) or not mirror.isprintable() or " " in mirror:
        raise BootproofError(
            f"{mirror!r} is no address of a mirror", "it begins with http://, https:// or file:///"
        )
    base = mirror.rstrip("/") + "/"
    bases = {MAIN: base}
    if base.endswith("/debian/"):
        bases[SECURITY] = base.removesuffix("debian/") + "debian-security/"
    return Archives(bases)


def with_what_is_there(archives: Archives, suite: str) -> Archives:
    """Leave out a security archive that does not have `suite`, and warn: the packages then come without
    security updates.
    """
    base = archives.bases.get(SECURITY)
    if base is not None and _is_there(f"{base}dists/{suite}-security/InRelease"):
        return archives
    where = f"at {base}" if base else "beside the mirror"
    console.warn(f"there is no security archive for {suite} {where}: packages come without security updates")
    return Archives({name: base for name, base in archives.bases.items() if name != SECURITY})


def _is_there(address: str) -> bool:
    """Return whether a file exists; where nobody answers it counts as there, and apt will tell what is
    wrong.
    """
    if address.startswith("file:"):
        return local_path(address).is_file()
    import requests

    try:
        answer = requests.head(address, timeout=_PROBE_SECONDS, proxies=proxy(), allow_redirects=True)
    except requests.RequestException:
        return True
    return answer.status_code not in (HTTPStatus.NOT_FOUND, HTTPStatus.GONE)


def local_path(address: str) -> Path:
    """Return the path that a file: address means."""
    return Path(urllib.parse.unquote(urllib.parse.urlsplit(address).path))


def from_host() -> Archives:
    """Read the archives from the host's apt configuration, whatever form it is written in."""
    listing = process.run(
        ["apt-get", "indextargets", "--format", _FORMAT, "Created-By: Packages"]
    ).stdout.decode()
    return parse_index_targets(listing)


def parse_index_targets(listing: str) -> Archives:
    """Choose the main and the security archive from lines of `COMPONENT|RELEASE|ORIGIN|ADDRESS`, the first
    of each kind.

    ORIGIN comes from the archive's release file, so that Debian's own archive is told from other people's
    repositories wherever it lies; where apt has no lists yet it is empty, and the last part of the address
    decides.
    """
    bases: dict[str, str] = {}
    for line in listing.splitlines():
        component, release, origin, address = (line.split("|", 3) + [""] * 3)[:4]
        kind = SECURITY if release.endswith("-security") else MAIN
        base = address.rstrip("/") + "/"
        ours = origin == "Debian" if origin else base.endswith(f"/{kind}/")
        if component == "main" and ours and address.startswith(_SCHEMES):
            bases.setdefault(kind, base)
    if MAIN not in bases:
        raise HostError(
            "no Debian archive in this machine's apt configuration", "add one, or name one with --mirror"
        )
    return Archives(bases)


def proxy() -> dict[str, str]:
    """Return the proxies of the host's apt configuration for our own downloads (scheme to address)."""
    found: dict[str, str] = {}
    for scheme in ("http", "https"):
        text = process.run(["apt-config", "shell", "P", f"Acquire::{scheme}::Proxy"]).stdout.decode().strip()
        value = text.partition("=")[2].strip("'")
        if value and value != "DIRECT":
            found[scheme] = value
    return found
