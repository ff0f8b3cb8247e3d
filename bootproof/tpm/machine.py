# SPDX-License-Identifier: GPL-3.0-or-later
"""The TPM itself: power, locality, and the way of a command from its bytes to its response."""

from __future__ import annotations

import logging
import os
import struct
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final, Protocol

from bootproof.tpm import audit, defence
from bootproof.tpm.call import AUTH_OUT_SIZE, AuthIn, Call
from bootproof.tpm.codes import HEADER_SIZE, TAG_REQUEST, TAG_RESPONSE, Rc, TpmError
from bootproof.tpm.command import Command, In
from bootproof.tpm.keys import KeySlots
from bootproof.tpm.limits import BUFFER_SIZE
from bootproof.tpm.ordinals import Ord
from bootproof.tpm.pcrs import ZEROS, PcrBank
from bootproof.tpm.persistence.store import Kind, StateError
from bootproof.tpm.sessions import SessionTable
from bootproof.tpm.state import Permanent, StClearFlags, Volatile
from bootproof.tpm.structures.audit import unpack_ordinals
from bootproof.tpm.structures.context import Contexts
from bootproof.tpm.structures.counters import NO_COUNTER
from bootproof.tpm.structures.keys import sha1
from bootproof.tpm.structures.nv import NvLocks
from bootproof.tpm.structures.stclear import StClearData
from bootproof.tpm.structures.transport import Transport
from bootproof.tpm.transport import TransportTable
from bootproof.tpm.wire import Reader

if TYPE_CHECKING:
    from bootproof.tpm.crypto.rsa import PrivateKey

_HEADER: Final = struct.Struct(">HII")
_LOG: Final = logging.getLogger("vtpm")


def _unix_time() -> int:
    """Return the milliseconds since 1970."""
    return time.time_ns() // 1_000_000


def _make_key(bits: int, exponent: int) -> PrivateKey:
    """Generate an RSA key; the one thing that takes long, so a server replaces this with a way to wait."""
    from bootproof.tpm.crypto.rsa import PrivateKey

    return PrivateKey.generate(bits, exponent)


class Store(Protocol):
    """Where permanent state goes; `store.StateDirectory` in the running program."""

    def load(self, kind: Kind) -> bytes | None:
        """Return the stored payload or None."""

    def save(self, kind: Kind, payload: bytes) -> None:
        """Store it durably or raise OSError."""

    def remove(self, kind: Kind) -> None:
        """Forget it."""


def response(rc: int, body: bytes = b"", auths: int = 0) -> bytes:
    """Return a response; its body ends with that many authorisations."""
    return _HEADER.pack(TAG_RESPONSE + auths, HEADER_SIZE + len(body), rc) + body


_SUCCESS: Final = response(Rc.SUCCESS)
_OK: Final = bytes(4)  # the result code, in HMACs
_ORDINAL: Final = slice(6, HEADER_SIZE)
# of TPM_ExecuteTransport's response: header, ticks, locality, size of the wrapped response, authorisation
TRANSPORT_OVERHEAD: Final = HEADER_SIZE + 8 + 4 + 4 + AUTH_OUT_SIZE


class Tpm:
    """One TPM 1.2. Handlers in commands/ work on the attributes and never raise anything but TpmError."""

    def __init__(self, commands: Mapping[int, Command], store: Store, highest_locality: int = 4) -> None:
        """Read the permanent state (StateError if it is damaged); the TPM has no power yet."""
        self.commands = commands
        self.store = store
        self.running = False
        self.locality = 0
        self.highest_locality = highest_locality
        self.buffer_size = BUFFER_SIZE
        self.executed = 0
        self.clock: Callable[[], int] = _unix_time
        self.presence_signal = False
        self.make_key: Callable[[int, int], PrivateKey] = _make_key
        self._gives_up_saved = False
        self.auditing = False  # the command is audited
        self.begins_audit = False  # and the next commit counts a new audit digest
        self.audit_counted = False
        self._write_failed = False
        self.reload()
        self._reset_volatile()

    def reload(self) -> None:
        """Read the permanent state again, as after it was replaced from outside."""
        stored = self.store.load(Kind.PERMANENT)
        try:
            new = Permanent(audit=audit.initial(self.commands))
            self.permanent: Permanent = new if stored is None else Permanent.decode(stored)
        except TpmError as error:
            raise StateError(
                "the permanent state has a sound checksum but cannot be read; restore a copy"
            ) from error
        self.audited = unpack_ordinals(self.permanent.audit.ordinals)

    def _reset_volatile(self) -> None:
        self.post_init = True
        self.failed = False
        self.os_present = False
        self.stclear = StClearFlags()
        self.stclear_data = StClearData()
        self.pcrs = PcrBank()
        self.keys: KeySlots = KeySlots(self)
        self.sessions = SessionTable()
        self.transports = TransportTable()
        self.within: Transport | None = None
        self.reset_sessions()
        self.nv_locks = NvLocks()
        self.active_counter = NO_COUNTER
        self.sha1: Any = None
        self.sha1_transport = 0
        self.launch_hash: Any = None
        self.start_ticks()

    def reset_sessions(self) -> None:
        """Close all sessions, make those that are saved worthless, and begin a new audit digest: what
        starting and clearing the TPM have in common (TPM_STANY_DATA).
        """
        self.sessions.close_all()
        self.transports.close_all()
        self.contexts = Contexts()
        self.audit_digest = audit.NO_EVENTS

    def set_locality(self, locality: int) -> None:
        """Commands come from that locality from now on, power cycles included; BAD_LOCALITY if there is
        none such.
        """
        if locality > self.highest_locality:
            raise TpmError(Rc.BAD_LOCALITY)
        self.locality = locality

    @property
    def present(self) -> bool:
        """Whether somebody stands in front of the machine: said by TSC_PhysicalPresence or, with a wire, by
        the platform (`presence_signal`), each as far as it is enabled (Part 1, 10).
        """
        flags = self.permanent.flags
        by_command = flags.presence_cmd_enable and self.stclear.physical_presence
        return by_command or (flags.presence_hw_enable and self.presence_signal)

    # power ----------------------------------------------------------------------------------------

    def power_on(self, resume: Volatile | None = None) -> None:
        """TPM_Init: forget everything volatile, or continue from a snapshot."""
        self._reset_volatile()
        if resume is not None:
            self._resume(resume)
        self.running = True

    def power_off(self) -> None:
        """Stop answering; permanent state is on disk already."""
        self.running = False

    def snapshot(self) -> Volatile:
        """Return the volatile state as it is now."""
        return Volatile(
            post_init=self.post_init,
            failed=self.failed,
            os_present=self.os_present,
            stclear=self.stclear,
            ticks=self.ticks(),
            tick_nonce=self.tick_nonce,
            pcrs=self.pcrs.encode(),
            keys=self.keys.stored(),
            sessions=tuple(self.sessions),
            nv_locks=self.nv_locks,
            active_counter=self.active_counter,
            stclear_data=self.stclear_data,
            contexts=self.contexts,
            transports=self.transports.stored(),
            audit_digest=self.audit_digest,
        )

    def _resume(self, state: Volatile) -> None:
        self.post_init, self.failed, self.os_present = state.post_init, state.failed, state.os_present
        self.stclear, self.tick_nonce = state.stclear, state.tick_nonce
        self.stclear_data = state.stclear_data
        self.pcrs.load(state.pcrs)
        self.keys.restore(state.keys)
        self.sessions.restore(state.sessions)
        self.transports.restore_all(state.transports)
        self.contexts, self.audit_digest = state.contexts, state.audit_digest
        self.nv_locks, self.active_counter = state.nv_locks, state.active_counter
        self._tick_zero = time.monotonic_ns() - state.ticks * 1000

    def start_ticks(self) -> None:
        """Begin a new tick session: count from 0 under a new nonce (Part 1, 20)."""
        self._tick_zero = time.monotonic_ns()
        self.tick_nonce = os.urandom(len(ZEROS))

    def ticks(self) -> int:
        """Return the microseconds since TPM_Startup."""
        return (time.monotonic_ns() - self._tick_zero) // 1000

    # permanent state ------------------------------------------------------------------------------

    def commit(self, permanent: Permanent) -> None:
        """Make this the permanent state: on disk first, then in memory; IOERROR changes nothing in memory.

        A handler commits before it changes anything volatile, so that a failing disk leaves the TPM as it
        was.
        """
        if self._gives_up_saved and permanent.saved:
            permanent = replace(permanent, saved=b"")
        if self.begins_audit:
            permanent = audit.counted(permanent)
        if permanent == self.permanent:
            return
        try:
            self.store.save(Kind.PERMANENT, permanent.encode())
        except OSError as error:
            self._write_failed = True
            _LOG.error("state not written: %s", error)
            raise TpmError(Rc.IOERROR) from error
        if permanent.audit.ordinals != self.permanent.audit.ordinals:
            self.audited = unpack_ordinals(permanent.audit.ordinals)
        self.permanent = permanent
        self.audit_counted |= self.begins_audit
        self.begins_audit = False

    def commit_flags(self, **flags: bool) -> None:
        """Commit a change of permanent flags."""
        self.commit(replace(self.permanent, flags=replace(self.permanent.flags, **flags)))

    # commands -------------------------------------------------------------------------------------

    def execute(self, request: bytes) -> bytes:
        """Return the response to one command of any content; nothing that arrives here raises."""
        self.executed += 1
        if not self.running:
            return response(Rc.FAIL)
        self.auditing = self.begins_audit = self.audit_counted = False
        return self._answer_after_save(request) if self.permanent.saved else self._answer(request)

    def _answer_after_save(self, request: bytes) -> bytes:
        """Answer a command that may give up what TPM_SaveState kept, in one step with what else it changes
        for ever: its first commit does both. If there was none it is done here. Then the command has been
        executed already, so everything volatile goes back to where it was if the disk fails.
        """
        before = self.snapshot()
        self._write_failed = False
        answer = self._answer(request)
        if self._gives_up_saved and self.permanent.saved:
            if not self._write_failed:
                with suppress(TpmError):
                    self.commit(self.permanent)
            if self._write_failed:
                self._resume(before)
                self.sha1 = None
                answer = response(Rc.IOERROR)
        self._gives_up_saved = False
        return answer

    def execute_within(self, transport: Transport, request: bytes) -> bytes:
        """As execute, for a command that came in that transport session."""
        self.within = transport
        try:
            return self._answer(request)
        finally:
            self.within = None

    @property
    def within_handle(self) -> int:
        """The handle of the transport session that this command came in; 0 for none."""
        return 0 if self.within is None else self.within.handle

    @property
    def room(self) -> int:
        """How long the response to this command may be, in bytes: its buffer, or what a transport leaves."""
        return self.buffer_size - (0 if self.within is None else TRANSPORT_OVERHEAD)

    def _answer(self, request: bytes) -> bytes:
        try:
            return self._run(request)
        except TpmError as error:
            return response(error.rc)
        except Exception:
            _LOG.exception("a command failed in a way that it should not")
            return response(Rc.FAIL)

    def _run(self, request: bytes) -> bytes:
        size = len(request)
        if size < HEADER_SIZE or size > self.buffer_size:
            raise TpmError(Rc.BAD_PARAM_SIZE)
        tag, claimed, ordinal = _HEADER.unpack_from(request)
        if claimed != size:
            raise TpmError(Rc.BAD_PARAM_SIZE)
        command = self.commands.get(ordinal)
        if self.sha1 is not None and self._ends_sha1(command):
            self.sha1 = None
        if command is None:
            raise TpmError(Rc.BAD_ORDINAL)
        self._admit(command)
        count = tag - TAG_REQUEST
        if count not in command.auths:
            command.parameters.read(Reader(request[HEADER_SIZE:]))  # what is wrong with them is said first
            raise TpmError(Rc.BADTAG)
        audited = ordinal in self.audited
        if audited:
            self.auditing, self.begins_audit = True, self.audit_digest == audit.NO_EVENTS
        if not command.plain:
            return self._run_authorized(command, request, count, audited)
        if audited:
            return self._run_audited(command, request)
        answer = command.handler(self, self._parameters(command, request[HEADER_SIZE:]))
        return _SUCCESS if answer is None else response(0, answer.encode())

    def _parameters(self, command: Command, encoded: bytes) -> Any:
        """Return the parameters of a command that may come from this locality; BAD_LOCALITY."""
        parameters = command.parameters.decode(encoded)
        self._check_locality(command)
        return parameters

    def _check_locality(self, command: Command) -> None:
        if self.locality not in command.localities:
            raise TpmError(Rc.BAD_LOCALITY)

    def _run_audited(self, command: Command, request: bytes) -> bytes:
        """Run a command without authorisation that is audited (Part 3, 8.1)."""
        args = self._parameters(command, request[HEADER_SIZE:])
        code = request[_ORDINAL]
        into = sha1(code, request[HEADER_SIZE + 4 * command.handles :])
        saves_state = command.ordinal == Ord.SAVE_STATE  # and saves the digest with its input, but no output
        if saves_state:
            audit.record_in(self, command.ordinal, into)
        answer = command.handler(self, args)
        body = b"" if answer is None else answer.encode()
        if not saves_state:
            audit.record(self, command.ordinal, into, sha1(_OK, code, body[4 * command.out_handles :]))
        return response(0, body)

    def _run_authorized(self, command: Command, request: bytes, count: int, audited: bool) -> bytes:
        """Run a command that may have authorisations: `count` of them end the request (Part 1, 13)."""
        if count and command.ordinal != Ord.RESET_LOCK_VALUE:
            defence.check(self)
        reader = Reader(request[HEADER_SIZE:])
        args = command.parameters.read(reader)
        parameters = request[HEADER_SIZE : HEADER_SIZE + reader.at]
        given = [AuthIn.read(reader) for _ in range(count)]
        reader.end()
        self._check_locality(command)
        code = request[_ORDINAL]
        call = Call(self, command, sha1(code, parameters[4 * command.handles :]), given)
        try:
            answer = command.handler(call, args)
            body = b"" if answer is None else answer.encode()
            out = sha1(_OK, code, body[4 * command.out_handles :])
            auths = call.answer(call.out_digest or out)
            if audited:
                audit.record(self, command.ordinal, *(call.audited or (call.digest, out)))
        except Exception as error:
            call.abandon(error.rc if isinstance(error, TpmError) else Rc.FAIL)
            raise
        return response(0, body + auths, count)

    def _admit(self, command: Command) -> None:
        """Refuse what the state of the TPM does not allow, and end what any other command ends."""
        if self.post_init and In.POST_INIT not in command.allowed:
            raise TpmError(Rc.INVALID_POSTINIT)
        if self.failed and In.FAILED not in command.allowed:
            raise TpmError(Rc.FAILEDSELFTEST)
        if self.permanent.flags.disable and In.DISABLED not in command.allowed:
            raise TpmError(Rc.DISABLED)
        if self.stclear.deactivated and In.DEACTIVATED not in command.allowed:
            raise TpmError(Rc.DEACTIVATED)
        if command.needs_owner and self.permanent.owner is None:
            raise TpmError(Rc.NOSRK)
        if self.transports.exclusive is not None and self._ends_exclusive(command):
            self.transports.end_exclusive()
        if self.permanent.saved:
            self._gives_up_saved = command.ordinal not in (Ord.SAVE_STATE, Ord.STARTUP)

    def _ends_exclusive(self, command: Command) -> bool:
        """Whether a command ends the exclusive transport session; those that use one look for themselves."""
        own = command.ordinal in (Ord.EXECUTE_TRANSPORT, Ord.RELEASE_TRANSPORT_SIGNED)
        return self.within is None and not own

    def _ends_sha1(self, command: Command | None) -> bool:
        """Whether a command ends the SHA-1 thread, which may not leave or enter a transport session. It is
        enough that it arrives, as is one that this TPM has not (Part 3, 13.1).
        """
        if command is None:
            return True
        if command.ordinal == Ord.EXECUTE_TRANSPORT:
            return False
        return not command.keeps_sha1 or self.sha1_transport != self.within_handle
