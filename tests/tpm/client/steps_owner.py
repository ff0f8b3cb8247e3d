# SPDX-License-Identifier: GPL-3.0-or-later
"""Steps of generated sequences that are about the owner's things: NV, counters, audit, delegation, DIR,
capabilities. See steps_keys.py.
"""

from __future__ import annotations

from random import Random

from tests.tpm.client import audit, capability, delegation, integrity, nv, owner, signing, ticks
from tests.tpm.client.capability import Cap, Prop
from tests.tpm.client.constants import SRK, WELL_KNOWN, Entity, Ord, Resource
from tests.tpm.client.pcr import PcrInfoShort
from tests.tpm.client.prepared import OWNER_SECRET
from tests.tpm.client.twin import KEYS, SECRET, Step, World, maybe
from tests.tpm.client.wire import u16, u32

_OFFSETS = (0, 0, 0, 2, 16, 0xFFFF)  # swtpm 0.7.1 ends when offset and length pass 2**32
_NV_ATTRIBUTES = (
    nv.Nv.OWNER_WRITE | nv.Nv.OWNER_READ,
    nv.Nv.AUTH_WRITE | nv.Nv.AUTH_READ,
    nv.Nv.OWNER_WRITE | nv.Nv.AUTH_READ | nv.Nv.WRITE_ALL,
    nv.Nv.AUTH_WRITE | nv.Nv.WRITE_DEFINE,
    nv.Nv.AUTH_WRITE | nv.Nv.AUTH_READ | nv.Nv.WRITE_ST_CLEAR | nv.Nv.READ_ST_CLEAR,
    nv.Nv.OWNER_WRITE | nv.Nv.GLOBAL_LOCK,
    nv.Nv.PP_WRITE | nv.Nv.PP_READ,
    nv.Nv.NONE,
    nv.Nv.OWNER_WRITE | nv.Nv.AUTH_WRITE,
)


def define(world: World, chance: Random) -> object:
    index, size = chance.choice([0x11, 0x12, 0x13, 0x10000011]), chance.choice([0, 4, 16, 16, 100])
    attributes = chance.choice(_NV_ATTRIBUTES)
    bound = PcrInfoShort(localities=chance.choice([0x1F, 0x1F, 0x1F, 0x01, 0x02, 0]))
    public = nv.NvPublic(index, attributes, size, write_pcrs=bound)
    nv.define_space(world.tpm, maybe(chance, OWNER_SECRET) or OWNER_SECRET, public, SECRET)
    return None


def nv_write(world: World, chance: Random) -> object:
    index = chance.choice([0x11, 0x12, 0x13, 0x10000011, 0x14, 0, nv.DIR])
    data, offset = (
        chance.randbytes(chance.choice([0, 4, 16, 16])),
        chance.choice(_OFFSETS),
    )
    if chance.random() < 0.5:
        nv.write_value(world.tpm, maybe(chance, OWNER_SECRET), index, data, offset)
    else:
        nv.write_value_auth(world.tpm, chance.choice([SECRET, SECRET, WELL_KNOWN]), index, data, offset)
    return None


def nv_read(world: World, chance: Random) -> object:
    index = chance.choice([0x11, 0x12, 0x13, 0x10000011, 0x14, 0, nv.DIR])
    size, offset = chance.choice([0, 4, 16, 100]), chance.choice(_OFFSETS)
    if chance.random() < 0.5:
        return nv.read_value(world.tpm, maybe(chance, OWNER_SECRET), index, size, offset)
    return nv.read_value_auth(world.tpm, chance.choice([SECRET, SECRET, WELL_KNOWN]), index, size, offset)


def nv_public(world: World, chance: Random) -> object:
    index = chance.choice(capability.nv_list(world.tpm) or [0x11])
    return capability.nv_list(world.tpm), capability.nv_index(world.tpm, index)


def counter(world: World, chance: Random) -> object:
    """Make, increment, read or release one of two counters."""
    name = chance.choice(["a", "b"])
    number = world.counters.get(name, 77)
    kind = chance.choice(["create", "increment", "increment", "read", "release", "owner"])
    if kind == "create":
        if name in world.counters:
            return "there already"
        auth = maybe(chance, OWNER_SECRET) or OWNER_SECRET
        world.counters[name], value = ticks.create_counter(world.tpm, auth, b"cnt" + name.encode(), SECRET)
        return value
    if kind == "read":
        return ticks.read_counter(world.tpm, number)
    if kind == "increment":
        return ticks.increment_counter(world.tpm, maybe(chance, SECRET), number)
    if kind == "release":
        ticks.release_counter(world.tpm, maybe(chance, SECRET), number)
    else:
        ticks.release_counter_owner(world.tpm, maybe(chance, OWNER_SECRET), number)
    return world.counters.pop(name, None) is not None


def audit_status(world: World, chance: Random) -> object:
    ordinal = chance.choice(
        [Ord.PCR_READ, Ord.SIGN, Ord.SET_ORDINAL_AUDIT_STATUS, Ord.GET_AUDIT_DIGEST, 0xFFFF]
    )
    audit.set_ordinal_audit_status(world.tpm, maybe(chance, OWNER_SECRET), ordinal, chance.random() < 0.5)
    return None


def audited(world: World, chance: Random) -> object:
    found = audit.get_audit_digest(world.tpm, chance.choice([0, 0, 0x17, 0xFFFFFFFF]))
    return found.more, found.ordinals


def delegate(world: World, chance: Random) -> object:
    """Manage families, and use what is delegated."""
    tpm = world.tpm
    kind = chance.choice(["create", "enable", "table", "owner", "key", "invalidate"])
    number = world.families[-1].number if world.families else 99
    if kind == "create":
        made = delegation.manage(tpm, maybe(chance, OWNER_SECRET), 0, delegation.CREATE, b"\5")
        world.families = list(delegation.read_table(tpm).families)
        return len(made)
    if kind == "enable":
        return delegation.manage(tpm, OWNER_SECRET, number, delegation.ENABLE, chance.choice([b"\0", b"\1"]))
    if kind == "invalidate":
        return delegation.manage(tpm, OWNER_SECRET, number, delegation.INVALIDATE, b"")
    if kind == "table":
        table = delegation.read_table(tpm)
        return [(row.label, row.flags) for row in table.families], sorted(table.rows)
    verification = world.families[-1].verification if world.families else 0
    if kind == "owner":
        rights = delegation.DelegatePublic(
            delegation.OWNER_RIGHTS, chance.choice([0, 1 << 30, 0x7FFFFFFF]), 0, number, verification
        )
        blob = delegation.create_owner_delegation(tpm, OWNER_SECRET, rights, SECRET)
        session = tpm.dsap(Entity.DEL_OWNER_BLOB, 0, blob, SECRET)
        integrity.dir_write_auth(tpm, session, chance.randbytes(20))
        return len(blob)
    rights = delegation.DelegatePublic(
        delegation.KEY_RIGHTS, chance.choice([0, 1 << 14, 0x1FFFFFFF]), 0, number, verification
    )
    handle = world.handle("sha1")
    blob = delegation.create_key_delegation(tpm, world.secret("sha1"), handle, rights, SECRET)
    session = tpm.dsap(Entity.DEL_KEY_BLOB, handle, blob, SECRET)
    return len(blob), len(signing.sign(tpm, session, handle, bytes(20)))


def dir_register(world: World, chance: Random) -> object:
    index = chance.choice([0, 0, 0, 1])
    if chance.random() < 0.5:
        integrity.dir_write_auth(world.tpm, maybe(chance, OWNER_SECRET), chance.randbytes(20), index)
    return integrity.dir_read(world.tpm, index)


_COMPARABLE = (
    Prop.PCR, Prop.DIR, Prop.KEYS, Prop.AUTHSESS, Prop.TRANSESS, Prop.MAX_AUTHSESS, Prop.MAX_KEYS,
    Prop.OWNER, Prop.MAX_CONTEXT, Prop.TIS_TIMEOUT, Prop.STARTUP_EFFECT, Prop.DELEGATE_ROW, Prop.SESSIONS,
    Prop.CMK_RESTRICTION, Prop.DURATION, Prop.COUNTERS, Prop.MAX_COUNTERS, Prop.CONTEXT, Prop.FAMILYROWS,
)  # fmt: skip


def capabilities(world: World, chance: Random) -> object:
    kind = chance.randrange(6)
    tpm = world.tpm
    if kind == 0:
        what = chance.choice(_COMPARABLE)
        return what.name, capability.get_capability(tpm, Cap.PROPERTY, u32(what)).hex()
    if kind == 1:
        return capability.get_capability(tpm, Cap.FLAG, u32(chance.choice([0x108, 0x109, 0x107]))).hex()
    if kind == 2:
        return len(capability.handles(tpm, chance.choice([None, *Resource])))
    if kind == 3:
        return capability.check_loaded(tpm, world.stock.keys[chance.choice(KEYS[1:])].parms)
    if kind == 4:
        area = chance.choice([Cap.ALG, Cap.PID, Cap.SYM_MODE, Cap.TRANS_ALG, Cap.TRANS_ES, Cap.AUTH_ENCRYPT])
        return area.name, capability.get_capability(tpm, area, u32(chance.randrange(12))).hex()
    selected = chance.choice([b"\1\2" + u16(size) for size in (0, 1, 2, 3, 4)])
    return capability.get_capability(tpm, Cap.SELECT_SIZE, selected).hex()


def owner_reads(world: World, chance: Random) -> object:
    auth = maybe(chance, OWNER_SECRET)
    if chance.random() < 0.3:
        found = owner.get_capability_owner(world.tpm, auth)
        return found.permanent_flags, found.volatile_flags
    handle = chance.choice([0x40000006, SRK, 0x40000001, 0])
    return owner.owner_read_internal_pub(world.tpm, auth, handle).parms


STEPS: tuple[Step, ...] = (
    define, define, nv_write, nv_write, nv_read, nv_read, nv_public, counter, counter, audit_status, audited,
    delegate, delegate, dir_register, capabilities, capabilities, owner_reads,
)  # fmt: skip
