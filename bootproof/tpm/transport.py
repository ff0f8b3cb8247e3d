# SPDX-License-Identifier: GPL-3.0-or-later
"""Transport sessions: which are open, and how they encrypt (Part 1, 18; Part 3, 24)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from bootproof.tpm.codes import Rc, TpmError
from bootproof.tpm.crypto import symmetric
from bootproof.tpm.crypto.padding import mgf1
from bootproof.tpm.handles import HandleTable
from bootproof.tpm.limits import TRANSPORT_SESSIONS
from bootproof.tpm.numbers import Algorithm, EncScheme
from bootproof.tpm.structures.transport import Attribute, Transport, TransportPublic, Transports

_HANDLE_PREFIX: Final = 0x04
_AES_BLOCK: Final = 16
_AES_MODES: Final = {EncScheme.SYM_CTR: symmetric.aes_ctr, EncScheme.SYM_OFB: symmetric.aes_ofb}
INTO: Final = b"in"
OUT: Final = b"out"


class TransportTable(HandleTable[Transport]):
    """The open transport sessions; the exclusive one, if there is one, ends with any other command."""

    def __init__(self) -> None:
        super().__init__(_HANDLE_PREFIX, TRANSPORT_SESSIONS)
        self.exclusive: int | None = None

    def use(self, handle: int) -> Transport:
        """Return the session of that handle, which ends an exclusive one of another; INVALID_AUTHHANDLE."""
        if self.exclusive != handle:
            self.end_exclusive()
        return self.get(handle)

    def end_exclusive(self) -> None:
        """Close the exclusive session, if there is one."""
        if self.exclusive is not None:
            self.close(self.exclusive)

    def close(self, handle: int) -> None:
        """Close it, if it is open."""
        super().close(handle)
        if self.exclusive == handle:
            self.exclusive = None

    def close_all(self) -> None:
        """Close all."""
        super().close_all()
        self.exclusive = None

    def stored(self) -> Transports:
        """Return all for a snapshot."""
        return Transports(tuple(self), self.exclusive or 0)

    def restore_all(self, saved: Transports) -> None:
        """Take all from a snapshot."""
        self.restore(saved.open)
        self.exclusive = saved.exclusive if saved.exclusive in self else None


def check_encryption(public: TransportPublic, fips: bool) -> None:
    """BAD_KEY_PROPERTY for an unknown algorithm, INAPPROPRIATE_ENC for a mode that it has not, or for what
    FIPS forbids.
    """
    if public.algorithm not in (Algorithm.MGF1, Algorithm.AES128):
        raise TpmError(Rc.BAD_KEY_PROPERTY)
    modes: Iterable[int] = _AES_MODES if public.algorithm == Algorithm.AES128 else (EncScheme.NONE,)
    if public.scheme not in modes or (fips and public.algorithm == Algorithm.MGF1):
        raise TpmError(Rc.INAPPROPRIATE_ENC)


def crypt(transport: Transport, nonces: bytes, way: bytes, data: bytes) -> bytes:
    """Encrypt or decrypt parameters on their way INTO the TPM or OUT of it (Part 3, 24.2, 4 and 17).

    `nonces`: nonceEven and nonceOdd; of the two nonceEven of a command it is the last one on the way in, the
    new one on the way out.
    """
    if not data or not transport.public.has(Attribute.ENCRYPT):
        return data
    seed = nonces + way
    if transport.public.algorithm == Algorithm.MGF1:
        return symmetric.mgf1_xor(seed + transport.secret, data)
    mode = _AES_MODES[EncScheme(transport.public.scheme)]
    return mode(transport.secret[:_AES_BLOCK], mgf1(seed, _AES_BLOCK), data)
