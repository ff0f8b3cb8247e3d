# SPDX-License-Identifier: GPL-3.0-or-later
"""IMA logs: those of real kernels in both forms, damaged ones, and arbitrary bytes."""

from __future__ import annotations

import hashlib
import struct
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bootproof.measure import imalog
from bootproof.measure.imalog import ImaEntry, LogError
from tests.measure import recorded

PATHS = [
    "boot_aggregate",
    "/bin/busybox",
    "/var/first",
    "/var/with_space",
    "/var/open",
    "/var/open",
    "/var/first",
    "/bin/kload",
    "/boot/vmlinuz",
    "kexec-cmdline",
]


def _record(template: bytes, fields: bytes, pcr: int = 10, size: int | None = None) -> bytes:
    size = len(fields) if size is None else size
    return struct.pack("<I20sI", pcr, b"h" * 20, len(template)) + template + struct.pack("<I", size) + fields


def _field(data: bytes) -> bytes:
    return struct.pack("<I", len(data)) + data


@pytest.mark.parametrize("name", recorded.BOOTS)
def test_recorded_logs(name: str) -> None:
    entries = imalog.parse(recorded.ima_log(name))
    assert [entry.path for entry in entries] == PATHS
    assert [entry.number for entry in entries] == list(range(1, 11))
    assert {entry.pcr for entry in entries} == {10}
    assert [entry.number for entry in entries if entry.is_violation] == [5, 7]
    assert all(entry.is_consistent for entry in entries)
    assert entries[-1].buffer == b"console=ttyS0 kexec=test"
    by_algorithm = hashlib.new(entries[-1].digest_algorithm, entries[-1].buffer)
    assert entries[-1].digest == by_algorithm.digest()
    first = hashlib.new(entries[2].digest_algorithm, b"first\n")
    assert entries[2].digest == first.digest()


@pytest.mark.parametrize("name", recorded.BOOTS)
def test_the_ascii_form_says_the_same(name: str) -> None:
    text = (recorded.DATA / name / "ascii_runtime_measurements").read_text()
    assert imalog.parse_ascii(text) == imalog.parse(recorded.ima_log(name))


def test_template_digests() -> None:
    entry = imalog.parse(recorded.ima_log("boot-6.12-tpm20"))[1]
    assert imalog.template_digest(entry, "sha1") == entry.template_hash
    assert imalog.template_digest(entry, "sha256") == hashlib.sha256(imalog.template_data(entry)).digest()
    violation = imalog.parse(recorded.ima_log("boot-6.12-tpm20"))[4]
    assert imalog.template_digest(violation, "sha1") == b"\xff" * 20
    assert imalog.template_digest(violation, "sha256") == b"\xff" * 32
    with pytest.raises(ValueError, match="unknown hash algorithm 'md5'"):
        imalog.template_digest(entry, "md5")


def test_a_changed_entry_is_seen() -> None:
    entry = imalog.parse(recorded.ima_log("boot-6.1-tpm12"))[1]
    assert not replace(entry, fields=(entry.fields[0], b"/bin/other\0", b"")).is_consistent


def test_templates_with_a_prefixed_digest_and_unknown_ones() -> None:
    digest = hashlib.sha256(b"").digest()
    v2 = _field(b"verity:sha256:\0" + digest) + _field(b"/usr/bin/x\0") + _field(b"sig")
    unknown = _field(b"abc") + _field(b"")
    first, second = imalog.parse(_record(b"ima-sigv2", v2) + _record(b"d|n|x", unknown))
    assert (first.digest_algorithm, first.digest, first.path) == ("sha256", digest, "/usr/bin/x")
    assert (second.fields, second.path, second.digest, second.digest_algorithm) == (
        (b"abc", b""),
        "",
        b"",
        "",
    )
    assert imalog.template_data(second) == unknown


def test_a_path_that_is_no_utf8_survives() -> None:
    fields = _field(b"sha1:\0" + bytes(20)) + _field(b"/tmp/\xff\xfe\0")
    path = imalog.parse(_record(b"ima-ng", fields))[0].path
    assert path.encode("utf-8", "surrogateescape") == b"/tmp/\xff\xfe"


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (_record(b"ima-ng", b"", pcr=24), "byte 0: entry 1: PCR 24, the last one is 23"),
        (_record(b"", b""), "byte 24: entry 1: a template name of 0 bytes"),
        (_record(b"x" * 65, b""), "template name of 65 bytes"),
        (_record(b"\xff\xff", b""), "byte 28: entry 1: the template name is not ascii"),
        (_record(b"ima-ng", b"", size=5), r"byte 38: entry 1: fields needs 5 bytes, 0 are left"),
        (_record(b"ima-ng", b"\x09\0\0\0abc"), r"byte 42: entry 1: a field needs 9 bytes, 3 are left"),
        (_record(b"ima-ng", _field(b"x")), "1 fields, ima-ng has 2"),
        (_record(b"ima-ng", _field(b"sha1:\0short") + _field(b"p\0")), "no digest where one belongs"),
        (_record(b"ima-ng", _field(b"nothing") + _field(b"p\0")), "no digest where one belongs"),
        (
            struct.pack("<I20sI3s20sI", 10, bytes(20), 3, b"ima", bytes(20), 256) + b"p" * 256,
            "a path of 256 bytes",
        ),
    ],
)
def test_damage_is_named_with_its_offset(data: bytes, message: str) -> None:
    with pytest.raises(LogError, match=message):
        imalog.parse(data)


@pytest.mark.parametrize(
    "line",
    [
        "10",
        "x 00 ima-ng sha1:00 /p",
        "10 zz ima-ng sha1:00 /p",
        f"99 {'0' * 40} ima-ng sha1:{'0' * 40} /p",
        f"10 {'0' * 38} ima-ng sha1:{'0' * 40} /p",
        f"10 {'0' * 40} ima-ng sha1:{'0' * 38} /p",
        f"10 {'0' * 40} ima-sig sha1:{'0' * 40} /p nothex",
    ],
)
def test_a_bad_ascii_line_is_named(line: str) -> None:
    good = f"10 {'0' * 40} ima-ng sha1:{'0' * 40} /p"
    with pytest.raises(LogError, match=r"^line 2: "):
        imalog.parse_ascii(f"{good}\n{line}\n")


def _only_its_error(data: bytes) -> None:
    try:
        entries = imalog.parse(data)
    except LogError as error:
        assert 0 <= error.offset <= len(data)
        return
    assert sum(len(field) for entry in entries for field in entry.fields) <= len(data)
    for entry in entries:
        _touch(entry)


def _touch(entry: ImaEntry) -> None:
    assert isinstance(entry.path, str)
    assert isinstance(entry.digest_algorithm, str)
    assert isinstance(entry.is_consistent, bool)
    assert len(imalog.template_digest(entry, "sha1")) == 20


@given(st.binary(max_size=300))
def test_arbitrary_bytes(data: bytes) -> None:
    _only_its_error(data)


@given(
    st.sampled_from([b"ima", b"ima-ng", b"ima-sig", b"ima-buf", b"evm-sig", b"new"]), st.binary(max_size=120)
)
def test_arbitrary_fields(template: bytes, fields: bytes) -> None:
    _only_its_error(_record(template, fields))


@given(st.sampled_from(recorded.BOOTS), st.data())
def test_recorded_logs_with_changed_bytes(name: str, data: st.DataObject) -> None:
    changed = bytearray(recorded.ima_log(name))
    for _ in range(data.draw(st.integers(1, 4))):
        changed[data.draw(st.integers(0, len(changed) - 1))] = data.draw(st.integers(0, 255))
    _only_its_error(bytes(changed))


@given(st.text(max_size=200))
def test_arbitrary_text(text: str) -> None:
    try:
        entries = imalog.parse_ascii(text)
    except LogError:
        return
    for entry in entries:
        _touch(entry)


@given(
    st.integers(0, 23),
    st.sampled_from(["", "0" * 40, "f" * 40]),
    st.sampled_from(["ima", "ima-ng", "ima-sig", "ima-buf", "other"]),
    st.text(max_size=50),
)
def test_arbitrary_lines(pcr: int, template_hash: str, template: str, rest: str) -> None:
    try:
        entries = imalog.parse_ascii(f"{pcr} {template_hash} {template} {rest}")
    except LogError:
        return
    for entry in entries:
        _touch(entry)
