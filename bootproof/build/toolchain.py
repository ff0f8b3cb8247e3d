# SPDX-License-Identifier: GPL-3.0-or-later
"""Versions of what the host contributes to a result: they are inputs of the steps that use it."""

from __future__ import annotations

import re
from functools import cache
from importlib import metadata
from pathlib import Path

STATUS = Path("/var/lib/dpkg/status")


def versions(*packages: str) -> dict[str, str]:
    """Return the versions of Debian packages of the host; `unknown` where dpkg does not know it."""
    return {name: _installed(_status(), name) for name in packages}


def python_versions(*names: str) -> dict[str, str]:
    """Return the versions of Python packages."""
    return {name: metadata.version(name) for name in names}


@cache
def _status() -> str:
    return "\n" + STATUS.read_text(errors="replace") if STATUS.is_file() else ""


def _installed(status: str, name: str) -> str:
    """Return a package's version from dpkg's status file (deb-control(5) stanzas)."""
    at = status.find(f"\nPackage: {name}\n")
    stanza = status[at : status.find("\n\n", at)] if at >= 0 else ""
    found = re.search(r"^Version: (.+)$", stanza, re.MULTILINE)
    return found[1] if found and "\nStatus: install ok installed\n" in stanza else "unknown"
