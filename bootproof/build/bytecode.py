# SPDX-License-Identifier: GPL-3.0-or-later
"""Compiled Python modules for the image, made by the image's own Python.

Nothing can be written below /usr of the running system, so what is not compiled here is compiled at every
start, which takes an emulated machine many seconds. The compiled files carry no time stamps (PEP 552,
unchecked hashes): equal sources give equal bytes, and dm-verity already vouches for the sources.
"""

from __future__ import annotations

import fnmatch
import tarfile
import tempfile
from collections.abc import Mapping
from pathlib import Path

from bootproof import process
from bootproof.errors import HostError

# Enough of a tree to run its Python: the program, its library, and what both are linked with
_RUNNABLE = (
    "./usr/bin/python3*",
    "./usr/lib/python3*",
    "*/x86_64-linux-gnu/ld-linux-x86-64.so.2",
    "*/x86_64-linux-gnu/lib[cmz].so*",
    "*/x86_64-linux-gnu/libexpat.so*",
)
_LOADER = "ld-linux-x86-64.so.2"
_LIBRARIES = "x86_64-linux-gnu"


def extract_python(tree: Path, target: Path) -> None:
    """Copy what it takes to run a tree's Python from `tree` to `target` (both tar)."""
    with tarfile.open(tree) as source, tarfile.open(target, "w", format=tarfile.GNU_FORMAT) as out:
        for member in source:
            if any(fnmatch.fnmatchcase(member.name, pattern) for pattern in _RUNNABLE):
                content = source.extractfile(member) if member.isreg() else None
                out.addfile(member, content)


def compile_library(python: Path, target: Path) -> int:
    """Compile the library in `python` (from `extract_python`) and write the results to `target`, a tar.

    Returns the number of compiled modules.
    """
    with tempfile.TemporaryDirectory(prefix="bootproof-python-") as name:
        root = _unpacked(python, Path(name))
        library = root / "usr/lib"
        _compile(root, library, "/usr/lib")
        compiled = sorted(library.rglob("__pycache__/*.pyc"))
        with tarfile.open(target, "w", format=tarfile.GNU_FORMAT) as out:
            folders = sorted({path.parent for path in compiled})
            for path in sorted([*folders, *compiled]):
                out.add(path, f"./{path.relative_to(root)}", recursive=False, filter=_plain)
    return len(compiled)


def compile_modules(python: Path, sources: Mapping[str, bytes]) -> dict[str, bytes]:
    """Return the compiled form of modules, both by their path in the image (no leading slash)."""
    with tempfile.TemporaryDirectory(prefix="bootproof-python-") as name:
        root = _unpacked(python, Path(name) / "root")
        work = Path(name) / "modules"
        for path, source in sources.items():
            (work / path).parent.mkdir(parents=True, exist_ok=True)
            (work / path).write_bytes(source)
        _compile(root, work, "/")
        return {str(path.relative_to(work)): path.read_bytes() for path in sorted(work.rglob("*.pyc"))}


def _plain(info: tarfile.TarInfo) -> tarfile.TarInfo:
    """The layer clamps time stamps from above; 0 leaves it nothing to do."""
    info.uid = info.gid = info.mtime = 0
    info.uname = info.gname = ""
    info.mode = 0o755 if info.isdir() else 0o644
    return info


def compile_command(loader: Path, libraries: Path, python: Path, folder: Path, shown: str) -> list[str]:
    """Return the command that compiles `folder`, whose place in the image is `shown`.

    Without -B, what compileall itself imports would be there already, with a time stamp and its path here.
    """
    return [
        str(loader), "--library-path", str(libraries), str(python), "-B", "-s", "-S", "-m", "compileall",
        "-q", "--invalidation-mode", "unchecked-hash", "-s", str(folder), "-p", shown, str(folder),
    ]  # fmt: skip


def _compile(root: Path, folder: Path, shown: str) -> None:
    loader = next(path for path in sorted(root.rglob(_LOADER)) if path.is_file())
    programs = [path for path in sorted((root / "usr/bin").glob("python3.*")) if path.name[9:].isdigit()]
    if not programs:
        raise HostError("the tree has no Python to compile modules with", "install python3 in the recipe")
    libraries = next(path for path in sorted(root.rglob(_LIBRARIES)) if (path / "libc.so.6").exists())
    env = {"PYTHONHOME": str(root / "usr"), "PYTHONHASHSEED": "0"}
    process.run(compile_command(loader, libraries, programs[0], folder, shown), env=env)


def _unpacked(archive: Path, root: Path) -> Path:
    root.mkdir(exist_ok=True)
    with tarfile.open(archive) as source:
        source.extraction_filter = lambda member, _: member  # type: ignore[attr-defined,unused-ignore]
        source.extractall(root)  # noqa: S202 - our own tree
    return root
