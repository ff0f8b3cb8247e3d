# SPDX-License-Identifier: GPL-3.0-or-later
"""The files of a .deb, one after the other, without installing it or unpacking it to disk."""

from __future__ import annotations

import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from bootproof import process


def regular_files(deb: Path) -> Iterator[tuple[str, IO[bytes]]]:
    """Yield path (no leading `./`) and content of each regular file, in the package's order.

    A content can be read until the next one is asked for; a caller that has enough may stop early.
    A package that cannot be read is a `HostError`.
    """
    for member, content in members(deb):
        if content is not None:
            yield member.name.removeprefix("./"), content


def members(deb: Path) -> Iterator[tuple[tarfile.TarInfo, IO[bytes] | None]]:
    """Yield everything in a package, with the content of regular files, as `regular_files` does."""
    command = ["dpkg-deb", "--fsys-tarfile", str(deb)]
    with process.running(command, stdout=-1) as child:
        assert child.stdout is not None
        try:
            with tarfile.open(fileobj=child.stdout, mode="r|") as archive:
                for member in archive:
                    yield member, archive.extractfile(member) if member.isreg() else None
        except tarfile.TarError as error:
            raise process.failure(command, child.wait(), f"{deb}: {error}") from None
        if child.wait() != 0:
            raise process.failure(command, child.returncode, f"{deb} is damaged")
