# SPDX-License-Identifier: GPL-3.0-or-later
"""Transport sessions: commands inside of commands, encrypted and logged (Part 3, 24)."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from bootproof.tpm.call import AUTH_IN_SIZE, AUTH_OUT_SIZE
from bootproof.tpm.codes import DIGEST_SIZE, HEADER_SIZE, MOST_AUTHS, TAG_REQUEST, TAG_RESPONSE, Rc, TpmError
from bootproof.tpm.command import Command, Row
from bootproof.tpm.commands.absent import ABSENT
from bootproof.tpm.commands.ticks import get_ticks
from bootproof.tpm.numbers import EncScheme, Handle, KeyUsage, SigScheme
from bootproof.tpm.ordinals import Ord
from bootproof.tpm.sessions import new_nonce
from bootproof.tpm.structures.certify import SignInfo
from bootproof.tpm.structures.keys import sha1
from bootproof.tpm.structures.ticks import CurrentTicks
from bootproof.tpm.structures.transport import (
    Attribute,
    Transport,
    TransportAuth,
    TransportLogIn,
    TransportLogOut,
    TransportPublic,
)
from bootproof.tpm.transport import INTO, OUT, check_encryption, crypt
from bootproof.tpm.wire import Nothing, Structure, digest, nested, sized32, structure, uint32, uint64

if TYPE_CHECKING:
    from bootproof.tpm.call import Call
    from bootproof.tpm.machine import Tpm

_RELEASED: Final = b"TRAN"
_TAG: Final = slice(0, 2)
_SIZE: Final = slice(2, 6)
_CODE: Final = slice(6, HEADER_SIZE)
_OK: Final = bytes(4)
_ABSENT: Final = {row.ordinal: row for row in ABSENT}


@structure
class EstablishIn(Structure):
    """TPM_EstablishTransport: the key that `secret` is encrypted for, or TPM_KH_TRANSPORT."""

    handle: int = uint32()
    public: TransportPublic = nested(TransportPublic)
    secret: bytes = sized32()


@structure
class EstablishOut(Structure):
    """TPM_EstablishTransport."""

    handle: int = uint32()
    locality: int = uint32()
    ticks: CurrentTicks = nested(CurrentTicks)
    nonce_even: bytes = digest()


@structure
class ExecuteIn(Structure):
    """TPM_ExecuteTransport: a whole command."""

    wrapped: bytes = sized32()


@structure
class ExecuteOut(Structure):
    """TPM_ExecuteTransport: when and from where, and a whole response."""

    ticks: int = uint64()
    locality: int = uint32()
    wrapped: bytes = sized32()


@structure
class ReleaseIn(Structure):
    """TPM_ReleaseTransportSigned: the key that signs the log, and a nonce of the caller's."""

    handle: int = uint32()
    replay: bytes = digest()


@structure
class ReleaseOut(Structure):
    """TPM_ReleaseTransportSigned: when and from where, and the signature over a TPM_SIGN_INFO."""

    locality: int = uint32()
    ticks: CurrentTicks = nested(CurrentTicks)
    signature: bytes = sized32()


@dataclass(frozen=True)
class Wrapped:
    """A command or response inside of a transport session: its parameters (DATAw) by themselves, and what is
    before and after them.
    """

    before: bytes
    data: bytes
    after: bytes

    @property
    def whole(self) -> bytes:
        """All of it."""
        return self.before + self.data + self.after


# establishing -------------------------------------------------------------------------------------


def establish_transport(call: Call, args: EstablishIn) -> EstablishOut:
    """BADTAG, BAD_SCHEME, BAD_PARAM_SIZE for a secret in the clear with an authorisation, for encryption,
    or of another length than 20 bytes; INVALID_KEYHANDLE, INVALID_KEYUSAGE for a key that is neither for
    storage nor legacy, WRONGPCRVAL, BAD_LOCALITY, AUTHFAIL, DECRYPT_ERROR; BAD_KEY_PROPERTY,
    INAPPROPRIATE_ENC for an encryption that is not there: it can be MGF1, AES128 CTR, AES128 OFB. RESOURCES.
    """
    tpm, public = call.tpm, args.public
    secret = _clear_secret(call, args) if args.handle == Handle.TRANSPORT else _decrypted_secret(call, args)
    if public.has(Attribute.ENCRYPT):
        check_encryption(public, tpm.permanent.flags.fips)
    made = tpm.transports.add(lambda handle: Transport(handle, public, secret, new_nonce()))
    if public.has(Attribute.EXCLUSIVE):
        tpm.transports.exclusive = made.handle
    answer = EstablishOut(made.handle, tpm.locality, get_ticks(tpm, Nothing()), made.nonce_even)
    out = sha1(_OK, Ord.ESTABLISH_TRANSPORT.to_bytes(4), answer.encode()[4:])
    made = _log_out(_log_in(made, TransportLogIn(call.digest)), tpm, answer.ticks, out)
    tpm.transports.update(made)
    return answer


def _clear_secret(call: Call, args: EstablishIn) -> bytes:
    if call.count:
        raise TpmError(Rc.BADTAG)
    if args.public.has(Attribute.ENCRYPT):
        raise TpmError(Rc.BAD_SCHEME)
    if len(args.secret) != DIGEST_SIZE:
        raise TpmError(Rc.BAD_PARAM_SIZE)
    return args.secret


def _decrypted_secret(call: Call, args: EstablishIn) -> bytes:
    call.tpm.keys.get(args.handle).need_usage(KeyUsage.STORAGE, KeyUsage.LEGACY)
    key = call.use_key(args.handle)
    old_padding = key.key.parameters.encryption == EncScheme.PKCS1
    clear = (key.rsa.decrypt_pkcs1 if old_padding else key.rsa.decrypt_oaep)(args.secret)
    try:
        return TransportAuth.decode(clear).secret
    except TpmError as error:
        raise TpmError(Rc.DECRYPT_ERROR) from error


# executing ----------------------------------------------------------------------------------------


def execute_transport(call: Call, args: ExecuteIn) -> ExecuteOut:
    """INVALID_AUTHHANDLE, AUTHFAIL; BAD_PARAMETER where the wrapped bytes are no command, BAD_ORDINAL where
    they are one that the specification does not have; NO_WRAP_TRANSPORT for the three commands of this
    group; with logging, INVALID_KEYHANDLE or NOSRK for a key that is not there. All these end the session.
    What becomes of the wrapped command is in its own response.
    """
    tpm, slot = call.tpm, call.slots[0]
    transport = call.transport(0)
    command, hidden = _split_request(tpm, args.wrapped)
    nonces = transport.nonce_even + slot.given.nonce_odd
    request = replace(hidden, data=crypt(transport, nonces, INTO, hidden.data))
    into = sha1(command.ordinal.to_bytes(4), request.data)
    outer = Ord.EXECUTE_TRANSPORT.to_bytes(4)
    call.digest = sha1(outer, len(args.wrapped).to_bytes(4), into)
    if not slot.proves(transport.secret, call.digest, transport.nonce_even):
        raise TpmError(Rc.AUTHFAIL)
    if isinstance(command, Command) and not command.wrappable:
        raise TpmError(Rc.NO_WRAP_TRANSPORT)
    if transport.public.has(Attribute.LOG):
        transport = _log_in(transport, TransportLogIn(into, _key_digest(tpm, command, request)))
    slot.nonce = new_nonce()
    transport = replace(transport, nonce_even=slot.nonce)
    tpm.transports.update(transport)
    answer = _split_response(command, tpm.execute_within(transport, request.whole))
    ticks = get_ticks(tpm, Nothing())
    out = sha1(answer.before[_CODE], command.ordinal.to_bytes(4), answer.data)
    transport = _log_out(transport, tpm, ticks, out)
    slot.session = transport
    hidden = replace(answer, data=crypt(transport, slot.nonce + slot.given.nonce_odd, OUT, answer.data))
    result = ExecuteOut(ticks.ticks, tpm.locality, hidden.whole)
    clear = result.encode()[: -len(hidden.whole)]
    call.out_digest, call.audited = sha1(_OK, outer, clear, out), (into, out)
    return result


def _split_request(tpm: Tpm, wrapped: bytes) -> tuple[Row, Wrapped]:
    """Return what command this is, and its parts; BAD_PARAMETER if it is none, BAD_ORDINAL."""
    if len(wrapped) < HEADER_SIZE or int.from_bytes(wrapped[_SIZE]) != len(wrapped):
        raise TpmError(Rc.BAD_PARAMETER)
    ordinal = int.from_bytes(wrapped[_CODE])
    command = tpm.commands.get(ordinal) or _ABSENT.get(ordinal)
    if command is None:
        raise TpmError(Rc.BAD_ORDINAL)
    auths = _auths(wrapped, TAG_REQUEST)
    return command, _split(wrapped, command.clear_sizes[0], auths * AUTH_IN_SIZE)


def _split_response(command: Row, response: bytes) -> Wrapped:
    if response[_CODE] != _OK:
        return Wrapped(response, b"", b"")
    auths = _auths(response, TAG_RESPONSE)
    return _split(response, command.clear_sizes[1], auths * AUTH_OUT_SIZE)


def _auths(frame: bytes, lowest_tag: int) -> int:
    count = int.from_bytes(frame[_TAG]) - lowest_tag
    return count if count in range(MOST_AUTHS + 1) else 0


def _split(frame: bytes, clear: int, auths: int) -> Wrapped:
    start, end = HEADER_SIZE + clear, len(frame) - auths
    if end < start:
        raise TpmError(Rc.BAD_PARAMETER)
    return Wrapped(frame[:start], frame[start:end], frame[end:])


# the log ------------------------------------------------------------------------------------------


def _log_in(transport: Transport, event: TransportLogIn) -> Transport:
    """Return the session with that in its log; sessions without the attribute keep one for nobody."""
    return replace(transport, digest=sha1(transport.digest, event.encode()))


def _log_out(transport: Transport, tpm: Tpm, ticks: CurrentTicks, parameters: bytes) -> Transport:
    event = TransportLogOut(ticks, parameters, tpm.locality)
    return replace(transport, digest=sha1(transport.digest, event.encode()))


def _key_digest(tpm: Tpm, command: Row, request: Wrapped) -> bytes:
    """Return the digest over the public keys that the command names, zeros for none (24.2, 10)."""
    if not isinstance(command, Command):
        return bytes(DIGEST_SIZE)
    try:
        parameters = command.parameters.decode((request.before + request.data)[HEADER_SIZE:])
    except TpmError:
        return bytes(DIGEST_SIZE)  # the command will be refused, and names no key until it is understood
    digests = [sha1(_modulus(tpm, handle)) for handle in command.keys(parameters)]
    return sha1(*digests) if digests else bytes(DIGEST_SIZE)


def _modulus(tpm: Tpm, handle: int) -> bytes:
    """Return the TPM_STORE_PUBKEY of a key."""
    if handle == Handle.EK and tpm.permanent.ek is not None:
        key = tpm.permanent.ek.key
    else:
        key = tpm.keys.get(handle).key
    return len(key.public).to_bytes(4) + key.public


# releasing ----------------------------------------------------------------------------------------


def release_transport_signed(call: Call, args: ReleaseIn) -> ReleaseOut:
    """INVALID_AUTHHANDLE, INVALID_KEYHANDLE; INAPPROPRIATE_SIG for a key whose scheme is neither SHA1 nor
    INFO, INVALID_KEYUSAGE for one that is not for signing; WRONGPCRVAL, BAD_LOCALITY, AUTHFAIL; AUTH2FAIL if
    the session's own authorisation is wrong, BAD_MODE for a session without a log.
    """
    tpm = call.tpm
    last = call.count - 1
    transport = call.transport(last)
    key = tpm.keys.get(args.handle)
    if key.key.parameters.signature not in (SigScheme.PKCS1_SHA1, SigScheme.PKCS1_INFO):
        raise TpmError(Rc.INAPPROPRIATE_SIG)
    key.need_usage(KeyUsage.SIGNING)
    call.use_key(args.handle, 0 if last else None)
    if not call.slots[last].proves(transport.secret, call.digest, transport.nonce_even):
        raise TpmError(Rc.AUTH2FAIL)
    if not transport.public.has(Attribute.LOG):
        raise TpmError(Rc.BAD_MODE)
    ticks = get_ticks(tpm, Nothing())
    log = _log_out(transport, tpm, ticks, call.digest).digest
    info = SignInfo(_RELEASED, args.replay, log)
    call.end_session(last)
    return ReleaseOut(tpm.locality, ticks, key.rsa.sign_sha1(sha1(info.encode())))


ROWS: Final = (
    Command(
        Ord.ESTABLISH_TRANSPORT,
        "TPM_EstablishTransport",
        "24.1",
        establish_transport,
        EstablishIn,
        auths=(0, 1),
        handles=1,
        out_handles=1,
        needs_owner=True,
        wrappable=False,
        key_right=21,
    ),
    Command(
        Ord.EXECUTE_TRANSPORT,
        "TPM_ExecuteTransport",
        "24.2",
        execute_transport,
        ExecuteIn,
        auths=(1,),
        needs_owner=True,
        wrappable=False,
    ),
    Command(
        Ord.RELEASE_TRANSPORT_SIGNED,
        "TPM_ReleaseTransportSigned",
        "24.3",
        release_transport_signed,
        ReleaseIn,
        auths=(1, 2),
        handles=1,
        needs_owner=True,
        wrappable=False,
        key_right=20,
    ),
)
