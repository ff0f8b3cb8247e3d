# SPDX-License-Identifier: GPL-3.0-or-later
"""Files found on ISOs, against what pycdlib put there."""

from __future__ import annotations

import io

import pycdlib
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bootproof.measure.iso9660 import SECTOR, Span, cut, find, number
from bootproof.measure.predictionerror import PredictionError

LONG = "a-name-that-does-not-fit-into-a-directory-record-" * 5
FILES = {
    f"/Folder/{LONG}.x": b"long",
    **{f"/Folder/many-{n}": b"%d" % n for n in range(60)},
    "/top": b"t" * 5000,
}


@pytest.fixture(scope="module")
def image() -> bytes:
    iso = pycdlib.PyCdlib()
    iso.new(interchange_level=3, rock_ridge="1.09")
    iso.add_directory("/D", rr_name="Folder")
    for count, (path, content) in enumerate(FILES.items()):
        folder, _, name = path.rpartition("/")
        place = f"{'/D' if folder else ''}/F{count}.;1"
        iso.add_fp(io.BytesIO(content), len(content), place, rr_name=name)
    out = io.BytesIO()
    iso.write_fp(out)
    iso.close()
    return out.getvalue()


def test_files_are_where_their_names_say(image: bytes) -> None:
    for path, content in FILES.items():
        assert b"".join(cut(image, span, path) for span in find(image, path)) == content, path


@pytest.mark.parametrize(
    "path", ["/folder/many-1", "/Folder", "/Folder/many-1/x", "/D/many-1", "/Folder/F1.;1", "/"]
)
def test_other_names_are_not_found(image: bytes, path: str) -> None:
    with pytest.raises(PredictionError, match="there is no"):
        find(image, path)


def test_a_file_in_several_extents_is_whole(image: bytes) -> None:
    """As files of 4 GB and more are: the first record has a flag, the second one the rest."""
    at = image.index(b"F%d.;1" % (len(FILES) - 1)) - 33
    record = image[at : at + image[at]]
    first, second = bytearray(record), bytearray(record)
    first[25] |= 0x80
    first[10:14], second[10:14] = SECTOR.to_bytes(4, "little"), (2952).to_bytes(4, "little")
    second[2:6] = (int.from_bytes(record[2:6], "little") + 1).to_bytes(4, "little")
    spans = find(image[:at] + bytes(first) + bytes(second) + image[at + 2 * len(record) :], "/top")
    assert [span.size for span in spans] == [2048, 2952]
    assert b"".join(cut(image, span, "x") for span in spans) == FILES["/top"]


def test_what_lies_beyond_the_end_is_refused() -> None:
    assert cut(b"abc", Span(1, 2), "x") == b"bc"
    with pytest.raises(PredictionError, match="x lies beyond the end"):
        cut(b"abc", Span(2, 2), "x")
    with pytest.raises(PredictionError):
        number(b"abc", 0, 4, "x")


@given(st.data())
def test_a_damaged_image_is_read_or_refused(image: bytes, data: st.DataObject) -> None:
    changed = bytearray(image)
    for _ in range(data.draw(st.integers(1, 6))):
        changed[data.draw(st.integers(16 * SECTOR, len(image) - 1))] = data.draw(st.integers(0, 255))
    try:
        find(bytes(changed), f"/Folder/{LONG}.x")
    except PredictionError as error:
        assert str(error)
