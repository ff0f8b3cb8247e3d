# SPDX-License-Identifier: GPL-3.0-or-later
"""From what the user names, a recipe or an ISO file, to the image, its settings and its results' folder."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bootproof.errors import BootproofError

ROOT = Path(__file__).resolve().parents[2]
OUT = ROOT / "out"


@dataclass(frozen=True)
class Image:
    """An ISO file, its recipe as buildinfo.json tells it (None if unknown), and the folder `out/NAME`."""

    iso: Path
    settings: Mapping[str, Any] | None
    folder: Path

    @property
    def name(self) -> str:
        """What to call a machine that boots it."""
        return str(self.settings["name"]) if self.settings else self.iso.stem


def find_image(target: str, out: Path = OUT) -> Image:
    """Return the image that `target` names: an ISO file, or a recipe (its name or file) built into `out`."""
    if not target.endswith(".toml") and (target.endswith(".iso") or "/" in target):
        return _file_image(Path(target), out)
    name = Path(target).name.removesuffix(".toml")
    iso = out / name / f"{name}.iso"
    if not iso.is_file():
        raise BootproofError(
            f"{target} has not been built: there is no {iso}", f"./builder.py build {target}"
        )
    return Image(iso.resolve(), _settings_beside(iso), out / name)


def _file_image(iso: Path, out: Path) -> Image:
    if not iso.is_file():
        raise BootproofError(f"{iso}: there is no such file", "name an ISO file or a recipe")
    if not _is_iso(iso):
        raise BootproofError(f"{iso} is not an ISO image", "name an ISO file or a recipe")
    settings = _settings_beside(iso)
    return Image(iso.resolve(), settings, out / (settings["name"] if settings else iso.stem))


def _is_iso(path: Path) -> bool:
    """Whether sector 16 holds a volume descriptor of ISO 9660 (ECMA-119, 6.7.1 and 8.1)."""
    try:
        with path.open("rb") as stream:
            stream.seek(16 * 2048)
            return stream.read(6)[1:] == b"CD001"
    except OSError as error:
        raise BootproofError(f"{path} cannot be read: {error.strerror}", "name an ISO file") from None


def _settings_beside(iso: Path) -> Mapping[str, Any] | None:
    """Return the merged recipe from buildinfo.json in the ISO's folder, if there is one."""
    try:
        settings = json.loads((iso.parent / "buildinfo.json").read_text())["recipe"]
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return settings if isinstance(settings, dict) and isinstance(settings.get("name"), str) else None
