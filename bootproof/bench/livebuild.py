# SPDX-License-Identifier: GPL-3.0-or-later
"""The yardstick for builds: Debian's live-build with the same packages, from cached .debs like ours."""

from __future__ import annotations

import shutil
from pathlib import Path

from bootproof import process
from bootproof.bench.usage import Usage, measured
from bootproof.build import archives
from bootproof.build.debs import DebStore
from bootproof.build.lock import Lock

PACKAGES = ("systemd-sysv", "python3", "trousers", "tpm-tools", "kmod", "iproute2")
_CACHES = ("bootstrap", "chroot", "binary")


def config_command(suite: str, mirror: archives.Archives) -> list[str]:
    """Return the command that configures live-build: a plain live ISO, its defaults otherwise."""
    main, security = mirror.bases[archives.MAIN], mirror.bases.get(archives.SECURITY)
    addresses = [f"--mirror-{part}={main}" for part in ("bootstrap", "binary")]
    addresses += (
        [f"--mirror-{part}-security={security}" for part in ("chroot", "binary")] if security else []
    )
    return [
        "lb", "config", "noauto",
        f"--distribution={suite}", "--archive-areas=main", "--apt-recommends=false",
        "--linux-packages=linux-image", "--linux-flavours=amd64",
        "--debian-installer=none", "--memtest=none", "--binary-images=iso-hybrid",
        f"--security={'true' if security else 'false'}", *addresses,
    ]  # fmt: skip


def build(
    folder: Path, suite: str, lock: Lock, store: DebStore, mirror: archives.Archives
) -> tuple[Usage, int]:
    """Build in `folder` (removed first); return the cost of `lb build` and the size of its ISO in bytes."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    process.run(config_command(suite, mirror), cwd=folder, log=folder / "config.log")
    listing = folder / "config/package-lists/bench.list.chroot"
    listing.write_text("\n".join([*PACKAGES, "live-boot"]) + "\n")
    _fill_cache(folder / "cache", lock, store)
    usage = measured(["lb", "build", "noauto"], cwd=folder, log=folder / "build.log")
    iso = next(folder.glob("*.iso"))
    return usage, iso.stat().st_size


def _fill_cache(cache: Path, lock: Lock, store: DebStore) -> None:
    """Give live-build the packages that we have, under the names that apt gives to downloads."""
    for part in _CACHES:
        folder = cache / f"packages.{part}"
        folder.mkdir(parents=True)
        for package in lock.packages:
            version = package.version.replace(":", "%3a")
            name = f"{package.name}_{version}_{package.architecture}.deb"
            shutil.copyfile(store.verified(package), folder / name)
