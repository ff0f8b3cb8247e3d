# SPDX-License-Identifier: GPL-3.0-or-later
"""TPM_MakeIdentity and TPM_ActivateIdentity, ours and swtpm's (Part 3, 15)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bootproof.tpm.codes import TpmError
from bootproof.tpm.structures.identity import AsymCaContents, EkBlob, EkBlobActivate, SymmetricKey
from tests.tpm.client import identity, integrity, keys, owner, signing
from tests.tpm.client.constants import (
    OWNER,
    SRK,
    WELL_KNOWN,
    Adip,
    AuthUsage,
    Code,
    Entity,
    KeyFlags,
    KeyUsage,
    SigScheme,
)
from tests.tpm.client.keyblobs import Key, PubKey, template
from tests.tpm.client.pcr import PcrInfoLong, PcrInfoShort, Selection, composite_digest
from tests.tpm.client.prepared import OWNER_SECRET, USAGE, Owned
from tests.tpm.client.rsacrypt import signed
from tests.tpm.client.subjects import Ours
from tests.tpm.client.tpm import Auth, refused
from tests.tpm.client.wire import sha1, sized, u16

pytest_plugins = ("tests.tpm.client.fixtures",)

LABEL = sha1(b"label and key of a certificate authority")
SESSION_KEY = identity.symmetric_key(b"sixteen byte key")
WANTED = template(KeyUsage.IDENTITY)
Layout = Callable[[bytes, PubKey], bytes]


def make(owned: Owned, wanted: Key = WANTED, srk: Auth = WELL_KNOWN, by: Auth = OWNER_SECRET) -> Key:
    """Make an identity whose binding is verified."""
    made = identity.make_identity(owned.tpm, srk, by, USAGE, LABEL, wanted)
    assert signed(made.key.public, made.binding, made.binding_digest(LABEL))
    return made.key


class TestMakeIdentity:
    @pytest.mark.parametrize("adip", Adip)
    def test_it_signs_its_binding_and_quotes(self, both_owned: Owned, adip: Adip) -> None:
        session = both_owned.tpm.osap(Entity.OWNER, OWNER, OWNER_SECRET, adip=adip)
        made = make(both_owned, by=session)
        assert not session.open
        key = both_owned.load(made)
        quote = signing.quote(both_owned.tpm, USAGE, key, LABEL, Selection.of(10))
        assert signed(made.public, quote.signature, quote.signed_digest(LABEL))

    def test_a_key12_with_pcrs(self, ours_owned: Owned) -> None:
        now = composite_digest([7], [bytes(20)])
        binding = PcrInfoLong(Selection.of(7), now, Selection.of(7)).encode()
        made = make(ours_owned, replace(WANTED, key12=True, pcr_info=binding))
        assert PcrInfoLong.decode(made.pcr_info).at_creation == now
        key = ours_owned.load(made)
        integrity.extend(ours_owned.tpm, 7, LABEL)
        with refused(Code.WRONGPCRVAL):
            signing.quote(ours_owned.tpm, USAGE, key, LABEL, Selection.of(10))

    @pytest.mark.parametrize(
        ("wanted", "code"),
        [
            (template(KeyUsage.SIGNING), Code.INVALID_KEYUSAGE),
            (template(KeyUsage.IDENTITY, KeyFlags.MIGRATABLE), Code.INVALID_KEYUSAGE),
            (template(KeyUsage.IDENTITY, bits=1024), Code.BAD_KEY_PROPERTY),
            (template(KeyUsage.SIGNING, bits=1024), Code.BAD_KEY_PROPERTY),
            (template(KeyUsage.IDENTITY, sig_scheme=SigScheme.INFO), Code.BAD_KEY_PROPERTY),
            (replace(WANTED, version=b"\1\2\0\0"), Code.BAD_VERSION),
        ],
    )
    def test_keys_that_are_no_identity(self, both_owned: Owned, wanted: Key, code: Code) -> None:
        with refused(code):
            make(both_owned, wanted)

    def test_fips_mode_makes_none_without_a_secret(self, ours_owned: Owned) -> None:
        assert isinstance(ours_owned.subject, Ours)
        ours_owned.subject.emulator.commit_flags(fips=True)
        session = ours_owned.tpm.osap(Entity.OWNER, OWNER, OWNER_SECRET, adip=Adip.AES_CTR)
        with refused(Code.NOTFIPS):
            make(ours_owned, template(KeyUsage.IDENTITY, auth_usage=AuthUsage.NEVER), by=session)

    def test_authorisations(self, both_owned: Owned) -> None:
        with refused(Code.AUTHFAIL):
            make(both_owned, srk=b"x" * 20)
        with refused(Code.AUTH2FAIL):
            make(both_owned, by=b"x" * 20)
        with refused(Code.AUTHFAIL):
            make(both_owned, srk=None)
        with refused(Code.BAD_MODE):
            make(both_owned, by=both_owned.tpm.oiap(OWNER_SECRET))

    def test_an_srk_without_secret_needs_no_authorisation(self, both: Ours) -> None:
        """The SRK is made for it: TPM_TakeOwnership with authDataUsage TPM_AUTH_NEVER."""
        ek = owner.create_ek(both.tpm)
        srk = replace(owner.srk_template(), auth_usage=AuthUsage.NEVER)
        owner.take_ownership(both.tpm, OWNER_SECRET, pubek=ek, srk_key=srk)
        made = identity.make_identity(both.tpm, None, OWNER_SECRET, USAGE, LABEL)
        assert signed(made.key.public, made.binding, made.binding_digest(LABEL))
        assert keys.load_key2(both.tpm, None, made.key)


def ca_blob(owned: Owned, contents: bytes) -> bytes:
    return identity.ca_blob(owned.made.ek, contents)


class TestActivateIdentity:
    @pytest.fixture
    def aik(self, both_owned: Owned) -> tuple[PubKey, int]:
        made = make(both_owned)
        return made.public, both_owned.load(made)

    @pytest.mark.parametrize("layout", [identity.asym_ca_contents, identity.ek_activation])
    def test_the_session_key_comes_out(
        self, both_owned: Owned, aik: tuple[PubKey, int], layout: Layout
    ) -> None:
        public, key = aik
        blob = ca_blob(both_owned, layout(SESSION_KEY, public))
        assert identity.activate_identity(both_owned.tpm, USAGE, OWNER_SECRET, key, blob) == SESSION_KEY

    @pytest.mark.parametrize("layout", [identity.asym_ca_contents, identity.ek_activation])
    def test_a_blob_for_another_identity(
        self, both_owned: Owned, aik: tuple[PubKey, int], layout: Layout
    ) -> None:
        blob = ca_blob(both_owned, layout(SESSION_KEY, both_owned.made.signing.public))
        with refused(Code.BAD_PARAMETER):
            identity.activate_identity(both_owned.tpm, USAGE, OWNER_SECRET, aik[1], blob)

    def test_only_identities_are_activated(self, both_owned: Owned) -> None:
        blob = ca_blob(both_owned, identity.asym_ca_contents(SESSION_KEY, both_owned.made.signing.public))
        with refused(Code.BAD_PARAMETER):
            identity.activate_identity(both_owned.tpm, USAGE, OWNER_SECRET, both_owned.signing(), blob)
        with refused(Code.INVALID_KEYHANDLE):
            identity.activate_identity(both_owned.tpm, USAGE, OWNER_SECRET, 0x05123456, blob)
        with refused(Code.BAD_PARAMETER):
            identity.activate_identity(both_owned.tpm, WELL_KNOWN, OWNER_SECRET, SRK, blob)

    def test_blobs_that_are_none(self, both_owned: Owned, aik: tuple[PubKey, int]) -> None:
        tpm, (_, key) = both_owned.tpm, aik
        with refused(Code.DECRYPT_ERROR):
            identity.activate_identity(tpm, USAGE, OWNER_SECRET, key, bytes(255) + b"\1")
        other_type = u16(0x0C) + u16(2) + sized(b"")  # TPM_EK_TYPE_AUTH
        with refused(Code.BAD_TYPE):
            identity.activate_identity(tpm, USAGE, OWNER_SECRET, key, ca_blob(both_owned, other_type))

    def test_pcrs_and_localities(self, both_owned: Owned, aik: tuple[PubKey, int]) -> None:
        tpm, (public, key) = both_owned.tpm, aik
        now = composite_digest([7], [bytes(20)])
        for info, code in (
            (PcrInfoShort(Selection.of(7), now), None),
            (PcrInfoShort(Selection.of(7), LABEL), Code.WRONGPCRVAL),
            (PcrInfoShort(Selection.of(7), now, 2), Code.BAD_LOCALITY),
        ):
            blob = ca_blob(both_owned, identity.ek_activation(SESSION_KEY, public, info))
            if code is None:
                assert identity.activate_identity(tpm, USAGE, OWNER_SECRET, key, blob) == SESSION_KEY
                continue
            with refused(code):
                identity.activate_identity(tpm, USAGE, OWNER_SECRET, key, blob)

    def test_authorisations(self, ours_owned: Owned) -> None:
        tpm, made = ours_owned.tpm, make(ours_owned)
        key = ours_owned.load(made)
        blob = ca_blob(ours_owned, identity.asym_ca_contents(SESSION_KEY, made.public))
        with refused(Code.AUTHFAIL):
            identity.activate_identity(tpm, WELL_KNOWN, OWNER_SECRET, key, blob)
        with refused(Code.AUTH2FAIL):
            identity.activate_identity(tpm, USAGE, WELL_KNOWN, key, blob)
        with refused(Code.AUTHFAIL):
            identity.activate_identity(tpm, None, OWNER_SECRET, key, blob)

    def test_an_identity_without_secret_needs_the_owner_only(self, both_owned: Owned) -> None:
        made = make(both_owned, template(KeyUsage.IDENTITY, auth_usage=AuthUsage.NEVER))
        key = both_owned.load(made)
        blob = ca_blob(both_owned, identity.asym_ca_contents(SESSION_KEY, made.public))
        assert identity.activate_identity(both_owned.tpm, None, OWNER_SECRET, key, blob) == SESSION_KEY


@settings(max_examples=300, deadline=None)
@given(st.one_of(st.binary(max_size=120), st.binary(max_size=120).map(lambda rest: b"\0\x0c\0\1" + rest)))
def test_any_bytes_are_a_blob_of_a_ca_or_refused(data: bytes) -> None:
    for kind in (EkBlob, EkBlobActivate, AsymCaContents, SymmetricKey):
        try:
            found = kind.decode(data)
        except TpmError:
            continue
        assert found.encode() == data
