# SPDX-License-Identifier: GPL-3.0-or-later
"""Delegation: blobs that are opened, checked and renewed, ours and swtpm's (Part 3, 18.3, 19.6, 19.7)."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from bootproof.tpm.codes import TpmError
from bootproof.tpm.persistence.store import Kind
from bootproof.tpm.structures.delegation import DelegatePublic as EmulatorsPublic
from bootproof.tpm.structures.delegation import (
    DelegateTables,
    KeyBlob,
    OwnerBlob,
)
from tests.tpm.client import admin, context, delegation, owner
from tests.tpm.client.constants import SRK, WELL_KNOWN, Code, Entity, Ord, Resource
from tests.tpm.client.delegation import (
    ENABLE,
    INVALIDATE,
)
from tests.tpm.client.prepared import OWNER_SECRET, Made, Owned
from tests.tpm.client.subjects import Ours
from tests.tpm.client.tpm import refused
from tests.tpm.client.wire import flag, u32
from tests.tpm.delegates import DIGEST, MANAGE, READ_INTERNAL_PUB, SECRET, as_owner, owner_blob, owners, read

pytest_plugins = ("tests.tpm.client.fixtures",)


class TestDsap:
    def test_blobs_that_are_none(self, both_owned: Owned) -> None:
        tpm = both_owned.tpm
        family = delegation.create_family(tpm, OWNER_SECRET)
        blob = owner_blob(tpm, owners(family))
        changed = blob.replace(u32(READ_INTERNAL_PUB), u32(READ_INTERNAL_PUB | MANAGE), 1)
        for entity, value, code in (
            (Entity.DEL_OWNER_BLOB, changed, Code.AUTHFAIL),
            (Entity.DEL_OWNER_BLOB, b"\0\x2a", Code.WRONG_ENTITYTYPE),
            (Entity.DEL_KEY_BLOB, blob, Code.WRONG_ENTITYTYPE),
            (Entity.DEL_ROW, u32(0), Code.BADINDEX),
            (Entity.DEL_ROW, bytes(3), Code.BAD_PARAM_SIZE),
            (Entity.OWNER, blob, Code.BAD_PARAMETER),
        ):
            with refused(code):
                tpm.dsap(entity, 0, value, SECRET)
        with refused(Code.INAPPROPRIATE_ENC):
            tpm.call(Ord.DSAP, b"\5\7" + u32(0) + DIGEST + u32(len(blob)) + blob)

    def test_a_blob_of_the_last_owner_is_worth_nothing(self, ours_owned: Owned) -> None:
        tpm = ours_owned.tpm
        family = delegation.create_family(tpm, OWNER_SECRET)
        blob = owner_blob(tpm, owners(family))
        owner.owner_clear(tpm, OWNER_SECRET)
        admin.assert_presence(tpm)
        admin.physical_enable(tpm)
        admin.physical_set_deactivated(tpm, False)
        ours_owned.subject.power_cycle()
        owner.take_ownership(tpm, OWNER_SECRET)
        delegation.create_family(tpm, OWNER_SECRET)
        with refused(Code.BADINDEX):
            as_owner(tpm, blob)

    def test_a_saved_session_is_void_once_the_family_counts_on(self, ours_owned: Owned) -> None:
        tpm = ours_owned.tpm
        family = delegation.create_family(tpm, OWNER_SECRET)
        session = as_owner(tpm, owner_blob(tpm, owners(family)))
        saved = context.save_context(tpm, session.handle, Resource.AUTH)
        delegation.create_owner_delegation(tpm, OWNER_SECRET, owners(family), SECRET, increment=True)
        session.handle = context.load_context(tpm, saved)
        with refused(Code.FAMILYCOUNT):
            read(tpm, session)

    def test_all_sessions_may_be_taken(self, ours_owned: Owned) -> None:
        tpm = ours_owned.tpm
        family = delegation.create_family(tpm, OWNER_SECRET)
        blob = owner_blob(tpm, owners(family))
        for _ in range(16):
            tpm.oiap()
        with refused(Code.RESOURCES):
            as_owner(tpm, blob)


def test_verify_delegation_says_what_is_wrong(both_owned: Owned) -> None:
    """TPM_Delegate_VerifyDelegation."""
    tpm = both_owned.tpm
    family = delegation.create_family(tpm, OWNER_SECRET)
    blob = owner_blob(tpm, owners(family))
    for data, code in (
        (blob[:-1] + bytes([blob[-1] ^ 1]), Code.AUTHFAIL),
        (b"\0\x1b" + blob[2:], Code.BAD_PARAMETER),
        (blob[:-1], Code.BAD_PARAM_SIZE),
        (b"", Code.BAD_PARAM_SIZE),
    ):
        with refused(code):
            delegation.verify_delegation(tpm, data)
    delegation.manage(tpm, OWNER_SECRET, family, ENABLE, flag(False))
    with refused(Code.DISABLED_CMD):
        delegation.verify_delegation(tpm, blob)
    delegation.manage(tpm, OWNER_SECRET, family, INVALIDATE)
    with refused(Code.BADINDEX):
        delegation.verify_delegation(tpm, blob)


def test_update_verification_says_what_is_wrong(both_owned: Owned) -> None:
    """TPM_Delegate_UpdateVerification."""
    tpm = both_owned.tpm
    family = delegation.create_family(tpm, OWNER_SECRET)
    blob = owner_blob(tpm, owners(family))
    for data, code in (
        (blob[:-1] + bytes([blob[-1] ^ 1]), Code.AUTHFAIL),
        (b"\0\x1b" + blob[2:], Code.BAD_PARAMETER),
        (u32(1), Code.BADINDEX),
    ):
        with refused(code):
            delegation.update_verification(tpm, OWNER_SECRET, data)
    with refused(Code.AUTHFAIL):
        delegation.update_verification(tpm, WELL_KNOWN, blob)


VALID = owners(1).encode()


BLOBS = st.one_of(
    st.binary(max_size=300),
    st.builds(
        lambda head, public, rest: head + public + rest,
        st.sampled_from([b"\0\x2a", b"\0\x27"]),
        st.sampled_from([VALID, VALID[:-1], VALID.replace(b"\0\3", b"\xff\xff", 1)]),
        st.binary(max_size=120),
    ),
)


@settings(max_examples=300, deadline=None)
@given(BLOBS)
def test_any_bytes_are_a_blob_or_refused(data: bytes) -> None:
    for kind in (OwnerBlob, KeyBlob, EmulatorsPublic, DelegateTables):
        try:
            blob = kind.decode(data)
        except TpmError:
            continue
        assert blob.encode() == data


@settings(max_examples=100, deadline=None)
@given(BLOBS, st.sampled_from([Entity.DEL_OWNER_BLOB, Entity.DEL_ROW, Entity.DEL_KEY_BLOB]))
def test_no_delegation_of_any_content_opens_a_session(
    prepared_ours: tuple[dict[Kind, bytes], Made], data: bytes, entity: Entity
) -> None:
    subject = Ours(prepared_ours[0])
    body = bytes([0, entity]) + u32(SRK) + DIGEST + u32(len(data)) + data
    wanted = {Code.WRONG_ENTITYTYPE, Code.BADINDEX, Code.BAD_PARAM_SIZE}
    assert subject.tpm.code(Ord.DSAP, body) in wanted
    body = u32(len(data)) + data
    wanted = {Code.BAD_PARAMETER, Code.INVALID_STRUCTURE, Code.BAD_PARAM_SIZE, Code.SIZE, Code.BADINDEX}
    wanted |= {Code.INVALID_PCR_INFO, Code.AUTHFAIL}
    assert subject.tpm.code(Ord.DELEGATE_VERIFY_DELEGATION, body) in wanted
