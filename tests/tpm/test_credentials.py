# SPDX-License-Identifier: GPL-3.0-or-later
"""The endorsement key, ours and swtpm's (Part 3, 14 and 27.6, 27.7)."""

from __future__ import annotations

import pytest

from tests.tpm.client import admin, keys, nv, owner
from tests.tpm.client.constants import SRK, WELL_KNOWN, Code, Ord
from tests.tpm.client.keyblobs import KeyParms
from tests.tpm.client.prepared import OWNER_SECRET, Owned
from tests.tpm.client.subjects import Ours, Subject
from tests.tpm.client.tpm import refused

pytest_plugins = ("tests.tpm.client.fixtures",)

RESET = b"what revokes the EK."
EK_HANDLE = 0x40000006


class TestCreateEndorsementKeyPair:
    def test_there_is_one_and_only_one(self, both: Subject) -> None:
        ek = owner.create_ek(both.tpm)
        assert (len(ek.modulus), ek.parms.enc_scheme, ek.parms.sig_scheme) == (256, 3, 1)
        assert owner.read_pubek(both.tpm) == ek
        with refused(Code.DISABLED_CMD):
            owner.create_ek(both.tpm)
        with refused(Code.DISABLED_CMD):
            owner.create_revocable_ek(both.tpm, RESET)
        both.power_cycle()
        assert owner.read_pubek(both.tpm) == ek

    @pytest.mark.parametrize(
        "parms", [KeyParms.rsa(1024, 3, 1), KeyParms.rsa(4096, 3, 1), KeyParms(6, 3, 1, bytes(12))]
    )
    def test_it_is_rsa_with_2048_bits(self, both: Subject, parms: KeyParms) -> None:
        with refused(Code.BAD_KEY_PROPERTY):
            owner.create_ek(both.tpm, parms)

    def test_other_schemes_are_ignored(self, ours: Ours) -> None:
        ek = owner.create_ek(ours.tpm, KeyParms.rsa(2048, 1, 2))
        assert (ek.parms.enc_scheme, ek.parms.sig_scheme) == (3, 1)

    def test_it_cannot_be_revoked(self, both: Subject) -> None:
        owner.create_ek(both.tpm)
        admin.assert_presence(both.tpm)
        with refused(Code.PERMANENTEK):
            owner.revoke_trust(both.tpm, RESET)


class TestCreateRevocableEk:
    @pytest.mark.parametrize("generate", [False, True])
    def test_its_secret_is_the_callers_or_the_tpms(self, both: Subject, generate: bool) -> None:
        ek, reset = owner.create_revocable_ek(both.tpm, RESET, generate=generate)
        assert (reset == RESET) is not generate
        assert owner.read_pubek(both.tpm) == ek
        admin.assert_presence(both.tpm)
        owner.revoke_trust(both.tpm, reset)
        admin.physical_enable(both.tpm)
        with refused(Code.NO_ENDORSEMENT):
            owner.read_pubek(both.tpm)

    def test_it_is_rsa_with_2048_bits(self, both: Subject) -> None:
        with refused(Code.BAD_KEY_PROPERTY):
            owner.create_revocable_ek(both.tpm, RESET, KeyParms.rsa(1024, 3, 1))


class TestRevokeTrust:
    def test_who_may(self, both: Subject) -> None:
        owner.create_revocable_ek(both.tpm, RESET)
        with refused(Code.AUTHFAIL):
            owner.revoke_trust(both.tpm, b"x" * 20)
        with refused(Code.BAD_PRESENCE):
            owner.revoke_trust(both.tpm, RESET)

    def test_owner_keys_and_protected_nv_areas_go(self, ours: Ours) -> None:
        tpm = ours.tpm
        owner.create_revocable_ek(tpm, RESET)
        protected = nv.NvPublic(0x10000100, nv.Nv.PP_WRITE, 8)
        nv.define_space(tpm, None, protected, WELL_KNOWN)
        owner.take_ownership(tpm, OWNER_SECRET, pubek=owner.read_pubek(tpm))
        admin.assert_presence(tpm)
        owner.revoke_trust(tpm, RESET)
        emulator = ours.emulator
        assert emulator.permanent.ek is None
        assert emulator.permanent.owner is None
        assert not emulator.permanent.flags.cekp_used
        assert not any(area.index == 0x10000100 for area in emulator.permanent.nv.areas)
        ours.power_cycle()
        assert tpm.code(Ord.GET_PUB_KEY, SRK.to_bytes(4)) == Code.DISABLED

    def test_a_new_ek_can_be_made(self, ours: Ours) -> None:
        owner.create_revocable_ek(ours.tpm, RESET)
        admin.assert_presence(ours.tpm)
        owner.revoke_trust(ours.tpm, RESET)
        admin.physical_enable(ours.tpm)
        admin.physical_set_deactivated(ours.tpm, False)
        ours.power_cycle()
        assert owner.create_ek(ours.tpm)


class TestReadPubek:
    def test_there_must_be_an_ek(self, both: Subject) -> None:
        with refused(Code.NO_ENDORSEMENT):
            owner.read_pubek(both.tpm)

    def test_not_with_an_owner(self, both_owned: Owned) -> None:
        with refused(Code.DISABLED_CMD):
            owner.read_pubek(both_owned.tpm)

    def test_disable_pubek_read_shuts_it(self, both_owned: Owned) -> None:
        """TPM_DisablePubekRead."""
        with refused(Code.AUTHFAIL):
            owner.disable_pubek_read(both_owned.tpm, WELL_KNOWN)
        owner.disable_pubek_read(both_owned.tpm, OWNER_SECRET)
        with refused(Code.DISABLED_CMD):
            owner.read_pubek(both_owned.tpm)


def test_owner_read_pubek(both_owned: Owned) -> None:
    """TPM_OwnerReadPubek."""
    assert owner.owner_read_pubek(both_owned.tpm, OWNER_SECRET) == both_owned.made.ek
    with refused(Code.AUTHFAIL):
        owner.owner_read_pubek(both_owned.tpm, WELL_KNOWN)


def test_owner_read_internal_pub(both_owned: Owned) -> None:
    """TPM_OwnerReadInternalPub."""
    tpm = both_owned.tpm
    assert owner.owner_read_internal_pub(tpm, OWNER_SECRET, EK_HANDLE) == both_owned.made.ek
    assert owner.owner_read_internal_pub(tpm, OWNER_SECRET, SRK) == both_owned.made.srk.public
    with refused(Code.BAD_PARAMETER):
        owner.owner_read_internal_pub(tpm, OWNER_SECRET, both_owned.signing())
    with refused(Code.AUTHFAIL):
        owner.owner_read_internal_pub(tpm, WELL_KNOWN, SRK)


@pytest.mark.parametrize(
    "ordinal", [Ord.OWNER_READ_PUBEK, Ord.DISABLE_PUBEK_READ, Ord.OWNER_READ_INTERNAL_PUB]
)
def test_without_an_owner(both: Subject, ordinal: int) -> None:
    handle = SRK.to_bytes(4) if ordinal == Ord.OWNER_READ_INTERNAL_PUB else b""
    with refused(Code.NOSRK):
        both.tpm.call(ordinal, handle, OWNER_SECRET)


def test_the_srk_of_the_next_owner_is_another(ours_owned: Owned) -> None:
    """tpmProof changes with the owner: keys of the last one are not loaded any more."""
    tpm = ours_owned.tpm
    owner.owner_clear(tpm, OWNER_SECRET)
    admin.assert_presence(tpm)
    admin.physical_enable(tpm)
    admin.physical_set_deactivated(tpm, False)
    ours_owned.subject.power_cycle()
    owner.take_ownership(tpm, OWNER_SECRET)
    with refused(Code.DECRYPT_ERROR):
        keys.load_key2(tpm, WELL_KNOWN, ours_owned.made.signing)
