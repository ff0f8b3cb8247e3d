# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bootproof.tpm.codes import Rc, TpmError
from bootproof.tpm.commands.table import COMMANDS
from bootproof.tpm.state import Permanent, PermanentFlags, SavedState, StClearFlags, Volatile
from bootproof.tpm.wire import Nothing, Structure, boolean, sized32, structure, structure_tag, uint16

LAYOUTS = sorted(
    {command.parameters for command in COMMANDS.values()} | {Permanent, Volatile, SavedState},
    key=lambda layout: layout.__name__,
)


@structure
class Sample(Structure):
    tag: int = structure_tag(default=0x1234)
    number: int = uint16(default=0)
    data: bytes = sized32(default=b"")


def test_a_structure_is_written_as_declared_and_read_back() -> None:
    sample = Sample(number=0xABCD, data=b"xyz")
    assert sample.encode() == bytes.fromhex("1234 abcd 00000003 78797a")
    assert Sample.decode(sample.encode()) == sample


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("1234 abcd 00000003 7879", Rc.BAD_PARAM_SIZE),
        ("1234 abcd 00000003 78797a 00", Rc.BAD_PARAM_SIZE),
        ("1234 ab", Rc.BAD_PARAM_SIZE),
        ("1235 abcd 00000000", Rc.INVALID_STRUCTURE),
        ("1234 abcd ffffffff", Rc.SIZE),
    ],
)
def test_what_does_not_fit_is_refused(text: str, code: Rc) -> None:
    with pytest.raises(TpmError) as caught:
        Sample.decode(bytes.fromhex(text))
    assert caught.value.rc == code


def test_no_parameters_means_no_bytes() -> None:
    assert Nothing.decode(b"").encode() == b""
    with pytest.raises(TpmError):
        Nothing.decode(b"\0")


def test_flags_have_the_size_and_tag_of_the_specification() -> None:
    assert len(PermanentFlags().encode()) == 22
    assert len(StClearFlags().encode()) == 7
    assert PermanentFlags().encode()[:2] == b"\x00\x1f"


@given(layout=st.sampled_from(LAYOUTS), data=st.binary(max_size=1200))
def test_arbitrary_bytes_are_read_or_refused(layout: type[Structure], data: bytes) -> None:
    try:
        value = layout.decode(data)
    except TpmError:
        return
    assert layout.decode(value.encode()) == value


@structure
class Switches(Structure):
    first: bool = boolean()
    number: int = uint16()
    second: bool = boolean()


@structure
class SizedSwitch(Structure):
    on: bool = boolean()
    data: bytes = sized32()


@pytest.mark.parametrize(
    ("kind", "text", "code"),
    [
        (Switches, "01 0203 00", None),
        (Switches, "02 0203 00", Rc.BAD_PARAMETER),
        (Switches, "00 0203 ff", Rc.BAD_PARAMETER),
        (SizedSwitch, "01 00000000", None),
        (SizedSwitch, "02 00000000", Rc.BAD_PARAMETER),
    ],
)
def test_a_bool_is_0_or_1(kind: type[Structure], text: str, code: Rc | None) -> None:
    data = bytes.fromhex(text)
    if code is None:
        assert kind.decode(data).encode() == data
        return
    with pytest.raises(TpmError) as caught:
        kind.decode(data)
    assert caught.value.rc == code
