# SPDX-License-Identifier: GPL-3.0-or-later
"""What the doctor says of machines that lack something."""

from __future__ import annotations

import json
import os
import pwd
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from bootproof.cli.doctor import doctor as command
from bootproof.errors import ExitCode
from bootproof.host import doctor, tools

LOCK = 'some.thing==1.5 \\\n    --hash=sha256:00\npytest==0.1 ; python_version > "3"\nabsent-thing==2\n'


def test_a_missing_tool_is_told_with_its_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tools, "locate", lambda tool: None if tool.name in ("zstd", "swtpm") else Path("/x"))
    found = {finding.name: finding for finding in doctor.tool_findings()}
    assert found["zstd"].state == "missing"
    assert found["zstd"].remedy.endswith("apt-get install --no-install-recommends zstd")
    assert (found["swtpm"].state, "(only for test)" in found["swtpm"].detail) == ("note", True)
    assert found["depmod"].state == "ok"


def test_a_tool_not_from_a_package_is_fine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(tools, "locate", lambda tool: tmp_path / tool.name)
    monkeypatch.setattr("bootproof.process.environment", lambda _: {"PATH": str(tmp_path)})
    found = doctor.tool_findings()
    assert {finding.state for finding in found} == {"ok"}
    assert found[0].detail == f"not from a Debian package  {tmp_path}/{found[0].name}"


def test_python_packages_are_compared_with_the_lock(tmp_path: Path) -> None:
    (tmp_path / "lock").write_text(LOCK)
    (tmp_path / "in").write_text("# what\npytest>=0.1\nAbsent_Thing\n")
    python, old, absent = doctor.python_findings(tmp_path / "lock", tmp_path / "in")
    assert python.state == "ok"
    assert (old.state, old.remedy) == ("note", "run setup/install")
    assert old.detail.endswith(", the lock has 0.1")
    assert (absent.state, absent.detail) == ("missing", "missing, the lock has 2")


def test_user_ids(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    user = pwd.getpwuid(os.geteuid()).pw_name
    file = tmp_path / "subuid"
    assert doctor._subuid(file).state == "missing"
    file.write_text(f"{user}x:1:2\n{user}:100000:65536\n")
    assert doctor._subuid(file).state == "ok"


def test_a_user_without_namespaces_cannot_build(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "unshare").write_text("#!/bin/sh\nexit 1\n")
    (tmp_path / "unshare").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    assert doctor._user_namespaces().state == "missing"


def test_kvm_is_opened_not_looked_for(tmp_path: Path) -> None:
    assert doctor._kvm(tmp_path / "none").state == "note"
    (tmp_path / "kvm").mkdir()
    assert doctor._kvm(tmp_path / "kvm").state == "note"
    (tmp_path / "device").touch()
    assert doctor._kvm(tmp_path / "device").state == "ok"


def test_rooms(tmp_path: Path) -> None:
    rooms = [
        doctor.Room("fits", tmp_path / "new", 1), doctor.Room("small", tmp_path, 1 << 70),
        doctor.Room("closed", Path("/proc/new"), 0),
    ]  # fmt: skip
    found = doctor.room_findings(rooms)
    assert [finding.state for finding in found] == ["ok", "missing", "missing"]
    assert "not writable" in found[2].detail


@pytest.fixture
def archive() -> Iterator[str]:
    class Handler(BaseHTTPRequestHandler):
        def do_HEAD(self) -> None:
            self.send_response(200 if self.path == "/debian/dists/trixie/InRelease" else 404)
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002
            pass

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/debian/"
        server.shutdown()


def test_archives_are_asked(archive: str, tmp_path: Path) -> None:
    good, bad = doctor.archive_findings(archive, ("trixie", "sid"), {})
    assert (good.state, bad.state) == ("ok", "missing")
    assert bad.detail.endswith(": 404 Not Found")
    (silent,) = doctor.archive_findings("http://127.0.0.1:9/", ("trixie",), {})
    assert silent.detail.endswith(": ConnectionError")
    (tmp_path / "dists" / "trixie").mkdir(parents=True)
    (tmp_path / "dists" / "trixie" / "InRelease").touch()
    found = doctor.archive_findings(f"file://{tmp_path}/", ("trixie", "sid"), {})
    assert [finding.state for finding in found] == ["ok", "missing"]


def test_the_command_tells_by_its_status(monkeypatch: pytest.MonkeyPatch) -> None:
    app = typer.Typer()
    app.command()(command)
    states = [doctor.Finding("tools", "a", "ok", "1"), doctor.Finding("tools", "b[x]", "note", "2")]
    monkeypatch.setattr("bootproof.cli.doctor._findings", lambda offline: states)
    result = CliRunner().invoke(app, ["--json"])
    assert result.exit_code == 0
    assert [one["name"] for one in json.loads(result.output)] == ["a", "b[x]"]
    states.append(doctor.Finding("disk", "c", "missing", "3", "make room"))
    assert CliRunner().invoke(app, []).exit_code == ExitCode.HOST


def test_room_is_judged_where_builds_download_to(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("BOOTPROOF_CACHE", str(tmp_path / "elsewhere"))
    app = typer.Typer()
    app.command()(command)
    found = json.loads(CliRunner().invoke(app, ["--json", "--offline"]).output)
    (cache,) = [one for one in found if (one["area"], one["name"]) == ("disk", "cache")]
    assert cache["detail"].startswith(f"{tmp_path}/elsewhere: ")
