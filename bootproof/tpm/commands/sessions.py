# SPDX-License-Identifier: GPL-3.0-or-later
"""Opening authorisation sessions (Part 3, 18), and letting go of what a handle names (Part 3, 22)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from bootproof.tpm import contexts, delegations, entities, numbers
from bootproof.tpm.codes import Rc, TpmError
from bootproof.tpm.command import Command, In
from bootproof.tpm.entities import Entity
from bootproof.tpm.numbers import Adip, Handle, Protocol, Resource
from bootproof.tpm.ordinals import Ord
from bootproof.tpm.sessions import hmac_sha1, new_nonce
from bootproof.tpm.structures.delegation import DelegatePublic
from bootproof.tpm.wire import Nothing, Structure, digest, fixed_size, structure, uint16, uint32

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
    """RESOURCES if all sessions are taken, INAPPROPRIATE_ENC for a scheme that is neither XOR nor AES,
    BAD_PARAMETER for an entity without authorisation data, BAD_HANDLE for the operator as a key, and the
    codes of keys, counters and NV areas that are not there. The owner may be a row of the delegate table
    (TPM_SetOwnerPointer): BADINDEX, DISABLED_CMD, FAMILYCOUNT.
    """
    tpm.sessions.need_room()
    adip, kind = split_entity(tpm, args.entity)
    if kind == numbers.Entity.KEYHANDLE and args.value == Handle.OPERATOR:
        raise TpmError(Rc.BAD_HANDLE)
    entity = entities.resolve(tpm, kind, args.value)
    row = delegations.pointed_row(tpm) if entity.kind == numbers.Entity.OWNER else None
    if row is None:
        return open_shared(tpm, entity, adip, args.nonce_odd)
    delegations.check_family(tpm, row.public)
    delegate = replace(entity, secret=row.auth)
    return open_shared(tpm, delegate, adip, args.nonce_odd, row.public)


def split_entity(tpm: Tpm, entity: int) -> tuple[Adip, int]:
    """Return how authorisation data travel and the kind of a TPM_ENTITY_TYPE; INAPPROPRIATE_ENC for a scheme
    that is neither XOR nor AES, and for XOR where the FIPS flag is set.
    """
    scheme, kind = divmod(entity, 0x100)
    if scheme not in tuple(Adip) or (scheme == Adip.XOR and tpm.permanent.flags.fips):
        raise TpmError(Rc.INAPPROPRIATE_ENC)
    return Adip(scheme), kind


def open_shared(
    tpm: Tpm, entity: Entity, adip: Adip, nonce_odd: bytes, delegation: DelegatePublic | None = None
) -> OsapOut:
    """Open a session with a secret that is shared by those who know the entity's: DSAP for a delegate, else
    OSAP. RESOURCES.
    """
    nonce = new_nonce()
    session = replace(
        tpm.sessions.open(Protocol.OSAP if delegation is None else Protocol.DSAP),
        entity=entity.kind,
        identity=entity.identity,
        adip=adip,
        shared_secret=hmac_sha1(entity.secret, nonce, nonce_odd),
        delegation=b"" if delegation is None else delegation.encode(),
    )
    tpm.sessions.update(session)
    return OsapOut(session.handle, session.nonce_even, nonce)


def _flush_key(tpm: Tpm, handle: int) -> None:
    if all(loaded.handle != handle for loaded in tpm.keys):
        raise TpmError(Rc.BAD_PARAMETER)
    tpm.keys.flush(handle)


def _flush_session(tpm: Tpm, handle: int) -> None:
    tpm.sessions.get(handle)
    tpm.sessions.close(handle)


def _flush_transport(tpm: Tpm, handle: int) -> None:
    tpm.transports.get(handle)
    tpm.transports.close(handle)


def _no_daa_session(_tpm: Tpm, _handle: int) -> None:
    raise TpmError(Rc.BAD_HANDLE)


_FLUSHERS: Final[dict[int, Callable[[Tpm, int], None]]] = {
    Resource.KEY: _flush_key,
    Resource.AUTH: _flush_session,
    Resource.TRANS: _flush_transport,
    Resource.CONTEXT: contexts.strike_off,
    Resource.DAA_TPM: _no_daa_session,
}


def _flushed_key(args: FlushIn) -> tuple[int, ...]:
    return (args.handle,) if args.resource == Resource.KEY else ()


def flush_specific(tpm: Tpm, args: FlushIn) -> None:
    """The code of an unknown handle of that resource type; INVALID_RESOURCE for a type that cannot be
    flushed.
    """
    flusher = _FLUSHERS.get(args.resource)
    if flusher is None:
        raise TpmError(Rc.INVALID_RESOURCE)
    flusher(tpm, args.handle)


ROWS: Final = (
    Command(Ord.OIAP, "TPM_OIAP", "18.1", oiap, Nothing, In.OFF, clear_out=fixed_size(OiapOut)),
    Command(
        Ord.OSAP,
        "TPM_OSAP",
        "18.2",
        osap,
        OsapIn,
        In.OFF,
        needs_owner=True,
        clear_in=fixed_size(OsapIn),
        clear_out=fixed_size(OsapOut),
    ),
    Command(
        Ord.FLUSH_SPECIFIC,
        "TPM_FlushSpecific",
        "22.1",
        flush_specific,
        FlushIn,
        In.OFF,
        handles=1,
        logged_keys=_flushed_key,
    ),
)
