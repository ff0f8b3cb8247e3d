# SPDX-License-Identifier: GPL-3.0-or-later
import json
from datetime import UTC, datetime
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from bootproof.attest.recorded import read_directory
from bootproof.errors import BootproofError, ExitCode
from bootproof.launch.machine import Machine
from bootproof.smoke.evidence import Evidence
from bootproof.smoke.judge import CHECKS, GUEST, MEASUREMENT, Check, judge
from bootproof.smoke.phases import FIRMWARE_LOG, PHASES, REPORT, SERIAL, Follower
from bootproof.smoke.results import Result, write_results
from bootproof.smoke.watch import Boot
from tests.smoke.recorded import good

PICTURE = b"\x89PNG\r\n\x1a\n"


def boot(*, failure: BootproofError | None = None) -> Boot:
    follower = Follower()
    follower.feed(FIRMWARE_LOG, b"Booting from DVD/CD...\n", 1.0)
    if failure is None:
        follower.feed(SERIAL, b"Bootproof demo is up\n", 20.0)
        follower.feed(REPORT, b"complete\n", 30.0)
    return Boot(follower, failure=failure, limits={phase.name: 60.0 for phase in PHASES[:2]})


def result(
    checks: list[Check], evidence: Evidence | None = None, failure: BootproofError | None = None
) -> Result:
    machine = Machine(iso=Path("/images/demo.iso"), name="demo")
    started = datetime(2026, 1, 2, tzinfo=UTC)
    return Result(
        machine, "accelerator: TCG (asked for)", ["qemu"], boot(failure=failure), evidence, checks, started
    )


def check(ok: bool | None, kind: str = GUEST, detail: str = "as told") -> Check:
    return Check(f"{kind}-{ok}", ok, detail, kind)


@pytest.mark.parametrize(
    ("checks", "code"),
    [
        ([check(ok=True), check(ok=None)], ExitCode.PASS),
        ([check(ok=True), check(ok=False)], ExitCode.GUEST_CHECK),
        ([check(ok=True), check(ok=False, kind=MEASUREMENT)], ExitCode.MEASUREMENT),
        ([check(ok=False), check(ok=False, kind=MEASUREMENT)], ExitCode.GUEST_CHECK),
    ],
)
def test_exit_codes(checks: list[Check], code: ExitCode) -> None:
    assert result(checks).code is code


def test_a_boot_that_failed_has_its_phases_code() -> None:
    failure = BootproofError("boot loader: not over", code=ExitCode.FIRMWARE)
    assert result([], failure=failure).code is ExitCode.FIRMWARE


def test_result_files(tmp_path: Path) -> None:
    evidence = good()
    (tmp_path / "screen.png").write_bytes(PICTURE)
    write_results(result(judge(evidence, CHECKS), evidence), tmp_path)
    told = json.loads((tmp_path / "result.json").read_text())
    assert (told["verdict"], told["exit_code"]) == ("pass", 0)
    assert [phase["ok"] for phase in told["phases"]] == [True] * 6
    assert len(told["pcrs"]) == 24
    assert told["pcrs"][10]["replayed"] == told["pcrs"][10]["emulator"]
    # what `bootproof log` and `pcr` read
    again = read_directory(tmp_path)
    assert (again.boot_log, again.ima_log) == (evidence.boot_log, evidence.ima_log)
    assert dict(again.pcrs["sha1"]) == evidence.outside
    suite = ET.fromstring((tmp_path / "junit.xml").read_text())
    assert (suite.get("tests"), suite.get("failures")) == (str(6 + len(told["checks"])), "0")


def test_report_page_stands_alone(tmp_path: Path) -> None:
    evidence = good()
    (tmp_path / "screen.png").write_bytes(PICTURE)
    write_results(result(judge(evidence, CHECKS), evidence), tmp_path)
    page = (tmp_path / "report.html").read_text()
    assert "data:image/png;base64,iVBORw0KGgo=" in page
    assert "passed" in page
    assert "boot_aggregate" in page
    assert 'src="http' not in page
    assert "href=" not in page


def test_failed_boot_still_has_a_page_and_a_junit_file(tmp_path: Path) -> None:
    failure = BootproofError("boot loader: <b>\x1b[1m", code=ExitCode.FIRMWARE)
    write_results(result([], failure=failure), tmp_path)
    page = (tmp_path / "report.html").read_text()
    assert "failed" in page
    assert "&lt;b&gt;" in page
    suite = ET.fromstring((tmp_path / "junit.xml").read_text())
    assert (suite.get("failures"), suite.get("skipped")) == ("1", "4")
    told = json.loads((tmp_path / "result.json").read_text())
    assert [phase["ok"] for phase in told["phases"]] == [True] + [False] * 5


def test_failed_checks_are_failures_in_junit(tmp_path: Path) -> None:
    write_results(result([check(ok=False), check(ok=None), check(ok=True)]), tmp_path)
    suite = ET.fromstring((tmp_path / "junit.xml").read_text())
    assert (suite.get("failures"), suite.get("skipped")) == ("1", "1")


def test_evidence_that_cannot_be_read_still_gives_a_page(tmp_path: Path) -> None:
    evidence = Evidence("python", boot_log=b"\1", ima_log=b"\2")
    write_results(result(judge(evidence, CHECKS), evidence), tmp_path)
    assert "cannot be read" in (tmp_path / "report.html").read_text()
