# SPDX-License-Identifier: GPL-3.0-or-later
"""The wire of physical presence: the option, the monitor, and what TSC_PhysicalPresence makes of it."""

from __future__ import annotations

import itertools
import socket
from pathlib import Path

import pytest

from bootproof.tpm.codes import Rc
from bootproof.tpm.persistence.container import Kind
from bootproof.tpm.service.blobs import Keys, make_blob, take_blob
from bootproof.tpm.service.monitor import Monitor
from tests.tpm.conftest import CONTROL, DATA, READY, Bench, Start, exchange, request
from tests.tpm.test_server import monitor

PRESENCE, PHYSICAL_ENABLE = 0x4000000A, 0x6F
PRESENT, LOCK, CMD_ENABLE, HW_ENABLE, LIFETIME_LOCK = 0x08, 0x04, 0x20, 0x40, 0x80
CMD_DISABLE, HW_DISABLE = 0x100, 0x200
MONITOR = ("--monitor", "type=unixio,path={}/mon")
STATES = list(itertools.product([False, True], repeat=5))


def tell(bench: Bench, bits: int) -> int:
    return bench.code(PRESENCE, bits.to_bytes(2))


@pytest.mark.parametrize(("hardware", "command", "lifetime_lock", "wire", "asserted"), STATES)
def test_physical_presence_in_all_combinations(
    bench: Bench, hardware: bool, command: bool, lifetime_lock: bool, wire: bool, asserted: bool
) -> None:
    settings = (HW_ENABLE if hardware else HW_DISABLE) | (CMD_ENABLE if command else CMD_DISABLE)
    assert tell(bench, settings | (LIFETIME_LOCK if lifetime_lock else 0)) == 0
    bench.tpm.presence_signal = wire
    if asserted:
        assert tell(bench, PRESENT) == (0 if command else Rc.BAD_PARAMETER)
    present = (hardware and wire) or (command and asserted)
    assert bench.code(PHYSICAL_ENABLE) == (0 if present else Rc.BAD_PRESENCE)
    assert tell(bench, HW_ENABLE) == (Rc.BAD_PARAMETER if lifetime_lock else 0)


@pytest.mark.parametrize("wire", [False, True])
def test_the_firmwares_lock_is_about_the_command_only(bench: Bench, wire: bool) -> None:
    bench.tpm.presence_signal = wire
    assert [tell(bench, bits) for bits in (CMD_ENABLE | HW_ENABLE, PRESENT, LOCK)] == [0, 0, 0]
    assert tell(bench, PRESENT) == Rc.BAD_PARAMETER
    assert bench.tpm.present == wire


def test_the_wire_outlives_the_power_and_stays_with_its_machine(bench: Bench) -> None:
    assert tell(bench, HW_ENABLE) == 0
    Monitor(bench.tpm).feed(b"presence on\n")
    bench.start()
    assert bench.tpm.present
    other = Bench()
    for kind in (Kind.PERMANENT, Kind.VOLATILE):
        take_blob(other.tpm, kind, make_blob(bench.tpm, kind, Keys(), decrypted=True), Keys())
    other.start()
    assert other.tpm.permanent.flags.presence_hw_enable
    assert not other.tpm.present


def physical_enable(data: socket.socket) -> int:
    return int.from_bytes(exchange(data, request(PHYSICAL_ENABLE))[6:10])


def test_the_option_and_the_monitor(start: Start, tmp_path: Path) -> None:
    for option, codes in (((), (0x2D, 0, 0x2D)), (("--physical-presence",), (0, 0, 0x2D))):
        emulator = start("--tpmstate", f"dir={tmp_path}", *DATA, *CONTROL, *READY, *MONITOR, *option)
        with emulator.connect("data") as data, emulator.connect("mon") as watch:
            assert exchange(data, request(PRESENCE, "0040"))[6:10] == bytes(4)
            found = [physical_enable(data)]
            assert monitor(watch, "info")["presence"] is bool(option)
            for word in ("on", "off"):
                assert monitor(watch, f"presence {word}") == {"presence": word == "on"}
                assert monitor(watch, "info")["presence"] is (word == "on")
                found.append(physical_enable(data))
        emulator.stop()
        assert tuple(found) == codes
