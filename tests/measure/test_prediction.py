# SPDX-License-Identifier: GPL-3.0-or-later
"""Predictions of small ISOs: what is in them, and which event tells of which changed byte."""

from __future__ import annotations

import hashlib
import json
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bootproof.measure import iso9660, listed, prediction
from bootproof.measure.expected import Expected
from bootproof.measure.prediction import Prediction, predict
from bootproof.measure.predictionerror import PredictionError
from tests.measure import images

SECTOR = 2048


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    return images.made(tmp_path_factory.mktemp("iso"))


@pytest.fixture(scope="module")
def known(image: bytes) -> Prediction:
    return predict(image)


def loader_at(image: bytes) -> int:
    """Where the El Torito image lies, found by other means than the code that is tested."""
    (found,) = {image.find(bytes(at * 7 % 251 for at in range(8)) + struct.pack("<I", 16))}
    return found


def of_image(events: tuple[Expected, ...]) -> list[str]:
    """Return the texts of the events that stand for bytes of the image."""
    return [event.text for event in events if event.kind in ("IPL", "IPL_PARTITION_DATA", "STAGE")]


def test_the_events_of_a_cd_in_their_order(known: Prediction) -> None:
    assert of_image(known.events["cd"]["live"]) == [
        "BOOT CATALOG",
        "EL TORITO IPL",
        "boot stage 2",
        "GRUB core",
        "GRUB core",
        "GRUB core",
        "menu /boot/grub/grub.cfg",
        "grub_cmd: serial --unit=0",
        "grub_cmd: set default=live",
        "grub_cmd: set timeout=0",
        "grub_cmd: menuentry x: start 'it' --id live {\n    linux /live/vmlinuz a=b,c quiet\n"
        "    initrd /live/initrd.img /live/more.img\n}",
        "grub_cmd: menuentry x: rescue --id rescue --unrestricted {\n    # no initrd\n"
        "    linux /live/vmlinuz bootproof.rescue\n}",
        "grub_cmd: menuentry x: check --id checker {\n    tcgbios\n}",
        "grub_cmd: menuentry x: again --id again {\n    linux /live/vmlinuz again\n}",
        "grub_cmd: setparams x: start 'it'",
        "grub_cmd: linux /live/vmlinuz a=b,c quiet",
        "kernel /live/vmlinuz",
        "kernel_cmdline: /live/vmlinuz a=b,c quiet",
        "grub_cmd: initrd /live/initrd.img /live/more.img",
        "initrd /live/initrd.img",
        "initrd /live/more.img",
    ]


def test_the_other_ways_to_boot(known: Prediction) -> None:
    assert known.default == "live"
    assert {medium: list(ways) for medium, ways in known.events.items()} == {
        "cd": ["live", "rescue", "again"],  # the checker starts no kernel
        "disk": ["live", "rescue", "again"],
    }
    disk = of_image(known.events["disk"]["rescue"])
    assert disk[:4] == ["MBR", "MBR PARTITION_TABLE", "boot stage 1", "boot stage 2"]
    assert disk[-4:] == [
        "grub_cmd: setparams x: rescue",
        "grub_cmd: linux /live/vmlinuz bootproof.rescue",
        "kernel /live/vmlinuz",
        "kernel_cmdline: /live/vmlinuz bootproof.rescue",
    ]


def test_digests_are_those_of_the_bytes(image: bytes, known: Prediction) -> None:
    at, record = loader_at(image), 17 * SECTOR + 0x47
    catalog = int.from_bytes(image[record : record + 4], "little") * SECTOR
    core = image[at + SECTOR : at + 38 * SECTOR]
    parts = {
        "BOOT CATALOG": [image[catalog : catalog + SECTOR]],
        "EL TORITO IPL": [image[at : at + 512]],
        "boot stage 2": [image[at + 512 : at + 1536]],
        "GRUB core": [core[:32768], core[32768:65536], core[65536:]],
        "kernel /live/vmlinuz": [images.FILES["/live/vmlinuz"]],
        "initrd /live/more.img": [images.FILES["/live/more.img"]],
        "menu /boot/grub/grub.cfg": [images.MENU.encode()],
        "grub_cmd: set timeout=0": [b"set timeout=0"],
        "kernel_cmdline: /live/vmlinuz a=b,c quiet": [b"/live/vmlinuz a=b,c quiet"],
    }
    for text, wanted in parts.items():
        found = [event.digests for event in known.events["cd"]["live"] if event.text == text]
        assert [each["sha1"] for each in found] == [hashlib.sha1(part).digest() for part in wanted], text
        assert [each["sha256"] for each in found] == [hashlib.sha256(part).digest() for part in wanted], text


def test_pcrs_are_told_where_nothing_of_the_platform_is(known: Prediction) -> None:
    values = listed.pcrs(known.events["cd"]["live"])
    assert {name: list(bank) for name, bank in values.items()} == {
        "sha1": ["0", "3", "4", "5", "6", "7", "8"],
        "sha256": ["0", "3", "4", "5", "6", "7", "8"],
    }
    separator = hashlib.sha1(bytes(20) + hashlib.sha1(b"\xff" * 4).digest()).hexdigest()
    assert {values["sha1"][number] for number in "0367"} == {separator}


Place = Callable[[bytes], int]


def inside(path: str, offset: int = 1) -> Place:
    return lambda image: iso9660.find(image, path)[0].offset + offset


CHANGES: list[tuple[str, str, Place, set[str]]] = [
    ("MBR", "disk", lambda _: 100, {"MBR"}),
    ("partition table", "disk", lambda _: 500, {"MBR PARTITION_TABLE"}),
    ("MBR, from CD", "cd", lambda _: 100, set()),
    ("boot catalog", "cd", inside("/boot/grub/boot.cat", 2000), {"BOOT CATALOG"}),
    ("boot catalog, from disk", "disk", inside("/boot/grub/boot.cat", 2000), set()),
    ("stage 1 on CD", "cd", lambda image: loader_at(image) + 300, {"EL TORITO IPL"}),
    ("stage 1 on disk", "disk", lambda image: loader_at(image) + 300, {"boot stage 1"}),
    ("stage 2", "cd", lambda image: loader_at(image) + 512, {"boot stage 2"}),
    ("stage 2, last byte", "disk", lambda image: loader_at(image) + 1535, {"boot stage 2"}),
    ("behind stage 2", "cd", lambda image: loader_at(image) + 1536, set()),
    ("core, first byte", "cd", lambda image: loader_at(image) + 2048, {"GRUB core"}),
    ("core, last byte", "disk", lambda image: loader_at(image) + 38 * SECTOR - 1, {"GRUB core"}),
    ("menu's comment", "cd", inside("/boot/grub/grub.cfg", 3), {"menu /boot/grub/grub.cfg"}),
    ("kernel", "cd", inside("/live/vmlinuz", 5999), {"kernel /live/vmlinuz"}),
    ("behind the kernel", "cd", inside("/live/vmlinuz", 6000), set()),
    ("initrd", "disk", inside("/live/initrd.img", 0), {"initrd /live/initrd.img"}),
    ("layer", "cd", inside("/live/base.img"), set()),  # dm-verity checks it
]


@pytest.mark.parametrize(
    ("medium", "place", "told"), [row[1:] for row in CHANGES], ids=[row[0] for row in CHANGES]
)
def test_a_changed_byte_changes_the_event_that_stands_for_it(
    image: bytes, known: Prediction, medium: str, place: Place, told: set[str]
) -> None:
    changed = bytearray(image)
    changed[place(image)] ^= 1
    before, after = known.events[medium]["live"], predict(bytes(changed)).events[medium]["live"]
    assert len(before) == len(after)
    different = [(old, new) for old, new in zip(before, after, strict=True) if old != new]
    assert [old.text for old, _ in different] == list(told)
    for old, new in different:
        assert (old.text, old.kind, old.pcr) == (new.text, new.kind, new.pcr)
        assert all(old.digests[name] != new.digests[name] for name in ("sha1", "sha256"))


def test_a_changed_word_of_a_command_line_is_told_by_all_that_hold_it(
    tmp_path: Path, known: Prediction
) -> None:
    other = predict(images.made(tmp_path, images.MENU.replace("a=b,c", "a=b,d"))).events["cd"]["live"]
    pairs = zip(known.events["cd"]["live"], other, strict=True)
    different = [old.text for old, new in pairs if old.digests != new.digests]
    assert [text[:24] for text in different] == [
        "menu /boot/grub/grub.cfg",
        "grub_cmd: menuentry x: s",
        "grub_cmd: linux /live/vm",
        "kernel_cmdline: /live/vm",
    ]


def test_it_comes_back_from_the_manifest(known: Prediction) -> None:
    data = json.loads(json.dumps(listed.to_data(known), sort_keys=True))
    assert listed.from_data(data) == known


def damages() -> dict[str, Callable[[dict[str, Any]], object]]:
    return {
        "a digest": lambda data: data["events"][-1].update(sha1="00" * 20),
        "a digest's size": lambda data: data["events"][-1].update(sha1="00"),
        "a text": lambda data: data["events"][-1].update(text="\ud800"),
        "no text": lambda data: data["events"][-1].update(text=None),
        "a PCR": lambda data: data["events"][-1].update(pcr=99),
        "a value": lambda data: data["bios"]["cd"]["live"]["pcrs"]["sha1"].update({"4": "00" * 20}),
        "a medium": lambda data: data["bios"].pop("disk"),
        "an entry": lambda data: data["bios"]["cd"]["live"].pop("events"),
        "a place": lambda data: data["bios"]["cd"]["live"]["events"].append(999),
        "the default": lambda data: data.update(default=[]),
    }


@pytest.mark.parametrize("damage", damages())
def test_a_damaged_manifest_is_refused(known: Prediction, damage: str) -> None:
    data = json.loads(json.dumps(listed.to_data(known)))
    damages()[damage](data)
    with pytest.raises(PredictionError, match="damaged"):
        listed.from_data(data)


@given(
    st.recursive(
        st.none() | st.integers() | st.text(), lambda x: st.lists(x) | st.dictionaries(st.text(), x)
    )
)
def test_what_is_no_prediction_is_refused(data: object) -> None:
    with pytest.raises(PredictionError):
        listed.from_data(data)


@pytest.mark.parametrize(
    ("place", "value", "said"),
    [
        (16 * SECTOR + 1, b"XX", "no ISO 9660 image"),
        (17 * SECTOR + 7, b"XX", "no boot record"),
        (0x1B0, b"\xff" * 8, "beyond the end"),
    ],
)
def test_an_image_that_cannot_boot(image: bytes, place: int, value: bytes, said: str) -> None:
    with pytest.raises(PredictionError, match=said):
        predict(image[:place] + value + image[place + len(value) :])


@given(st.data())
def test_any_damage_is_a_prediction_or_a_prediction_error(image: bytes, data: st.DataObject) -> None:
    changed = bytearray(image)
    for _ in range(data.draw(st.integers(1, 4))):
        changed[data.draw(st.integers(0, 40 * SECTOR))] = data.draw(st.integers(0, 255))
    try:
        assert isinstance(predict(bytes(changed)), Prediction)
    except PredictionError as error:
        assert str(error)


@given(st.binary(max_size=3 * SECTOR))
def test_no_image_at_all(data: bytes) -> None:
    with pytest.raises(PredictionError):
        prediction.predict(data)
