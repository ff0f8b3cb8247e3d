# SPDX-License-Identifier: GPL-3.0-or-later
"""Writing and reading NV areas (Part 3, 20.2 to 20.5): by whom, from where, with which PCRs."""

from __future__ import annotations

import time
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bootproof.tpm.codes import TpmError
from bootproof.tpm.structures.nv import NvPublic as StoredPublic
from bootproof.tpm.structures.nv import NvStorage
from tests.tpm.areas import AREA, EK_CERTIFICATE, OTHER, SECRET, owned_area
from tests.tpm.client import admin, capability, integrity, nv
from tests.tpm.client.capability import Prop
from tests.tpm.client.constants import OWNER, WELL_KNOWN, Code, Entity
from tests.tpm.client.nv import Nv, NvPublic
from tests.tpm.client.pcr import PcrInfoShort, Selection, composite_digest
from tests.tpm.client.prepared import OWNER_SECRET, Owned
from tests.tpm.client.subjects import Subject
from tests.tpm.client.tpm import refused

pytest_plugins = ("tests.tpm.client.fixtures",)

NO_LOCALITY_4 = 0x0F


# TPM_NV_WriteValue, TPM_NV_ReadValue ---------------------------------------------------------------------


def test_nv_write_value_at_an_offset(both_owned: Owned) -> None:
    tpm = owned_area(both_owned, Nv.OWNER_WRITE, 8)
    nv.write_value(tpm, OWNER_SECRET, AREA, b"abc", offset=2)
    assert nv.read_value(tpm, None, AREA, 8) == b"\xff\xffabc\xff\xff\xff"
    nv.write_value(tpm, OWNER_SECRET, AREA, b"12345678")
    assert nv.read_value(tpm, None, AREA, 2, offset=6) == b"78"
    with refused(Code.NOSPACE):
        nv.write_value(tpm, OWNER_SECRET, AREA, b"xx", offset=7)
    with refused(Code.NOSPACE):
        nv.read_value(tpm, None, AREA, 2, offset=7)
    assert nv.read_value(tpm, None, AREA, 8) == b"12345678"


@pytest.mark.parametrize("offset", [0xFFFFFFFF, 0x80000000])
def test_nv_read_and_write_far_behind_the_end(ours_owned: Owned, offset: int) -> None:
    tpm = owned_area(ours_owned, Nv.OWNER_WRITE, 8)
    with refused(Code.NOSPACE):
        nv.read_value(tpm, None, AREA, 1, offset)
    with refused(Code.NOSPACE):
        nv.write_value(tpm, OWNER_SECRET, AREA, b"x", offset)


def test_nv_read_value_longer_than_a_response(ours_owned: Owned) -> None:
    tpm = owned_area(ours_owned, Nv.OWNER_WRITE, 5000)
    assert len(nv.read_value(tpm, None, AREA, 4096 - 14)) == 4096 - 14
    with refused(Code.SIZE):
        nv.read_value(tpm, None, AREA, 4096 - 13)


def test_nv_of_an_unknown_index(both_owned: Owned) -> None:
    tpm = owned_area(both_owned, Nv.OWNER_WRITE)
    for action in (
        lambda: nv.read_value(tpm, None, OTHER, 1),
        lambda: nv.read_value(tpm, OWNER_SECRET, OTHER, 1),
        lambda: nv.read_value_auth(tpm, SECRET, OTHER, 1),
        lambda: nv.write_value(tpm, None, OTHER, b"x"),
        lambda: nv.write_value_auth(tpm, SECRET, OTHER, b"x"),
        lambda: tpm.osap(Entity.NV, OTHER, SECRET),
    ):
        with refused(Code.BADINDEX):
            action()


def test_nv_write_value_of_the_owners_area(both_owned: Owned) -> None:
    tpm = owned_area(both_owned, Nv.OWNER_WRITE | Nv.OWNER_READ)
    with refused(Code.AUTH_CONFLICT):
        nv.write_value(tpm, None, AREA, b"x")
    with refused(Code.AUTHFAIL):
        nv.write_value(tpm, b"somebody else's key.", AREA, b"x")
    with refused(Code.AUTH_CONFLICT):
        nv.write_value_auth(tpm, SECRET, AREA, b"x")
    nv.write_value(tpm, OWNER_SECRET, AREA, b"x")


def test_nv_read_value_of_the_owners_area(both_owned: Owned) -> None:
    tpm = owned_area(both_owned, Nv.OWNER_WRITE | Nv.OWNER_READ)
    with refused(Code.AUTH_CONFLICT):
        nv.read_value(tpm, None, AREA, 1)
    with refused(Code.AUTHFAIL):
        nv.read_value(tpm, b"somebody else's key.", AREA, 1)
    with refused(Code.AUTH_CONFLICT):
        nv.read_value_auth(tpm, SECRET, AREA, 1)
    session = tpm.osap(Entity.OWNER, OWNER, OWNER_SECRET)
    assert nv.read_value(tpm, session, AREA, 2) == nv.read_value(tpm, session, AREA, 2) == b"\xff\xff"


def test_nv_with_the_owners_authorisation_where_it_is_not_wanted(both_owned: Owned) -> None:
    tpm = owned_area(both_owned, Nv.PP_WRITE)
    admin.assert_presence(tpm)
    with refused(Code.AUTH_CONFLICT):
        nv.write_value(tpm, OWNER_SECRET, AREA, b"x")
    with refused(Code.AUTH_CONFLICT):
        nv.read_value(tpm, OWNER_SECRET, AREA, 1)


def test_nv_write_value_auth_and_read_value_auth(both_owned: Owned) -> None:
    tpm = owned_area(both_owned, Nv.AUTH_WRITE | Nv.AUTH_READ)
    nv.write_value_auth(tpm, SECRET, AREA, b"data", offset=1)
    assert nv.read_value_auth(tpm, SECRET, AREA, 5) == b"\xffdata"
    for action in (
        lambda: nv.write_value_auth(tpm, OWNER_SECRET, AREA, b"x"),
        lambda: nv.read_value_auth(tpm, OWNER_SECRET, AREA, 1),
    ):
        with refused(Code.AUTHFAIL):
            action()
    for action in (
        lambda: nv.write_value(tpm, OWNER_SECRET, AREA, b"x"),
        lambda: nv.write_value(tpm, None, AREA, b"x"),
        lambda: nv.read_value(tpm, OWNER_SECRET, AREA, 1),
        lambda: nv.read_value(tpm, None, AREA, 1),
    ):
        with refused(Code.AUTH_CONFLICT):
            action()


def test_nv_write_value_auth_in_a_session_of_the_area(both_owned: Owned) -> None:
    tpm = owned_area(both_owned, Nv.AUTH_WRITE | Nv.AUTH_READ)
    nv.define_space(tpm, OWNER_SECRET, NvPublic(OTHER, Nv.AUTH_WRITE, 8), b"another area's code.")
    session = tpm.osap(Entity.NV, AREA, SECRET)
    nv.write_value_auth(tpm, session, AREA, b"data")
    assert nv.read_value_auth(tpm, session, AREA, 4) == b"data"
    if both_owned.subject.name == "ours":  # swtpm takes one area's session for another
        with refused(Code.AUTHFAIL):
            nv.write_value_auth(tpm, session, OTHER, b"data")


def test_nv_write_value_auth_and_read_value_auth_want_an_owner(both: Subject) -> None:
    tpm = both.tpm
    nv.define_space(tpm, None, NvPublic(AREA, Nv.AUTH_WRITE | Nv.AUTH_READ, 8), SECRET)
    with refused(Code.NOSRK):
        nv.write_value_auth(tpm, SECRET, AREA, b"x")
    with refused(Code.NOSRK):
        nv.read_value_auth(tpm, SECRET, AREA, 1)


def test_nv_by_an_owner_who_does_not_exist(both: Subject) -> None:
    nv.define_space(both.tpm, None, NvPublic(AREA, Nv.OWNER_WRITE | Nv.OWNER_READ, 8))
    with refused(Code.AUTHFAIL):
        nv.write_value(both.tpm, WELL_KNOWN, AREA, b"x")
    with refused(Code.AUTHFAIL):
        nv.read_value(both.tpm, WELL_KNOWN, AREA, 1)


# physical presence ---------------------------------------------------------------------------------------


def test_nv_with_presence(both_owned: Owned) -> None:
    tpm = owned_area(both_owned, Nv.PP_WRITE | Nv.PP_READ)
    for _ in range(2):
        with refused(Code.BAD_PRESENCE):
            nv.write_value(tpm, None, AREA, b"x")
        with refused(Code.BAD_PRESENCE):
            nv.read_value(tpm, None, AREA, 1)
        admin.assert_presence(tpm)
        nv.write_value(tpm, None, AREA, b"x")
        assert nv.read_value(tpm, None, AREA, 1) == b"x"
        admin.physical_presence(tpm, admin.Presence.NOT_PRESENT)


def test_nv_with_presence_and_the_areas_secret(both_owned: Owned) -> None:
    tpm = owned_area(both_owned, Nv.PP_WRITE | Nv.PP_READ | Nv.AUTH_READ | Nv.AUTH_WRITE)
    with refused(Code.BAD_PRESENCE):
        nv.write_value_auth(tpm, SECRET, AREA, b"x")
    with refused(Code.BAD_PRESENCE):
        nv.read_value_auth(tpm, SECRET, AREA, 1)
    admin.assert_presence(tpm)
    nv.write_value_auth(tpm, SECRET, AREA, b"x")
    assert nv.read_value_auth(tpm, SECRET, AREA, 1) == b"x"


# PCRs and localities -------------------------------------------------------------------------------------


def test_nv_bound_to_pcrs(both_owned: Owned) -> None:
    tpm = both_owned.tpm
    wanted = PcrInfoShort(Selection.of(0, 10), composite_digest([0, 10], [bytes(20)] * 2))
    owned_area(both_owned, Nv.OWNER_WRITE, read_pcrs=wanted)
    nv.define_space(tpm, OWNER_SECRET, NvPublic(OTHER, Nv.OWNER_WRITE, 8, write_pcrs=wanted))
    nv.write_value(tpm, OWNER_SECRET, AREA, b"data")
    nv.write_value(tpm, OWNER_SECRET, OTHER, b"data")
    assert nv.read_value(tpm, None, AREA, 4) == b"data"
    integrity.extend(tpm, 10, b"x" * 20)
    with refused(Code.WRONGPCRVAL):
        nv.read_value(tpm, None, AREA, 4)
    with refused(Code.WRONGPCRVAL):
        nv.write_value(tpm, OWNER_SECRET, OTHER, b"x")
    nv.write_value(tpm, OWNER_SECRET, AREA, b"x")
    assert nv.read_value(tpm, None, OTHER, 4) == b"data"
    assert capability.nv_index(tpm, AREA).read_pcrs == wanted


def test_nv_bound_to_pcrs_with_the_areas_secret(both_owned: Owned) -> None:
    wanted = PcrInfoShort(Selection.of(10), composite_digest([10], [bytes(20)]))
    tpm = owned_area(both_owned, Nv.AUTH_WRITE | Nv.AUTH_READ, read_pcrs=wanted, write_pcrs=wanted)
    nv.write_value_auth(tpm, SECRET, AREA, b"data")
    assert nv.read_value_auth(tpm, SECRET, AREA, 4) == b"data"
    integrity.extend(tpm, 10, b"x" * 20)
    with refused(Code.WRONGPCRVAL):
        nv.read_value_auth(tpm, SECRET, AREA, 4)
    with refused(Code.WRONGPCRVAL):
        nv.write_value_auth(tpm, SECRET, AREA, b"x")


@pytest.mark.parametrize("attributes", [Nv.OWNER_WRITE, Nv.AUTH_WRITE | Nv.AUTH_READ])
def test_nv_bound_to_a_locality(both_owned: Owned, attributes: Nv) -> None:
    second = PcrInfoShort(localities=1 << 2)
    tpm = owned_area(both_owned, attributes, read_pcrs=second, write_pcrs=second)

    def access() -> None:
        if attributes & Nv.AUTH_WRITE:
            nv.write_value_auth(tpm, SECRET, AREA, b"x")
            nv.read_value_auth(tpm, SECRET, AREA, 1)
        else:
            nv.write_value(tpm, OWNER_SECRET, AREA, b"x")
            nv.read_value(tpm, None, AREA, 1)

    for locality in range(5):
        both_owned.subject.set_locality(locality)
        if locality == 2:
            access()
        else:
            with refused(Code.BAD_LOCALITY):
                access()


def test_nv_define_space_takes_a_write_locality_for_a_write_rule(ours_owned: Owned) -> None:
    """Who may write is said if a locality is left out; swtpm looks at those of reading."""
    tpm = owned_area(ours_owned, Nv.NONE, write_pcrs=PcrInfoShort(localities=NO_LOCALITY_4))
    nv.write_value(tpm, None, AREA, b"x")
    with refused(Code.PER_NOWRITE):
        owned_area(ours_owned, Nv.NONE, index=OTHER, read_pcrs=PcrInfoShort(localities=NO_LOCALITY_4))


# the DIR -------------------------------------------------------------------------------------------------


def test_nv_write_value_of_the_dir(both_owned: Owned) -> None:
    tpm = both_owned.tpm
    nv.lock(tpm)
    with refused(Code.AUTH_CONFLICT):
        nv.write_value(tpm, None, nv.DIR, b"x" * 20)
    with refused(Code.NOT_FULLWRITE):
        nv.write_value(tpm, OWNER_SECRET, nv.DIR, b"x" * 19)
    nv.write_value(tpm, OWNER_SECRET, nv.DIR, b"")
    nv.write_value(tpm, OWNER_SECRET, nv.DIR, bytes(range(20)))
    assert nv.read_value(tpm, None, nv.DIR, 5, offset=3) == bytes(range(3, 8))
    assert nv.read_value(tpm, None, nv.DIR, 0) == b""
    with refused(Code.NOSPACE):
        nv.read_value(tpm, None, nv.DIR, 20, offset=1)
    assert integrity.dir_read(tpm) == bytes(range(20))
    assert capability.nv_list(tpm) == []


def test_nv_read_value_of_the_dir_is_not_for_the_owner(ours_owned: Owned) -> None:
    with refused(Code.AUTH_CONFLICT):
        nv.read_value(ours_owned.tpm, OWNER_SECRET, nv.DIR, 20)


# clearing the owner --------------------------------------------------------------------------------------


def test_nv_areas_of_the_owner_go_with_him() -> None:
    storage = NvStorage()
    areas = {
        AREA: Nv.OWNER_WRITE,
        AREA + 1: Nv.PP_WRITE | Nv.OWNER_READ,
        AREA + 2: Nv.PP_WRITE,
        AREA + 3: Nv.AUTH_WRITE | Nv.AUTH_READ,
        EK_CERTIFICATE: Nv.OWNER_WRITE | Nv.OWNER_READ,
        EK_CERTIFICATE + 1: Nv.PP_WRITE,
    }
    for index, attributes in areas.items():
        public = StoredPublic.decode(NvPublic(index, attributes, 8).encode())
        storage = storage.put(storage.allocate(public, SECRET))
    storage = replace(storage, register=b"x" * 20, ownerless_writes=7)
    left = storage.owner_cleared()
    assert [area.index for area in left.areas] == [AREA + 2, AREA + 3, EK_CERTIFICATE, EK_CERTIFICATE + 1]
    assert left.ownerless_writes == 0
    assert left.register == b"x" * 20
    assert [area.index for area in storage.trust_revoked().areas] == [AREA + 2, AREA + 3]


def test_nv_survives_power_and_keeps_its_secret(both_owned: Owned) -> None:
    tpm = owned_area(both_owned, Nv.AUTH_WRITE | Nv.AUTH_READ)
    nv.write_value_auth(tpm, SECRET, AREA, b"data")
    both_owned.subject.power_cycle()
    assert nv.read_value_auth(tpm, SECRET, AREA, 4) == b"data"


# speed and robustness ------------------------------------------------------------------------------------


def test_nv_write_value_is_fast_in_a_full_storage(ours_owned: Owned) -> None:
    """A commit writes all areas: those that nobody has touched must not cost much."""
    tpm = ours_owned.tpm
    nv.define_space(tpm, OWNER_SECRET, NvPublic(AREA, Nv.PP_WRITE, 8))
    index = OTHER
    while capability.number(tpm, Prop.NV_AVAILABLE) > 64:
        nv.define_space(tpm, OWNER_SECRET, NvPublic(index, Nv.PP_WRITE, 64))
        index += 1
    assert index > OTHER + 100
    before = time.process_time()
    for count in range(50):
        nv.write_value(tpm, None, AREA, bytes([count]))
    assert (time.process_time() - before) / 50 < 0.005


@given(data=st.binary(max_size=120))
def test_nv_public_of_any_bytes(data: bytes) -> None:
    try:
        public = StoredPublic.decode(data)
    except TpmError:
        return
    assert StoredPublic.decode(public.encode()) == public


@given(data=st.binary(max_size=200))
def test_nv_storage_of_any_bytes(data: bytes) -> None:
    try:
        storage = NvStorage.decode(data)
    except TpmError:
        return
    assert storage.encode() == data
