# SPDX-License-Identifier: GPL-3.0-or-later
"""The product tree: our own code and the recipe's overlays, as one tar.

`/usr` of the running system is the base layer itself, so an overlay may put files into /usr/local, /opt,
/etc, /var, /home, /root and /srv, and nowhere else.
"""

from __future__ import annotations

import hashlib
import io
import tarfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from bootproof.build.files import canonical
from bootproof.build.templates import render
from bootproof.errors import BootproofError

# What of our package works inside the appliance
APPLIANCE_PARTS = (
    "__init__.py", "errors.py", "console.py", "process.py", "measure", "tpm", "attest", "appliance",
    "cli/__init__.py", "cli/appliance.py", "cli/log.py", "cli/logs.py", "cli/pcr.py", "cli/tables.py",
    "cli/vtpm.py",
)  # fmt: skip
_CODE_HOME = "usr/local/lib/bootproof/bootproof"
_ALLOWED = ("usr/local/", "opt/", "etc/", "var/", "home/", "root/", "srv/")
_PLACES = ("usr/local", "opt")  # bind mounts need them even when they are empty
_FOLDER_MODES = {"root": 0o700}


@dataclass(frozen=True)
class File:
    """A file of the product tree: permissions and content, or a symlink's target."""

    mode: int = 0o644
    data: bytes = b""
    target: str = ""


def collect(
    package: Path, overlays: Path, names: Sequence[str], values: Mapping[str, Any]
) -> dict[str, File]:
    """Return the product's files by path (no leading slash); a later overlay replaces files of an earlier
    one.

    All files that an overlay cannot have are reported at once.
    """
    files = {f"{_CODE_HOME}/{path.relative_to(package)}": _read(path) for path in _code(package)}
    faults = []
    for name in names:
        folder = overlays / name
        for path in sorted(folder.rglob("*")):
            if path.is_dir() and not path.is_symlink():
                continue
            place = str(path.relative_to(folder)).removesuffix(".j2")
            fault = _fault(path, place)
            if fault:
                faults.append(f"{path}: {fault}")
            else:
                files[place] = _render(path, values) if path.name.endswith(".j2") else _read(path)
    faults += [f"{path}: one overlay has it as a file, another as a folder" for path in _blocked(files)]
    if faults:
        raise BootproofError("; ".join(faults), "mend the overlays")
    return files


def _fault(path: Path, place: str) -> str:
    """Return why an overlay cannot have a file; empty if it can."""
    if not place.isprintable():
        return "its name is not printable UTF-8"
    if not place.startswith(_ALLOWED):
        return f"the base layer would hide it (overlays have {', '.join(_ALLOWED)})"
    if not path.is_symlink() and not path.is_file():
        return "neither a file nor a link"
    return ""


def _blocked(files: Mapping[str, File]) -> list[str]:
    folders = {str(parent) for path in files for parent in PurePosixPath(path).parents}
    return sorted(folders & files.keys())


def compiled(files: Mapping[str, File], python: Path | None) -> dict[str, File]:
    """Return the files, and our own code compiled by the Python in the archive `python` if there is one."""
    if python is None:
        return dict(files)
    from bootproof.build import bytecode

    sources = {path: file.data for path, file in files.items() if path.startswith(f"{_CODE_HOME}/")}
    modules = bytecode.compile_modules(python, sources)
    return dict(files) | {path: File(data=data) for path, data in modules.items()}


def digest(files: Mapping[str, File]) -> dict[str, str]:
    """Return one digest per file, for the id of the step."""
    return {
        path: hashlib.sha256(canonical([file.mode, file.target]).encode() + file.data).hexdigest()
        for path, file in files.items()
    }


def write(files: Mapping[str, File], target: Path, epoch: int) -> None:
    """Write the tree as a tar in a fixed order, owned by root."""
    with tarfile.open(target, "w", format=tarfile.GNU_FORMAT) as archive:
        folders: set[str] = set()
        for path in sorted([*files, *(f"{place}/" for place in _PLACES)]):
            parents = [path[:at] for at, char in enumerate(path) if char == "/"]
            for parent in parents:
                if parent not in folders:
                    archive.addfile(_info(parent, tarfile.DIRTYPE, _FOLDER_MODES.get(parent, 0o755), epoch))
                    folders.add(parent)
            if not path.endswith("/"):
                _add_file(archive, path, files[path], epoch)


def _add_file(archive: tarfile.TarFile, path: str, file: File, epoch: int) -> None:
    if file.target:
        info = _info(path, tarfile.SYMTYPE, 0o777, epoch)
        info.linkname = file.target
        archive.addfile(info)
    else:
        info = _info(path, tarfile.REGTYPE, file.mode, epoch)
        info.size = len(file.data)
        archive.addfile(info, io.BytesIO(file.data))


def _info(path: str, kind: bytes, mode: int, epoch: int) -> tarfile.TarInfo:
    info = tarfile.TarInfo(f"./{path}")
    info.type, info.mode, info.mtime = kind, mode, epoch
    return info


def _code(package: Path) -> Iterator[Path]:
    for part in APPLIANCE_PARTS:
        path = package / part
        yield from sorted(path.rglob("*.py")) if path.is_dir() else [path]


def _read(path: Path) -> File:
    if path.is_symlink():
        return File(target=str(path.readlink()))
    return File(mode=_mode(path), data=path.read_bytes())


def _mode(path: Path) -> int:
    """Only the executable bit is kept, as in git: the rest depends on who made the checkout."""
    return 0o755 if path.stat().st_mode & 0o100 else 0o644


def _render(path: Path, values: Mapping[str, Any]) -> File:
    return File(mode=_mode(path), data=render(path, values).encode())
