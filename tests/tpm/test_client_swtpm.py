# SPDX-License-Identifier: GPL-3.0-or-later
"""The test client proven against swtpm: what fails against ours is then ours."""

from __future__ import annotations

import pytest

from tests.tpm.client import identity, integrity, keys, nv, owner, signing, storage
from tests.tpm.client.constants import SRK, WELL_KNOWN, Adip, Code, Entity, KeyUsage, SigScheme
from tests.tpm.client.keyblobs import template
from tests.tpm.client.pcr import PcrInfoLong, Selection, composite_digest
from tests.tpm.client.prepared import OWNER_SECRET, USAGE, Owned
from tests.tpm.client.rsacrypt import signed, signed_der
from tests.tpm.client.sessions import Session
from tests.tpm.client.tpm import ResponseError, refused
from tests.tpm.client.wire import sha1

pytest_plugins = ("tests.tpm.client.fixtures",)

DATA = b"a secret of ours"
SECRET = b"the blob's own auth."
NONCE = bytes(range(20))


def test_sessions_roll_their_nonces(swtpm_owned: Owned) -> None:
    tpm, key = swtpm_owned.tpm, swtpm_owned.signing()
    for session in (tpm.oiap(USAGE), tpm.osap(Entity.KEY_HANDLE, key, USAGE)):
        for _ in range(3):
            signing.sign(tpm, session, key, NONCE)
            assert session.open
        session.keep = False
        signing.sign(tpm, session, key, NONCE)
        assert not session.open
        with refused(Code.INVALID_AUTHHANDLE):
            signing.sign(tpm, session, key, NONCE)


def test_a_wrong_secret_is_refused_and_a_wrong_response_noticed(swtpm_owned: Owned) -> None:
    tpm, key = swtpm_owned.tpm, swtpm_owned.signing()
    with refused(Code.AUTHFAIL):
        signing.sign(tpm, WELL_KNOWN, key, NONCE)
    session = tpm.oiap(USAGE)
    send = tpm.send
    tpm.send = lambda request: send(request)[:-1] + b"\0"  # type: ignore[method-assign]
    with pytest.raises(ResponseError):
        signing.sign(tpm, session, key, NONCE)


@pytest.mark.parametrize("adip", Adip)
def test_sealing(swtpm_owned: Owned, adip: Adip) -> None:
    tpm, key = swtpm_owned.tpm, swtpm_owned.storage()
    pcrs = PcrInfoLong(Selection.of(0), composite_digest([0], [bytes(20)]), Selection.of(0, 1))

    def osap() -> Session:
        return tpm.osap(Entity.KEY_HANDLE, key, USAGE, adip=adip)

    blob = storage.seal(tpm, osap(), DATA, SECRET, pcrs, key)
    assert storage.unseal(tpm, USAGE, SECRET, blob, key) == DATA
    blob = storage.sealx(tpm, osap(), DATA, SECRET, pcrs, key)
    assert storage.unsealx(tpm, osap(), SECRET, blob, key) == DATA
    integrity.extend(tpm, 0, NONCE)
    with refused(Code.WRONGPCRVAL):
        storage.unseal(tpm, USAGE, SECRET, blob, key)


@pytest.mark.parametrize("scheme", [SigScheme.SHA1, SigScheme.DER, SigScheme.INFO])
def test_signatures(swtpm_owned: Owned, scheme: SigScheme) -> None:
    tpm = swtpm_owned.tpm
    blob = keys.create_wrap_key(
        tpm, WELL_KNOWN, SRK, template(KeyUsage.SIGNING, sig_scheme=scheme, bits=1024), USAGE
    )
    key = keys.load_key2(tpm, WELL_KNOWN, blob)
    data = NONCE if scheme == SigScheme.SHA1 else b"a prefix and" + NONCE
    session = tpm.oiap(USAGE)
    session.nonce_odd = NONCE
    signature = signing.sign(tpm, session, key, data)
    if scheme == SigScheme.DER:
        assert signed_der(blob.public, signature, data)
    else:
        digest = data if scheme == SigScheme.SHA1 else signing.info_digest(data, NONCE)
        assert signed(blob.public, signature, digest)


def test_quotes(swtpm_owned: Owned) -> None:
    tpm, key = swtpm_owned.tpm, swtpm_owned.signing()
    public = swtpm_owned.made.signing.public
    first = signing.quote(tpm, USAGE, key, NONCE, Selection.of(0, 10))
    assert signed(public, first.signature, first.signed_digest(NONCE))
    second = signing.quote2(tpm, USAGE, key, NONCE, Selection.of(0, 10), version=True)
    assert signed(public, second.signature, second.signed_digest(NONCE))
    assert second.version_info[:2] == b"\0\x30"
    assert second.info.at_release == sha1(first.composite.encode())


def test_keys(swtpm_owned: Owned) -> None:
    tpm, key, parent = swtpm_owned.tpm, swtpm_owned.signing(), swtpm_owned.storage()
    blob = keys.create_wrap_key(tpm, USAGE, parent, template(KeyUsage.BIND, bits=1024, key12=True), USAGE)
    bind = keys.load_key(tpm, USAGE, blob, parent)
    assert keys.get_pub_key(tpm, USAGE, bind) == blob.public
    assert storage.unbind(tpm, USAGE, bind, storage.bound(blob.public, DATA)) == DATA
    for made in (
        keys.certify_key(tpm, USAGE, USAGE, key, bind, NONCE),
        keys.certify_key2(tpm, USAGE, USAGE, bind, key, NONCE),
    ):
        assert signed(swtpm_owned.made.signing.public, made.signature, made.info.digest)
        assert made.info.pubkey_digest == sha1(blob.modulus)
    keys.evict_key(tpm, bind)
    changed = keys.change_auth(tpm, USAGE, USAGE, parent, Entity.KEY, blob.enc_data, SECRET)
    bind = keys.load_key2(tpm, USAGE, blob.changed(enc_data=changed), parent)
    assert storage.unbind(tpm, SECRET, bind, storage.bound(blob.public, DATA)) == DATA
    keys.key_control_owner(tpm, OWNER_SECRET, bind, blob.public, 1, True)
    keys.key_control_owner(tpm, OWNER_SECRET, bind, blob.public, 1, False)
    keys.flush_specific(tpm, bind)


def test_nv_storage(swtpm_owned: Owned) -> None:
    tpm = swtpm_owned.tpm
    nv.define_space(tpm, OWNER_SECRET, nv.NvPublic(9, nv.Nv.OWNER_WRITE | nv.Nv.OWNER_READ, 16), SECRET)
    nv.write_value(tpm, OWNER_SECRET, 9, DATA)
    assert nv.read_value(tpm, OWNER_SECRET, 9, 4, offset=2) == DATA[2:6]
    nv.define_space(tpm, OWNER_SECRET, nv.NvPublic(10, nv.Nv.AUTH_WRITE | nv.Nv.AUTH_READ, 16), SECRET)
    nv.write_value_auth(tpm, SECRET, 10, DATA)
    assert nv.read_value_auth(tpm, SECRET, 10, 16) == DATA
    nv.define_space(tpm, OWNER_SECRET, nv.NvPublic(10, 0, 0), SECRET)
    with refused(Code.BADINDEX):
        nv.read_value_auth(tpm, SECRET, 10, 16)


def test_identities(swtpm_owned: Owned) -> None:
    tpm, ek = swtpm_owned.tpm, swtpm_owned.made.ek
    label = sha1(b"label")
    made = identity.make_identity(tpm, WELL_KNOWN, OWNER_SECRET, USAGE, label)
    assert signed(made.key.public, made.binding, made.binding_digest(label))
    key = keys.load_key2(tpm, WELL_KNOWN, made.key)
    wanted = identity.symmetric_key(b"sixteen byte key")
    for contents in (
        identity.asym_ca_contents(wanted, made.key.public),
        identity.ek_activation(wanted, made.key.public),
    ):
        blob = identity.ca_blob(ek, contents)
        assert identity.activate_identity(tpm, USAGE, OWNER_SECRET, key, blob) == wanted


def test_the_owner(swtpm_owned: Owned) -> None:
    tpm = swtpm_owned.tpm
    assert owner.owner_read_internal_pub(tpm, OWNER_SECRET, SRK) == swtpm_owned.made.srk.public
    assert owner.owner_read_pubek(tpm, OWNER_SECRET) == swtpm_owned.made.ek
    owner.disable_pubek_read(tpm, OWNER_SECRET)
    owner.change_auth_owner(tpm, OWNER_SECRET, Entity.SRK, SECRET)
    assert keys.load_key2(tpm, SECRET, swtpm_owned.made.signing)
    owner.change_auth_owner(tpm, OWNER_SECRET, Entity.OWNER, SECRET)
    owner.reset_lock_value(tpm, SECRET)
    owner.owner_set_disable(tpm, SECRET, False)
    assert owner.get_capability_owner(tpm, SECRET).permanent_flags & 0b11 == 0b10
    owner.owner_clear(tpm, SECRET)
    with refused(Code.DISABLED):
        keys.load_key2(tpm, SECRET, swtpm_owned.made.signing)
