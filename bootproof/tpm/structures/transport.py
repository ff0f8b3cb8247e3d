# SPDX-License-Identifier: GPL-3.0-or-later
"""Transport sessions (Part 2, 13)."""

from __future__ import annotations

from enum import IntFlag

from bootproof.tpm.codes import DIGEST_SIZE
from bootproof.tpm.structures.ticks import CurrentTicks
from bootproof.tpm.wire import Structure, digest, listed, nested, structure, structure_tag, uint16, uint32


class Attribute(IntFlag):
    """TPM_TRANSPORT_ATTRIBUTES (13.1)."""

    ENCRYPT = 1
    LOG = 2
    EXCLUSIVE = 4


@structure
class TransportPublic(Structure):
    """TPM_TRANSPORT_PUBLIC (13.1): attributes, encryption algorithm and its mode."""

    tag: int = structure_tag(default=0x001E)
    attributes: int = uint32(default=0)
    algorithm: int = uint32(default=0)
    scheme: int = uint16(default=0)

    def has(self, attribute: Attribute) -> bool:
        """Whether that attribute is set."""
        return bool(self.attributes & attribute)


@structure
class Transport(Structure):
    """TPM_TRANSPORT_INTERNAL (13.2), in a layout of our own; `digest` is the log."""

    handle: int = uint32()
    public: TransportPublic = nested(TransportPublic)
    secret: bytes = digest()
    nonce_even: bytes = digest()
    digest: bytes = digest(default=bytes(DIGEST_SIZE))


@structure
class Transports(Structure):
    """The open sessions, and the handle of the exclusive one (0: none), for a snapshot."""

    open: tuple[Transport, ...] = listed(Transport, default=())
    exclusive: int = uint32(default=0)


@structure
class TransportLogIn(Structure):
    """TPM_TRANSPORT_LOG_IN (13.3): digests of the parameters and of the keys that the command names."""

    tag: int = structure_tag(default=0x0010)
    parameters: bytes = digest()
    keys: bytes = digest(default=bytes(DIGEST_SIZE))


@structure
class TransportLogOut(Structure):
    """TPM_TRANSPORT_LOG_OUT (13.4)."""

    tag: int = structure_tag(default=0x0011)
    ticks: CurrentTicks = nested(CurrentTicks)
    parameters: bytes = digest()
    locality: int = uint32()


@structure
class TransportAuth(Structure):
    """TPM_TRANSPORT_AUTH (13.5): what the secret of a session is encrypted in."""

    tag: int = structure_tag(default=0x001D)
    secret: bytes = digest()
