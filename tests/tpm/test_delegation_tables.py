# SPDX-License-Identifier: GPL-3.0-or-later
"""Delegation: families, rows and the owner pointer, ours and swtpm's (Part 3, 18.4, 19.1 and 19.4)."""

from __future__ import annotations

import pytest

from tests.tpm.client import admin, delegation, owner
from tests.tpm.client.constants import OWNER, SRK, WELL_KNOWN, Code, Entity, Ord
from tests.tpm.client.delegation import (
    ADMIN,
    CREATE,
    ENABLE,
    INVALIDATE,
    Family,
    Tables,
)
from tests.tpm.client.prepared import OWNER_SECRET, Owned
from tests.tpm.client.subjects import Subject
from tests.tpm.client.tpm import refused
from tests.tpm.client.wire import flag, u8, u32
from tests.tpm.delegates import (
    LOAD_OWNER,
    MANAGE,
    READ_INTERNAL_PUB,
    SECRET,
    UPDATE,
    as_owner,
    owner_blob,
    owners,
    read,
)

pytest_plugins = ("tests.tpm.client.fixtures",)


class TestManage:
    def test_a_family_is_made_enabled_locked_and_removed(self, both_owned: Owned) -> None:
        tpm = both_owned.tpm
        number = int.from_bytes(delegation.manage(tpm, OWNER_SECRET, 0, CREATE, u8(7)))
        for operation, value, flags in ((ENABLE, True, 1), (ADMIN, True, 3), (ENABLE, False, 2)):
            delegation.manage(tpm, OWNER_SECRET, number, operation, flag(value))
            assert delegation.read_table(tpm) == Tables((Family(7, number, 1, flags),), {})
        both_owned.subject.power_cycle()
        assert delegation.read_table(tpm).families == (Family(7, number, 1, 2),)
        delegation.manage(tpm, OWNER_SECRET, number, INVALIDATE)
        assert delegation.read_table(tpm) == Tables((), {})
        assert delegation.create_family(tpm, OWNER_SECRET) == number + 1

    def test_wrong_requests(self, both_owned: Owned) -> None:
        tpm = both_owned.tpm
        family = delegation.create_family(tpm, OWNER_SECRET)
        for number, operation, data, code in (
            (0, CREATE, b"", Code.BAD_PARAM_SIZE),
            (family, ENABLE, b"\1\1", Code.BAD_PARAM_SIZE),
            (family, ADMIN, b"", Code.BAD_PARAM_SIZE),
            (family, 5, b"", Code.BAD_PARAMETER),
            (family + 1, ENABLE, b"\1", Code.BADINDEX),
        ):
            with refused(code):
                delegation.manage(tpm, OWNER_SECRET, number, operation, data)
        with refused(Code.AUTHFAIL):
            delegation.manage(tpm, WELL_KNOWN, family, ENABLE, b"\1")
        with refused(Code.AUTHFAIL):
            delegation.manage(tpm, None, family, ENABLE, b"\1")

    def test_there_is_room_for_16_families(self, ours_owned: Owned) -> None:
        for _ in range(16):
            delegation.create_family(ours_owned.tpm, OWNER_SECRET)
        for label in (b"\1", b""):
            with refused(Code.NOSPACE):
                delegation.manage(ours_owned.tpm, OWNER_SECRET, 0, CREATE, label)

    def test_without_an_owner_until_it_is_locked(self, both: Subject) -> None:
        family = int.from_bytes(delegation.manage(both.tpm, None, 0, CREATE, u8(1)))
        delegation.manage(both.tpm, None, family, ENABLE, flag(True))
        delegation.manage(both.tpm, None, family, ADMIN, flag(True))
        with refused(Code.DELEGATE_LOCK):
            delegation.manage(both.tpm, None, family, ENABLE, flag(False))

    def test_without_an_owner_nobody_can_authorise_it(self, both: Subject) -> None:
        with refused(Code.AUTHFAIL):
            delegation.manage(both.tpm, OWNER_SECRET, 0, CREATE, u8(1))

    def test_without_an_owner_64_writes(self, both: Subject) -> None:
        family = int.from_bytes(delegation.manage(both.tpm, None, 0, CREATE, u8(1)))
        for turn in range(63):
            delegation.manage(both.tpm, None, family, ENABLE, flag(bool(turn % 2)))
        with refused(Code.MAXNVWRITES):
            delegation.manage(both.tpm, None, family, ENABLE, flag(True))

    def test_a_delegate_keeps_to_his_family(self, both_owned: Owned) -> None:
        tpm = both_owned.tpm
        his, other = (delegation.create_family(tpm, OWNER_SECRET) for _ in range(2))
        blob = owner_blob(tpm, owners(his, MANAGE))
        with refused(Code.DELEGATE_FAMILY):
            delegation.manage(tpm, as_owner(tpm, blob), other, ENABLE, flag(False))
        session = as_owner(tpm, blob)
        delegation.manage(tpm, session, his, ENABLE, flag(False))
        assert not session.open
        with refused(Code.DISABLED_CMD):
            as_owner(tpm, blob)

    def test_the_last_family_number_outlives_the_owner(self, ours_owned: Owned) -> None:
        tpm = ours_owned.tpm
        delegation.create_family(tpm, OWNER_SECRET)
        owner.owner_clear(tpm, OWNER_SECRET)
        admin.assert_presence(tpm)
        admin.physical_enable(tpm)
        assert delegation.read_table(tpm) == Tables((), {})
        assert delegation.manage(tpm, None, 0, CREATE, u8(1)) == u32(2)


class TestRows:
    """TPM_Delegate_LoadOwnerDelegation, TPM_Delegate_UpdateVerification, TPM_SetOwnerPointer."""

    def load(self, owned: Owned, rights: int = READ_INTERNAL_PUB, row: int = 1) -> int:
        family = delegation.create_family(owned.tpm, OWNER_SECRET)
        blob = owner_blob(owned.tpm, owners(family, rights))
        delegation.load_owner_delegation(owned.tpm, OWNER_SECRET, row, blob)
        return family

    def test_a_row_stands_for_the_owner(self, both_owned: Owned) -> None:
        tpm = both_owned.tpm
        family = self.load(both_owned)
        assert delegation.read_table(tpm).rows == {1: owners(family)}
        owner.set_owner_pointer(tpm, Entity.DEL_ROW, 1)
        read(tpm, SECRET)
        read(tpm, tpm.osap(Entity.OWNER, OWNER, SECRET))
        for secret, code in ((OWNER_SECRET, Code.AUTHFAIL), (SECRET, Code.AUTHFAIL)):
            with refused(code):
                owner.disable_pubek_read(tpm, secret)
        owner.set_owner_pointer(tpm, Entity.OWNER, 0)
        owner.disable_pubek_read(tpm, OWNER_SECRET)
        with refused(Code.AUTHFAIL):
            read(tpm, SECRET)

    def test_the_pointer_goes_with_the_power_and_the_row_stays(self, both_owned: Owned) -> None:
        self.load(both_owned)
        owner.set_owner_pointer(both_owned.tpm, Entity.DEL_ROW, 1)
        both_owned.subject.power_cycle()
        read(both_owned.tpm, OWNER_SECRET)
        read(both_owned.tpm, both_owned.tpm.dsap(Entity.DEL_ROW, 0, u32(1), SECRET))

    def test_the_pointer_is_kept_by_save_state(self, ours_owned: Owned) -> None:
        self.load(ours_owned)
        owner.set_owner_pointer(ours_owned.tpm, Entity.DEL_ROW, 1)
        admin.save_state(ours_owned.tpm)
        ours_owned.subject.power_cycle(admin.Startup.STATE)
        read(ours_owned.tpm, SECRET)

    def test_changing_the_table_points_to_the_owner_again(self, both_owned: Owned) -> None:
        self.load(both_owned, READ_INTERNAL_PUB | MANAGE)
        owner.set_owner_pointer(both_owned.tpm, Entity.DEL_ROW, 1)
        delegation.manage(both_owned.tpm, SECRET, 0, CREATE, u8(1))
        read(both_owned.tpm, OWNER_SECRET)

    def test_pointers_that_lead_nowhere(self, both_owned: Owned) -> None:
        tpm, family = both_owned.tpm, self.load(both_owned)
        for entity, value, code in (
            (Entity.DEL_ROW, 0, Code.BADINDEX),
            (Entity.DEL_ROW, 99, Code.BADINDEX),
            (Entity.KEY_HANDLE, SRK, Code.BAD_PARAMETER),
        ):
            with refused(code):
                owner.set_owner_pointer(tpm, entity, value)
        delegation.create_owner_delegation(tpm, OWNER_SECRET, owners(family), SECRET, increment=True)
        with refused(Code.FAMILYCOUNT):
            owner.set_owner_pointer(tpm, Entity.DEL_ROW, 1)
        with refused(Code.FAMILYCOUNT):
            tpm.dsap(Entity.DEL_ROW, 0, u32(1), SECRET)
        assert delegation.update_verification(tpm, OWNER_SECRET, u32(1)) == b""
        owner.set_owner_pointer(tpm, Entity.DEL_ROW, 1)
        read(tpm, SECRET)
        owner.set_owner_pointer(tpm, Entity.OWNER, 0)
        delegation.manage(tpm, OWNER_SECRET, family, ENABLE, flag(False))
        with refused(Code.DISABLED_CMD):
            owner.set_owner_pointer(tpm, Entity.DEL_ROW, 1)
        with refused(Code.DISABLED_CMD):
            tpm.dsap(Entity.DEL_ROW, 0, u32(1), SECRET)

    def test_what_is_not_loaded(self, both_owned: Owned) -> None:
        tpm = both_owned.tpm
        family = delegation.create_family(tpm, OWNER_SECRET)
        blob = owner_blob(tpm, owners(family))
        with refused(Code.BADINDEX):
            delegation.load_owner_delegation(tpm, OWNER_SECRET, 99, blob)
        with refused(Code.AUTHFAIL):
            delegation.load_owner_delegation(tpm, OWNER_SECRET, 0, blob[:-1] + bytes([blob[-1] ^ 1]))
        for secret in (WELL_KNOWN, None):
            with refused(Code.AUTHFAIL):
                delegation.load_owner_delegation(tpm, secret, 0, blob)
        delegation.manage(tpm, OWNER_SECRET, family, ENABLE, flag(False))
        with refused(Code.DISABLED_CMD):
            delegation.load_owner_delegation(tpm, OWNER_SECRET, 0, blob)

    def test_a_delegate_loads_for_his_family_only(self, both_owned: Owned) -> None:
        tpm = both_owned.tpm
        his, other = (delegation.create_family(tpm, OWNER_SECRET) for _ in range(2))
        right = owner_blob(tpm, owners(his, LOAD_OWNER | UPDATE))
        foreign = owner_blob(tpm, owners(other))
        with refused(Code.DELEGATE_FAMILY):
            delegation.load_owner_delegation(tpm, as_owner(tpm, right), 0, foreign)
        with refused(Code.DELEGATE_FAMILY):
            delegation.update_verification(tpm, as_owner(tpm, right), foreign)
        assert delegation.update_verification(tpm, as_owner(tpm, right), right) == right
        session = as_owner(tpm, right)
        delegation.load_owner_delegation(tpm, session, 0, right)
        assert not session.open

    def test_without_an_owner_the_blob_lies_open(self, both: Subject) -> None:
        family = int.from_bytes(delegation.manage(both.tpm, None, 0, CREATE, u8(1)))
        delegation.manage(both.tpm, None, family, ENABLE, flag(True))
        secret = bytes.fromhex("0026") + SECRET
        blob = bytes.fromhex("002a") + owners(family).encode() + bytes(20) + u32(0) + u32(22) + secret
        delegation.load_owner_delegation(both.tpm, None, 0, blob)
        assert delegation.read_table(both.tpm).rows == {0: owners(family)}
        ek = owner.create_ek(both.tpm)
        owner.take_ownership(both.tpm, OWNER_SECRET, pubek=ek)
        read(both.tpm, both.tpm.dsap(Entity.DEL_ROW, 0, u32(0), SECRET))


@pytest.mark.parametrize(
    ("ordinal", "body"),
    [
        (Ord.DSAP, bytes(26) + u32(0)),
        (Ord.SET_OWNER_POINTER, b"\0\2" + u32(0)),
        (Ord.DELEGATE_VERIFY_DELEGATION, u32(0)),
    ],
)
def test_without_an_owner(both: Subject, ordinal: int, body: bytes) -> None:
    assert both.tpm.code(ordinal, body) == Code.NOSRK
