# SPDX-License-Identifier: GPL-3.0-or-later
"""The agent, with the test as its host."""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from bootproof.appliance import report
from bootproof.appliance.frames import Frame, FrameReader, encode
from bootproof.attest.evidence import Evidence
from bootproof.errors import BootproofError

EVIDENCE = Evidence(b"boot log", b"ima log", {"sha1": {0: bytes(20), 10: b"\x0a" * 20}}, "1.2")


class Host:
    """Our end of the conversation."""

    def __init__(self, line: socket.socket) -> None:
        self.line = line
        self.frames = self._frames()

    def say(self, kind: str, **facts: object) -> None:
        self.line.sendall(encode(Frame(kind, "nonce", dict(facts))))

    def _frames(self) -> Iterator[Frame]:
        reader = FrameReader()
        while piece := self.line.recv(65536):
            yield from reader.feed(piece)

    def hear(self) -> Frame:
        return next(frame for frame in self.frames if frame.kind != "progress")


@pytest.fixture
def counters(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "runtime_measurements_count").write_text("45\n")
    (tmp_path / "violations").write_text("0\n")
    monkeypatch.setattr(report, "_IMA", tmp_path)
    monkeypatch.setattr(report, "_PAUSE", 0.0)
    monkeypatch.setattr(report, "read_evidence", lambda: EVIDENCE)
    return tmp_path


@pytest.fixture
def host() -> Iterator[Host]:
    ours, theirs = socket.socketpair()
    ours.settimeout(10)
    errors: list[BaseException] = []

    def guest() -> None:
        try:
            report.report(Path(f"/proc/self/fd/{theirs.fileno()}"))
        except BootproofError as error:
            errors.append(error)

    # a socket cannot be opened by its path, as a virtio port can
    with pytest.MonkeyPatch.context() as patch:
        real = os.open
        patch.setattr(
            os,
            "open",
            lambda path, *rest: os.dup(theirs.fileno()) if "self/fd" in str(path) else real(path, *rest),
        )
        thread = threading.Thread(target=guest)
        thread.start()
        with ours:
            yield Host(ours)
        theirs.close()
        thread.join(10)
    assert not thread.is_alive()


def test_report_carries_the_evidence_and_the_nonce(counters: Path, host: Host) -> None:
    host.say("hello", checks=[])
    assert host.hear().kind == "ready"
    host.say("seen")
    told, end = host.hear(), host.hear()
    assert (told.kind, told.nonce, end.kind, end.nonce) == ("report", "nonce", "end", "nonce")
    assert told.blobs == {"binary_bios_measurements": b"boot log", "binary_runtime_measurements": b"ima log"}
    assert told.facts["pcrs"]["sysfs"] == {"sha1": {"0": "00" * 20, "10": "0a" * 20}}
    assert told.facts["ima"] == {"count": 45, "violations": 0, "steady": True}


def test_snapshot_is_taken_again_while_ima_measures(counters: Path, host: Host) -> None:
    host.say("hello", checks=[])
    for count in (46, 47):
        assert host.hear().kind == "ready"
        (counters / "runtime_measurements_count").write_text(str(count))
        host.say("seen")
    assert host.hear().kind == "ready"
    host.say("seen")
    assert host.hear().facts["ima"] == {"count": 47, "violations": 0, "steady": True}


def test_ima_that_never_holds_still_is_reported_as_such(counters: Path, host: Host) -> None:
    host.say("hello", checks=[])
    frame, count = host.hear(), 100
    while frame.kind == "ready":
        count += 1
        (counters / "runtime_measurements_count").write_text(str(count))
        host.say("seen")
        frame = host.hear()
    assert frame.facts["ima"]["steady"] is False


def test_trousers_that_does_not_answer_is_a_fault_in_the_report(
    counters: Path, host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    from bootproof.attest import trousers

    def refuse(indices: object) -> dict[int, bytes]:
        raise trousers.TrousersError("no tcsd", "start it")

    monkeypatch.setattr(trousers, "read_pcrs", refuse)
    host.say("hello", checks=["trousers-pcrs"])
    assert host.hear().kind == "ready"
    host.say("seen")
    told = host.hear()
    assert told.facts["pcrs"]["trousers"] is None
    assert "no tcsd" in told.facts["pcrs"]["trousers_fault"]


def test_what_nobody_foresaw_reaches_the_host(
    counters: Path, host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail() -> Evidence:
        raise MemoryError("no room")

    monkeypatch.setattr(report, "read_evidence", fail)
    monkeypatch.setattr(threading, "excepthook", lambda args: None)
    host.say("hello", checks=[])
    told = host.hear()
    assert told.kind == "failed"
    assert told.facts["error"] == "MemoryError: no room"


def test_collectors_that_fail_do_not_stop_the_others(
    counters: Path, host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail() -> dict[str, object]:
        raise OSError("broken")

    monkeypatch.setattr("bootproof.appliance.collect.machine_facts", fail)
    host.say("hello", checks=["verity"])
    assert host.hear().kind == "ready"
    host.say("seen")
    told = host.hear()
    assert told.facts["machine"] == {"fault": "broken"}
    assert "verity" in told.facts
