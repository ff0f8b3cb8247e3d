# SPDX-License-Identifier: GPL-3.0-or-later
"""Opening authorisation sessions (Part 3, 18), and letting go of what a handle names (Part 3, 22)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from bootproof.tpm import entities
from bootproof.tpm.codes import Rc, TpmError
from bootproof.tpm.command import Command, In
from bootproof.tpm.numbers import Adip, Protocol, Resource
from bootproof.tpm.ordinals import Ord
from bootproof.tpm.sessions import hmac_sha1, new_nonce
from bootproof.tpm.wire import Nothing, Structure, digest, structure, uint16, uint32

if TYPE_CHECKING:
    from bootproof.tpm.machine import Tpm


@structure
class OiapOut(Structure):
    """TPM_OIAP: the session's handle and its first nonce."""

    handle: int = uint32()
    nonce_even: bytes = digest()


@structure
class OsapIn(Structure):
    """TPM_OSAP: what the session is for. The entity's high byte chooses how authorisation data travel."""

    entity: int = uint16()
    value: int = uint32()
    nonce_odd: bytes = digest()


@structure
class OsapOut(Structure):
    """TPM_OSAP: handle, first nonce, and the nonce that the shared secret is made of."""

    handle: int = uint32()
    nonce_even: bytes = digest()
    nonce_even_osap: bytes = digest()


@structure
class FlushIn(Structure):
    """TPM_FlushSpecific."""

    handle: int = uint32()
    resource: int = uint32()


def oiap(tpm: Tpm, _args: Nothing) -> OiapOut:
    """RESOURCES if all sessions are taken."""
    session = tpm.sessions.open(Protocol.OIAP)
    return OiapOut(session.handle, session.nonce_even)


def osap(tpm: Tpm, args: OsapIn) -> OsapOut:
    """BAD_PARAMETER for an entity without authorisation data, INAPPROPRIATE_ENC for a scheme that is neither
    XOR nor AES; RESOURCES.
    """
    adip, kind = divmod(args.entity, 0x100)
    if adip not in tuple(Adip):
        raise TpmError(Rc.INAPPROPRIATE_ENC)
    entity = entities.resolve(tpm, kind, args.value)
    nonce = new_nonce()
    session = replace(
        tpm.sessions.open(Protocol.OSAP),
        entity=entity.kind,
        identity=entity.identity,
        adip=adip,
        shared_secret=hmac_sha1(entity.secret, nonce, args.nonce_odd),
    )
    tpm.sessions.update(session)
    return OsapOut(session.handle, session.nonce_even, nonce)


def _flush_key(tpm: Tpm, handle: int) -> None:
    found = next((loaded for loaded in tpm.keys.loaded() if loaded.handle == handle), None)
    if found is None:
        raise TpmError(Rc.BAD_PARAMETER)
    tpm.keys.remove(handle)
    tpm.sessions.close_where(found.identity)


def _flush_session(tpm: Tpm, handle: int) -> None:
    tpm.sessions.get(handle)
    tpm.sessions.close(handle)


def _unknown(code: Rc) -> Callable[[Tpm, int], None]:
    def refuse(_tpm: Tpm, _handle: int) -> None:
        raise TpmError(code)

    return refuse


_FLUSHERS: Final[dict[int, Callable[[Tpm, int], None]]] = {
    Resource.KEY: _flush_key,
    Resource.AUTH: _flush_session,
    Resource.TRANS: _unknown(Rc.INVALID_AUTHHANDLE),
    Resource.CONTEXT: _unknown(Rc.BAD_PARAMETER),
    Resource.DAA_TPM: _unknown(Rc.BAD_HANDLE),
}


def flush_specific(tpm: Tpm, args: FlushIn) -> None:
    """The code of an unknown handle of that resource type; INVALID_RESOURCE for a type that cannot be
    flushed.
    """
    flusher = _FLUSHERS.get(args.resource)
    if flusher is None:
        raise TpmError(Rc.INVALID_RESOURCE)
    flusher(tpm, args.handle)


ROWS: Final = (
    Command(Ord.OIAP, "TPM_OIAP", "18.1", oiap, Nothing),
    Command(Ord.OSAP, "TPM_OSAP", "18.2", osap, OsapIn),
    Command(Ord.FLUSH_SPECIFIC, "TPM_FlushSpecific", "22.1", flush_specific, FlushIn, In.OFF),
)
