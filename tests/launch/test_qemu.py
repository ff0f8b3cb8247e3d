# SPDX-License-Identifier: GPL-3.0-or-later
from pathlib import Path

import pytest

from bootproof.launch.machine import Machine
from bootproof.launch.qemu import Channels, kernel_command, qemu_command

MACHINE = Machine(iso=Path("/images/demo.iso"), name="demo")


def after(words: list[str], option: str) -> str:
    return words[words.index(option) + 1]


def test_smoke_machine() -> None:
    words = qemu_command(MACHINE, Channels(qmp=3, serial=4, firmware=5, report=6, tpm=7))
    assert words == [
        "qemu-system-x86_64", "-name", "demo", "-nodefaults", "-no-user-config", "-no-reboot",
        "-machine", "pc", "-accel", "tcg,tb-size=256", "-cpu", "max", "-smp", "1", "-m", "1024",
        "-device", "VGA", "-display", "none",
        "-drive", "if=none,id=medium,format=raw,readonly=on,file=/images/demo.iso,media=cdrom",
        "-device", "ide-cd,drive=medium,bootindex=0",
        "-chardev", "socket,id=serial,fd=4", "-serial", "chardev:serial",
        "-chardev", "socket,id=vtpm,fd=7",
        "-tpmdev", "emulator,id=tpm,chardev=vtpm", "-device", "tpm-tis,tpmdev=tpm",
        "-chardev", "socket,id=qmp,fd=3", "-mon", "chardev=qmp,mode=control",
        "-chardev", "socket,id=firmware,fd=5", "-device", "isa-debugcon,iobase=0x402,chardev=firmware",
        "-chardev", "socket,id=report,fd=6", "-device", "virtio-serial-pci",
        "-device", "virtserialport,chardev=report,id=report,name=org.bootproof.report",
    ]  # fmt: skip


def test_terminal_machine_has_network_and_the_terminal_and_nothing_of_the_smoke_test() -> None:
    machine = Machine(iso=Path("/x.iso"), name="x", display="serial", accel="kvm", network=True, vtpm="none")
    words = qemu_command(machine, Channels())
    assert after(words, "-serial") == "mon:stdio"
    assert after(words, "-accel") == "kvm"
    assert after(words, "-cpu") == "host"
    assert after(words, "-netdev") == "user,id=net"
    assert not {"-tpmdev", "-mon", "-chardev"} & set(words)


@pytest.mark.parametrize(
    ("media", "device"),
    [("cd", "ide-cd,"), ("usb", "usb-storage,"), ("disk", "virtio-blk-pci,")],
)
def test_every_medium_is_read_only_and_booted_first(media: str, device: str) -> None:
    words = qemu_command(Machine(iso=Path("/x.iso"), name="x", media=media), Channels(serial=3))
    assert "readonly=on" in after(words, "-drive")
    attached = next(word for word in words if word.startswith(device))
    assert "bootindex=0" in attached


def test_passthrough_uses_the_hosts_tpm() -> None:
    words = qemu_command(Machine(iso=Path("/x.iso"), name="x", vtpm="passthrough"), Channels(serial=3))
    assert after(words, "-tpmdev") == "passthrough,id=tpm,path=/dev/tpm0"


@pytest.mark.parametrize(
    ("display", "serial"),
    [("gtk", "vc"), ("curses", "none"), ("none", "chardev:serial"), ("serial", "mon:stdio")],
)
def test_where_the_serial_line_goes(display: str, serial: str) -> None:
    words = qemu_command(Machine(iso=Path("/x.iso"), name="x", display=display), Channels())
    assert after(words, "-serial") == serial


def test_commas_in_names_are_doubled() -> None:
    words = qemu_command(Machine(iso=Path("/a,b.iso"), name="a,b"), Channels(serial=3))
    assert after(words, "-name") == "a,,b"
    assert "file=/a,,b.iso" in after(words, "-drive")


def test_kernel_command_boots_without_a_root() -> None:
    words = kernel_command("/proc/self/fd/9", "kvm", 4)
    assert after(words, "-accel") == "kvm"
    assert after(words, "-cpu") == "host"
    assert after(words, "-kernel") == "/proc/self/fd/9"
    assert "panic=-1" in after(words, "-append")
    assert "-no-reboot" in words


def test_channels_name_the_descriptors_to_pass_on() -> None:
    assert Channels(qmp=3, tpm=9).fds() == [3, 9]
