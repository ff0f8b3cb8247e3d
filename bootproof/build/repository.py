# SPDX-License-Identifier: GPL-3.0-or-later
"""A local package repository that holds exactly the locked packages, so that nothing else can get into the
image.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from email.utils import formatdate
from pathlib import Path

from debian.debfile import DebFile

from bootproof.build.debs import DebStore
from bootproof.build.files import place
from bootproof.build.lock import Lock, Package


def write(folder: Path, packages: Iterable[Package], store: DebStore, lock: Lock) -> None:
    """Fill `folder` with the packages (links where possible) and the index that apt reads.

    The Release file gives the suite's name: mmdebstrap looks for the essential packages of that suite.
    """
    folder.mkdir(parents=True, exist_ok=True)
    stanzas = []
    for package in packages:
        source = store.verified(package)
        name = f"{package.name}_{package.sha256[:12]}.deb"
        place(source, folder / name)
        stanzas.append(_stanza(package, source, name))
    index = "\n".join(stanzas).encode()
    (folder / "Packages").write_bytes(index)
    (folder / "Release").write_text(_release(index, lock))
    # apt reads them as a user of its own, whatever our umask is
    for path in (folder / "Packages", folder / "Release"):
        path.chmod(0o644)
    folder.chmod(0o755)


def _release(index: bytes, lock: Lock) -> str:
    return (
        f"Suite: {lock.suite}\nCodename: {lock.suite}\nArchitectures: amd64\n"
        f"Date: {formatdate(lock.epoch, usegmt=True)}\n"
        f"SHA256:\n {hashlib.sha256(index).hexdigest()} {len(index)} Packages\n"
    )


def _stanza(package: Package, source: Path, name: str) -> str:
    with DebFile(str(source)) as deb:
        control = deb.debcontrol()
    control["Filename"] = f"./{name}"
    control["Size"] = str(package.size)
    control["SHA256"] = package.sha256
    return str(control)
