# SPDX-License-Identifier: GPL-3.0-or-later
"""Steps of generated sequences that are about keys, PCRs and data.

Each draws what it does from `chance` only and returns what has to be the same on every TPM: sizes, tags,
public fields, and whether what was made is right.
"""

from __future__ import annotations

from dataclasses import replace
from random import Random

from tests.tpm.client import context, integrity, keys, migration, signing, storage, ticks
from tests.tpm.client.constants import SRK, WELL_KNOWN, Adip, Entity, Resource
from tests.tpm.client.pcr import PcrInfo, PcrInfoLong, PcrInfoShort, Selection, composite_digest
from tests.tpm.client.prepared import MIGRATION, OWNER_SECRET
from tests.tpm.client.rsacrypt import encrypt_pkcs1, signed, signed_der
from tests.tpm.client.tpm import Auth
from tests.tpm.client.twin import KEYS, SECRET, Step, World, maybe
from tests.tpm.client.wire import Struct, sha1


def _name(chance: Random, *likely: str) -> str:
    """Return a key's name, mostly a fitting one."""
    return chance.choice(likely if chance.random() < 0.85 else KEYS)


def _opened(world: World, chance: Random, name: str, new_secret: bool = False) -> Auth:
    """Return an authorisation for a key: a secret, or a session of one kind or the other."""
    kinds = ["osap", "aes", "secret"] if new_secret else ["oiap", "osap", "secret", "wrong", "none"]
    kind = chance.choices(kinds, [5, 5, 5, 1, 1][: len(kinds)])[0]
    secret = world.secret(name)
    if kind == "none":
        return None
    if kind == "oiap":
        return world.tpm.oiap(secret)
    if kind in ("osap", "aes"):
        adip = Adip.AES_CTR if kind == "aes" else Adip.XOR
        return world.tpm.osap(Entity.KEY_HANDLE, world.handle(name), secret, adip=adip)
    return SECRET if kind == "wrong" else secret


def _pcrs(world: World, chance: Random) -> Struct | None:
    """Return a PCR binding: none, of the present values, or of others."""
    kind = chance.randrange(5)
    if kind == 0:
        return None
    chosen = sorted(chance.sample(range(24), chance.randrange(1, 4)))
    values = [integrity.pcr_read(world.tpm, index) for index in chosen]
    digest = composite_digest(chosen, values) if kind < 4 else sha1(b"another")
    if kind == 1:
        return PcrInfo(Selection.of(*chosen), digest)
    localities = chance.choice([0x1F, 0x01, 0x02, 0x00, 0x3F])
    return PcrInfoLong(
        Selection.of(*chosen), digest, Selection.of(chosen[0]), locality_at_release=localities
    )


def extend(world: World, chance: Random) -> object:
    return integrity.extend(world.tpm, chance.choice([*range(26), 255]), chance.randbytes(20))


def reset(world: World, chance: Random) -> object:
    integrity.pcr_reset(world.tpm, Selection.of(chance.choice([16, 16, 17, 20, 23, 0])))
    return None


def sign(world: World, chance: Random) -> object:
    name = _name(chance, "sha1", "der", "info", "legacy", "never", "pcr", "long", "shown")
    handle, auth = world.handle(name), _opened(world, chance, name)
    data = chance.randbytes(chance.choice([20, 20, 20, 0, 1, 19, 21, 245, 246, 256]))
    signature = signing.sign(world.tpm, auth, handle, data)
    public = world.public(name)
    return len(signature), signed(public, signature, data), signed_der(public, signature, data)


def quote(world: World, chance: Random) -> object:
    name = _name(chance, "sha1", "aik", "legacy", "never", "info")
    handle, auth, nonce = world.handle(name), _opened(world, chance, name), chance.randbytes(20)
    size = chance.choice([3, 3, 3, 2, 1, 4, 0])
    selection = Selection(chance.randbytes(size))
    made = signing.quote(world.tpm, auth, handle, nonce, selection)
    return made.composite, signed(world.public(name), made.signature, made.signed_digest(nonce))


def quote2(world: World, chance: Random) -> object:
    name = _name(chance, "sha1", "aik", "legacy", "never", "info")
    handle, auth, nonce = world.handle(name), _opened(world, chance, name), chance.randbytes(20)
    selection, version = Selection(chance.randbytes(3)), chance.random() < 0.5
    made = signing.quote2(world.tpm, auth, handle, nonce, selection, version)
    right = signed(world.public(name), made.signature, made.signed_digest(nonce))
    return made.info, len(made.version_info), right


def seal(world: World, chance: Random) -> object:
    name = _name(chance, "srk", "storage", "open")
    key, pcrs = world.handle(name), _pcrs(world, chance)
    auth = _opened(world, chance, name, new_secret=True)
    data = chance.randbytes(chance.choice([1, 20, 100, 146, 214, 0, 300]))
    if chance.random() < 0.3:
        blob = storage.sealx(world.tpm, auth, data, SECRET, pcrs, key)
    else:
        blob = storage.seal(world.tpm, auth, data, SECRET, pcrs, key)
    world.sealed[name] = blob
    return blob.head, blob.seal_info, len(blob.enc_data)


def unseal(world: World, chance: Random) -> object:
    if not world.sealed:
        return "nothing sealed"
    name = chance.choice(sorted(world.sealed))
    key, blob = world.handle(name), world.sealed[name]
    auth, data_auth = _opened(world, chance, name, new_secret=chance.random() < 0.5), maybe(chance, SECRET)
    if auth is not None and blob.head[2:] != b"\0\0" and blob.head[:2] == b"\0\x16":
        return storage.unsealx(world.tpm, auth, data_auth, blob, key)
    return storage.unseal(world.tpm, auth, data_auth, blob, key)


def unbind(world: World, chance: Random) -> object:
    name = _name(chance, "bind", "legacy")
    data = chance.randbytes(chance.choice([1, 20, 200]))
    public = world.public(name)
    kind = chance.randrange(3)
    bound = storage.bound(public, data) if kind else encrypt_pkcs1(public, data)
    bound = chance.randbytes(chance.choice([256, 255, 0])) if kind == 2 and chance.random() < 0.3 else bound
    key, auth = world.handle(name), _opened(world, chance, name)
    return storage.unbind(world.tpm, auth, key, bound)


def load(world: World, chance: Random) -> object:
    """Load under a parent that is right or not, by either command."""
    name = chance.choice(KEYS[1:])
    parent = _name(chance, "srk", "srk", "srk", "open")
    command = chance.choice([keys.load_key, keys.load_key2, keys.load_key2])
    auth, parent_handle = maybe(chance, world.secret(parent)), world.handle(parent)
    handle = command(world.tpm, auth, world.stock.keys[name], parent_handle)
    public = keys.get_pub_key(world.tpm, world.secret(name), handle)
    keys.flush_specific(world.tpm, handle)
    return public == world.public(name)


def get_public(world: World, chance: Random) -> object:
    name = chance.choice(KEYS)
    return keys.get_pub_key(world.tpm, maybe(chance, world.secret(name)), world.handle(name)).parms


def flush(world: World, chance: Random) -> object:
    if not world.handles:
        return "nothing loaded"
    name = chance.choice(sorted(world.handles))
    handle = world.handles.pop(name)
    return chance.choice([keys.flush_specific, keys.evict_key])(world.tpm, handle)


def certify(world: World, chance: Random) -> object:
    by, name = _name(chance, "sha1", "legacy", "info", "aik"), chance.choice(KEYS)
    by_handle, handle, nonce = world.handle(by), world.handle(name), chance.randbytes(20)
    by_auth, auth = maybe(chance, world.secret(by)), maybe(chance, world.secret(name))
    if chance.random() < 0.5:
        made = keys.certify_key(world.tpm, by_auth, auth, by_handle, handle, nonce)
    else:
        made = keys.certify_key2(world.tpm, auth, by_auth, handle, by_handle, nonce)
    right = signed(world.public(by), made.signature, made.info.digest)
    found = replace(made.info, pubkey_digest=b"", pcr_info=b"")
    same = made.info.pubkey_digest == sha1(world.public(name).modulus)
    return found, _bound_to(made.info), right, same


def _bound_to(info: keys.CertifyInfo) -> object:
    """Return what a certified key is bound to: Part 3, 13.8, wants a selection of two bytes in the older of
    the two structures, where swtpm has three.
    """
    if not info.pcr_info:
        return None
    if info.payload_type is None:
        older = PcrInfo.decode(info.pcr_info)
        return older.selection.indices, older.at_release, older.at_creation
    return PcrInfoShort.decode(info.pcr_info)


def change_auth(world: World, chance: Random) -> object:
    """Change a key's secret and change it back."""
    name, blob = "sha1", world.stock.keys["sha1"]
    entity = chance.choice([Entity.KEY, Entity.KEY, Entity.DATA, Entity.OWNER])
    changed = keys.change_auth(
        world.tpm, _opened(world, chance, "srk", True), maybe(chance, world.secret(name)), SRK, entity,
        blob.enc_data, SECRET,
    )  # fmt: skip
    handle = keys.load_key2(world.tpm, WELL_KNOWN, blob.changed(enc_data=changed))
    return len(changed), len(signing.sign(world.tpm, SECRET, handle, bytes(20)))


def save_and_load(world: World, chance: Random) -> object:
    name = chance.choice(KEYS[1:])
    handle = world.handle(name)
    if chance.random() < 0.3:
        del world.handles[name]
        return context.load_key_context(world.tpm, context.save_key_context(world.tpm, handle)) != 0
    blob = context.save_context(
        world.tpm, handle, chance.choice([Resource.KEY, Resource.KEY, Resource.AUTH])
    )
    keeps = chance.random() < 0.5
    if keeps:
        keys.flush_specific(world.tpm, world.handles.pop(name))
    return blob[:6], context.load_context(world.tpm, blob, keep_handle=keeps) != 0


def session_context(world: World, chance: Random) -> object:
    """Swap a session out and in, and use it."""
    handle = world.handle("sha1")
    session = world.tpm.oiap(world.secret("sha1"))
    if chance.random() < 0.5:
        blob = context.save_context(world.tpm, session.handle, Resource.AUTH)
        session.handle = context.load_context(world.tpm, blob)
    else:
        blob = context.save_auth_context(world.tpm, session.handle)
        session.handle = context.load_auth_context(world.tpm, blob)
    return len(signing.sign(world.tpm, session, handle, bytes(20)))


def migrate(world: World, chance: Random) -> object:
    scheme = chance.choice([migration.MIGRATE, migration.REWRAP, migration.MAINT, 6])
    target = world.public(_name(chance, "storage"))
    ticket = migration.authorize_migration_key(world.tpm, maybe(chance, OWNER_SECRET), scheme, target)
    name = _name(chance, "migratable")
    key = world.stock.keys.get(name, world.stock.srk)
    blob = migration.create_migration_blob(
        world.tpm, WELL_KNOWN, maybe(chance, MIGRATION), SRK, scheme, ticket, key.enc_data
    )
    if scheme == migration.REWRAP:
        return len(blob.data), len(blob.random)
    parent = world.handle("storage")
    auth = maybe(chance, world.secret("storage"))
    data = migration.convert_migration_blob(world.tpm, auth, parent, blob)
    loaded = keys.load_key2(world.tpm, world.secret("storage"), key.changed(enc_data=data), parent)
    return (
        len(blob.data),
        len(blob.random),
        len(signing.sign(world.tpm, world.secret(name), loaded, bytes(20))),
    )


def stamp(world: World, chance: Random) -> object:
    name, replay, digest = _name(chance, "sha1", "legacy", "info", "aik"), bytes(20), chance.randbytes(20)
    made = ticks.tick_stamp_blob(
        world.tpm, maybe(chance, world.secret(name)), world.handle(name), replay, digest
    )
    return signed(world.public(name), made.signature, made.signed_digest(replay, digest))


STEPS: tuple[Step, ...] = (
    extend, reset, sign, sign, quote, quote2, seal, seal, unseal, unseal, unbind, load, load, get_public,
    flush, certify, certify, change_auth, save_and_load, session_context, migrate, stamp,
)  # fmt: skip
