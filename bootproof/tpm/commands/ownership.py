# SPDX-License-Identifier: GPL-3.0-or-later
"""Taking ownership (Part 3, 6.1)."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

from bootproof.tpm import numbers
from bootproof.tpm.codes import DIGEST_SIZE, Rc, TpmError
from bootproof.tpm.command import Command
from bootproof.tpm.entities import Entity
from bootproof.tpm.keys import LoadedKey
from bootproof.tpm.numbers import Handle, KeyFlag, KeyUsage, Payload, Protocol
from bootproof.tpm.ordinals import Ord
from bootproof.tpm.state import Owner, StoredKey
from bootproof.tpm.structures.keys import Key, StoreAsymKey, sha1
from bootproof.tpm.wire import Structure, nested, sized32, structure, uint16

if TYPE_CHECKING:
    from bootproof.tpm.call import Call

_SRK_BITS: Final = 2048


@structure
class TakeOwnershipIn(Structure):
    """TPM_TakeOwnership: authorisation data encrypted with the EK, and what SRK to make."""

    protocol: int = uint16()
    owner_auth: bytes = sized32()
    srk_auth: bytes = sized32()
    srk: Key = nested(Key)


@structure
class KeyOut(Structure):
    """A key."""

    key: Key = nested(Key)


def take_ownership(call: Call, args: TakeOwnershipIn) -> KeyOut:
    """OWNER_SET, INSTALL_DISABLED, NO_ENDORSEMENT, BAD_PARAMETER for another protocol, DECRYPT_ERROR,
    BAD_KEY_PROPERTY, INVALID_KEYUSAGE, AUTHFAIL.
    """
    tpm = call.tpm
    if tpm.permanent.owner is not None:
        raise TpmError(Rc.OWNER_SET)
    if not tpm.permanent.flags.ownership:
        raise TpmError(Rc.INSTALL_DISABLED)
    if tpm.permanent.ek is None:
        raise TpmError(Rc.NO_ENDORSEMENT)
    if args.protocol != numbers.Protocol.OWNER:
        raise TpmError(Rc.BAD_PARAMETER)
    ek = LoadedKey(tpm.permanent.ek).rsa
    owner_auth = _secret(ek.decrypt_oaep(args.owner_auth))
    if call.session().protocol != Protocol.OIAP:
        raise TpmError(Rc.AUTHFAIL)
    call.authorize(Entity(numbers.Entity.OWNER, sha1(b"owner"), owner_auth))
    srk_auth = _secret(ek.decrypt_oaep(args.srk_auth))
    srk = _make_srk(args.srk, srk_auth)
    permanent = tpm.permanent
    flags = replace(permanent.flags, read_pubek=False)
    tpm.commit(replace(permanent, owner=Owner(owner_auth, srk), flags=flags))
    return KeyOut(srk.key)


def _secret(decrypted: bytes) -> bytes:
    if len(decrypted) != DIGEST_SIZE:
        raise TpmError(Rc.BAD_KEY_PROPERTY)
    return decrypted


def _make_srk(wanted: Key, auth: bytes) -> StoredKey:
    """Generate the storage root key; what is wanted of it must be what it always is (6.1, 11)."""
    from bootproof.tpm.keygen import check_parameters, generate

    wanted.check_head()
    if wanted.usage != KeyUsage.STORAGE:
        raise TpmError(Rc.INVALID_KEYUSAGE)
    if wanted.has(KeyFlag.MIGRATABLE):
        raise TpmError(Rc.INVALID_KEYUSAGE)
    if check_parameters(wanted).bits != _SRK_BITS:
        raise TpmError(Rc.BAD_KEY_PROPERTY)
    private = generate(wanted)
    key = replace(wanted, public=private.public.modulus, encrypted=b"")
    secret = StoreAsymKey(Payload.ASYM, auth, bytes(DIGEST_SIZE), key.public_digest(), private.prime)
    return StoredKey(Handle.SRK, key, secret)


ROWS: Final = (
    Command(Ord.TAKE_OWNERSHIP, "TPM_TakeOwnership", "6.1", take_ownership, TakeOwnershipIn, auths=(1,)),
)
