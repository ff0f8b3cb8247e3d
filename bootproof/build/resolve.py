# SPDX-License-Identifier: GPL-3.0-or-later
"""Recipe -> lock: which packages, in which versions. apt decides, with a private configuration and Debian's
keys.

apt verifies the signed release files and the package lists; the sha256 sums in the lock come from those
lists.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Sequence
from email.utils import parsedate_to_datetime
from pathlib import Path

from debian.deb822 import Deb822

from bootproof import process
from bootproof.build.archives import KEYRING, Archives
from bootproof.build.lock import BOOT_PACKAGES, COMPILER_PACKAGES, INITRD_PACKAGES, Lock, Package, Wanted
from bootproof.errors import BootproofError, HostError

_MINBASE = ("?essential", "?priority(required)", "apt")
# bookworm: merge /usr in an empty tree from the start instead of converting it with perl
_BOOKWORM_EXTRA = ("usr-is-merged", "usrmerge-")
_URI_LINE = re.compile(r"^'(?P<address>[^']+)' (?P<file>\S+) \d+")
_MISSING = re.compile(r"Unable to locate package (\S+)|Package '?([^' ]+)'? has no installation candidate")


def resolve(wanted: Wanted, archives: Archives, folder: Path) -> Lock:
    """Ask apt which packages fulfil `wanted`; `folder` keeps its private lists."""
    apt = PrivateApt(folder)
    apt.update(archives.sources(wanted.suite))
    names = {
        "root": apt.closure(root_request(wanted)),
        "kernel": [apt.kernel_image(wanted.kernel)],
        "boot": list(BOOT_PACKAGES),
        "initrd": list(INITRD_PACKAGES),
        "compiler": apt.closure(COMPILER_PACKAGES),
    }
    known = apt.records({spec for group in names.values() for spec in group}, archives)
    groups = {group: tuple(sorted(known[spec] for spec in specs)) for group, specs in names.items()}
    return Lock(suite=wanted.suite, inputs=wanted.digest, epoch=apt.newest_release(), **groups)


def root_request(wanted: Wanted) -> list[str]:
    """Return what apt is asked to install: apt patterns, package names, and names with `-` that must stay
    out.
    """
    base = list(_MINBASE) if wanted.variant == "minbase" else []
    extra = list(_BOOKWORM_EXTRA) if wanted.suite == "bookworm" and base else []
    return base + extra + list(wanted.install)


class PrivateApt:
    """The host's apt with sources, lists and status of its own: it sees an empty system and one suite."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        for name in ("lists/partial", "cache/archives/partial", "parts"):
            (folder / name).mkdir(parents=True, exist_ok=True)
        (folder / "status").write_text("")

    def options(self) -> list[str]:
        settings = {
            "Dir::State": self.folder,
            "Dir::State::lists": self.folder / "lists",
            "Dir::State::status": self.folder / "status",
            "Dir::Cache": self.folder / "cache",
            # named here because container images of Debian switch apt's cache off
            "Dir::Cache::pkgcache": "pkgcache.bin",
            "Dir::Cache::srcpkgcache": "srcpkgcache.bin",
            "Dir::Etc::sourcelist": self.folder / "sources.list",
            "Dir::Etc::sourceparts": self.folder / "parts",
            "Dir::Etc::preferences": "/dev/null",
            "Dir::Etc::preferencesparts": self.folder / "parts",
            "APT::Sandbox::User": "root" if os.geteuid() == 0 else "",
            "APT::Architecture": "amd64",
            "APT::Architectures": "amd64",
            "APT::Install-Recommends": "false",
            "Acquire::Languages": "none",
            "Acquire::Retries": "2",
        }
        return [word for name, value in settings.items() for word in ("-o", f"{name}={value}")]

    def update(self, sources: str) -> None:
        if not KEYRING.is_file():
            raise HostError(f"Debian's keys are not in {KEYRING}", "apt-get install debian-archive-keyring")
        (self.folder / "sources.list").write_text(sources)
        done = process.run(["apt-get", *self.options(), "update", "--error-on=any"], check=False)
        if done.returncode != 0:
            lines = [
                line
                for line in done.stderr.decode(errors="replace").splitlines()
                if line.startswith(("E:", "W:"))
            ]
            reason = lines[0][2:].strip() if lines else "apt-get update failed"
            raise HostError(
                f"the package lists cannot be fetched: {reason}",
                "check the network and the mirror (--mirror, the recipe's `mirror`, or this machine's apt "
                "configuration); with a lock and cached packages, --locked needs no lists",
            )

    def closure(self, request: Sequence[str]) -> list[str]:
        """Return the names of everything that installing `request` into an empty system brings."""
        argv = [
            "apt-get",
            *self.options(),
            "--print-uris",
            "--yes",
            "--no-install-recommends",
            "install",
            *request,
        ]
        done = process.run(argv, check=False)
        text = done.stdout.decode(errors="replace")
        if done.returncode != 0:
            raise _unresolved(text + done.stderr.decode(errors="replace"))
        files = [match["file"] for match in map(_URI_LINE.match, text.splitlines()) if match]
        return sorted(file.split("_", 1)[0] for file in files)

    def kernel_image(self, package: str) -> str:
        """Return the name of the package with the kernel itself: a metapackage is followed to its image."""
        record = self.show([package])[0]
        needed = re.findall(r"linux-image-\d[^ ,(]*", record.get("Depends", ""))
        return needed[0] if needed else package

    def show(self, names: Sequence[str]) -> list[Deb822]:
        done = process.run(["apt-cache", *self.options(), "show", "--no-all-versions", *names], check=False)
        found = list(Deb822.iter_paragraphs(done.stdout.decode(errors="replace")))
        if not found:  # nor has a virtual package a record of its own
            raise _unknown(names)
        if done.returncode != 0:
            raise _unresolved(done.stderr.decode(errors="replace"))
        return found

    def records(self, names: Iterable[str], archives: Archives) -> dict[str, Package]:
        """Return the lock rows of packages, in the versions that apt would install, by name."""
        wanted = sorted(names)
        addresses = self._addresses(wanted)
        return {
            record["Package"]: Package(
                name=record["Package"],
                version=record["Version"],
                architecture=record["Architecture"],
                archive=archives.of(addresses[record["Package"]]),
                filename=record["Filename"],
                size=int(record["Size"]),
                sha256=record["SHA256"],
            )
            for record in self.show(wanted)
        }

    def _addresses(self, names: Sequence[str]) -> dict[str, str]:
        text = process.run(["apt-get", *self.options(), "--print-uris", "download", *names]).stdout.decode()
        found = [match for match in map(_URI_LINE.match, text.splitlines()) if match]
        return {match["file"].split("_", 1)[0]: match["address"] for match in found}

    def newest_release(self) -> int:
        """Return the date of the newest release file, in seconds: the moment this set of packages became
        known.
        """
        dates = []
        for path in (self.folder / "lists").glob("*Release"):
            match = re.search(r"^Date: (.*)$", path.read_text(errors="replace"), re.MULTILINE)
            if match:
                dates.append(int(parsedate_to_datetime(match[1]).timestamp()))
        if not dates:
            raise HostError(
                f"the release files in {self.folder} have no dates", "remove that folder, and build again"
            )
        return max(dates)


def _unknown(names: Iterable[str]) -> BootproofError:
    return BootproofError(
        f"unknown packages: {', '.join(names)}",
        "check the names in the recipe's [packages] and [kernel], and its suite",
    )


def _unresolved(text: str) -> BootproofError:
    names = sorted({name for match in _MISSING.finditer(text) for name in match.groups() if name})
    if names:
        return _unknown(names)
    lines = [
        line.strip()
        for line in text.splitlines()
        if line.strip() and not line.startswith(("Reading", "Building", "N:"))
    ]
    return BootproofError(
        f"apt cannot resolve the packages: {' '.join(lines[-4:])}", "mend the recipe's [packages]"
    )
