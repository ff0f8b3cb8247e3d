# SPDX-License-Identifier: GPL-3.0-or-later
"""The test client proven against swtpm: what fails against ours is then ours."""

from __future__ import annotations

import pytest

from tests.tpm.client import (
    asymauth,
    audit,
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
from tests.tpm.client.constants import (
    SRK,
    WELL_KNOWN,
    Adip,
    Algorithm,
    Code,
    EncScheme,
    Entity,
    KeyFlags,
    KeyUsage,
    Ord,
    Resource,
    SigScheme,
)
from tests.tpm.client.keyblobs import template
from tests.tpm.client.pcr import PcrInfoLong, Selection, composite_digest
from tests.tpm.client.prepared import MIGRATION, OWNER_SECRET, USAGE, Owned
from tests.tpm.client.rsacrypt import signed, signed_der
from tests.tpm.client.sessions import Session
from tests.tpm.client.tpm import ResponseError, refused
from tests.tpm.client.wire import sha1, u32

pytest_plugins = ("tests.tpm.client.fixtures",)

DATA = b"a secret of ours"
SECRET = b"the blob's own auth."
NONCE = bytes(range(20))
DIGEST = sha1(b"something measured")


def test_sessions_roll_their_nonces(swtpm_owned: Owned) -> None:
    tpm, key = swtpm_owned.tpm, swtpm_owned.signing()
    for session in (tpm.oiap(USAGE), tpm.osap(Entity.KEY_HANDLE, key, USAGE)):
        for _ in range(3):
            signing.sign(tpm, session, key, NONCE)
            assert session.open
        session.keep = False
        signing.sign(tpm, session, key, NONCE)
        assert not session.open
        with refused(Code.INVALID_AUTHHANDLE):
            signing.sign(tpm, session, key, NONCE)


def test_a_wrong_secret_is_refused_and_a_wrong_response_noticed(swtpm_owned: Owned) -> None:
    tpm, key = swtpm_owned.tpm, swtpm_owned.signing()
    with refused(Code.AUTHFAIL):
        signing.sign(tpm, WELL_KNOWN, key, NONCE)
    session = tpm.oiap(USAGE)
    send = tpm.send
    tpm.send = lambda request: send(request)[:-1] + b"\0"  # type: ignore[method-assign]
    with pytest.raises(ResponseError):
        signing.sign(tpm, session, key, NONCE)


@pytest.mark.parametrize("adip", Adip)
def test_sealing(swtpm_owned: Owned, adip: Adip) -> None:
    tpm, key = swtpm_owned.tpm, swtpm_owned.storage()
    pcrs = PcrInfoLong(Selection.of(0), composite_digest([0], [bytes(20)]), Selection.of(0, 1))

    def osap() -> Session:
        return tpm.osap(Entity.KEY_HANDLE, key, USAGE, adip=adip)

    blob = storage.seal(tpm, osap(), DATA, SECRET, pcrs, key)
    assert storage.unseal(tpm, USAGE, SECRET, blob, key) == DATA
    blob = storage.sealx(tpm, osap(), DATA, SECRET, pcrs, key)
    assert storage.unsealx(tpm, osap(), SECRET, blob, key) == DATA
    integrity.extend(tpm, 0, NONCE)
    with refused(Code.WRONGPCRVAL):
        storage.unseal(tpm, USAGE, SECRET, blob, key)


@pytest.mark.parametrize("scheme", [SigScheme.SHA1, SigScheme.DER, SigScheme.INFO])
def test_signatures(swtpm_owned: Owned, scheme: SigScheme) -> None:
    tpm = swtpm_owned.tpm
    blob = keys.create_wrap_key(
        tpm, WELL_KNOWN, SRK, template(KeyUsage.SIGNING, sig_scheme=scheme, bits=1024), USAGE
    )
    key = keys.load_key2(tpm, WELL_KNOWN, blob)
    data = NONCE if scheme == SigScheme.SHA1 else b"a prefix and" + NONCE
    session = tpm.oiap(USAGE)
    session.nonce_odd = NONCE
    signature = signing.sign(tpm, session, key, data)
    if scheme == SigScheme.DER:
        assert signed_der(blob.public, signature, data)
    else:
        digest = data if scheme == SigScheme.SHA1 else signing.info_digest(data, NONCE)
        assert signed(blob.public, signature, digest)


def test_quotes(swtpm_owned: Owned) -> None:
    tpm, key = swtpm_owned.tpm, swtpm_owned.signing()
    public = swtpm_owned.made.signing.public
    first = signing.quote(tpm, USAGE, key, NONCE, Selection.of(0, 10))
    assert signed(public, first.signature, first.signed_digest(NONCE))
    second = signing.quote2(tpm, USAGE, key, NONCE, Selection.of(0, 10), version=True)
    assert signed(public, second.signature, second.signed_digest(NONCE))
    assert second.version_info[:2] == b"\0\x30"
    assert second.info.at_release == sha1(first.composite.encode())


def test_keys(swtpm_owned: Owned) -> None:
    tpm, key, parent = swtpm_owned.tpm, swtpm_owned.signing(), swtpm_owned.storage()
    blob = keys.create_wrap_key(tpm, USAGE, parent, template(KeyUsage.BIND, bits=1024, key12=True), USAGE)
    bind = keys.load_key(tpm, USAGE, blob, parent)
    assert keys.get_pub_key(tpm, USAGE, bind) == blob.public
    assert storage.unbind(tpm, USAGE, bind, storage.bound(blob.public, DATA)) == DATA
    for made in (
        keys.certify_key(tpm, USAGE, USAGE, key, bind, NONCE),
        keys.certify_key2(tpm, USAGE, USAGE, bind, key, NONCE),
    ):
        assert signed(swtpm_owned.made.signing.public, made.signature, made.info.digest)
        assert made.info.pubkey_digest == sha1(blob.modulus)
    keys.evict_key(tpm, bind)
    changed = keys.change_auth(tpm, USAGE, USAGE, parent, Entity.KEY, blob.enc_data, SECRET)
    bind = keys.load_key2(tpm, USAGE, blob.changed(enc_data=changed), parent)
    assert storage.unbind(tpm, SECRET, bind, storage.bound(blob.public, DATA)) == DATA
    keys.key_control_owner(tpm, OWNER_SECRET, bind, blob.public, 1, True)
    keys.key_control_owner(tpm, OWNER_SECRET, bind, blob.public, 1, False)
    keys.flush_specific(tpm, bind)


def test_nv_storage(swtpm_owned: Owned) -> None:
    tpm = swtpm_owned.tpm
    nv.define_space(tpm, OWNER_SECRET, nv.NvPublic(9, nv.Nv.OWNER_WRITE | nv.Nv.OWNER_READ, 16), SECRET)
    nv.write_value(tpm, OWNER_SECRET, 9, DATA)
    assert nv.read_value(tpm, OWNER_SECRET, 9, 4, offset=2) == DATA[2:6]
    nv.define_space(tpm, OWNER_SECRET, nv.NvPublic(10, nv.Nv.AUTH_WRITE | nv.Nv.AUTH_READ, 16), SECRET)
    nv.write_value_auth(tpm, SECRET, 10, DATA)
    assert nv.read_value_auth(tpm, SECRET, 10, 16) == DATA
    nv.define_space(tpm, OWNER_SECRET, nv.NvPublic(10, 0, 0), SECRET)
    with refused(Code.BADINDEX):
        nv.read_value_auth(tpm, SECRET, 10, 16)


def test_identities(swtpm_owned: Owned) -> None:
    tpm, ek = swtpm_owned.tpm, swtpm_owned.made.ek
    label = sha1(b"label")
    made = identity.make_identity(tpm, WELL_KNOWN, OWNER_SECRET, USAGE, label)
    assert signed(made.key.public, made.binding, made.binding_digest(label))
    key = keys.load_key2(tpm, WELL_KNOWN, made.key)
    wanted = identity.symmetric_key(b"sixteen byte key")
    for contents in (
        identity.asym_ca_contents(wanted, made.key.public),
        identity.ek_activation(wanted, made.key.public),
    ):
        blob = identity.ca_blob(ek, contents)
        assert identity.activate_identity(tpm, USAGE, OWNER_SECRET, key, blob) == wanted


def test_the_owner(swtpm_owned: Owned) -> None:
    tpm = swtpm_owned.tpm
    assert owner.owner_read_internal_pub(tpm, OWNER_SECRET, SRK) == swtpm_owned.made.srk.public
    assert owner.owner_read_pubek(tpm, OWNER_SECRET) == swtpm_owned.made.ek
    owner.disable_pubek_read(tpm, OWNER_SECRET)
    owner.change_auth_owner(tpm, OWNER_SECRET, Entity.SRK, SECRET)
    assert keys.load_key2(tpm, SECRET, swtpm_owned.made.signing)
    owner.change_auth_owner(tpm, OWNER_SECRET, Entity.OWNER, SECRET)
    owner.reset_lock_value(tpm, SECRET)
    owner.owner_set_disable(tpm, SECRET, False)
    assert owner.get_capability_owner(tpm, SECRET).permanent_flags & 0b11 == 0b10
    owner.owner_clear(tpm, SECRET)
    with refused(Code.DISABLED):
        keys.load_key2(tpm, SECRET, swtpm_owned.made.signing)


def test_counters_and_ticks(swtpm_owned: Owned) -> None:
    tpm, key = swtpm_owned.tpm, swtpm_owned.signing()
    number, first = ticks.create_counter(tpm, OWNER_SECRET, b"one.", SECRET)
    assert ticks.increment_counter(tpm, SECRET, number).count == first.count + 1
    assert ticks.read_counter(tpm, number) == ticks.Counter(b"one.", first.count + 1)
    ticks.release_counter(tpm, SECRET, number)
    number, _ = ticks.create_counter(tpm, OWNER_SECRET, b"two.", SECRET)
    ticks.release_counter_owner(tpm, OWNER_SECRET, number)
    before = ticks.get_ticks(tpm)
    stamp = ticks.tick_stamp_blob(tpm, USAGE, key, NONCE, DIGEST)
    assert stamp.ticks.ticks >= before.ticks
    public = swtpm_owned.made.signing.public
    assert signed(public, stamp.signature, stamp.signed_digest(NONCE, DIGEST))


def test_auditing(swtpm_owned: Owned) -> None:
    tpm, key = swtpm_owned.tpm, swtpm_owned.signing()
    audit.set_ordinal_audit_status(tpm, OWNER_SECRET, Ord.PCR_READ, True)
    before = audit.get_audit_digest(tpm)
    assert Ord.PCR_READ in before.ordinals
    value = integrity.pcr_read(tpm, 3)
    after = audit.get_audit_digest(tpm)
    digest = before.digest
    counter = before.counter if any(before.digest) else after.counter
    assert after.digest == audit.extended(digest, counter, Ord.PCR_READ, u32(3), value)
    made = audit.get_audit_digest_signed(tpm, USAGE, key, NONCE)
    assert signed(swtpm_owned.made.signing.public, made.signature, made.signed_digest(NONCE))
    assert made.ordinal_digest == audit.ordinal_list_digest(after.ordinals)


def test_contexts(swtpm_owned: Owned) -> None:
    tpm, key = swtpm_owned.tpm, swtpm_owned.signing()
    blob = context.save_context(tpm, key, Resource.KEY)
    keys.flush_specific(tpm, key)
    key = context.load_context(tpm, blob)
    key = context.load_key_context(tpm, context.save_key_context(tpm, key))
    session = tpm.oiap(USAGE)
    session.handle = context.load_context(tpm, context.save_context(tpm, session.handle, Resource.AUTH))
    assert signing.sign(tpm, session, key, NONCE)
    session.handle = context.load_auth_context(tpm, context.save_auth_context(tpm, session.handle))
    assert signing.sign(tpm, session, key, NONCE)


def test_delegation(swtpm_owned: Owned) -> None:
    tpm, key = swtpm_owned.tpm, swtpm_owned.signing()
    family = delegation.create_family(tpm, OWNER_SECRET, 7)
    row = next(row for row in delegation.read_table(tpm).families if row.number == family)
    assert row.label == 7
    rights = delegation.DelegatePublic(delegation.OWNER_RIGHTS, 1 << 30, 0, family, row.verification, 3)
    blob = delegation.create_owner_delegation(tpm, OWNER_SECRET, rights, SECRET)
    delegation.load_owner_delegation(tpm, OWNER_SECRET, 1, blob)
    assert delegation.read_table(tpm).rows[1] == rights
    delegation.verify_delegation(tpm, blob)
    assert len(delegation.update_verification(tpm, OWNER_SECRET, blob)) == len(blob)
    key_rights = delegation.DelegatePublic(delegation.KEY_RIGHTS, 1 << 14, 0, family, row.verification)
    blob = delegation.create_key_delegation(tpm, USAGE, key, key_rights, SECRET)
    session = tpm.dsap(Entity.DEL_KEY_BLOB, key, blob, SECRET)
    assert signing.sign(tpm, session, key, NONCE)


@pytest.mark.parametrize(
    ("attributes", "algorithm", "scheme"),
    [
        (transport.LOG, Algorithm.MGF1, EncScheme.NONE),
        (transport.ENCRYPT | transport.LOG, Algorithm.MGF1, EncScheme.NONE),
        (transport.ENCRYPT | transport.LOG | transport.EXCLUSIVE, Algorithm.AES128, EncScheme.CTR),
        (transport.ENCRYPT | transport.LOG, Algorithm.AES128, EncScheme.OFB),
    ],
)
def test_transport(swtpm_owned: Owned, attributes: int, algorithm: int, scheme: int) -> None:
    outer, key, parent = swtpm_owned.tpm, swtpm_owned.signing(), swtpm_owned.storage()
    made = swtpm_owned.made
    public = transport.TransportPublic(attributes, algorithm, scheme)
    through = transport.establish(outer, public, SECRET, USAGE, parent, made.storage.public)
    through.public_keys |= {key: made.signing.modulus, SRK: made.srk.modulus}
    tpm = through.tpm
    assert len(integrity.get_random(tpm, 32)) == 32
    integrity.extend(tpm, 7, DIGEST)
    for auth in (USAGE, tpm.osap(Entity.KEY_HANDLE, key, USAGE)):
        assert signed(made.signing.public, signing.sign(tpm, auth, key, NONCE), NONCE)
    other = keys.load_key2(tpm, WELL_KNOWN, made.storage)
    through.public_keys[other] = made.storage.modulus
    keys.flush_specific(tpm, other)
    with refused(Code.AUTHFAIL):
        signing.sign(tpm, WELL_KNOWN, key, NONCE)
    signature, digest = through.release_signed(tpm.oiap(USAGE), key, NONCE)
    assert signed(made.signing.public, signature, digest)


def test_transport_without_a_key(swtpm_owned: Owned) -> None:
    through = transport.establish(swtpm_owned.tpm, transport.TransportPublic(), SECRET)
    through.keep = False
    assert integrity.pcr_read(through.tpm, 0) == bytes(20)
    assert not through.open


def test_migration(swtpm_owned: Owned) -> None:
    tpm, parent = swtpm_owned.tpm, swtpm_owned.storage()
    made = swtpm_owned.made
    target = made.storage.public
    ticket = migration.authorize_migration_key(tpm, OWNER_SECRET, migration.REWRAP, target)
    blob = migration.create_migration_blob(
        tpm, WELL_KNOWN, MIGRATION, SRK, migration.REWRAP, ticket, made.migratable.enc_data
    )
    moved = made.migratable.changed(enc_data=blob.data)
    assert signing.sign(tpm, USAGE, keys.load_key2(tpm, USAGE, moved, parent), NONCE)
    ticket = migration.authorize_migration_key(tpm, OWNER_SECRET, migration.MIGRATE, target)
    blob = migration.create_migration_blob(
        tpm, WELL_KNOWN, MIGRATION, SRK, migration.MIGRATE, ticket, made.migratable.enc_data
    )
    moved = made.migratable.changed(enc_data=migration.convert_migration_blob(tpm, USAGE, parent, blob))
    assert signing.sign(tpm, USAGE, keys.load_key2(tpm, USAGE, moved, parent), NONCE)


def test_migration_authority(swtpm_owned: Owned) -> None:
    tpm, made = swtpm_owned.tpm, swtpm_owned.made
    parent = swtpm_owned.storage()
    wanted = template(KeyUsage.MIGRATE, KeyFlags.NONE)
    authority = keys.create_wrap_key(tpm, WELL_KNOWN, SRK, wanted, USAGE)
    handle = keys.load_key2(tpm, WELL_KNOWN, authority)
    ticket = migration.authorize_migration_key(tpm, OWNER_SECRET, migration.MIGRATE, authority.public)
    blob = migration.create_migration_blob(
        tpm, WELL_KNOWN, MIGRATION, SRK, migration.MIGRATE, ticket, made.migratable.enc_data
    )
    passed = migration.migrate_key(tpm, USAGE, handle, made.storage.public, blob.data)
    converted = migration.convert_migration_blob(
        tpm, USAGE, parent, migration.MigrationBlob(blob.random, passed)
    )
    moved = made.migratable.changed(enc_data=converted)
    assert signing.sign(tpm, USAGE, keys.load_key2(tpm, USAGE, moved, parent), NONCE)


def test_certified_migration(swtpm_owned: Owned) -> None:
    tpm, made = swtpm_owned.tpm, swtpm_owned.made
    parent, signer = swtpm_owned.storage(), swtpm_owned.signing()
    authorities = migration.msa_list([made.signing.public.digest])
    msa = sha1(authorities)
    migration.cmk_set_restrictions(tpm, OWNER_SECRET, 0)
    approval = migration.cmk_approve_ma(tpm, OWNER_SECRET, msa)
    flags = KeyFlags.MIGRATABLE | KeyFlags.MIGRATE_AUTHORITY
    wanted = template(KeyUsage.SIGNING, flags, key12=True)
    key = migration.cmk_create_key(tpm, WELL_KNOWN, SRK, wanted, USAGE, approval, msa)
    assert keys.load_key2(tpm, WELL_KNOWN, key)
    certificate = keys.certify_key2(
        tpm, USAGE, USAGE, keys.load_key2(tpm, WELL_KNOWN, key), signer, NONCE, msa
    )
    assert signed(made.signing.public, certificate.signature, certificate.info.digest)
    restriction = migration.CmkAuth(
        made.signing.public.digest, made.storage.public.digest, key.public.digest
    )
    signature = signing.sign(tpm, USAGE, signer, restriction.digest)
    signature_ticket = migration.cmk_create_ticket(
        tpm, OWNER_SECRET, made.signing.public, restriction.digest, signature
    )
    scheme = migration.RESTRICT_APPROVE
    ticket = migration.authorize_migration_key(tpm, OWNER_SECRET, scheme, made.storage.public)
    blob = migration.cmk_create_blob(
        tpm, WELL_KNOWN, SRK, scheme, ticket, key.public.digest, authorities, restriction,
        signature_ticket, key.enc_data,
    )  # fmt: skip
    converted = migration.cmk_convert_migration(
        tpm, USAGE, parent, restriction, signature_ticket, key.changed(enc_data=blob.data), authorities,
        blob.random,
    )  # fmt: skip
    moved = key.changed(enc_data=converted)
    assert signing.sign(tpm, USAGE, keys.load_key2(tpm, USAGE, moved, parent), NONCE)


def test_changing_a_secret_unseen(swtpm_owned: Owned) -> None:
    tpm, parent = swtpm_owned.tpm, swtpm_owned.storage()
    aik = identity.make_identity(tpm, WELL_KNOWN, OWNER_SECRET, USAGE, DIGEST)
    handle = keys.load_key2(tpm, WELL_KNOWN, aik.key)
    blob = keys.create_wrap_key(tpm, USAGE, parent, template(KeyUsage.SIGNING), USAGE)
    ephemeral = asymauth.change_auth_asym_start(tpm, USAGE, handle, NONCE)
    assert signed(aik.key.public, ephemeral.signature, ephemeral.info.digest)
    changed = asymauth.change_auth_asym_finish(tpm, USAGE, parent, ephemeral, blob.enc_data, USAGE, SECRET)
    key = keys.load_key2(tpm, USAGE, blob.changed(enc_data=changed), parent)
    assert signed(blob.public, signing.sign(tpm, SECRET, key, NONCE), NONCE)
