# SPDX-License-Identifier: GPL-3.0-or-later
"""Keys: making, loading, certifying, changing their secrets (Part 3, 10, 13 and 17)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

from tests.tpm.client.constants import SRK, WELL_KNOWN, Entity, Ord, Protocol, Resource
from tests.tpm.client.keyblobs import Key, KeyParms, PubKey
from tests.tpm.client.tpm import Auth, Tpm
from tests.tpm.client.wire import Reader, Struct, flag, sized, u16, u32


def create_wrap_key(
    tpm: Tpm,
    parent_auth: Auth,
    parent: int,
    wanted: Key,
    usage: bytes = WELL_KNOWN,
    migration: bytes = WELL_KNOWN,
) -> Key:
    """TPM_CreateWrapKey (10.4): a key wrapped by `parent`, with these two secrets."""
    session = tpm.session_for(parent_auth, Entity.KEY_HANDLE, parent)
    secrets = session.encrypt(usage) + session.encrypt(migration, tpm.random(20))
    answer = tpm.call(Ord.CREATE_WRAP_KEY, secrets + wanted.encode(), session, handles=[parent])
    key = Key.read(answer)
    answer.end()
    return key


def load_key2(tpm: Tpm, parent_auth: Auth, key: Struct, parent: int = SRK) -> int:
    """TPM_LoadKey2 (10.5); return the handle."""
    answer = tpm.call(Ord.LOAD_KEY2, key.encode(), parent_auth, handles=[parent])
    handle = answer.u32()
    answer.end()
    return handle


def load_key(tpm: Tpm, parent_auth: Auth, key: Struct, parent: int = SRK) -> int:
    """TPM_LoadKey (28.10, deprecated): as load_key2, but the handle is covered by the authorisation."""
    answer = tpm.call(Ord.LOAD_KEY, key.encode(), parent_auth, handles=[parent])
    handle = answer.u32()
    answer.end()
    return handle


def get_pub_key(tpm: Tpm, auth: Auth, handle: int) -> PubKey:
    """TPM_GetPubKey (10.6)."""
    answer = tpm.call(Ord.GET_PUB_KEY, b"", auth, handles=[handle])
    pub = PubKey.read(answer)
    answer.end()
    return pub


def evict_key(tpm: Tpm, handle: int) -> None:
    """TPM_EvictKey (28.1, deprecated)."""
    tpm.call(Ord.EVICT_KEY, handles=[handle]).end()


def flush_specific(tpm: Tpm, handle: int, resource: int = Resource.KEY) -> None:
    """TPM_FlushSpecific (22.1)."""
    tpm.call(Ord.FLUSH_SPECIFIC, u32(resource), handles=[handle]).end()


def terminate_handle(tpm: Tpm, handle: int) -> None:
    """TPM_Terminate_Handle (28.2, deprecated): end an authorisation session."""
    tpm.call(Ord.TERMINATE_HANDLE, handles=[handle]).end()


def key_control_owner(tpm: Tpm, owner: Auth, handle: int, pub: PubKey, name: int, value: bool) -> None:
    """TPM_KeyControlOwner (23.1): `name` 1 is owner evict."""
    parameters = pub.encode() + u32(name) + flag(value)
    tpm.call(Ord.KEY_CONTROL_OWNER, parameters, owner, handles=[handle]).end()


def change_auth(
    tpm: Tpm, parent_auth: Auth, entity_auth: Auth, parent: int, entity: Entity, enc_data: bytes, new: bytes
) -> bytes:
    """TPM_ChangeAuth (17.1): return the encData of the key or sealed blob with its new secret."""
    session = tpm.session_for(parent_auth, Entity.KEY_HANDLE, parent)
    parameters = u16(Protocol.ADCP) + session.encrypt(new) + u16(entity) + sized(enc_data)
    answer = tpm.call(Ord.CHANGE_AUTH, parameters, session, entity_auth, handles=[parent])
    changed = answer.sized()
    answer.end()
    return changed


@dataclass(frozen=True)
class CertifyInfo(Struct):
    """TPM_CERTIFY_INFO (Part 2, 11.1), or TPM_CERTIFY_INFO2 (11.2) if `payload_type` is set."""

    usage: int
    flags: int
    auth_usage: int
    parms: KeyParms
    pubkey_digest: bytes
    nonce: bytes
    parent_pcr_status: bool
    pcr_info: bytes
    head: bytes
    payload_type: int | None = None
    migration_authority: bytes = b""

    @classmethod
    def read(cls, source: Reader) -> Self:
        head = source.take(4)
        second = head[:2] == u16(0x29)
        usage, flags, auth_usage = source.u16(), source.u32(), source.u8()
        parms, pubkey_digest, nonce = KeyParms.read(source), source.digest(), source.digest()
        parent, pcr_info = bool(source.u8()), source.sized()
        authority = source.sized() if second else b""
        return cls(
            usage,
            flags,
            auth_usage,
            parms,
            pubkey_digest,
            nonce,
            parent,
            pcr_info,
            head,
            head[3] if second else None,
            authority,
        )

    def encode(self) -> bytes:
        body = u16(self.usage) + u32(self.flags) + bytes([self.auth_usage]) + self.parms.encode()
        body += self.pubkey_digest + self.nonce + flag(self.parent_pcr_status) + sized(self.pcr_info)
        return self.head + body + (b"" if self.payload_type is None else sized(self.migration_authority))


@dataclass(frozen=True)
class Certificate:
    """A statement on a key, and the signature over its SHA-1."""

    info: CertifyInfo
    signature: bytes


def certify_key(
    tpm: Tpm, certifier_auth: Auth, key_auth: Auth, certifier: int, key: int, nonce: bytes
) -> Certificate:
    """TPM_CertifyKey (13.8)."""
    answer = tpm.call(Ord.CERTIFY_KEY, nonce, certifier_auth, key_auth, handles=[certifier, key])
    return _certificate(answer)


def certify_key2(
    tpm: Tpm,
    key_auth: Auth,
    certifier_auth: Auth,
    key: int,
    certifier: int,
    nonce: bytes,
    migration_digest: bytes = bytes(20),
) -> Certificate:
    """TPM_CertifyKey2 (13.9): the key's authorisation comes first here."""
    answer = tpm.call(
        Ord.CERTIFY_KEY2, migration_digest + nonce, key_auth, certifier_auth, handles=[key, certifier]
    )
    return _certificate(answer)


def _certificate(answer: Reader) -> Certificate:
    info, signature = CertifyInfo.read(answer), answer.sized()
    answer.end()
    return Certificate(info, signature)
