# SPDX-License-Identifier: GPL-3.0-or-later
"""Taking ownership and giving it up (Part 3, 6.1 to 6.5), side by side with swtpm."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from bootproof.tpm.codes import Rc
from bootproof.tpm.persistence.store import Kind
from bootproof.tpm.state import Permanent
from tests.tpm.client import admin, capability, integrity, nv, owner
from tests.tpm.client.capability import Cap
from tests.tpm.client.constants import (
    OWNER,
    SRK,
    WELL_KNOWN,
    AuthUsage,
    Code,
    Entity,
    KeyFlags,
    KeyUsage,
    Ord,
)
from tests.tpm.client.keyblobs import PubKey, template
from tests.tpm.client.keys import load_key2
from tests.tpm.client.prepared import OWNER_SECRET, Owned
from tests.tpm.client.rsacrypt import encrypt_oaep
from tests.tpm.client.sessions import Session
from tests.tpm.client.subjects import Ours, Subject
from tests.tpm.client.tpm import Tpm, refused
from tests.tpm.client.wire import sized, u16, u32

pytest_plugins = ("tests.tpm.client.fixtures",)

WRONG = b"not the owner's key."


def flags(tpm: Tpm) -> bytes:
    """Return the permanent flags without their tag."""
    return capability.get_capability(tpm, Cap.FLAG, u32(0x108))[2:]


def is_open(tpm: Tpm, session: Session) -> bool:
    """Tell whether the TPM still knows a session, which it does not afterwards."""
    return tpm.code(Ord.FLUSH_SPECIFIC, u32(session.handle) + u32(2)) == 0


class Taking:
    """TPM_TakeOwnership with parameters of one's own; `session` is the one that was used."""

    def __init__(self, tpm: Tpm) -> None:
        self.tpm = tpm
        self.ek = owner.create_ek(tpm)
        self.session = tpm.oiap(OWNER_SECRET)

    def __call__(
        self,
        owner_auth: bytes | None = None,
        srk_auth: bytes | None = None,
        srk: bytes = owner.srk_template().encode(),
        protocol: int = 5,
        hmac_key: bytes = OWNER_SECRET,
    ) -> None:
        secrets = [
            encrypt_oaep(self.ek, OWNER_SECRET) if auth is None else auth for auth in (owner_auth, srk_auth)
        ]
        self.session = self.tpm.oiap(hmac_key)
        parameters = u16(protocol) + sized(secrets[0]) + sized(secrets[1]) + srk
        self.tpm.call(Ord.TAKE_OWNERSHIP, parameters, self.session)


def wrong_srks() -> Iterator[tuple[bytes, Code]]:
    """Yield what the SRK may not be, and how that is refused."""
    good = owner.srk_template().encode()
    yield template(KeyUsage.SIGNING, 0, AuthUsage.ALWAYS).encode(), Code.INVALID_KEYUSAGE
    yield template(KeyUsage.STORAGE, KeyFlags.MIGRATABLE, AuthUsage.ALWAYS).encode(), Code.INVALID_KEYUSAGE
    yield owner.srk_template(bits=1024).encode(), Code.BAD_KEY_PROPERTY
    for at, value in ((15, b"\0\2"), (17, b"\0\2")):  # encryption scheme, signature scheme
        yield good[:at] + value + good[at + len(value) :], Code.BAD_KEY_PROPERTY
    size = u32(2048) + u32(2)
    exponent = good.replace(u32(12) + size + u32(0), u32(15) + size + sized(b"\1\0\1"))
    assert exponent != good
    yield exponent, Code.BAD_KEY_PROPERTY


def test_take_ownership_checks(both: Subject) -> None:
    tpm = both.tpm
    with refused(Code.NO_ENDORSEMENT):
        owner.take_ownership(tpm, OWNER_SECRET, pubek=PubKey(owner._EK_PARMS, b"\xff" * 256))
    take = Taking(tpm)
    with refused(Code.BAD_PARAMETER):
        take(protocol=1)
    assert not is_open(tpm, take.session)
    with refused(Code.BAD_KEY_PROPERTY):
        take(owner_auth=encrypt_oaep(take.ek, b"a" * 19), hmac_key=b"a" * 19)
    with refused(Code.DECRYPT_ERROR):
        take(owner_auth=bytes(256))
    with refused(Code.AUTHFAIL):
        take(hmac_key=WRONG)
    for srk, code in wrong_srks():
        with refused(code):
            take(srk=srk)
    with refused(Code.BAD_KEY_PROPERTY):
        take(srk_auth=encrypt_oaep(take.ek, b"a" * 19))
    assert capability.get_capability(tpm, Cap.PROPERTY, u32(0x111)) == b"\0"
    take()
    assert is_open(tpm, take.session)
    assert capability.get_capability(tpm, Cap.PROPERTY, u32(0x111)) == b"\1"
    with refused(Code.OWNER_SET):
        take()
    with refused(Code.DISABLED_CMD):
        owner.read_pubek(tpm)


def test_take_ownership_works_in_a_deactivated_tpm(both: Subject) -> None:
    take = Taking(both.tpm)
    admin.assert_presence(both.tpm)
    admin.set_temp_deactivated(both.tpm)
    take.session = both.tpm.oiap(OWNER_SECRET)
    take()


def test_take_ownership_makes_a_new_proof(ours: Ours) -> None:
    take = Taking(ours.tpm)
    before = Permanent.decode(ours.frozen()[Kind.PERMANENT]).tpm_proof
    take()
    after = Permanent.decode(ours.frozen()[Kind.PERMANENT])
    assert after.owner is not None
    assert before != after.tpm_proof == after.owner.srk.secret.migration_auth


def check_cleared(owned: Owned) -> None:
    """Check that the owner is gone, with all that was his."""
    tpm = owned.tpm
    disable, ownership, deactivated, read_pubek, *_ = flags(tpm)
    assert (disable, ownership, deactivated, read_pubek) == (1, 1, 1, 1)
    assert capability.get_capability(tpm, Cap.PROPERTY, u32(0x111)) == b"\0"
    assert capability.handles(tpm) == []
    with refused(Code.NOSRK):
        owner.owner_set_disable(tpm, OWNER_SECRET, False)
    admin.assert_presence(tpm)
    admin.physical_enable(tpm)
    admin.physical_set_deactivated(tpm, False)
    owned.subject.power_cycle()
    assert owner.read_pubek(tpm).modulus == owned.made.ek.modulus
    owner.take_ownership(tpm, WRONG)
    with refused(Code.DECRYPT_ERROR):
        load_key2(tpm, WELL_KNOWN, owned.made.signing)


def test_owner_clear(both_owned: Owned) -> None:
    tpm = both_owned.tpm
    both_owned.signing()
    with refused(Code.AUTHFAIL):
        owner.owner_clear(tpm, WRONG)
    session, other = tpm.oiap(OWNER_SECRET), tpm.oiap()
    owner.owner_clear(tpm, session)
    assert not session.open
    assert not is_open(tpm, other)
    check_cleared(both_owned)


def test_force_clear(both_owned: Owned) -> None:
    both_owned.signing()
    integrity.extend(both_owned.tpm, 5, WRONG)
    value = integrity.pcr_read(both_owned.tpm, 5)
    admin.assert_presence(both_owned.tpm)
    owner.force_clear(both_owned.tpm)
    admin.physical_enable(both_owned.tpm)
    assert integrity.pcr_read(both_owned.tpm, 5) == value
    admin.physical_disable(both_owned.tpm)
    check_cleared(both_owned)


def test_clearing_keeps_what_was_not_the_owners(both_owned: Owned) -> None:
    tpm = both_owned.tpm
    nv.define_space(tpm, OWNER_SECRET, nv.NvPublic(0x11, nv.Nv.OWNER_WRITE | nv.Nv.OWNER_READ, 8))
    nv.define_space(tpm, OWNER_SECRET, nv.NvPublic(0x12, nv.Nv.PP_WRITE, 8))
    admin.assert_presence(tpm)
    admin.set_operator_auth(tpm, WRONG)
    capability.set_flag(tpm, OWNER_SECRET, 1, 17, True)
    capability.set_flag(tpm, OWNER_SECRET, 1, 5, True)
    owner.force_clear(tpm)
    assert capability.nv_list(tpm) == [0x12]
    kept = flags(tpm)
    assert (kept[4], kept[8], kept[9], kept[13], kept[16]) == (0, 1, 1, 0, 0)
    with refused(Code.DISABLED):
        admin.set_operator_auth(tpm, WRONG)


def test_disable_owner_clear_lasts_until_a_force_clear(both_owned: Owned) -> None:
    tpm = both_owned.tpm
    with refused(Code.AUTHFAIL):
        owner.disable_owner_clear(tpm, WRONG)
    owner.disable_owner_clear(tpm, OWNER_SECRET)
    with refused(Code.AUTHFAIL):
        owner.owner_clear(tpm, WRONG)
    with refused(Code.CLEAR_DISABLED):
        owner.owner_clear(tpm, OWNER_SECRET)
    both_owned.subject.power_cycle()
    with refused(Code.CLEAR_DISABLED):
        owner.owner_clear(tpm, OWNER_SECRET)
    admin.assert_presence(tpm)
    owner.force_clear(tpm)
    assert flags(tpm)[4] == 0


def test_disable_force_clear_lasts_until_the_next_start(both: Subject) -> None:
    admin.assert_presence(both.tpm)
    owner.disable_force_clear(both.tpm)
    with refused(Code.CLEAR_DISABLED):
        owner.force_clear(both.tpm)
    both.power_cycle()
    admin.assert_presence(both.tpm)
    owner.force_clear(both.tpm)


NEEDING_OWNER: dict[str, Callable[[Tpm], object]] = {
    "OwnerClear": lambda tpm: owner.owner_clear(tpm, OWNER_SECRET),
    "DisableOwnerClear": lambda tpm: owner.disable_owner_clear(tpm, OWNER_SECRET),
    "ResetLockValue": lambda tpm: owner.reset_lock_value(tpm, OWNER_SECRET),
    "GetCapabilityOwner": lambda tpm: owner.get_capability_owner(tpm, OWNER_SECRET),
    "OSAP": lambda tpm: tpm.osap(Entity.OWNER, OWNER, OWNER_SECRET),
    "LoadKey2": lambda tpm: load_key2(tpm, WELL_KNOWN, template(KeyUsage.SIGNING), SRK),
}


def test_without_an_owner_there_is_no_srk(both: Subject) -> None:
    for run in NEEDING_OWNER.values():
        with refused(Code.NOSRK):
            run(both.tpm)


def test_a_full_disk_keeps_the_owner(ours_owned: Owned, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_kind: Kind, _payload: bytes) -> None:
        raise OSError(28, "No space left on device")

    subject = ours_owned.subject
    assert isinstance(subject, Ours)
    key = ours_owned.signing()
    monkeypatch.setattr(subject.store, "save", full)
    with refused(Rc.IOERROR):
        owner.owner_clear(ours_owned.tpm, OWNER_SECRET)
    assert capability.handles(ours_owned.tpm) == [key]
