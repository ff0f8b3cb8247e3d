# SPDX-License-Identifier: GPL-3.0-or-later
"""Character devices that commands come from, and the kernel's TPM proxy, which makes a /dev/tpmN of us.

The proxy (Linux, include/uapi/linux/vtpm_proxy.h; module tpm_vtpm_proxy): an ioctl on /dev/vtpmx makes a new
TPM device and returns a descriptor; each read from that is one command, each write one response. The kernel
sets the locality with the vendor command 20001000 (commands/vendor.py). The device goes when the descriptor
is closed.
"""

from __future__ import annotations

import errno
import fcntl
import logging
import os
import stat
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Final

_LOG: Final = logging.getLogger("vtpm")
PROXY: Final = Path("/dev/vtpmx")
_NEW_DEVICE: Final = struct.Struct("=5I")  # flags, number, descriptor, major, minor
_READ_WRITE: Final = 3
_IOC_NEW_DEV: Final = _READ_WRITE << 30 | _NEW_DEVICE.size << 16 | 0xA1 << 8
_TPM_1_2: Final = 0  # flags


class DeviceError(Exception):
    """A device cannot be had; the message is one line that says what to do."""


class Device:
    """An open device, with those methods of a socket that a connection needs. It is non-blocking."""

    def __init__(self, descriptor: int) -> None:
        os.set_blocking(descriptor, False)
        self._descriptor = descriptor

    def fileno(self) -> int:
        """Return the descriptor, for a selector."""
        return self._descriptor

    def recv(self, size: int) -> bytes:
        """Return one command."""
        return os.read(self._descriptor, size)

    def send(self, data: bytes, _flags: int = 0) -> int:
        """Write one response; it is dropped if the kernel does not wait for it any more."""
        try:
            return os.write(self._descriptor, data)
        except OSError as error:
            if error.errno != errno.EIO:
                raise
            _LOG.warning("a response came too late for the kernel")
            return len(data)

    def close(self) -> None:
        """Close it."""
        os.close(self._descriptor)


@dataclass(frozen=True)
class ProxyDevice:
    """What the kernel has made: /dev/tpm`number`, and our end of it."""

    descriptor: int
    number: int
    major: int
    minor: int

    def __str__(self) -> str:
        """The line that swtpm prints."""
        return f"New TPM device: /dev/tpm{self.number} (major/minor = {self.major}/{self.minor})"


def open_device(path: Path | None, descriptor: int | None) -> Device:
    """Open the device of that name, or take the descriptor; DeviceError."""
    where = f"descriptor {descriptor}" if path is None else os.fspath(path)
    try:
        if path is not None:
            descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC | os.O_NOCTTY)
        assert descriptor is not None
        mode = os.fstat(descriptor).st_mode
    except OSError as error:
        raise DeviceError(f"{where}: {error.strerror}; give a character device to serve") from None
    if any(test(mode) for test in (stat.S_ISREG, stat.S_ISDIR, stat.S_ISBLK)):
        raise DeviceError(f"{where}: is not a character device; give one to serve")
    return Device(descriptor)


def new_proxy_device() -> ProxyDevice:
    """Let the kernel make a TPM 1.2 device that sends its commands to us; DeviceError."""
    try:
        handle = os.open(PROXY, os.O_RDWR | os.O_CLOEXEC)
    except FileNotFoundError:
        raise DeviceError(
            f"--vtpm-proxy: there is no {PROXY}; load the module that makes it: modprobe tpm_vtpm_proxy"
        ) from None
    except OSError as error:
        raise DeviceError(f"--vtpm-proxy: {PROXY}: {error.strerror}; start the program as root") from None
    try:
        answer = fcntl.ioctl(handle, _IOC_NEW_DEV, _NEW_DEVICE.pack(_TPM_1_2, 0, 0, 0, 0))
    except OSError as error:
        raise DeviceError(f"--vtpm-proxy: {PROXY}: {error.strerror}; start the program as root") from None
    finally:
        os.close(handle)
    _flags, number, descriptor, major, minor = _NEW_DEVICE.unpack(answer)
    os.set_inheritable(descriptor, False)
    return ProxyDevice(descriptor, number, major, minor)
