# SPDX-License-Identifier: GPL-3.0-or-later
"""Packages and locks for tests."""

from __future__ import annotations

import hashlib
from pathlib import Path

from bootproof import process
from bootproof.build.lock import Lock, Package


def package(content: bytes, name: str = "one", archive: str = "debian") -> Package:
    filename = f"pool/main/{name}/{name}_1.0-1_amd64.deb"
    return Package(
        name, "1.0-1", "amd64", archive, filename, len(content), hashlib.sha256(content).hexdigest()
    )


def lock(*packages: Package, inputs: str = "digest", suite: str = "trixie") -> Lock:
    """Return a lock with the same packages for every use."""
    return Lock(suite, inputs, 1_700_000_000, packages, packages, packages, packages, packages)


def real_deb(folder: Path, name: str, files: dict[str, bytes]) -> Path:
    """Make a Debian package with dpkg-deb."""
    tree = folder / f"tree-{name}"
    for path, data in files.items():
        (tree / path).parent.mkdir(parents=True, exist_ok=True)
        (tree / path).write_bytes(data)
    (tree / "DEBIAN").mkdir(parents=True)
    fields = {
        "Package": name, "Version": "1.0-1", "Architecture": "amd64", "Maintainer": "nobody <n@example.org>",
        "Description": "x",
    }  # fmt: skip
    text = "".join(f"{field}: {value}\n" for field, value in fields.items())
    (tree / "DEBIAN" / "control").write_text(text)
    target = folder / f"{name}.deb"
    process.run(["dpkg-deb", "--root-owner-group", "-Zxz", "--build", tree, target])
    return target
