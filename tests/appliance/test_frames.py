# SPDX-License-Identifier: GPL-3.0-or-later
import json
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bootproof.appliance import frames
from bootproof.appliance.frames import Frame, FrameError, FrameReader, encode

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)
FRAMES = st.builds(
    Frame,
    kind=st.text(max_size=10),
    nonce=st.text(max_size=10),
    facts=st.dictionaries(st.text(max_size=5), JSON, max_size=3),
    blobs=st.dictionaries(st.text(max_size=5), st.binary(max_size=200), max_size=3),
)


def read(data: bytes, cuts: list[int]) -> list[Frame]:
    reader = FrameReader()
    edges = [0, *sorted(cut % (len(data) + 1) for cut in cuts), len(data)]
    pieces = [data[a:b] for a, b in pairwise(edges)]
    return [frame for piece in pieces for frame in reader.feed(piece)]


@given(st.lists(FRAMES, max_size=4), st.lists(st.integers(min_value=0), max_size=6))
def test_what_is_sent_arrives_however_it_is_cut(sent: list[Frame], cuts: list[int]) -> None:
    assert read(b"".join(map(encode, sent)), cuts) == sent


@given(st.binary(max_size=2000), st.lists(st.integers(min_value=0), max_size=4))
def test_arbitrary_bytes_are_frames_or_a_frame_error(data: bytes, cuts: list[int]) -> None:
    try:
        read(data, cuts)
    except FrameError:
        return


@given(st.dictionaries(st.sampled_from(["kind", "nonce", "facts", "blobs"]), JSON))
def test_arbitrary_headers_are_frames_or_a_frame_error(header: object) -> None:
    try:
        read(json.dumps(header).encode() + b"\n", [])
    except FrameError:
        return


@given(FRAMES.filter(lambda frame: any(frame.blobs.values())), st.integers(min_value=0), st.integers(0, 7))
def test_a_changed_blob_is_noticed(frame: Frame, place: int, bit: int) -> None:
    data = bytearray(encode(frame))
    blobs = sum(map(len, frame.blobs.values()))
    data[len(data) - blobs + place % blobs] ^= 1 << bit
    with pytest.raises(FrameError, match="damaged"):
        read(bytes(data), [])


def test_a_frame_that_is_not_complete_is_not_given() -> None:
    data = encode(Frame("report", "n", {}, {"log": b"12345"}))
    reader = FrameReader()
    assert list(reader.feed(data[:-1])) == []
    assert [frame.blobs for frame in reader.feed(data[-1:])] == [{"log": b"12345"}]


def test_memory_is_bounded() -> None:
    with pytest.raises(FrameError, match="no end of line"):
        read(b"x" * (frames.LARGEST_HEADER + 1), [])
    blob = {"name": "b", "size": frames.LARGEST_BLOBS + 1, "sha256": ""}
    header = {"kind": "", "nonce": "", "facts": {}, "blobs": [blob]}
    with pytest.raises(FrameError, match="too large"):
        read(json.dumps(header).encode() + b"\n", [])


def test_what_no_reader_would_take_is_not_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(frames, "LARGEST_BLOBS", 10)
    with pytest.raises(FrameError, match="too large"):
        encode(Frame("report", "n", {}, {"log": b"x" * 11}))
