# SPDX-License-Identifier: GPL-3.0-or-later
"""TPM_NV_DefineSpace (Part 3, 20.1), nvLocked, and what may be written before there is an owner."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from bootproof.tpm.limits import NV_SIZE, OWNERLESS_NV_WRITES
from tests.tpm.areas import AREA, EK_CERTIFICATE, OTHER, SECRET, owned_area
from tests.tpm.client import admin, capability, nv, owner
from tests.tpm.client.capability import Prop
from tests.tpm.client.constants import OWNER, Adip, Code, Entity, Ord
from tests.tpm.client.nv import Nv, NvPublic
from tests.tpm.client.pcr import UNBOUND, PcrInfoShort, Selection
from tests.tpm.client.prepared import OWNER_SECRET, Owned
from tests.tpm.client.subjects import Subject
from tests.tpm.client.tpm import refused
from tests.tpm.client.wire import u32

pytest_plugins = ("tests.tpm.client.fixtures",)

TRIAL = 0x0000F004


# TPM_NV_DefineSpace --------------------------------------------------------------------------------------


def test_nv_define_space_fills_with_ff_and_lists_the_index(both_owned: Owned) -> None:
    tpm = owned_area(both_owned, Nv.OWNER_WRITE | Nv.OWNER_READ)
    assert nv.read_value(tpm, OWNER_SECRET, AREA, 16) == b"\xff" * 16
    assert capability.nv_list(tpm) == [AREA]
    assert capability.nv_index(tpm, AREA) == NvPublic(AREA, Nv.OWNER_WRITE | Nv.OWNER_READ, 16)


def test_nv_define_space_with_size_0_removes_the_area(both_owned: Owned) -> None:
    tpm = owned_area(both_owned, Nv.OWNER_WRITE)
    nv.define_space(tpm, OWNER_SECRET, NvPublic(AREA, Nv.NONE, 0))
    assert capability.nv_list(tpm) == []
    with refused(Code.BADINDEX):
        nv.read_value(tpm, None, AREA, 1)
    with refused(Code.BADINDEX):
        capability.nv_index(tpm, AREA)


def test_nv_define_space_again_forgets_the_data(both_owned: Owned) -> None:
    tpm = owned_area(both_owned, Nv.OWNER_WRITE)
    nv.write_value(tpm, OWNER_SECRET, AREA, b"old")
    nv.define_space(tpm, OWNER_SECRET, NvPublic(AREA, Nv.OWNER_WRITE, 8))
    assert nv.read_value(tpm, None, AREA, 8) == b"\xff" * 8


def test_nv_define_space_wants_osap(both_owned: Owned) -> None:
    nv.lock(both_owned.tpm)
    public = NvPublic(AREA, Nv.OWNER_WRITE, 8).encode() + SECRET
    with refused(Code.BAD_MODE):
        both_owned.tpm.call(Ord.NV_DEFINE_SPACE, public, OWNER_SECRET)


def test_nv_define_space_wants_the_right_secret(both_owned: Owned) -> None:
    nv.lock(both_owned.tpm)
    with refused(Code.AUTHFAIL):
        nv.define_space(both_owned.tpm, b"somebody else's key.", NvPublic(AREA, Nv.OWNER_WRITE, 8))
    assert capability.nv_list(both_owned.tpm) == []


def test_nv_define_space_ends_the_session(both_owned: Owned) -> None:
    tpm = both_owned.tpm
    session = tpm.osap(Entity.OWNER, OWNER, OWNER_SECRET)
    nv.define_space(tpm, session, NvPublic(AREA, Nv.OWNER_WRITE, 8))
    assert not session.open


def test_nv_define_space_takes_an_aes_encrypted_secret(both_owned: Owned) -> None:
    tpm = both_owned.tpm
    session = tpm.osap(Entity.OWNER, OWNER, OWNER_SECRET, adip=Adip.AES_CTR)
    nv.define_space(tpm, session, NvPublic(AREA, Nv.AUTH_WRITE, 4), SECRET)
    nv.write_value_auth(tpm, SECRET, AREA, b"data")


@pytest.mark.parametrize(
    ("public", "code"),
    [
        (NvPublic(AREA, Nv.OWNER_WRITE | Nv.AUTH_WRITE, 8), Code.AUTH_CONFLICT),
        (NvPublic(AREA, Nv.PP_WRITE | Nv.OWNER_READ | Nv.AUTH_READ, 8), Code.AUTH_CONFLICT),
        (NvPublic(AREA, Nv.AUTH_READ, 8), Code.PER_NOWRITE),
        (NvPublic(AREA, Nv.GLOBAL_LOCK | Nv.WRITE_ST_CLEAR | Nv.WRITE_ALL, 8), Code.PER_NOWRITE),
        (NvPublic(AREA, Nv.OWNER_WRITE, 0), Code.BAD_PARAM_SIZE),
        (NvPublic(AREA, Nv.OWNER_WRITE, NV_SIZE), Code.NOSPACE),
        (NvPublic(0, Nv.OWNER_WRITE, 8), Code.BADINDEX),
        (NvPublic(nv.LOCK, Nv.OWNER_WRITE, 0), Code.BADINDEX),
        (NvPublic(nv.DIR, Nv.OWNER_WRITE, 20), Code.BADINDEX),
        (NvPublic(EK_CERTIFICATE, Nv.OWNER_WRITE, 8), Code.BADINDEX),
        (NvPublic(0x01000001, Nv.OWNER_WRITE, 8), Code.BADINDEX),
        (NvPublic(0x08000001, Nv.OWNER_WRITE, 8), Code.BADINDEX),
    ],
)
def test_nv_define_space_refuses(both_owned: Owned, public: NvPublic, code: int) -> None:
    tpm = owned_area(both_owned, Nv.OWNER_WRITE, index=OTHER)
    with refused(code):
        nv.define_space(tpm, OWNER_SECRET, public)
    assert capability.nv_list(tpm) == [OTHER]


@pytest.mark.parametrize(
    "binding",
    [
        PcrInfoShort(localities=0),
        PcrInfoShort(localities=0x20),
        PcrInfoShort(Selection.of(24, size=4)),
    ],
)
@pytest.mark.parametrize("reading", [True, False])
def test_nv_define_space_refuses_a_binding_to_what_does_not_exist(
    ours_owned: Owned, binding: PcrInfoShort, reading: bool
) -> None:
    bindings = (binding, UNBOUND) if reading else (UNBOUND, binding)
    with refused(Code.INVALID_STRUCTURE):
        owned_area(ours_owned, Nv.OWNER_WRITE, 16, AREA, *bindings)


def test_nv_define_space_has_no_gpio(ours_owned: Owned) -> None:
    with refused(Code.BADINDEX):
        owned_area(ours_owned, Nv.OWNER_WRITE, index=0x00011600)


@pytest.mark.parametrize("offset", [0, 58])
def test_nv_define_space_refuses_a_wrong_structure_tag(both_owned: Owned, offset: int) -> None:
    public = bytearray(NvPublic(AREA, Nv.OWNER_WRITE, 8).encode())
    public[offset + 1] ^= 0x80
    assert both_owned.tpm.code(Ord.NV_DEFINE_SPACE, bytes(public) + SECRET) == Code.INVALID_STRUCTURE


def test_nv_define_space_that_fails_keeps_the_old_area(ours_owned: Owned) -> None:
    tpm = owned_area(ours_owned, Nv.OWNER_WRITE)
    nv.write_value(tpm, OWNER_SECRET, AREA, b"precious")
    for size in (NV_SIZE, 0xFFFFFFFF):
        with refused(Code.NOSPACE):
            nv.define_space(tpm, OWNER_SECRET, NvPublic(AREA, Nv.OWNER_WRITE, size))
    assert nv.read_value(tpm, None, AREA, 8) == b"precious"


def test_nv_define_space_at_the_trial_index_only_tells(both_owned: Owned) -> None:
    tpm = both_owned.tpm
    nv.lock(tpm)
    nv.define_space(tpm, OWNER_SECRET, NvPublic(TRIAL, Nv.OWNER_WRITE, 100))
    assert capability.nv_list(tpm) == []
    with refused(Code.NOSPACE):
        nv.define_space(tpm, OWNER_SECRET, NvPublic(TRIAL, Nv.OWNER_WRITE, NV_SIZE))


def test_nv_define_space_gives_all_that_is_available(ours_owned: Owned) -> None:
    tpm = ours_owned.tpm
    available = capability.number(tpm, Prop.NV_AVAILABLE)
    with refused(Code.NOSPACE):
        owned_area(ours_owned, Nv.OWNER_WRITE, available + 1)
    owned_area(ours_owned, Nv.OWNER_WRITE, available)
    assert capability.number(tpm, Prop.NV_AVAILABLE) == 0
    nv.define_space(tpm, OWNER_SECRET, NvPublic(AREA, Nv.NONE, 0))
    assert capability.number(tpm, Prop.NV_AVAILABLE) == available


def test_nv_define_space_ends_sessions_of_the_area(both_owned: Owned) -> None:
    tpm = owned_area(both_owned, Nv.AUTH_WRITE)
    session = tpm.osap(Entity.NV, AREA, SECRET)
    nv.write_value_auth(tpm, session, AREA, b"1")
    nv.define_space(tpm, OWNER_SECRET, NvPublic(AREA, Nv.AUTH_WRITE, 16), SECRET)
    with refused(Code.INVALID_AUTHHANDLE):
        nv.write_value_auth(tpm, session, AREA, b"2")


def test_nv_define_space_without_owner_wants_presence_and_a_size(both: Subject) -> None:
    tpm = both.tpm
    nv.lock(tpm)
    with refused(Code.BAD_PRESENCE):
        nv.define_space(tpm, None, NvPublic(AREA, Nv.PP_WRITE, 8))
    admin.assert_presence(tpm)
    nv.define_space(tpm, None, NvPublic(AREA, Nv.PP_WRITE, 8))
    with refused(Code.BAD_DATASIZE):
        nv.define_space(tpm, None, NvPublic(AREA, Nv.PP_WRITE, 0))


def test_nv_define_space_without_authorisation_is_not_for_a_tpm_with_an_owner(both_owned: Owned) -> None:
    tpm = both_owned.tpm
    nv.lock(tpm)
    admin.assert_presence(tpm)
    with refused(Code.OWNER_SET):
        nv.define_space(tpm, None, NvPublic(AREA, Nv.PP_WRITE, 8))


def test_nv_define_space_by_an_owner_who_does_not_exist(both: Subject) -> None:
    session = both.tpm.oiap(OWNER_SECRET)
    public = NvPublic(AREA, Nv.OWNER_WRITE, 8).encode() + SECRET
    with refused(Code.BAD_MODE):
        both.tpm.call(Ord.NV_DEFINE_SPACE, public, session)


# nvLocked ------------------------------------------------------------------------------------------------


def test_nv_define_space_of_the_lock_sets_nv_locked_for_ever(both: Subject) -> None:
    tpm = both.tpm

    def locked() -> bool:
        flags = capability.get_capability(tpm, capability.Cap.FLAG, u32(0x108))
        return flags[2 + 15] == 1

    assert not locked()
    with refused(Code.BADINDEX):
        nv.define_space(tpm, None, NvPublic(nv.LOCK, Nv.NONE, 1))
    nv.lock(tpm)
    assert locked()
    nv.lock(tpm)
    both.power_cycle()
    assert locked()


def test_nv_of_a_manufacturer_before_nv_locked(both: Subject) -> None:
    """An EK certificate is put in before nvLocked; then its index stays, and the owner may not touch it."""
    tpm = both.tpm
    certificate = bytes(range(200))
    nv.define_space(tpm, None, NvPublic(EK_CERTIFICATE, Nv.OWNER_WRITE, len(certificate)))
    nv.write_value(tpm, None, EK_CERTIFICATE, certificate)
    nv.lock(tpm)
    assert nv.read_value(tpm, None, EK_CERTIFICATE, 200) == certificate
    assert nv.read_value(tpm, None, EK_CERTIFICATE, 5, offset=10) == certificate[10:15]
    admin.assert_presence(tpm)
    with refused(Code.BADINDEX):
        nv.define_space(tpm, None, NvPublic(EK_CERTIFICATE, Nv.PP_WRITE, 8))
    with refused(Code.AUTH_CONFLICT):
        nv.write_value(tpm, None, EK_CERTIFICATE, b"x")
    both.power_cycle()
    assert nv.read_value(tpm, None, EK_CERTIFICATE, 200) == certificate


def test_nv_before_nv_locked_ignores_bindings_presence_and_locks(both: Subject) -> None:
    tpm = both.tpm
    nowhere = PcrInfoShort(Selection.of(0), b"x" * 20, 0x10)
    attributes = (
        Nv.PP_WRITE | Nv.PP_READ | Nv.WRITE_DEFINE | Nv.WRITE_ST_CLEAR | Nv.READ_ST_CLEAR | Nv.GLOBAL_LOCK
    )
    nv.define_space(tpm, None, NvPublic(AREA, attributes, 8, nowhere, nowhere))
    nv.write_value(tpm, None, AREA, b"")
    nv.write_value(tpm, None, nv.INDEX0, b"")
    assert nv.read_value(tpm, None, AREA, 0) == b""
    nv.write_value(tpm, None, AREA, b"data")
    assert nv.read_value(tpm, None, AREA, 4) == b"data"
    nv.define_space(tpm, None, NvPublic(AREA, attributes, 4, nowhere, nowhere))
    nv.lock(tpm)
    with refused(Code.BAD_LOCALITY if both.name == "ours" else Code.BAD_PRESENCE):
        nv.read_value(tpm, None, AREA, 4)


def test_nv_before_nv_locked_still_wants_the_areas_own_secret(both: Subject) -> None:
    tpm = both.tpm
    nv.define_space(tpm, None, NvPublic(AREA, Nv.AUTH_WRITE | Nv.AUTH_READ, 8), SECRET)
    with refused(Code.AUTH_CONFLICT):
        nv.write_value(tpm, None, AREA, b"x")
    with refused(Code.AUTH_CONFLICT):
        nv.read_value(tpm, None, AREA, 1)


def test_nv_before_nv_locked_works_in_a_tpm_that_is_off(both: Subject) -> None:
    tpm = both.tpm
    admin.assert_presence(tpm)
    admin.physical_disable(tpm)
    nv.define_space(tpm, None, NvPublic(AREA, Nv.PP_WRITE, 8))
    nv.write_value(tpm, None, AREA, b"data")
    assert nv.read_value(tpm, None, AREA, 4) == b"data"
    nv.lock(tpm)
    with refused(Code.DISABLED):
        nv.define_space(tpm, None, NvPublic(AREA, Nv.PP_WRITE, 8))
    assert nv.read_value(tpm, None, AREA, 4) == b"data"


def test_nv_of_the_owner_is_shut_in_a_tpm_that_is_off(both_owned: Owned) -> None:
    tpm = owned_area(both_owned, Nv.OWNER_WRITE | Nv.OWNER_READ)
    owner.owner_set_disable(tpm, OWNER_SECRET, True)
    actions: list[Callable[[], object]] = [
        lambda: nv.read_value(tpm, None, AREA, 1),
        lambda: nv.write_value(tpm, None, AREA, b"x"),
        lambda: nv.write_value(tpm, None, nv.DIR, b"x" * 20),
    ]
    for action in actions:
        with refused(Code.DISABLED):
            action()
    assert nv.read_value(tpm, None, nv.DIR, 20) == bytes(20)


def test_nv_of_the_owner_is_shut_in_a_deactivated_tpm(both_owned: Owned) -> None:
    tpm = owned_area(both_owned, Nv.OWNER_WRITE | Nv.OWNER_READ)
    both_owned.subject.power_cycle(admin.Startup.DEACTIVATED)
    with refused(Code.DEACTIVATED):
        nv.read_value(tpm, None, AREA, 1)
    with refused(Code.DEACTIVATED):
        nv.define_space(tpm, None, NvPublic(OTHER, Nv.PP_WRITE, 8))


# writes without an owner ---------------------------------------------------------------------------------


def test_nv_writes_without_owner_are_counted(both: Subject) -> None:
    tpm = both.tpm
    nv.define_space(tpm, None, NvPublic(AREA, Nv.PP_WRITE, 8))
    for count in range(OWNERLESS_NV_WRITES - 1):
        nv.write_value(tpm, None, AREA, bytes([count]))
    actions: list[Callable[[], object]] = [
        lambda: nv.write_value(tpm, None, AREA, b"one too many"[:8]),
        lambda: nv.define_space(tpm, None, NvPublic(OTHER, Nv.PP_WRITE, 8)),
    ]
    for action in actions:
        with refused(Code.MAXNVWRITES):
            action()
    both.power_cycle()
    with refused(Code.MAXNVWRITES):
        nv.write_value(tpm, None, AREA, b"x")
    assert nv.read_value(tpm, None, AREA, 1) == bytes([OWNERLESS_NV_WRITES - 2])


def test_nv_writes_that_change_nothing_are_not_counted(both: Subject) -> None:
    nv.define_space(both.tpm, None, NvPublic(AREA, Nv.PP_WRITE, 8))
    for _ in range(OWNERLESS_NV_WRITES + 1):
        nv.write_value(both.tpm, None, AREA, b"the same")


def test_nv_writes_with_an_owner_are_not_counted(ours_owned: Owned) -> None:
    tpm = owned_area(ours_owned, Nv.PP_WRITE)
    admin.assert_presence(tpm)
    for count in range(OWNERLESS_NV_WRITES + 1):
        nv.write_value(tpm, None, AREA, bytes([count]))
