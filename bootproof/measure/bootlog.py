# SPDX-License-Identifier: GPL-3.0-or-later
"""The firmware's event log: TPM 1.2 layout and crypto-agile layout, little endian.

Sources: TCG PC Client Specific Implementation Specification for Conventional BIOS 1.21, "Event Logging"
(TCG_PCClientPCREventStruct); TCG PC Client Platform Firmware Profile 1.05, "Event Logging" (TCG_PCR_EVENT2,
TCG_EfiSpecIDEvent, TCG_EfiStartupLocalityEvent).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from bootproof.measure import algorithms, eventtext
from bootproof.measure.eventtypes import EV_NO_ACTION, type_name
from bootproof.measure.reader import LogError, Reader

__all__ = ["BootLog", "Event", "LogError", "parse"]

_SPEC_ID = b"Spec ID Event03\0"
_STARTUP_LOCALITY = b"StartupLocality\0"
_SHA1_SIZE = 20
_DATA = 32  # where the data of the first event begin
_LAST_PCR = 23
_NO_PCR = 0xFFFFFFFF
# The TPM library allows 16 banks (HASH_COUNT); no firmware comes near that.
_MOST_ALGORITHMS = 16


@dataclass(frozen=True, slots=True)
class Event:
    """One record: `digests` by algorithm name are what was extended into `pcr`, `data` is what firmware says
    it was.

    Events count from 1; the header of a crypto-agile log, which is extended nowhere, is number 0.
    """

    number: int
    pcr: int
    type: int
    digests: Mapping[str, bytes]
    data: bytes

    @property
    def type_name(self) -> str:
        """The TCG name, such as EV_IPL; a number without a name is shown in hex."""
        return type_name(self.type)

    @property
    def text(self) -> str:
        """What the event data say, in one line of printable characters."""
        return eventtext.describe(self.type, self.data)

    @property
    def is_extended(self) -> bool:
        """False for EV_NO_ACTION, which informs and is extended nowhere."""
        return self.type != EV_NO_ACTION

    @property
    def startup_locality(self) -> int | None:
        """The locality TPM2_Startup was sent from, if this is the event that tells it."""
        if self.type == EV_NO_ACTION and self.data[:16] == _STARTUP_LOCALITY and len(self.data) > 16:
            return self.data[16]
        return None


@dataclass(frozen=True, slots=True)
class BootLog:
    """A whole log; `algorithms` are the banks it has digests for, in its own order."""

    events: tuple[Event, ...]
    algorithms: tuple[str, ...]

    @property
    def is_crypto_agile(self) -> bool:
        """True for the layout of TPM 2.0 firmware."""
        return bool(self.events) and self.events[0].number == 0

    @property
    def measured(self) -> tuple[Event, ...]:
        """The events that were extended into a PCR."""
        return tuple(event for event in self.events if event.is_extended)


def parse(data: bytes) -> BootLog:
    """Read a binary log (Linux: binary_bios_measurements); damage is a `LogError` that names the offset.

    No bytes at all are a log without events. Memory is proportional to the input.
    """
    reader = Reader(data)
    if data[4:8] != EV_NO_ACTION.to_bytes(4, "little") or data[_DATA : _DATA + len(_SPEC_ID)] != _SPEC_ID:
        return BootLog(tuple(_events12(reader)), ("sha1",))
    header = _event12(reader, 0)
    sizes = _spec_id(header.data, _DATA)
    events = (header, *_events_agile(reader, sizes))
    return BootLog(events, tuple(name for name, _ in sizes.values()))


def _events12(reader: Reader) -> Iterator[Event]:
    number = 0
    while reader.left:
        number += 1
        yield _event12(reader, number)


def _event12(reader: Reader, number: int) -> Event:
    pcr = _pcr(reader, number)
    kind = reader.u32(f"type of event {number}")
    digest = reader.take(_SHA1_SIZE, f"digest of event {number}")
    return Event(number, pcr, kind, {"sha1": digest}, reader.sized(f"data of event {number}"))


def _pcr(reader: Reader, number: int) -> int:
    start = reader.offset
    pcr = reader.u32(f"PCR of event {number}")
    if pcr > _LAST_PCR:
        # Some firmware gives events that are extended nowhere the PCR number 0xffffffff.
        if pcr == _NO_PCR and reader.data[reader.offset : reader.offset + 4] == EV_NO_ACTION.to_bytes(
            4, "little"
        ):
            return pcr
        raise LogError(start, f"event {number} is for PCR {pcr}, the last one is {_LAST_PCR}")
    return pcr


def _spec_id(data: bytes, start: int) -> dict[int, tuple[str, int]]:
    """Return algorithm number -> (name, digest size) from the header; `start` is where it lies in the
    log."""
    reader = Reader(data)
    try:
        reader.take(len(_SPEC_ID) + 8, "header")
        return dict(_algorithm(reader) for _ in range(_count(reader)))
    except LogError as error:
        raise LogError(start + error.offset, f"Spec ID event: {error.what}") from None


def _count(reader: Reader) -> int:
    count = reader.u32("number of algorithms")
    if not 0 < count <= _MOST_ALGORITHMS:
        raise LogError(reader.offset - 4, f"{count} hash algorithms, 1 to {_MOST_ALGORITHMS} make sense")
    return count


def _algorithm(reader: Reader) -> tuple[int, tuple[str, int]]:
    start = reader.offset
    number, size = reader.u16("algorithm"), reader.u16("digest size")
    name = algorithms.BY_ID.get(number, f"alg-0x{number:04x}")
    if size == 0 or size != algorithms.SIZES.get(name, size):
        raise LogError(start, f"{name} digests of {size} bytes")
    return number, (name, size)


def _events_agile(reader: Reader, sizes: Mapping[int, tuple[str, int]]) -> Iterator[Event]:
    number = 0
    while reader.left:
        number += 1
        pcr = _pcr(reader, number)
        kind = reader.u32(f"type of event {number}")
        digests = _digests(reader, sizes, number)
        yield Event(number, pcr, kind, digests, reader.sized(f"data of event {number}"))


def _digests(reader: Reader, sizes: Mapping[int, tuple[str, int]], number: int) -> dict[str, bytes]:
    start = reader.offset
    count = reader.u32(f"number of digests of event {number}")
    if not 0 < count <= len(sizes):
        raise LogError(start, f"event {number} has {count} digests, the header announces {len(sizes)}")
    digests: dict[str, bytes] = {}
    for _ in range(count):
        start = reader.offset
        algorithm = reader.u16(f"algorithm of a digest of event {number}")
        if algorithm not in sizes:
            raise LogError(start, f"event {number} has a digest of unannounced algorithm 0x{algorithm:04x}")
        name, size = sizes[algorithm]
        digests[name] = reader.take(size, f"{name} digest of event {number}")
    return digests
