# SPDX-License-Identifier: GPL-3.0-or-later
"""Where Debian's packages come from: the build host's own apt configuration, the recipe's mirror, or `--mirror`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from bootproof import process
from bootproof.errors import HostError

KEYRING = Path("/usr/share/keyrings/debian-archive-keyring.gpg")
MAIN, SECURITY = "debian", "debian-security"
_FORMAT = "$(COMPONENT) $(RELEASE) $(REPO_URI)"


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
    """Return the archives of `chosen` (a mirror's address, its security archive beside it) or of this host's apt."""
    return from_mirror(chosen) if chosen else from_host()


def from_mirror(mirror: str) -> Archives:
    """A mirror carries the main archive; security updates stand beside it under `debian-security` if it has them."""
    base = mirror.rstrip("/") + "/"
    bases = {MAIN: base}
    if base.endswith("/debian/"):
        bases[SECURITY] = base.removesuffix("debian/") + "debian-security/"
    return Archives(bases)


def from_host() -> Archives:
    """Read the archives from the host's apt configuration, whatever form it is written in."""
    listing = process.run(
        ["apt-get", "indextargets", "--format", _FORMAT, "Created-By: Packages"]
    ).stdout.decode()
    return parse_index_targets(listing)


def parse_index_targets(listing: str) -> Archives:
    """Choose the main and the security archive from lines of `COMPONENT RELEASE ADDRESS`, the first of each kind.

    Other people's repositories for Debian are told from Debian's own by component and by the last part of the address.
    """
    bases: dict[str, str] = {}
    for line in listing.splitlines():
        component, release, address = line.split(" ", 2)
        kind = SECURITY if release.endswith("-security") else MAIN
        if component == "main" and address.rstrip("/").endswith(f"/{kind}"):
            bases.setdefault(kind, address.rstrip("/") + "/")
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
