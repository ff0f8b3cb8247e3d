# SPDX-License-Identifier: GPL-3.0-or-later
"""One command with authorisation sessions on its way through the TPM (Part 1, 13; Part 3, 18)."""

from __future__ import annotations

import hmac
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from bootproof.tpm import defence, delegations, entities, migration, numbers
from bootproof.tpm.codes import Rc, TpmError
from bootproof.tpm.crypto.padding import xor
from bootproof.tpm.entities import Entity
from bootproof.tpm.numbers import Adip, AuthUsage, KeyFlag, Protocol
from bootproof.tpm.sessions import hmac_sha1, new_nonce
from bootproof.tpm.structures.delegation import DelegatePublic
from bootproof.tpm.structures.keys import sha1
from bootproof.tpm.wire import Structure, boolean, digest, structure, uint32

if TYPE_CHECKING:
    from bootproof.tpm.command import Command
    from bootproof.tpm.handles import HandleTable
    from bootproof.tpm.keys import LoadedKey
    from bootproof.tpm.machine import Tpm
    from bootproof.tpm.state import Session
    from bootproof.tpm.structures.transport import Transport

AUTH_IN_SIZE: Final = 45
AUTH_OUT_SIZE: Final = 41
_AES_BLOCK: Final = 16
_ACCEPTED: Final = {
    Protocol.OIAP: (Protocol.OIAP,),
    Protocol.OSAP: (Protocol.OSAP, Protocol.DSAP),
}


@structure
class AuthIn(Structure):
    """One authorisation behind the parameters of a command."""

    handle: int = uint32()
    nonce_odd: bytes = digest()
    keep: bool = boolean()
    value: bytes = digest()


class Slot:
    """One authorisation of a command: what came in and, once that was verified, session and HMAC key.

    `table` is where its session is; `nonce` is the next nonceEven, where a handler has to know it.
    """

    __slots__ = ("delegation", "given", "keep", "key", "nonce", "session", "table")

    def __init__(self, given: AuthIn, table: HandleTable[Any]) -> None:
        self.given = given
        self.table = table
        self.keep = given.keep
        self.session: Session | Transport | None = None
        self.delegation: DelegatePublic | None = None
        self.key: bytes | None = None
        self.nonce: bytes | None = None

    def proves(self, key: bytes, in_digest: bytes, nonce_even: bytes) -> bool:
        """Whether what came in was made with that key for that command."""
        over = (in_digest, nonce_even, self.given.nonce_odd, b"\1" if self.given.keep else b"\0")
        return hmac.compare_digest(hmac_sha1(key, *over), self.given.value)


class Call:
    """What a handler works with: the TPM, the command, and the authorisations that came with it.

    A handler has to verify every authorisation (`owner`, `key`, `authorize`); a success with one that nobody
    looked at becomes FAIL. `digest` and `out_digest` are what their HMACs cover besides nonces; the second
    is None where it is the usual one, as is `audited`, the two digests for the audit.
    """

    __slots__ = ("audited", "command", "digest", "out_digest", "slots", "tpm")

    def __init__(self, tpm: Tpm, command: Command, in_digest: bytes, given: list[AuthIn]) -> None:
        self.tpm = tpm
        self.command = command
        self.digest = in_digest
        self.out_digest: bytes | None = None
        self.audited: tuple[bytes, bytes] | None = None
        self.slots = [Slot(auth, tpm.sessions) for auth in given]

    @property
    def count(self) -> int:
        """How many authorisations came with the command."""
        return len(self.slots)

    # verifying ------------------------------------------------------------------------------------

    def authorize(self, entity: Entity, slot: int = 0, protocol: Protocol | None = None) -> None:
        """Check the HMAC of that slot for the entity.

        AUTHFAIL (AUTH2FAIL in the second slot), DEFEND_LOCK_RUNNING, and what `session` refuses.
        """
        current = self.slots[slot]
        session = self.session(slot, protocol)
        key = self._session_key(session, entity, slot)
        if not current.proves(key, self.digest, session.nonce_even):
            defence.note_failure(self.tpm)
            raise self._failure(slot)
        current.key = key

    def accept(self, entity: Entity, slot: int = 0) -> None:
        """Answer as to the entity without checking that it asks: for what anybody may do at present.

        INVALID_AUTHHANDLE; AUTHFAIL for a session that is tied to something else.
        """
        self.slots[slot].key = self._session_key(self.session(slot), entity, slot)

    def _session_key(self, session: Session, entity: Entity, slot: int) -> bytes:
        """Return the HMAC key for that entity in that session; what a delegate may not do is refused."""
        if session.protocol == Protocol.OIAP:
            row = delegations.pointed_row(self.tpm) if entity.kind == numbers.Entity.OWNER else None
            if row is None:
                return entity.secret
            self._delegated(row.public, entity, slot)
            return row.auth
        if session.identity != entity.identity:
            raise self._failure(slot)
        if session.delegation:
            self._delegated(DelegatePublic.decode(session.delegation), entity, slot)
        return session.shared_secret

    def _delegated(self, public: DelegatePublic, entity: Entity, slot: int) -> None:
        """Note that a delegate speaks for the entity, if he may do that now."""
        delegations.permit(self.tpm, public, entity.kind, self.command)
        self.slots[slot].delegation = public

    def delegation(self, slot: int = 0) -> DelegatePublic | None:
        """Return by what delegation that slot was authorised; None for owner or key's user himself."""
        return self.slots[slot].delegation

    def _failure(self, slot: int) -> TpmError:
        return TpmError(Rc.AUTH2FAIL if slot else Rc.AUTHFAIL)

    def owner(self, slot: int = 0, protocol: Protocol | None = None) -> None:
        """Check that the owner, or a delegate of his, wants it; AUTHFAIL also for a command that is answered
        without an owner.
        """
        self.session(slot, protocol)
        if self.tpm.permanent.owner is None:
            raise self._failure(slot)
        self.authorize(entities.of_owner(self.tpm), slot, protocol)

    def use_key(
        self,
        handle: int,
        slot: int | None = 0,
        *,
        reads_public: bool = False,
        protocol: Protocol | None = None,
    ) -> LoadedKey:
        """Return the key after checking that it may be used now, by this caller.

        `slot` is None, or is not there, where the command came without authorisation for this key.
        INVALID_KEYHANDLE, NOSRK, WRONGPCRVAL, BAD_LOCALITY, AUTHFAIL.
        """
        loaded = self.tpm.keys.get(handle)
        self.check_condition(loaded, reads_public=reads_public)
        self.authorize_key(loaded, slot, reads_public=reads_public, protocol=protocol)
        return loaded

    def check_condition(self, key: LoadedKey, *, reads_public: bool = False) -> None:
        """WRONGPCRVAL, BAD_LOCALITY where PCRs and locality forbid the use of a key (Part 1, 25)."""
        ignored = reads_public and key.key.has(KeyFlag.PCR_IGNORED_ON_READ)
        if key.condition is not None and not ignored:
            key.condition.holds(self.tpm.pcrs.values, self.tpm.locality)

    def authorize_key(
        self,
        key: LoadedKey,
        slot: int | None,
        *,
        reads_public: bool = False,
        protocol: Protocol | None = None,
    ) -> None:
        """Check that slot for a key; without one AUTHFAIL, unless the key asks for no authorisation."""
        if slot is not None and slot < len(self.slots):
            self.authorize(entities.of_key(key), slot, protocol)
            if self.delegation(slot) is not None:
                migration.check_delegable(self.tpm, key.key)
            return
        usage = key.key.auth_usage
        if usage != AuthUsage.NEVER and not (reads_public and usage == AuthUsage.PRIV_USE_ONLY):
            raise TpmError(Rc.AUTHFAIL)

    def transport(self, slot: int) -> Transport:
        """Return the transport session that this slot is of; INVALID_AUTHHANDLE if it is not open."""
        current = self.slots[slot]
        current.table = self.tpm.transports
        transport = self.tpm.transports.use(current.given.handle)
        current.session, current.key = transport, transport.secret
        return transport

    def session(self, slot: int = 0, protocol: Protocol | None = None) -> Session:
        """Return the session of a slot; INVALID_AUTHHANDLE if it is not open, BAD_MODE if it is of another
        protocol than `protocol`. DSAP will do where OSAP is wanted.
        """
        session = self.tpm.sessions.get(self.slots[slot].given.handle)
        self.slots[slot].session = session
        if protocol is not None and session.protocol not in _ACCEPTED[protocol]:
            raise TpmError(Rc.BAD_MODE)
        return session

    # authorisation data that came encrypted (Part 1, 14.8) -----------------------------------------

    def decrypt_auth(self, encrypted: bytes, slot: int = 0, *, second: bool = False) -> bytes:
        """Return new authorisation data of 20 bytes that were encrypted with the OSAP session of that slot.

        `second`: it is the second one in this command. BAD_MODE for an OIAP session.
        """
        current = self.slots[slot]
        session = self.session(slot)
        if session.protocol == Protocol.OIAP:
            raise TpmError(Rc.BAD_MODE)
        nonce = current.given.nonce_odd if second else session.nonce_even
        if session.adip == Adip.AES_CTR:
            from bootproof.tpm.crypto.symmetric import aes_ctr

            return aes_ctr(session.shared_secret[:_AES_BLOCK], nonce[:_AES_BLOCK], encrypted)
        return xor(encrypted, sha1(session.shared_secret, nonce))

    def end_session(self, slot: int = 0) -> None:
        """Close the session of that slot with this command, whatever the caller wanted."""
        self.slots[slot].keep = False

    # the end --------------------------------------------------------------------------------------

    def answer(self, out_digest: bytes) -> bytes:
        """Return the authorisations of a successful response, and go on with or close the sessions."""
        return b"".join([self._answer(slot, out_digest) for slot in self.slots])

    def _answer(self, slot: Slot, out_digest: bytes) -> bytes:
        if slot.session is None or slot.key is None:
            raise TpmError(Rc.FAIL)
        handle, nonce = slot.session.handle, slot.nonce or new_nonce()
        keep = slot.keep and handle in slot.table
        if keep:
            slot.table.update(replace(slot.session, nonce_even=nonce))
        else:
            slot.table.close(handle)
        keep_byte = b"\1" if keep else b"\0"
        value = hmac_sha1(slot.key, out_digest, nonce, slot.given.nonce_odd, keep_byte)
        return nonce + keep_byte + value

    def abandon(self, code: Rc) -> None:
        """Close the sessions of a failed command, whether it came to verify them or not."""
        if code == Rc.DEFEND_LOCK_RUNNING:
            return
        for slot in self.slots:
            slot.table.close(slot.given.handle)
