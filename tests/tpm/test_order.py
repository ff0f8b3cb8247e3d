# SPDX-License-Identifier: GPL-3.0-or-later
"""Of several faults in a command the same one is named as by swtpm: first what cannot be read, from front to
back, then the tag, then the session, the authorisation, and what Part 3 lists after it.
"""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.tpm.client import capability, delegation, integrity, keys, nv, signing
from tests.tpm.client.constants import SRK, WELL_KNOWN, Code, Entity, KeyUsage, Ord, Resource, Tag
from tests.tpm.client.faults import sized_anew
from tests.tpm.client.keyblobs import template
from tests.tpm.client.pcr import PcrInfo, Selection
from tests.tpm.client.prepared import MIGRATION, OWNER_SECRET, USAGE, Owned
from tests.tpm.client.sessions import Session
from tests.tpm.client.subjects import Subject
from tests.tpm.client.tpm import Tpm, refused
from tests.tpm.client.wire import u16, u32

pytest_plugins = ("tests.tpm.client.fixtures",)

WRONG = b"nobody's 20 bytes..."
NONCE = bytes(20)
TOO_LONG = Selection(bytes(4))


def test_quote_names_a_selection_that_is_too_long_before_a_wrong_secret(both_owned: Owned) -> None:
    key = both_owned.signing()
    with refused(Code.INVALID_PCR_INFO):
        signing.quote(both_owned.tpm, WRONG, key, NONCE, TOO_LONG)


def test_pcr_reset_names_a_length_that_no_selection_has_before_bytes_that_lack(both: Subject) -> None:
    assert both.tpm.code(Ord.PCR_RESET, u16(11) + bytes(3)) == Code.INVALID_PCR_INFO
    assert both.tpm.code(Ord.PCR_RESET, u16(3) + bytes(2)) == Code.BAD_PARAM_SIZE


@pytest.mark.parametrize("tag", [Tag.AUTH1_COMMAND, Tag.AUTH2_COMMAND, 0])
def test_pcr_read_names_bytes_that_lack_before_a_wrong_tag(both: Subject, tag: int) -> None:
    assert both.tpm.code(Ord.PCR_READ, bytes(3), tag) == Code.BAD_PARAM_SIZE
    assert both.tpm.code(Ord.PCR_READ, bytes(4), tag) == Code.BADTAG


@pytest.mark.parametrize(
    ("head", "code"),
    [
        ("01020000", Code.BAD_VERSION),
        ("02010000", Code.BAD_VERSION),
        ("00280001", Code.BAD_KEY_PROPERTY),
        ("00290000", Code.BAD_KEY_PROPERTY),
    ],
)
def test_load_key2_names_a_wrong_head_before_a_wrong_secret(
    both_owned: Owned, head: str, code: Code
) -> None:
    blob = bytes.fromhex(head) + both_owned.made.signing.encode()[4:]
    with refused(code):
        both_owned.tpm.call(Ord.LOAD_KEY2, blob, WRONG, handles=[SRK])


def test_load_key2_names_parameters_that_end_too_soon_before_a_wrong_secret(both_owned: Owned) -> None:
    key = both_owned.made.signing
    short = key.encode().replace(u32(12) + key.parms.encode()[12:24], u32(4) + key.parms.encode()[12:16])
    with refused(Code.BAD_PARAM_SIZE):
        both_owned.tpm.call(Ord.LOAD_KEY2, short, WRONG, handles=[SRK])


def test_unseal_names_a_wrong_head_before_a_wrong_secret(both_owned: Owned) -> None:
    blob = bytes.fromhex("00170000") + u32(0) + u32(4) + b"data"
    with refused(Code.BAD_VERSION):
        both_owned.tpm.call(Ord.UNSEAL, blob, WRONG, WRONG, handles=[SRK])


def test_a_command_that_cannot_be_read_leaves_its_session(both_owned: Owned) -> None:
    tpm, key = both_owned.tpm, both_owned.signing()
    session = tpm.oiap(USAGE)
    tpm.tamper = lambda sent: sized_anew(sent + b"\0")
    with refused(Code.BAD_PARAM_SIZE):
        signing.sign(tpm, session, key, NONCE)
    tpm.tamper = None
    assert capability.handles(tpm, Resource.AUTH) == [session.handle]


_OWNERS: dict[str, Callable[[Tpm, Session], object]] = {
    "NV_DefineSpace": lambda tpm, owner: tpm.call(
        Ord.NV_DEFINE_SPACE, nv.NvPublic(0x11, nv.Nv.OWNER_WRITE, 4).encode() + NONCE, owner
    ),
    "SetCapability": lambda tpm, owner: capability.set_flag(tpm, owner, 1, 17, True),
    "DirWriteAuth": lambda tpm, owner: integrity.dir_write_auth(tpm, owner, NONCE),
    "Delegate_Manage": lambda tpm, owner: delegation.manage(tpm, owner, 0, delegation.CREATE, b"\1"),
}


@pytest.mark.parametrize("command", _OWNERS)
def test_without_an_owner_a_session_that_is_not_open_is_named_first(both: Subject, command: str) -> None:
    with refused(Code.INVALID_AUTHHANDLE):
        _OWNERS[command](both.tpm, Session(0x02123456, WELL_KNOWN, NONCE, keep=False))


@pytest.mark.parametrize("command", sorted(set(_OWNERS) - {"NV_DefineSpace"}))
def test_without_an_owner_nothing_is_the_owners_authorisation(both: Subject, command: str) -> None:
    with refused(Code.AUTHFAIL):
        _OWNERS[command](both.tpm, both.tpm.oiap(WELL_KNOWN))


@pytest.mark.parametrize("entity", [Entity.KEY_HANDLE, Entity.OWNER, Entity.SRK, 0x77])
def test_osap_without_an_owner_is_for_nothing(both: Subject, entity: int) -> None:
    assert both.tpm.code(Ord.OSAP, u16(entity) + u32(0x05123456) + NONCE) == Code.NOSRK


def test_nv_write_value_to_index_0_checks_the_owners_authorisation(both_owned: Owned) -> None:
    with refused(Code.AUTHFAIL):
        nv.write_value(both_owned.tpm, WRONG, 0, b"data")
    with refused(Code.BADINDEX):
        nv.write_value(both_owned.tpm, OWNER_SECRET, 0, b"data")


def _bound_elsewhere(owned: Owned) -> int:
    """Return a signing key that the present PCRs do not let anybody use."""
    wanted = template(KeyUsage.SIGNING, bits=1024, pcr_info=PcrInfo(Selection.of(10), b"\1" * 20))
    return owned.load(keys.create_wrap_key(owned.tpm, WELL_KNOWN, SRK, wanted, USAGE, MIGRATION))


def test_certify_key_looks_at_the_pcrs_of_the_certified_key_last(ours_owned: Owned) -> None:
    tpm, certifier, key = ours_owned.tpm, ours_owned.signing(), _bound_elsewhere(ours_owned)
    with refused(Code.AUTH2FAIL):
        keys.certify_key(tpm, USAGE, WRONG, certifier, key, NONCE)
    with refused(Code.AUTHFAIL):
        keys.certify_key2(tpm, WRONG, USAGE, key, certifier, NONCE)
    with refused(Code.WRONGPCRVAL):
        keys.certify_key(tpm, USAGE, USAGE, certifier, key, NONCE)
    with refused(Code.WRONGPCRVAL):
        keys.certify_key2(tpm, USAGE, USAGE, key, certifier, NONCE)


def test_certify_key_looks_at_the_pcrs_of_the_certifier_first(both_owned: Owned) -> None:
    tpm, certifier, key = both_owned.tpm, _bound_elsewhere(both_owned), both_owned.signing()
    with refused(Code.WRONGPCRVAL):
        keys.certify_key(tpm, WRONG, WRONG, certifier, key, NONCE)


def test_get_pub_key_looks_at_the_pcrs_after_the_authorisation(ours_owned: Owned) -> None:
    key = _bound_elsewhere(ours_owned)
    with refused(Code.AUTHFAIL):
        keys.get_pub_key(ours_owned.tpm, WRONG, key)
    with refused(Code.WRONGPCRVAL):
        keys.get_pub_key(ours_owned.tpm, USAGE, key)


_UNKNOWN = 0x7777


@pytest.mark.parametrize(
    ("ordinal", "body", "tag"),
    [
        (Ord.PCR_READ, u32(0), Tag.COMMAND),
        (Ord.PCR_READ, u32(0), Tag.AUTH1_COMMAND),
        (Ord.PCR_READ, b"", Tag.COMMAND),
        (Ord.OSAP, bytes(26), Tag.COMMAND),  # refused without an owner
        (_UNKNOWN, b"", Tag.COMMAND),
    ],
)
def test_any_other_command_that_arrives_ends_a_sha1_thread(
    both: Subject, ordinal: int, body: bytes, tag: int
) -> None:
    integrity.sha1_start(both.tpm)
    both.tpm.code(ordinal, body, tag)
    assert both.tpm.code(Ord.SHA1_COMPLETE, u32(0)) == Code.SHA_THREAD


@pytest.mark.parametrize("tag", [Tag.COMMAND, Tag.AUTH1_COMMAND])
def test_sha1_update_that_cannot_be_read_ends_no_thread(both: Subject, tag: int) -> None:
    integrity.sha1_start(both.tpm)
    assert both.tpm.code(Ord.SHA1_UPDATE, u32(64) + bytes(60), tag) == Code.BAD_PARAM_SIZE
    assert both.tpm.code(Ord.SHA1_COMPLETE, u32(0)) == Code.SUCCESS
