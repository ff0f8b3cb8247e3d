# SPDX-License-Identifier: GPL-3.0-or-later
"""The test client proven against swtpm: what needs no owner, and what the platform does."""

from __future__ import annotations

import hashlib

import pytest

from tests.tpm.client import (
    admin,
    capability,
    delegation,
    integrity,
    keys,
    migration,
    nv,
    owner,
    signing,
)
from tests.tpm.client.capability import Cap, Prop, SetCap
from tests.tpm.client.constants import OWNER, Code, Entity, Ord, Resource
from tests.tpm.client.pcr import Selection
from tests.tpm.client.prepared import OWNER_SECRET, USAGE, Owned
from tests.tpm.client.subjects import Swtpm
from tests.tpm.client.tpm import TpmCodeError, refused
from tests.tpm.client.wire import sha1, u32

pytest_plugins = ("tests.tpm.client.fixtures",)

SECRET = b"twenty bytes of ours"
NONCE = bytes(range(20))


def test_pcrs_and_hashes(swtpm: Swtpm) -> None:
    tpm = swtpm.tpm
    assert integrity.extend(tpm, 16, NONCE) == sha1(bytes(20), NONCE) == integrity.pcr_read(tpm, 16)
    integrity.pcr_reset(tpm, Selection.of(16))
    assert integrity.pcr_read(tpm, 16) == bytes(20)
    assert integrity.sha1_start(tpm) % 64 == 0
    integrity.sha1_update(tpm, bytes(64))
    assert integrity.sha1_complete(tpm, b"end") == hashlib.sha1(bytes(64) + b"end").digest()
    integrity.sha1_start(tpm)
    digest, value = integrity.sha1_complete_extend(tpm, 1, b"all")
    assert value == sha1(bytes(20), digest)
    integrity.stir_random(tpm, b"noise")
    assert len(integrity.get_random(tpm, 20)) == 20


def test_start_up(swtpm: Swtpm) -> None:
    tpm = swtpm.tpm
    integrity.extend(tpm, 2, NONCE)
    admin.save_state(tpm)
    swtpm.power_cycle(admin.Startup.STATE)
    assert integrity.pcr_read(tpm, 2) != bytes(20)
    admin.self_test_full(tpm)
    admin.continue_self_test(tpm)
    assert admin.get_test_result(tpm)
    swtpm.power_cycle(None)
    with refused(Code.INVALID_POSTINIT):
        integrity.pcr_read(tpm, 2)


def test_presence_and_opt_in(swtpm: Swtpm) -> None:
    tpm = swtpm.tpm
    with refused(Code.BAD_PRESENCE):
        admin.physical_enable(tpm)
    admin.assert_presence(tpm)
    admin.physical_disable(tpm)
    with refused(Code.DISABLED):
        integrity.pcr_read(tpm, 0)
    admin.physical_enable(tpm)
    admin.set_owner_install(tpm, False)
    admin.set_owner_install(tpm, True)
    admin.set_operator_auth(tpm, SECRET)
    admin.set_temp_deactivated(tpm, SECRET)
    with refused(Code.DEACTIVATED):
        integrity.pcr_read(tpm, 0)
    admin.physical_set_deactivated(tpm, True)
    swtpm.power_cycle()
    with refused(Code.DEACTIVATED):
        integrity.pcr_read(tpm, 0)
    swtpm.set_locality(3)
    admin.reset_establishment_bit(tpm)


def test_endorsement_keys(swtpm: Swtpm) -> None:
    tpm = swtpm.tpm
    pubek, reset = owner.create_revocable_ek(tpm, SECRET)
    assert (owner.read_pubek(tpm), reset) == (pubek, SECRET)
    admin.assert_presence(tpm)
    owner.revoke_trust(tpm, SECRET)
    admin.physical_enable(tpm)
    with refused(Code.NO_ENDORSEMENT):
        owner.read_pubek(tpm)


def test_clearing(swtpm_owned: Owned) -> None:
    tpm = swtpm_owned.tpm
    admin.assert_presence(tpm)
    owner.disable_owner_clear(tpm, OWNER_SECRET)
    with refused(Code.CLEAR_DISABLED):
        owner.owner_clear(tpm, OWNER_SECRET)
    owner.force_clear(tpm)
    admin.physical_enable(tpm)
    owner.disable_force_clear(tpm)
    with refused(Code.CLEAR_DISABLED):
        owner.force_clear(tpm)


def test_dir(swtpm_owned: Owned) -> None:
    tpm = swtpm_owned.tpm
    integrity.dir_write_auth(tpm, OWNER_SECRET, NONCE)
    assert integrity.dir_read(tpm) == NONCE
    owner.set_owner_pointer(tpm, Entity.OWNER, OWNER)


def test_capabilities(swtpm_owned: Owned) -> None:
    tpm, key = swtpm_owned.tpm, swtpm_owned.signing()
    assert capability.supported(tpm, Ord.SEAL)
    assert capability.number(tpm, Prop.PCR) == 24
    assert capability.handles(tpm) == capability.handles(tpm, Resource.KEY) == [key]
    assert capability.check_loaded(tpm, swtpm_owned.made.signing.parms)
    assert capability.get_capability(tpm, Cap.KEY_STATUS, u32(key)) == b"\0"
    capability.set_flag(tpm, OWNER_SECRET, SetCap.PERM_FLAGS, 17, True)  # readSRKPub
    nv.define_space(tpm, OWNER_SECRET, nv.NvPublic(3, nv.Nv.OWNER_WRITE, 5), SECRET)
    assert 3 in capability.nv_list(tpm)
    assert capability.nv_index(tpm, 3).size == 5


def test_delegated_ownership(swtpm_owned: Owned) -> None:
    tpm = swtpm_owned.tpm
    family = delegation.create_family(tpm, OWNER_SECRET)
    verification = delegation.read_table(tpm).families[-1].verification
    everything = delegation.DelegatePublic(delegation.OWNER_RIGHTS, 0x7FFFFFFF, 0, family, verification)
    blob = delegation.create_owner_delegation(tpm, OWNER_SECRET, everything, SECRET)
    session = tpm.dsap(Entity.DEL_OWNER_BLOB, 0, blob, SECRET)
    integrity.dir_write_auth(tpm, session, NONCE)
    delegation.load_owner_delegation(tpm, OWNER_SECRET, 0, blob)
    session = tpm.dsap(Entity.DEL_ROW, 0, u32(0), SECRET)
    integrity.dir_write_auth(tpm, session, bytes(20))
    delegation.manage(tpm, OWNER_SECRET, family, delegation.INVALIDATE)
    with refused(Code.INVALID_AUTHHANDLE):
        integrity.dir_write_auth(tpm, session, NONCE)


def test_old_ways_to_end_sessions(swtpm_owned: Owned) -> None:
    tpm, key = swtpm_owned.tpm, swtpm_owned.signing()
    session = tpm.oiap(USAGE)
    keys.terminate_handle(tpm, session.handle)
    with refused(Code.INVALID_AUTHHANDLE):
        signing.sign(tpm, session, key, NONCE)
    session = tpm.oiap(USAGE)
    admin.reset(tpm)
    with refused(Code.INVALID_AUTHHANDLE):
        signing.sign(tpm, session, key, NONCE)


def test_what_swtpm_has_not(swtpm_owned: Owned) -> None:
    tpm, key, public = swtpm_owned.tpm, swtpm_owned.signing(), swtpm_owned.made.signing.public
    for optional in (
        lambda: migration.create_maintenance_archive(tpm, None),
        lambda: migration.load_maintenance_archive(tpm, None, b""),
        lambda: migration.kill_maintenance_feature(tpm, None),
        lambda: migration.load_manu_maint_pub(tpm, NONCE, public),
        lambda: migration.read_manu_maint_pub(tpm, NONCE),
        lambda: admin.field_upgrade(tpm, b""),
        lambda: capability.get_capability_signed(tpm, None, key, NONCE, Cap.VERSION),
    ):
        with pytest.raises(TpmCodeError) as caught:
            optional()
        assert caught.value.rc == Code.BAD_ORDINAL
