# SPDX-License-Identifier: GPL-3.0-or-later
"""report.html: the result for people, in one file that needs nothing else."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from bootproof.measure import bootlog, imalog
from bootproof.measure.reader import LogError
from bootproof.smoke.evidence import Evidence

_FIRST_EVENTS = 25
_TEMPLATE = "report.html.j2"


def page(summary: Mapping[str, Any], evidence: Evidence | None, screen: Path) -> str:
    """Return the page for a `results.summary`; the picture `screen` is embedded."""
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("bootproof.smoke", "."), autoescape=True, undefined=StrictUndefined,
        trim_blocks=True, lstrip_blocks=True,
    )  # fmt: skip
    longest = max((row["seconds"] or 0.0 for row in summary["phases"]), default=0.0)
    return environment.get_template(_TEMPLATE).render(
        result=summary,
        pcrs=[{**row, "voices": _voices(row), "same": _same(row)} for row in summary["pcrs"]],
        boot_events=_boot_events(evidence),
        ima_entries=_ima_entries(evidence),
        shown=_FIRST_EVENTS,
        longest=longest or 1.0,
        screen=_data_uri(screen),
    )


def _voices(row: Mapping[str, Any]) -> list[str]:
    return [name for name in ("kernel", "trousers", "emulator", "replayed") if row[name] is not None]


def _same(row: Mapping[str, Any]) -> bool:
    return len({row[name] for name in _voices(row)}) == 1


def _data_uri(screen: Path) -> str | None:
    try:
        image = screen.read_bytes()
    except OSError:
        return None
    return f"data:image/png;base64,{base64.b64encode(image).decode()}" if image else None


def _boot_events(evidence: Evidence | None) -> dict[str, Any]:
    try:
        log = bootlog.parse((evidence and evidence.boot_log) or b"")
    except LogError as error:
        return {"total": 0, "rows": [], "fault": str(error)}
    rows = [
        {"number": e.number, "pcr": e.pcr, "kind": e.type_name, "digest": _digest(e.digests), "text": e.text}
        for e in log.events[:_FIRST_EVENTS]
    ]
    return {"total": len(log.events), "rows": rows, "fault": None}


def _digest(digests: Mapping[str, bytes]) -> str:
    return next(iter(digests.values()), b"").hex()


def _ima_entries(evidence: Evidence | None) -> dict[str, Any]:
    try:
        entries = imalog.parse((evidence and evidence.ima_log) or b"")
    except LogError as error:
        return {"total": 0, "rows": [], "fault": str(error)}
    rows = [
        {"number": e.number, "kind": e.digest_algorithm, "digest": e.digest.hex(), "path": _readable(e.path)}
        for e in entries[:_FIRST_EVENTS]
    ]
    return {"total": len(entries), "rows": rows, "fault": None}


def _readable(path: str) -> str:
    return path.encode("utf-8", "replace").decode()
