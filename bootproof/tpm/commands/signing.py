# SPDX-License-Identifier: GPL-3.0-or-later
"""Signatures, quotes, certified keys and time stamps (Part 3, 13.5, 13.8, 13.9, 16.3, 16.5 and 23.2)."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Final

from bootproof.tpm.codes import Rc, TpmError
from bootproof.tpm.command import Command
from bootproof.tpm.commands.capability import VersionInfo
from bootproof.tpm.commands.ticks import get_ticks
from bootproof.tpm.crypto.padding import PKCS1_OVERHEAD
from bootproof.tpm.numbers import KeyUsage, SigScheme
from bootproof.tpm.ordinals import Ord
from bootproof.tpm.structures.certify import SIGN, TICK_STAMP, QuoteInfo, QuoteInfo2, SignInfo
from bootproof.tpm.structures.keys import sha1
from bootproof.tpm.structures.pcrinfo import (
    PcrComposite,
    PcrInfoShort,
    PcrSelection,
    composite_hash,
)
from bootproof.tpm.structures.ticks import CurrentTicks
from bootproof.tpm.wire import (
    Nothing,
    Structure,
    boolean,
    digest,
    nested,
    sized32,
    structure,
    uint32,
)

if TYPE_CHECKING:
    from bootproof.tpm.call import Call
    from bootproof.tpm.keys import LoadedKey

_SHA1_SIZE: Final = 20
_ATTESTING_SCHEMES: Final = (SigScheme.PKCS1_SHA1, SigScheme.PKCS1_INFO)
_ATTESTING_USES: Final = (KeyUsage.SIGNING, KeyUsage.IDENTITY, KeyUsage.LEGACY)


@structure
class SignIn(Structure):
    """TPM_Sign: key, and data whose form the key's scheme decides."""

    handle: int = uint32()
    data: bytes = sized32()


@structure
class SignOut(Structure):
    """A signature, as long as the modulus."""

    signature: bytes = sized32()


@structure
class QuoteIn(Structure):
    """TPM_Quote: key, a nonce of the caller's, PCRs."""

    handle: int = uint32()
    external: bytes = digest()
    selection: PcrSelection = nested(PcrSelection)


@structure
class QuoteOut(Structure):
    """TPM_Quote: the PCRs and the signature over a TPM_QUOTE_INFO."""

    composite: PcrComposite = nested(PcrComposite)
    signature: bytes = sized32()


@structure
class Quote2In(Structure):
    """TPM_Quote2: as TPM_Quote, and whether the TPM's version belongs to the statement."""

    handle: int = uint32()
    external: bytes = digest()
    selection: PcrSelection = nested(PcrSelection)
    add_version: bool = boolean()


@structure
class Quote2Out(Structure):
    """TPM_Quote2: PCRs and locality, the version, the signature over both as a TPM_QUOTE_INFO2."""

    info: PcrInfoShort = nested(PcrInfoShort)
    version: bytes = sized32()
    signature: bytes = sized32()


@structure
class TickStampIn(Structure):
    """TPM_TickStampBlob: key, a nonce of the caller's, the digest to stamp."""

    handle: int = uint32()
    replay: bytes = digest()
    digest: bytes = digest()


@structure
class TickStampOut(Structure):
    """TPM_TickStampBlob: the time, and the signature over it and the digest as a TPM_SIGN_INFO."""

    ticks: CurrentTicks = nested(CurrentTicks)
    signature: bytes = sized32()


def sign(call: Call, args: SignIn) -> SignOut:
    """INVALID_KEYHANDLE, WRONGPCRVAL, BAD_LOCALITY, AUTHFAIL; BAD_PARAMETER for no data, for other than 20
    bytes with the scheme SHA1, for too many with DER, and for a command without authorisation with INFO;
    INVALID_KEYUSAGE for a key that is neither for signing nor legacy.
    """
    key = call.use_key(args.handle)
    if not args.data:
        raise TpmError(Rc.BAD_PARAMETER)
    key.need_usage(KeyUsage.SIGNING, KeyUsage.LEGACY)
    return SignOut(_SIGNERS[key.key.parameters.signature](call, key, args.data))


def _sign_sha1(_call: Call, key: LoadedKey, data: bytes) -> bytes:
    if len(data) != _SHA1_SIZE:
        raise TpmError(Rc.BAD_PARAMETER)
    return key.rsa.sign_sha1(data)


def _sign_der(_call: Call, key: LoadedKey, data: bytes) -> bytes:
    if len(data) > key.rsa.size - PKCS1_OVERHEAD:
        raise TpmError(Rc.BAD_PARAMETER)
    return key.rsa.sign_bare(data)


def _sign_info(call: Call, key: LoadedKey, data: bytes) -> bytes:
    if not call.count:
        raise TpmError(Rc.BAD_PARAMETER)
    info = SignInfo(SIGN, call.slots[0].given.nonce_odd, data)
    return key.rsa.sign_sha1(sha1(info.encode()))


_SIGNERS: Final[dict[int, Callable[[Call, LoadedKey, bytes], bytes]]] = {
    SigScheme.PKCS1_SHA1: _sign_sha1,
    SigScheme.PKCS1_DER: _sign_der,
    SigScheme.PKCS1_INFO: _sign_info,
}


def need_attesting_scheme(key: LoadedKey, code: Rc = Rc.INAPPROPRIATE_SIG) -> None:
    """Refuse a key whose signatures somebody could have made of other data: scheme DER, or none."""
    if key.key.parameters.signature not in _ATTESTING_SCHEMES:
        raise TpmError(code)


def need_attesting_use(key: LoadedKey) -> None:
    """INVALID_KEYUSAGE for a key that may not speak for the TPM."""
    key.need_usage(*_ATTESTING_USES)


def quote(call: Call, args: QuoteIn) -> QuoteOut:
    """INVALID_KEYHANDLE, WRONGPCRVAL, BAD_LOCALITY, AUTHFAIL, INAPPROPRIATE_SIG, INVALID_KEYUSAGE;
    INVALID_PCR_INFO for a selection that is too long.
    """
    key = call.use_key(args.handle)
    need_attesting_scheme(key)
    need_attesting_use(key)
    values = call.tpm.pcrs.values
    selected = b"".join([values[index] for index in args.selection.indices()])
    info = QuoteInfo(composite=composite_hash(args.selection, values), external=args.external)
    return QuoteOut(PcrComposite(args.selection, selected), key.rsa.sign_sha1(sha1(info.encode())))


def quote2(call: Call, args: Quote2In) -> Quote2Out:
    """As TPM_Quote."""
    tpm = call.tpm
    key = call.use_key(args.handle)
    need_attesting_scheme(key)
    need_attesting_use(key)
    composite = composite_hash(args.selection, tpm.pcrs.values)
    info = PcrInfoShort(args.selection, 1 << tpm.locality, composite)
    version = VersionInfo().encode() if args.add_version else b""
    signed = QuoteInfo2(b"QUT2", args.external, info).encode() + version
    return Quote2Out(info, version, key.rsa.sign_sha1(sha1(signed)))


def tick_stamp_blob(call: Call, args: TickStampIn) -> TickStampOut:
    """INVALID_KEYHANDLE, WRONGPCRVAL, BAD_LOCALITY, AUTHFAIL, INVALID_KEYUSAGE, INAPPROPRIATE_SIG."""
    key = call.use_key(args.handle)
    need_attesting_use(key)
    need_attesting_scheme(key)
    ticks = get_ticks(call.tpm, Nothing())
    info = SignInfo(TICK_STAMP, args.replay, args.digest + ticks.encode())
    return TickStampOut(ticks, key.rsa.sign_sha1(sha1(info.encode())))


_ROW: Final = partial(Command, auths=(0, 1), handles=1, needs_owner=True)
ROWS: Final = (
    _ROW(Ord.SIGN, "TPM_Sign", "13.5", sign, SignIn, key_right=14),
    _ROW(Ord.QUOTE, "TPM_Quote", "16.3", quote, QuoteIn, key_right=3),
    _ROW(Ord.QUOTE2, "TPM_Quote2", "16.5", quote2, Quote2In, key_right=19),
    _ROW(Ord.TICK_STAMP_BLOB, "TPM_TickStampBlob", "23.2", tick_stamp_blob, TickStampIn, key_right=27),
)
