# SPDX-License-Identifier: GPL-3.0-or-later
"""Is what an event says what was measured? A replay proves digests only; the text beside them could be
anything."""

from __future__ import annotations

from bootproof.measure import algorithms, eventtypes
from bootproof.measure.bootlog import Event

# Types whose digest is, by the Platform Firmware Profile, the hash of the event data themselves.
_OVER_DATA = {
    eventtypes.EV_SEPARATOR,
    eventtypes.EV_ACTION,
    eventtypes.EV_EFI_ACTION,
    eventtypes.EV_EFI_VARIABLE_DRIVER_CONFIG,
}
# GRUB writes these before the text that it hashes.
_GRUB_PREFIXES = (b"grub_cmd: ", b"kernel_cmdline: ", b"module_cmdline: ")


def is_measured(event: Event, algorithm: str) -> bool | None:
    """Return whether the event data belong to the digest; None if the digest is of something the log does
    not hold."""
    digest = event.digests.get(algorithm)
    text = _measured_text(event)
    if digest is None or text is None or algorithm not in algorithms.SIZES:
        return None
    return digest in (algorithms.digest(algorithm, text), algorithms.digest(algorithm, text.rstrip(b"\0")))


def _measured_text(event: Event) -> bytes | None:
    if event.type in _OVER_DATA:
        return event.data
    if event.type == eventtypes.EV_IPL:
        for prefix in _GRUB_PREFIXES:
            if event.data.startswith(prefix):
                return event.data[len(prefix) :]
    return None
