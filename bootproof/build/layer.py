# SPDX-License-Identifier: GPL-3.0-or-later
"""Trees -> layer: tars are joined, cleaned and clamped in one pass into mksquashfs; dm-verity's hash tree
follows.

The trees are never unpacked on the host: owners and modes stay as they are in the tar, so no root is needed,
and memory does not grow with the image.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import tarfile
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO, BinaryIO

from bootproof import process
from bootproof.build import verity
from bootproof.errors import HostError

# What differs from build to build or belongs to the build host; none of it is needed in the image.
VOLATILE = (
    "/dev/*", "/proc/*", "/sys/*", "/run/*", "/tmp/*", "/boot/*",  # noqa: S108 - paths in the image
    "/var/tmp/*", "/var/log/*", "/var/cache/apt/*", "/var/lib/apt/lists/*",   # noqa: S108
    "/var/cache/ldconfig/*", "/var/cache/debconf/*-old",
    "/var/lib/dpkg/*-old", "/var/lib/dpkg/lock*", "/var/lib/dpkg/triggers/Lock", "/etc/*-", "/etc/.pwd.lock",
    "/etc/apt/sources.list", "/etc/apt/sources.list.d/*", "/etc/apt/apt.conf.d/99mmdebstrap",
    "/etc/dpkg/dpkg.cfg.d/99mmdebstrap",
    "/etc/hostname", "/etc/resolv.conf", "/etc/machine-id", "/var/lib/dbus/machine-id",
)  # fmt: skip
# Where initrd/init and systemd mount something; /usr is read-only, so these must be there
MOUNT_POINTS = (
    "/dev", "/etc", "/home", "/mnt", "/media", "/opt", "/proc", "/root", "/run", "/srv", "/sys",
    "/tmp", "/usr/local", "/var", "/var/tmp",  # noqa: S108
)  # fmt: skip
_FOLDER_MODES = {"/root": 0o700, "/tmp": 0o1777, "/var/tmp": 0o1777}  # noqa: S108


@dataclass(frozen=True)
class Entry:
    """A regular file of a layer as the manifest lists it: absolute path, size in bytes, sha256 in hex."""

    path: str
    size: int
    sha256: str


def mksquashfs_command(image: Path, *, compression: str, level: int | None) -> list[str]:
    """Return the command that reads a tar from standard input and writes `image`."""
    strength = ["-Xcompression-level", str(level)] if level is not None else []
    return [
        "mksquashfs", "-", str(image), "-tar", "-noappend", "-no-xattrs", "-no-exports",
        "-root-mode", "0755", "-root-uid", "0", "-root-gid", "0", "-quiet", "-no-progress",
        "-comp", compression, *strength,
    ]  # fmt: skip


def build(
    folder: Path,
    *,
    trees: Sequence[Path],
    exclude: Sequence[str],
    compression: str,
    level: int | None,
    epoch: int,
) -> list[str]:
    """Write `layer.img` (squashfs and hash tree), `verity.json` and `files.json` into `folder`."""
    image = folder / "layer.img"
    command = mksquashfs_command(image, compression=compression, level=level)
    with os.fdopen(os.memfd_create("mksquashfs"), "w+b") as log:  # not on the disk, which may be full
        env = {"SOURCE_DATE_EPOCH": str(epoch)}
        with process.running(command, env=env, stdin=-1, stdout=log, stderr=log) as child:
            assert child.stdin is not None
            files: list[Entry] = []
            with suppress(BrokenPipeError):  # its end says more
                files = join(trees, child.stdin, exclude=exclude, epoch=epoch)
            with suppress(BrokenPipeError):
                child.stdin.close()
            status = child.wait()
        log.seek(0)
        if status != 0:
            raise process.failure(command, status, log.read().decode(errors="replace"))
    verity.append(image).save(folder / "verity.json")
    (folder / "files.json").write_text(json.dumps([asdict(entry) for entry in files], indent=0))
    return [f"{len(files)} files, {image.stat().st_size / 1e6:.1f} MB"]


def join(trees: Sequence[Path], target: IO[bytes], *, exclude: Sequence[str], epoch: int) -> list[Entry]:
    """Write the trees as one tar to `target`, later ones over earlier ones; return the regular files.

    Directories stay what the first tree made them; a file that two trees have is an error: one of them would
    be lost.
    """
    left_out = Exclusion(exclude)
    files: dict[str, Entry] = {}
    seen: set[str] = set()
    folders: set[str] = set()
    with tarfile.open(fileobj=target, mode="w|", format=tarfile.GNU_FORMAT) as out:
        for path, member, content in _members(trees):
            if left_out.matches(path):
                continue
            if path in seen:
                if member.isdir() and path in folders:
                    continue
                raise HostError(f"two parts of a layer have the same file {path}", "rename one of them")
            seen.add(path)
            if member.isdir():
                folders.add(path)
            if member.islnk() and _absolute(member.linkname) not in files:
                raise HostError(
                    f"{path} is a hard link to {member.linkname}, which is left out or no regular file",
                    "mend packages.exclude_paths",
                )
            entry = _add(out, _clamped(path, member, epoch), content, files.get(_absolute(member.linkname)))
            if entry is not None:
                files[path] = entry
        for path in (path for path in MOUNT_POINTS if path not in seen):
            folder = tarfile.TarInfo(f".{path}")
            folder.type, folder.mode, folder.mtime = tarfile.DIRTYPE, _FOLDER_MODES.get(path, 0o755), epoch
            out.addfile(folder)
    return list(files.values())


def _members(trees: Iterable[Path]) -> Iterator[tuple[str, tarfile.TarInfo, BinaryIO | None]]:
    for tree in trees:
        with tarfile.open(tree, mode="r|") as archive:
            for member in archive:
                yield _absolute(member.name), member, archive.extractfile(member) if member.isreg() else None  # type: ignore[misc]


def _clamped(path: str, member: tarfile.TarInfo, epoch: int) -> tarfile.TarInfo:
    """Return a member as it goes into the layer: what decides its bytes and nothing else."""
    info = tarfile.TarInfo("." + path)
    info.type = tarfile.REGTYPE if member.isreg() else member.type
    info.mode, info.uid, info.gid = member.mode, member.uid, member.gid
    info.linkname, info.size = member.linkname, member.size if member.isreg() else 0
    info.devmajor, info.devminor = member.devmajor, member.devminor
    info.mtime = min(int(member.mtime), epoch)
    return info


def _add(
    out: tarfile.TarFile, info: tarfile.TarInfo, content: BinaryIO | None, original: Entry | None
) -> Entry | None:
    """Add a member and return its entry if it is a file; a hard link is what its `original` is."""
    path = info.name.removeprefix(".")
    if content is None:
        out.addfile(info)
        return Entry(path, original.size, original.sha256) if original and info.islnk() else None
    hashing = _Hashing(content)
    out.addfile(info, hashing)  # type: ignore[arg-type]
    return Entry(path, info.size, hashing.digest.hexdigest())


class _Hashing:
    """A reader that hashes what passes."""

    def __init__(self, source: BinaryIO) -> None:
        self.source = source
        self.digest = hashlib.sha256()

    def read(self, size: int) -> bytes:
        piece = self.source.read(size)
        self.digest.update(piece)
        return piece


class Exclusion:
    """Absolute globs; what matches is left out with everything below it."""

    def __init__(self, globs: Iterable[str]) -> None:
        self._pattern = re.compile("|".join(f"(?:{_translate(glob)})" for glob in globs) or r"(?!)")
        self._folders: dict[str, bool] = {"/": False}

    def matches(self, path: str) -> bool:
        if path not in self._folders:
            parent = path.rsplit("/", 1)[0] or "/"
            self._folders[path] = self.matches(parent) or self._pattern.fullmatch(path) is not None
        return self._folders[path]


_GLOB_PIECES = re.compile(
    r"(?P<star>\*+)|(?P<any>\?)|\[(?P<not>!?)(?P<set>\]?[^\]/]*)\]|(?P<plain>.)", re.DOTALL
)


def _translate(glob: str) -> str:
    """Return a regular expression for a glob (glob(7)) whose wildcards stay within one folder."""
    return "".join(map(_translate_piece, _GLOB_PIECES.finditer(glob)))


def _translate_piece(piece: re.Match[str]) -> str:
    if piece["star"]:
        return "[^/]*"
    if piece["any"]:
        return "[^/]"
    if piece["set"]:
        members = re.sub(r"([\\\[\]^&~|])", r"\\\1", piece["set"])
        return _valid(f"(?!/)[{'^' if piece['not'] else ''}{members}]")
    return re.escape(piece["plain"] or piece[0])


def _valid(expression: str) -> str:
    """Return the expression; for a range that runs backwards one that matches nothing, as the range."""
    try:
        re.compile(expression)
    except re.error:
        return "(?!)"
    return expression


def _absolute(name: str) -> str:
    return "/" + name.removeprefix("./").strip("/") if name not in (".", "./") else "/"
