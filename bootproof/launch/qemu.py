# SPDX-License-Identifier: GPL-3.0-or-later
"""QEMU's command line, from a `Machine`: pure functions.

Nothing is found through the file system: the monitor, the serial line, the firmware's debug port, the TPM's
control channel and the smoke report all are sockets that QEMU inherits, named here by their file
descriptors.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from bootproof.appliance.port import REPORT_PORT
from bootproof.launch.machine import HOST_TPM, Machine

QEMU = "qemu-system-x86_64"
REPORT_DEVICE = "report"
# SeaBIOS writes what it does to this port when a device listens there
_FIRMWARE_LOG_PORT = "0x402"


@dataclass(frozen=True, kw_only=True)
class Channels:
    """File descriptors that QEMU inherits; None leaves the device out.

    Without `serial` the guest's serial line is QEMU's own standard input and output.
    """

    qmp: int | None = None
    serial: int | None = None
    firmware: int | None = None
    report: int | None = None
    tpm: int | None = None

    def fds(self) -> list[int]:
        """Return the descriptors that have to be passed on."""
        return [fd for fd in (self.qmp, self.serial, self.firmware, self.report, self.tpm) if fd is not None]


def qemu_command(machine: Machine, channels: Channels) -> list[str]:
    """Return the command that boots `machine` and ends at the guest's first reset or power-off."""
    return [
        QEMU,
        "-name", _quoted(machine.name),
        "-nodefaults", "-no-user-config", "-no-reboot",
        *_processor(machine),
        *_screen(machine),
        *_medium(machine),
        *_serial(machine, channels),
        *_tpm(machine, channels),
        *_network(machine),
        *_watchers(channels),
    ]  # fmt: skip


def kernel_command(kernel: Path | str, accel: str, serial: int) -> list[str]:
    """Return the command that starts a bare Linux kernel, which has to panic for want of a root."""
    return [
        QEMU,
        "-nodefaults", "-no-user-config", "-no-reboot",
        "-machine", "pc", "-accel", accel, "-cpu", "host" if accel == "kvm" else "max",
        "-smp", "1", "-m", "256", "-display", "none",
        "-kernel", str(kernel), "-append", "console=ttyS0 earlyprintk=serial,ttyS0 panic=-1",
        *_inherited("serial", serial), "-serial", "chardev:serial",
    ]  # fmt: skip


def _processor(machine: Machine) -> list[str]:
    accel = "kvm" if machine.accel == "kvm" else "tcg,tb-size=256"
    cpu = "host" if machine.accel == "kvm" else "max"
    return ["-machine", "pc", "-accel", accel, "-cpu", cpu, "-smp", "1", "-m", str(machine.memory)]


def _screen(machine: Machine) -> list[str]:
    display = "none" if machine.display in ("none", "serial") else machine.display
    return ["-device", "VGA", "-display", display]


def _medium(machine: Machine) -> list[str]:
    drive = f"if=none,id=medium,format=raw,readonly=on,file={_quoted(str(machine.iso))}"
    if machine.media == "cd":
        return ["-drive", f"{drive},media=cdrom", "-device", "ide-cd,drive=medium,bootindex=0"]
    if machine.media == "usb":
        stick = "usb-storage,drive=medium,removable=on,bootindex=0"
        return ["-drive", drive, "-device", "qemu-xhci", "-device", stick]
    return ["-drive", drive, "-device", "virtio-blk-pci,drive=medium,bootindex=0"]


def _serial(machine: Machine, channels: Channels) -> list[str]:
    if channels.serial is not None:
        return [*_inherited("serial", channels.serial), "-serial", "chardev:serial"]
    if machine.display == "serial":
        # one terminal for the guest's console and QEMU's monitor; Ctrl-A x leaves, Ctrl-C goes to the guest
        return ["-serial", "mon:stdio"]
    if machine.display == "none":
        return ["-chardev", "file,id=serial,path=/dev/stdout", "-serial", "chardev:serial"]
    return ["-serial", "none" if machine.display == "curses" else "vc"]


def _tpm(machine: Machine, channels: Channels) -> list[str]:
    device = ["-device", "tpm-tis,tpmdev=tpm"]
    if machine.vtpm == "passthrough":
        return ["-tpmdev", f"passthrough,id=tpm,path={HOST_TPM}", *device]
    if channels.tpm is not None:
        return [*_inherited("vtpm", channels.tpm), "-tpmdev", "emulator,id=tpm,chardev=vtpm", *device]
    return []


def _network(machine: Machine) -> list[str]:
    if not machine.network:
        return []
    # no option ROM: it would be measured, and it is not ours to predict
    return ["-netdev", "user,id=net", "-device", "virtio-net-pci,netdev=net,romfile="]


def _watchers(channels: Channels) -> list[str]:
    words: list[str] = []
    if channels.qmp is not None:
        words += [*_inherited("qmp", channels.qmp), "-mon", "chardev=qmp,mode=control"]
    if channels.firmware is not None:
        words += [
            *_inherited("firmware", channels.firmware),
            "-device", f"isa-debugcon,iobase={_FIRMWARE_LOG_PORT},chardev=firmware",
        ]  # fmt: skip
    if channels.report is not None:
        words += [
            *_inherited("report", channels.report),
            "-device", "virtio-serial-pci",
            "-device", f"virtserialport,chardev=report,id={REPORT_DEVICE},name={REPORT_PORT}",
        ]  # fmt: skip
    return words


def _inherited(name: str, fd: int) -> list[str]:
    return ["-chardev", f"socket,id={name},fd={fd}"]


def _quoted(value: str) -> str:
    """Return `value` as QEMU's option parser wants it: a comma doubled."""
    return value.replace(",", ",,")
