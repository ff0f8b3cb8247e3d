# SPDX-License-Identifier: GPL-3.0-or-later
"""Looks over the machine: tools, Python packages, kernel, disk space, Debian archives."""

from __future__ import annotations

import os
import platform
import re
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Literal

import requests

from bootproof import process
from bootproof.errors import HostError
from bootproof.host import tools

State = Literal["ok", "note", "missing"]
KVM = Path("/dev/kvm")
SUBUID = Path("/etc/subuid")
_SETUP = "run setup/install"
_ARCHIVE_SECONDS = 8.0
_PIN = re.compile(r"^([A-Za-z0-9._-]+)==([^\s;\\]+)", re.MULTILINE)
_REQUIREMENT = re.compile(r"^[A-Za-z0-9._-]+", re.MULTILINE)


@dataclass(frozen=True)
class Finding:
    """One line of the report. `missing` makes a verb fail; `note` is good to know."""

    area: str
    name: str
    state: State
    detail: str
    remedy: str = ""


@dataclass(frozen=True)
class Room:
    """A folder that builds write to, and how many bytes they may need there."""

    name: str
    path: Path
    wanted: int


def tool_findings() -> list[Finding]:
    """Return a finding for each tool: package version and path, or what to install."""
    found = {tool: tools.locate(tool) for tool in tools.tools().values()}
    versions = _package_versions({tool.package for tool in found})
    findings = []
    for tool, path in found.items():
        if path is not None:
            version = versions.get(tool.package, "not from a Debian package")
            findings.append(Finding("tools", tool.name, "ok", f"{version}  {path}"))
        else:
            special = not {"build", "run", "smoke"} & set(tool.verbs)
            detail = f"missing: {tool.purpose}" + (f" (only for {', '.join(tool.verbs)})" if special else "")
            findings.append(
                Finding("tools", tool.name, "note" if special else "missing", detail,
                        tools.install_command([tool]))
            )  # fmt: skip
    return findings


def _package_versions(packages: Iterable[str]) -> dict[str, str]:
    """Return the versions of those Debian packages that are installed; none without dpkg."""
    argv = ["dpkg-query", "-W", "-f", "${db:Status-Status} ${Package} ${Version}\n", *sorted(packages)]
    try:
        lines = process.run(argv, check=False).stdout.decode().splitlines()
    except HostError:
        return {}
    return dict(line.split(" ")[1:3] for line in lines if line.startswith("installed "))


def python_findings(lock: Path, wanted: Path) -> list[Finding]:
    """Compare the Python packages named in `wanted` (requirements.in) with the versions that `lock` pins."""
    pinned = {_key(name): version for name, version in _PIN.findall(lock.read_text())}
    names = _REQUIREMENT.findall(wanted.read_text())
    running = f"{platform.python_version()}  {sys.executable}"
    packages = [_package(name, pinned[_key(name)]) for name in names]
    return [Finding("python", "python", "ok", running), *packages]


def _package(name: str, pinned: str) -> Finding:
    try:
        version = metadata.version(name)
    except metadata.PackageNotFoundError:
        return Finding("python", name, "missing", f"missing, the lock has {pinned}", _SETUP)
    if version == pinned:
        return Finding("python", name, "ok", version)
    return Finding("python", name, "note", f"{version}, the lock has {pinned}", _SETUP)


def _key(name: str) -> str:
    """Return the spelling of a package name that compares equal (PEP 503)."""
    return re.sub(r"[-_.]+", "-", name).lower()


def kernel_findings() -> list[Finding]:
    """Return what the kernel offers: user namespaces and ids for building without root, KVM for speed."""
    machine = platform.machine()
    findings = [
        Finding("machine", "system", "ok" if machine == "x86_64" else "missing", f"{_system()}, {machine}",
                "" if machine == "x86_64" else "images are built for amd64 and on it")
    ]  # fmt: skip
    if os.geteuid() == 0:
        findings.append(Finding("machine", "user namespaces", "ok", "not needed: we are root"))
    else:
        findings += [_user_namespaces(), _subuid(SUBUID)]
    return [*findings, _kvm(KVM)]


def _system() -> str:
    try:
        return platform.freedesktop_os_release().get("PRETTY_NAME", platform.system())
    except OSError:
        return platform.system()


def _user_namespaces() -> Finding:
    try:
        works = process.run(["unshare", "--user", "true"], check=False).returncode == 0
    except HostError:
        works = False
    if works:
        return Finding("machine", "user namespaces", "ok", "work")
    remedy = "allow them (sysctl kernel.unprivileged_userns_clone=1), or build as root"
    return Finding("machine", "user namespaces", "missing", "this user may not make them", remedy)


def _subuid(file: Path) -> Finding:
    import pwd

    user = pwd.getpwuid(os.geteuid()).pw_name
    lines = file.read_text().splitlines() if file.is_file() else []
    for line in lines:
        owner, _, span = line.partition(":")
        if owner in (user, str(os.geteuid())):
            return Finding("machine", "user ids", "ok", f"{span}  {file}")
    return Finding("machine", "user ids", "missing", f"no range for {user} in {file}", _SETUP)


def _kvm(device: Path) -> Finding:
    try:
        os.close(os.open(device, os.O_RDWR | os.O_CLOEXEC))
    except OSError as error:
        return Finding(
            "machine", "kvm", "note", f"{device}: {error.strerror}; machines run under TCG, slower"
        )
    return Finding("machine", "kvm", "ok", f"{device} opens; run and smoke try whether it works")


def room_findings(rooms: Iterable[Room]) -> list[Finding]:
    """Return free space and access for the folders that builds write to."""
    findings = []
    for room in rooms:
        free, wanted = (f"{size / 2**30:.1f} GiB" for size in (tools.free_bytes(room.path), room.wanted))
        if not tools.writable(room.path):
            detail, remedy = f"{room.path}: not writable", "make it writable for this user"
        elif tools.free_bytes(room.path) < room.wanted:
            detail, remedy = f"{room.path}: {free} free, {wanted} wanted", "make room there"
        else:
            detail, remedy = f"{room.path}: {free} free", ""
        findings.append(Finding("disk", room.name, "missing" if remedy else "ok", detail, remedy))
    return findings


def archive_findings(base: str, suites: Iterable[str], proxies: Mapping[str, str]) -> list[Finding]:
    """Return whether the archive at `base` (an address that ends with a slash) answers for each suite."""
    return [_suite(f"{base}dists/{suite}/InRelease", suite, proxies) for suite in suites]


def _suite(address: str, suite: str, proxies: Mapping[str, str]) -> Finding:
    remedy = "check the network and the apt configuration, or name a mirror with --mirror"
    try:
        answer = _status(address, proxies)
    except requests.RequestException as error:
        answer = type(error).__name__
    if answer == "":
        return Finding("archive", suite, "ok", address)
    return Finding("archive", suite, "missing", f"{address}: {answer}", remedy)


def _status(address: str, proxies: Mapping[str, str]) -> str:
    """Return why the address gives nothing, or an empty text."""
    if address.startswith("file://"):
        return "" if Path(address.removeprefix("file://")).is_file() else "no such file"
    answer = requests.head(address, timeout=_ARCHIVE_SECONDS, proxies=dict(proxies), allow_redirects=True)
    return "" if answer.ok else f"{answer.status_code} {answer.reason}"
