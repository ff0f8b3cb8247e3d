# SPDX-License-Identifier: GPL-3.0-or-later
"""The data integrity register (Part 3, 27.3)."""

from __future__ import annotations

from tests.tpm.client import admin, integrity, nv
from tests.tpm.client.constants import OWNER, WELL_KNOWN, Code, Entity
from tests.tpm.client.prepared import OWNER_SECRET, Owned
from tests.tpm.client.subjects import Subject
from tests.tpm.client.tpm import refused

pytest_plugins = ("tests.tpm.client.fixtures",)

VALUE = bytes(range(20))


def test_dir_read_of_a_new_tpm(both: Subject) -> None:
    assert integrity.dir_read(both.tpm) == bytes(20)
    with refused(Code.BADINDEX):
        integrity.dir_read(both.tpm, 1)


def test_dir_write_auth(both_owned: Owned) -> None:
    tpm = both_owned.tpm
    integrity.dir_write_auth(tpm, OWNER_SECRET, VALUE)
    assert integrity.dir_read(tpm) == nv.read_value(tpm, None, nv.DIR, 20) == VALUE
    both_owned.subject.power_cycle()
    assert integrity.dir_read(tpm) == VALUE


def test_dir_write_auth_in_an_osap_session(both_owned: Owned) -> None:
    session = both_owned.tpm.osap(Entity.OWNER, OWNER, OWNER_SECRET)
    for value in (VALUE, VALUE[::-1]):
        integrity.dir_write_auth(both_owned.tpm, session, value)
        assert integrity.dir_read(both_owned.tpm) == value


def test_dir_write_auth_refuses(both_owned: Owned) -> None:
    tpm = both_owned.tpm
    with refused(Code.AUTHFAIL):
        integrity.dir_write_auth(tpm, WELL_KNOWN, VALUE)
    with refused(Code.AUTHFAIL):
        integrity.dir_write_auth(tpm, WELL_KNOWN, VALUE, index=1)
    with refused(Code.BADINDEX):
        integrity.dir_write_auth(tpm, OWNER_SECRET, VALUE, index=1)
    assert integrity.dir_read(tpm) == bytes(20)


def test_dir_write_auth_without_an_owner(both: Subject) -> None:
    with refused(Code.AUTHFAIL):
        integrity.dir_write_auth(both.tpm, WELL_KNOWN, VALUE)


def test_dir_read_in_a_tpm_that_is_off(both: Subject) -> None:
    admin.assert_presence(both.tpm)
    admin.physical_disable(both.tpm)
    with refused(Code.DISABLED):
        integrity.dir_read(both.tpm)
