# SPDX-License-Identifier: GPL-3.0-or-later
"""Attestation identities (Part 3, 15)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from bootproof.tpm import keygen
from bootproof.tpm.codes import Rc, TpmError
from bootproof.tpm.command import Auditing, Command
from bootproof.tpm.numbers import Handle, KeyFlag, KeyUsage, Protocol
from bootproof.tpm.ordinals import Ord
from bootproof.tpm.structures.certify import identity_contents
from bootproof.tpm.structures.identity import (
    EK_BLOB_TAG,
    EK_TYPE_ACTIVATE,
    AsymCaContents,
    EkBlob,
    EkBlobActivate,
    SymmetricKey,
)
from bootproof.tpm.structures.keys import Key, sha1
from bootproof.tpm.wire import Reader, Structure, digest, nested, sized32, structure, uint32

if TYPE_CHECKING:
    from bootproof.tpm.call import Call
    from bootproof.tpm.machine import Tpm

_IDENTITY_BITS: Final = 2048


@structure
class MakeIdentityIn(Structure):
    """TPM_MakeIdentity: encrypted authorisation data, digest of label and CA key, the key wanted."""

    auth: bytes = digest()
    label_digest: bytes = digest()
    key: Key = nested(Key)


@structure
class MakeIdentityOut(Structure):
    """TPM_MakeIdentity: the key, wrapped by the SRK, and its signature over TPM_IDENTITY_CONTENTS."""

    key: Key = nested(Key)
    binding: bytes = sized32()


@structure
class ActivateIdentityIn(Structure):
    """TPM_ActivateIdentity: identity, and what a CA encrypted for the endorsement key."""

    handle: int = uint32()
    blob: bytes = sized32()


@structure
class ActivateIdentityOut(Structure):
    """TPM_ActivateIdentity: the CA's symmetric key."""

    key: SymmetricKey = nested(SymmetricKey)


def make_identity(call: Call, args: MakeIdentityIn) -> MakeIdentityOut:
    """BAD_VERSION, BAD_KEY_PROPERTY, NOTFIPS for a key that this TPM does not make; AUTHFAIL, AUTH2FAIL,
    BAD_MODE for an owner's session that is not OSAP; INVALID_KEYUSAGE for a key that is no identity, or may
    migrate; INVALID_PCR_INFO.
    """
    tpm, wanted = call.tpm, args.key
    if keygen.check_parameters(wanted, tpm.permanent.flags.fips).bits != _IDENTITY_BITS:
        raise TpmError(Rc.BAD_KEY_PROPERTY)
    owners_slot = call.count - 1
    call.owner(owners_slot, Protocol.OSAP)
    srk = call.use_key(Handle.SRK, 0 if owners_slot else None)
    if wanted.usage != KeyUsage.IDENTITY or wanted.has(KeyFlag.MIGRATABLE):
        raise TpmError(Rc.INVALID_KEYUSAGE)
    auth = call.decrypt_auth(args.auth, owners_slot)
    for slot in range(call.count):
        call.end_session(slot)
    made = keygen.create(tpm, srk, wanted, auth, tpm.permanent.tpm_proof)
    contents = identity_contents(args.label_digest, made.wrapped.pubkey())
    return MakeIdentityOut(made.wrapped, made.private.sign_sha1(sha1(contents.encode())))


def activate_identity(call: Call, args: ActivateIdentityIn) -> ActivateIdentityOut:
    """AUTHFAIL, AUTH2FAIL, INVALID_KEYHANDLE; BAD_PARAMETER for a key that is no identity, or not the one
    that the blob is for; DECRYPT_ERROR; BAD_TYPE for a TPM_EK_BLOB of another type; WRONGPCRVAL,
    BAD_LOCALITY.
    """
    tpm = call.tpm
    owners_slot = call.count - 1
    call.owner(owners_slot)
    identity = call.use_key(args.handle, 0 if owners_slot else None)
    if identity.key.usage != KeyUsage.IDENTITY:
        raise TpmError(Rc.BAD_PARAMETER)
    opened = tpm.keys.ek().rsa.decrypt_oaep(args.blob)
    return ActivateIdentityOut(_session_key(tpm, identity.key.pubkey().digest(), opened))


def _session_key(tpm: Tpm, identity: bytes, opened: bytes) -> SymmetricKey:
    """Return the symmetric key in either layout of the blob; `identity` is the digest of the public key."""
    contents: AsymCaContents | EkBlobActivate
    if opened[:2] == EK_BLOB_TAG.to_bytes(2):
        blob = EkBlob.read(Reader(opened))
        if blob.kind != EK_TYPE_ACTIVATE:
            raise TpmError(Rc.BAD_TYPE)
        contents = activation = EkBlobActivate.read(Reader(blob.blob))
        _need_identity(contents.identity, identity)
        activation.pcr_info.holds(tpm.pcrs.values, tpm.locality)
    else:
        contents = AsymCaContents.read(Reader(opened))
        _need_identity(contents.identity, identity)
    return contents.session_key


def _need_identity(found: bytes, wanted: bytes) -> None:
    if found != wanted:
        raise TpmError(Rc.BAD_PARAMETER)


ROWS: Final = (
    Command(
        Ord.MAKE_IDENTITY,
        "TPM_MakeIdentity",
        "15.1",
        make_identity,
        MakeIdentityIn,
        auths=(1, 2),
        needs_owner=True,
        audit=Auditing.ON,
        owner_right=11,
        key_right=17,
    ),
    Command(
        Ord.ACTIVATE_IDENTITY,
        "TPM_ActivateIdentity",
        "15.2",
        activate_identity,
        ActivateIdentityIn,
        auths=(1, 2),
        handles=1,
        needs_owner=True,
        audit=Auditing.ON,
        owner_right=10,
        key_right=16,
    ),
)
