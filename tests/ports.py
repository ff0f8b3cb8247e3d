# SPDX-License-Identifier: GPL-3.0-or-later
"""TCP ports for servers under test that cannot choose one themselves."""

from __future__ import annotations

import random
import socket
from pathlib import Path

_LOWEST, _HIGHEST = 20000, 32768
_RESERVATIONS: list[socket.socket] = []  # held until this process ends


def free_ports(count: int) -> list[int]:
    """Return ports of 127.0.0.1 that nobody listens on, all different, and never given to another test."""
    return [free_port() for _ in range(count)]


def free_port() -> int:
    """Return one such port.

    It is not one the kernel takes for outgoing connections: such a port can be gone before the server
    has started. The reservation is a socket with a name in the kernel, which tests that run beside see, too.
    """
    candidates = list(range(_LOWEST, _first_of_outgoing()) or range(_LOWEST, _HIGHEST))
    random.shuffle(candidates)
    return next(port for port in candidates if _reserved(port) and _is_free(port))


def _first_of_outgoing() -> int:
    return int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])


def _reserved(port: int) -> bool:
    reservation = socket.socket(socket.AF_UNIX)
    try:
        reservation.bind(f"\0bootproof-test-port-{port}")
    except OSError:
        reservation.close()
        return False
    _RESERVATIONS.append(reservation)
    return True


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) != 0
