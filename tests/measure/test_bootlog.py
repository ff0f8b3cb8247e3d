# SPDX-License-Identifier: GPL-3.0-or-later
"""Boot logs: recorded ones, damaged ones, and arbitrary bytes."""

from __future__ import annotations

import hashlib
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bootproof.measure import bootlog
from bootproof.measure.bootlog import BootLog, LogError
from tests.measure import recorded

TPM12 = (recorded.DATA / "tpm12-cd.log.bin").read_bytes()
TPM20 = (recorded.DATA / "tpm20-cd.log.bin").read_bytes()
UEFI = (recorded.DATA / "uefi.log.bin").read_bytes()


def _agile_header(algorithms: list[tuple[int, int]], count: int | None = None) -> bytes:
    body = b"Spec ID Event03\0" + struct.pack("<IBBBB", 0, 0, 2, 0, 2)
    body += struct.pack("<I", len(algorithms) if count is None else count)
    body += b"".join(struct.pack("<HH", *pair) for pair in algorithms) + b"\0"
    return struct.pack("<II20sI", 0, 3, bytes(20), len(body)) + body


def test_tpm12_log() -> None:
    log = bootlog.parse(TPM12)
    assert log.algorithms == ("sha1",)
    assert not log.is_crypto_agile
    assert [event.number for event in log.events] == list(range(1, 27))
    separator = log.events[5]
    assert (separator.pcr, separator.type_name) == (0, "EV_SEPARATOR")
    assert separator.digests["sha1"] == hashlib.sha1(b"\xff\xff\xff\xff").digest()
    assert [(e.pcr, e.text) for e in log.events[21:]] == [
        (8, "kernel /boot/vmlinuz"),
        (8, "kernel_cmdline: /boot/vmlinuz console=ttyS0 ima_policy=tcb ima_hash=sha1 quiet"),
        (5, "grub_cmd: initrd /boot/rd.gz"),
        (8, "initrd /boot/rd.gz"),
        (5, "grub_cmd: boot"),
    ]


def test_crypto_agile_log_says_the_same_as_the_old_one() -> None:
    old, new = bootlog.parse(TPM12), bootlog.parse(TPM20)
    assert new.algorithms == ("sha1", "sha256", "sha384", "sha512")
    assert new.is_crypto_agile
    assert new.events[0].number == 0
    assert new.events[0].text == "Spec ID Event03: sha1 sha256 sha384 sha512"
    assert not new.events[0].is_extended
    same = [(e.number, e.pcr, e.type, e.text, e.digests["sha1"]) for e in new.measured]
    assert same == [(e.number, e.pcr, e.type, e.text, e.digests["sha1"]) for e in old.measured]
    grub_cmd = new.events[26]
    assert {name: len(digest) for name, digest in grub_cmd.digests.items()} == {
        "sha1": 20,
        "sha256": 32,
        "sha384": 48,
        "sha512": 64,
    }
    assert grub_cmd.digests["sha512"] == hashlib.sha512(b"boot").digest()


def test_no_bytes_are_a_log_without_events() -> None:
    assert bootlog.parse(b"") == BootLog((), ("sha1",))


@pytest.mark.parametrize(("log", "size"), [(TPM12, len(TPM12)), (TPM20, len(TPM20)), (UEFI, len(UEFI))])
def test_a_log_cut_anywhere_is_shorter_or_an_error(log: bytes, size: int) -> None:
    whole = bootlog.parse(log).events
    complete = 0
    for cut in range(0, size, 7):
        try:
            events = bootlog.parse(log[:cut]).events
        except LogError as error:
            assert error.offset <= cut
        else:
            complete += 1
            assert events == whole[: len(events)]
            assert len(events) < len(whole)
    assert complete < 30


def test_damage_is_named_with_its_offset() -> None:
    with pytest.raises(LogError, match=r"byte 60: event 2 is for PCR 99, the last one is 23"):
        bootlog.parse(TPM12[:60] + (99).to_bytes(4, "little") + TPM12[64:])
    with pytest.raises(LogError, match=r"data of event 1 needs 4294967295 bytes, 9 are left") as caught:
        bootlog.parse(struct.pack("<II20sI", 0, 5, bytes(20), 0xFFFFFFFF) + bytes(9))
    assert caught.value.offset == 32


@pytest.mark.parametrize(
    ("header", "message"),
    [
        (_agile_header([]), r"byte 56: Spec ID event: 0 hash algorithms"),
        (_agile_header([], 0xFFFFFFFF), "4294967295 hash algorithms"),
        (_agile_header([(4, 20)], 2), r"Spec ID event: .* needs 2 bytes"),
        (_agile_header([(4, 32)]), r"byte 60: Spec ID event: sha1 digests of 32 bytes"),
        (_agile_header([(0x77, 0)]), "alg-0x0077 digests of 0 bytes"),
        (
            _agile_header([(4, 20)]) + struct.pack("<III", 0, 4, 2),
            "event 1 has 2 digests, the header announces 1",
        ),
        (
            _agile_header([(4, 20)]) + struct.pack("<IIIH", 0, 4, 1, 11),
            "digest of unannounced algorithm 0x000b",
        ),
    ],
)
def test_bad_crypto_agile_logs(header: bytes, message: str) -> None:
    with pytest.raises(LogError, match=message):
        bootlog.parse(header)


def test_an_unknown_algorithm_is_carried_along() -> None:
    event = struct.pack("<IIIH6sI", 4, 13, 1, 0x77, b"digest", 3) + b"abc"
    log = bootlog.parse(_agile_header([(0x77, 6)]) + event)
    assert log.algorithms == ("alg-0x0077",)
    assert log.events[1].digests == {"alg-0x0077": b"digest"}


def test_an_event_without_a_pcr_informs_only() -> None:
    event = struct.pack("<II20sI", 0xFFFFFFFF, 3, bytes(20), 2) + b"hi"
    assert [e.text for e in bootlog.parse(event).events] == ["hi"]
    with pytest.raises(LogError, match="PCR 4294967295"):
        bootlog.parse(struct.pack("<II20sI", 0xFFFFFFFF, 4, bytes(20), 2) + b"hi")


def _only_its_error(data: bytes) -> None:
    try:
        log = bootlog.parse(data)
    except LogError as error:
        assert 0 <= error.offset <= len(data)
        return
    assert sum(len(event.data) for event in log.events) <= len(data)
    for event in log.events:
        assert event.text.isprintable()


@given(st.binary(max_size=400))
def test_arbitrary_bytes(data: bytes) -> None:
    _only_its_error(data)


@given(st.binary(max_size=400), st.sampled_from([[(4, 20)], [(4, 20), (11, 32)], [(0x77, 1)]]))
def test_arbitrary_bytes_after_a_good_header(data: bytes, algorithms: list[tuple[int, int]]) -> None:
    _only_its_error(_agile_header(algorithms) + data)


@given(st.sampled_from([TPM12, TPM20, UEFI]), st.data())
def test_recorded_logs_with_changed_bytes(log: bytes, data: st.DataObject) -> None:
    changed = bytearray(log)
    for _ in range(data.draw(st.integers(1, 4))):
        changed[data.draw(st.integers(0, len(log) - 1))] = data.draw(st.integers(0, 255))
    _only_its_error(bytes(changed))
