# SPDX-License-Identifier: GPL-3.0-or-later
"""One well-formed request of every command, made without a TPM: its handles and sessions exist nowhere."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress

from tests.tpm.client import (
    admin,
    asymauth,
    audit,
    capability,
    context,
    delegation,
    identity,
    integrity,
    keys,
    migration,
    nv,
    owner,
    signing,
    storage,
    ticks,
    transport,
)
from tests.tpm.client.constants import OWNER, SRK, Entity, KeyFlags, KeyUsage, Ord, Resource, Tag
from tests.tpm.client.keyblobs import Key, KeyParms, PubKey, template
from tests.tpm.client.pcr import Selection
from tests.tpm.client.sessions import Session
from tests.tpm.client.tpm import Tpm
from tests.tpm.client.wire import u16, u32

_HANDLE, _TWENTY = 0x05000000, b"twenty bytes, no key"
_MODULUS = bytes([0xC3] * 255 + [0x05])
_PUBLIC = PubKey(KeyParms.rsa(2048, 3, 1), _MODULUS)
_SIGNER = PubKey(KeyParms.rsa(2048, 1, 2), _MODULUS)
_DATA = bytes(range(256))
_KEY = template(KeyUsage.SIGNING).changed(modulus=_MODULUS, enc_data=_DATA)
_CMK = template(KeyUsage.SIGNING, KeyFlags.MIGRATABLE | KeyFlags.MIGRATE_AUTHORITY, key12=True)
_SEALED = storage.StoredData(b"\1\1\0\0", b"", _DATA)
_TICKET = migration.Ticket(_PUBLIC.encode() + b"\0\1" + _TWENTY)
_CMK_AUTH = migration.CmkAuth(_TWENTY, _TWENTY, _TWENTY)
_AUTHORITIES = migration.msa_list([_TWENTY])
_NV = nv.NvPublic(0x11, nv.Nv.OWNER_WRITE | nv.Nv.OWNER_READ, 4)
_DELEGATION = delegation.DelegatePublic(delegation.OWNER_RIGHTS, 1 << 30, 0, 1, 1)
_EPHEMERAL = asymauth.Ephemeral(
    keys.CertifyInfo(0x13, 0, 1, _PUBLIC.parms, _TWENTY, _TWENTY, False, b"", b"\1\1\0\0"),
    _DATA,
    _HANDLE,
    Key(0x13, 0, 0, _PUBLIC.parms, b"", _MODULUS, _DATA),
)


class _CapturedError(Exception):
    """Ends a client function once its request is known."""


def _auth() -> Session:
    return Session(0x02000000, _TWENTY, _TWENTY, keep=False)


def _capture(command: Callable[[Tpm], object]) -> bytes:
    """Return the request that a client function sends, after the session that it may open before."""
    opened = u16(Tag.RESPONSE) + u32(34) + u32(0) + u32(0x02000000) + _TWENTY
    sent: list[bytes] = []

    def execute(request: bytes) -> bytes:
        sent.append(request)
        if int.from_bytes(request[6:10]) != Ord.OIAP:
            raise _CapturedError
        return opened

    with suppress(_CapturedError):
        command(Tpm(execute, random=lambda count: bytes(range(count))))
    return sent[-1]


def _through_transport(tpm: Tpm) -> object:
    session = transport.Transport(
        tpm, transport.TransportPublic(), 0x06000000, _TWENTY, _TWENTY, ticks.Ticks(0, 1, _TWENTY)
    )
    return integrity.pcr_read(session.tpm, 0)


def _release_transport(tpm: Tpm) -> object:
    session = transport.Transport(
        tpm, transport.TransportPublic(), 0x06000000, _TWENTY, _TWENTY, ticks.Ticks(0, 1, _TWENTY)
    )
    return session.release_signed(_auth(), _HANDLE, _TWENTY)


# Those at the end change the state in which all others are answered.
_COMMANDS: tuple[Callable[[Tpm], object], ...] = (
    lambda t: integrity.extend(t, 10, _TWENTY),
    lambda t: integrity.pcr_read(t, 10),
    lambda t: integrity.pcr_reset(t, Selection.of(16)),
    integrity.sha1_start,
    lambda t: integrity.sha1_update(t, bytes(64)),
    lambda t: integrity.sha1_complete(t, b"end"),
    lambda t: integrity.sha1_complete_extend(t, 10, b"end"),
    lambda t: integrity.get_random(t, 20),
    lambda t: integrity.stir_random(t, b"noise"),
    lambda t: integrity.dir_read(t, 0),
    lambda t: integrity.dir_write_auth(t, _auth(), _TWENTY),
    admin.self_test_full,
    admin.continue_self_test,
    admin.get_test_result,
    lambda t: t.oiap(),
    lambda t: t.osap(Entity.SRK, SRK),
    lambda t: t.osap(Entity.OWNER, OWNER),
    lambda t: t.osap(Entity.KEY_HANDLE, _HANDLE),
    lambda t: t.dsap(Entity.DEL_ROW, 0, bytes(4), _TWENTY),
    lambda t: t.dsap(Entity.DEL_OWNER_BLOB, 0, _DATA, _TWENTY),
    lambda t: owner.set_owner_pointer(t, Entity.OWNER, OWNER),
    lambda t: keys.flush_specific(t, _HANDLE),
    lambda t: keys.flush_specific(t, 0x02000000, Resource.AUTH),
    lambda t: keys.evict_key(t, _HANDLE),
    lambda t: keys.terminate_handle(t, 0x02000000),
    lambda t: keys.create_wrap_key(t, _auth(), SRK, template(KeyUsage.SIGNING)),
    lambda t: keys.load_key(t, _auth(), _KEY),
    lambda t: keys.load_key2(t, _auth(), _KEY),
    lambda t: keys.get_pub_key(t, _auth(), _HANDLE),
    lambda t: keys.get_pub_key(t, None, SRK),
    lambda t: keys.key_control_owner(t, _auth(), _HANDLE, _PUBLIC, 1, True),
    lambda t: keys.change_auth(t, _auth(), _auth(), SRK, Entity.KEY, _DATA, _TWENTY),
    lambda t: keys.certify_key(t, _auth(), _auth(), _HANDLE, _HANDLE, _TWENTY),
    lambda t: keys.certify_key2(t, _auth(), _auth(), _HANDLE, _HANDLE, _TWENTY),
    lambda t: storage.seal(t, _auth(), b"data", _TWENTY),
    lambda t: storage.sealx(t, _auth(), b"data", _TWENTY),
    lambda t: storage.unseal(t, _auth(), _auth(), _SEALED),
    lambda t: storage.unbind(t, _auth(), _HANDLE, _DATA),
    lambda t: signing.sign(t, _auth(), _HANDLE, _TWENTY),
    lambda t: signing.quote(t, _auth(), _HANDLE, _TWENTY, Selection.of(0)),
    lambda t: signing.quote2(t, None, _HANDLE, _TWENTY, Selection.of(0)),
    lambda t: identity.make_identity(t, _auth(), _auth(), _TWENTY, _TWENTY),
    lambda t: identity.activate_identity(t, _auth(), _auth(), _HANDLE, _DATA),
    lambda t: asymauth.change_auth_asym_start(t, _auth(), _HANDLE, _TWENTY),
    lambda t: asymauth.change_auth_asym_finish(t, _auth(), SRK, _EPHEMERAL, _DATA, _TWENTY, _TWENTY),
    lambda t: migration.authorize_migration_key(t, _auth(), migration.MIGRATE, _PUBLIC),
    lambda t: migration.create_migration_blob(t, _auth(), _auth(), SRK, 1, _TICKET, _DATA),
    lambda t: migration.convert_migration_blob(t, _auth(), SRK, migration.MigrationBlob(_DATA, _DATA)),
    lambda t: migration.migrate_key(t, _auth(), _HANDLE, _PUBLIC, _DATA),
    lambda t: migration.cmk_set_restrictions(t, _auth(), 0),
    lambda t: migration.cmk_approve_ma(t, _auth(), _TWENTY),
    lambda t: migration.cmk_create_key(t, _auth(), SRK, _CMK, _TWENTY, _TWENTY, _TWENTY),
    lambda t: migration.cmk_create_ticket(t, _auth(), _SIGNER, _TWENTY, _DATA),
    lambda t: migration.cmk_create_blob(
        t, _auth(), SRK, 4, _TICKET, _TWENTY, _AUTHORITIES, _CMK_AUTH, _TWENTY, _DATA
    ),
    lambda t: migration.cmk_convert_migration(
        t, _auth(), SRK, _CMK_AUTH, _TWENTY, _KEY, _AUTHORITIES, _DATA
    ),
    lambda t: nv.write_value(t, None, 0x11, b"data"),
    lambda t: nv.write_value(t, _auth(), 0x11, b"data"),
    lambda t: nv.write_value_auth(t, _auth(), 0x11, b"data"),
    lambda t: nv.read_value(t, None, 0x11, 4),
    lambda t: nv.read_value(t, _auth(), 0x11, 4),
    lambda t: nv.read_value_auth(t, _auth(), 0x11, 4),
    lambda t: nv.define_space(t, _auth(), _NV, _TWENTY),
    ticks.get_ticks,
    lambda t: ticks.tick_stamp_blob(t, _auth(), _HANDLE, _TWENTY, _TWENTY),
    lambda t: ticks.create_counter(t, _auth(), b"labl", _TWENTY),
    lambda t: ticks.increment_counter(t, _auth(), 1),
    lambda t: ticks.read_counter(t, 1),
    lambda t: ticks.release_counter(t, _auth(), 1),
    lambda t: ticks.release_counter_owner(t, _auth(), 1),
    audit.get_audit_digest,
    lambda t: audit.get_audit_digest_signed(t, _auth(), _HANDLE, _TWENTY),
    lambda t: audit.set_ordinal_audit_status(t, _auth(), Ord.PCR_READ, True),
    lambda t: context.save_context(t, _HANDLE, Resource.KEY),
    lambda t: context.load_context(t, _DATA),
    lambda t: context.save_key_context(t, _HANDLE),
    lambda t: context.load_key_context(t, _DATA),
    lambda t: context.save_auth_context(t, 0x02000000),
    lambda t: context.load_auth_context(t, _DATA),
    lambda t: delegation.manage(t, _auth(), 0, delegation.CREATE, b"\1"),
    lambda t: delegation.create_key_delegation(t, _auth(), _HANDLE, _DELEGATION, _TWENTY),
    lambda t: delegation.create_owner_delegation(t, _auth(), _DELEGATION, _TWENTY),
    lambda t: delegation.load_owner_delegation(t, _auth(), 0, _DATA),
    delegation.read_table,
    lambda t: delegation.update_verification(t, _auth(), bytes(4)),
    lambda t: delegation.verify_delegation(t, _DATA),
    lambda t: transport.establish(t, transport.TransportPublic(), _TWENTY),
    lambda t: transport.establish(t, transport.TransportPublic(1), _TWENTY, _auth(), SRK, _PUBLIC),
    _through_transport,
    _release_transport,
    lambda t: capability.get_capability(t, capability.Cap.FLAG, b"\0\0\1\x08"),
    lambda t: capability.get_capability(t, capability.Cap.VERSION),
    lambda t: capability.set_flag(t, _auth(), capability.SetCap.PERM_FLAGS, 17, True),
    lambda t: capability.set_flag(t, None, capability.SetCap.STCLEAR_FLAGS, 2, True),
    owner.read_pubek,
    lambda t: owner.owner_read_internal_pub(t, _auth(), SRK),
    lambda t: owner.owner_read_pubek(t, _auth()),
    lambda t: owner.disable_pubek_read(t, _auth()),
    lambda t: owner.take_ownership(t, _TWENTY, pubek=_PUBLIC),
    lambda t: owner.get_capability_owner(t, _auth()),
    lambda t: owner.change_auth_owner(t, _auth(), Entity.SRK, _TWENTY),
    lambda t: owner.reset_lock_value(t, _auth()),
    lambda t: owner.owner_set_disable(t, _auth(), True),
    lambda t: owner.disable_owner_clear(t, _auth()),
    lambda t: owner.owner_clear(t, _auth()),
    lambda t: owner.revoke_trust(t, _TWENTY),
    lambda t: owner.create_ek(t, KeyParms.rsa(512, 3, 1)),
    lambda t: owner.create_revocable_ek(t, _TWENTY, KeyParms.rsa(512, 3, 1)),
    admin.reset_establishment_bit,
    lambda t: admin.set_operator_auth(t, _TWENTY),
    lambda t: admin.set_owner_install(t, True),
    admin.reset,
    admin.save_state,
    lambda t: admin.set_temp_deactivated(t, _auth()),
    lambda t: admin.physical_set_deactivated(t, False),
    admin.physical_enable,
    lambda t: admin.physical_presence(t, admin.Presence.NOT_PRESENT),
    lambda t: nv.define_space(t, None, _NV, _TWENTY),
    lambda t: admin.startup(t, 7),
    admin.startup,
    admin.set_temp_deactivated,
    admin.physical_disable,
    owner.disable_force_clear,
    owner.force_clear,
)


def requests() -> Iterator[bytes]:
    """Yield the requests."""
    for command in _COMMANDS:
        yield _capture(command)
