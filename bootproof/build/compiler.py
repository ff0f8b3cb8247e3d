# SPDX-License-Identifier: GPL-3.0-or-later
"""The suite's own compiler, linker and grub-mkimage, run on the build host without being installed.

So the bytes of what we compile do not depend on the host. The programs are started by the suite's own
dynamic loader with the suite's own libraries.
"""

from __future__ import annotations

import fnmatch
import tarfile
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from bootproof.build.debfile import members
from bootproof.errors import HostError

# Where the programs are; a pattern for the compiler proper, whose folder has gcc's version in it
_PROGRAMS = {
    "cc1": "usr/lib*/gcc/x86_64-linux-gnu/*/cc1",
    "as": "usr/bin/x86_64-linux-gnu-as",
    "ld": "usr/bin/x86_64-linux-gnu-ld.bfd",
    "objcopy": "usr/bin/x86_64-linux-gnu-objcopy",
    "grub-mkimage": "usr/bin/grub-mkimage",
}
_LIBRARIES = ("usr/lib/x86_64-linux-gnu", "lib/x86_64-linux-gnu")
_HEADERS = ("usr/include", "usr/include/x86_64-linux-gnu")
_LOADER = "ld-linux-x86-64.so.2"
_KEPT = (
    *_PROGRAMS.values(),
    *(f"{folder}/*.so*" for folder in _LIBRARIES),
    "usr/include/*",
    "usr/lib/linux/*",  # trixie: what links in usr/include lead to
)


@dataclass(frozen=True)
class Compiler:
    """The programs in an unpacked tree."""

    root: Path

    def command(self, program: str, *words: str) -> list[str]:
        """Return the command that runs one of the programs; HostError if the tree does not have it."""
        path = self._only(self.root.glob(_PROGRAMS[program]), program)
        loader = self._only((self.root / folder / _LOADER for folder in _LIBRARIES), _LOADER)
        libraries = ":".join(str(self.root / folder) for folder in _LIBRARIES)
        return [str(loader), "--library-path", libraries, str(path), *words]

    def headers(self) -> list[str]:
        """Return the options that make the compiler find the kernel's headers, and no others."""
        return [
            "-nostdinc",
            *(word for folder in _HEADERS for word in ("-isystem", str(self.root / folder))),
        ]

    def _only(self, paths: Iterable[Path], what: str) -> Path:
        found = [path for path in paths if path.is_file()]
        if not found:
            raise HostError(f"the suite's packages have no {what}")
        return found[0]


def collect(debs: Sequence[Path], target: Path) -> int:
    """Copy what is needed of the packages to `target`, a tar; return the number of files."""
    count = 0
    with tarfile.open(target, "w", format=tarfile.GNU_FORMAT) as out:
        for deb in debs:
            for member, content in members(deb):
                member.name = member.name.removeprefix("./")
                if any(fnmatch.fnmatchcase(member.name, pattern) for pattern in _KEPT):
                    out.addfile(member, content)
                    count += 1
    return count


@contextmanager
def unpacked(archive: Path) -> Iterator[Compiler]:
    """Unpack what `collect` has copied, for the length of a `with` block."""
    with tempfile.TemporaryDirectory(prefix="bootproof-compiler-") as name, tarfile.open(archive) as source:
        source.extraction_filter = lambda member, _: member  # type: ignore[attr-defined,unused-ignore]
        source.extractall(name)  # noqa: S202 - Debian's packages, verified
        yield Compiler(Path(name))
