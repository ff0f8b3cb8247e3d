# SPDX-License-Identifier: GPL-3.0-or-later
"""TPM_ChangeAuth, TPM_ChangeAuthOwner, TPM_ChangeAuthAsymStart, TPM_ChangeAuthAsymFinish, ours and swtpm's
(Part 3, 17 and 27.4).
"""

from __future__ import annotations

import pytest

from tests.tpm.client import identity, keys, owner, rsacrypt, signing, storage
from tests.tpm.client.asymauth import Ephemeral, change_auth_asym_finish, change_auth_asym_start
from tests.tpm.client.constants import OWNER, SRK, WELL_KNOWN, Code, Entity, Ord, Protocol
from tests.tpm.client.keyblobs import Key, KeyParms
from tests.tpm.client.keys import change_auth
from tests.tpm.client.prepared import OWNER_SECRET, USAGE, Owned
from tests.tpm.client.sessions import Session
from tests.tpm.client.subjects import Subject
from tests.tpm.client.tpm import Auth, Tpm, refused
from tests.tpm.client.wire import sha1, sized, u16

pytest_plugins = ("tests.tpm.client.fixtures",)

NEW, DATA, SECRET = b"a brand-new 20 bytes", b"sealed", b"the blob's own key.."
DIGEST = bytes(range(20))


def sign(owned: Owned, handle: int, secret: bytes) -> bool:
    """Whether a signing key works with that secret."""
    public = owned.made.signing.public
    signature = signing.sign(owned.tpm, secret, handle, DIGEST)
    return rsacrypt.signed(public, signature, DIGEST)


def ask_owner(tpm: Tpm, auth: Auth) -> None:
    """Do what only the owner may."""
    owner.owner_read_internal_pub(tpm, auth, SRK)


def changed(owned: Owned, session: Auth, entity_auth: Auth = USAGE, enc_data: bytes | None = None) -> Key:
    """Return the signing key with the secret NEW."""
    key = owned.made.signing
    data = key.enc_data if enc_data is None else enc_data
    return key.changed(enc_data=change_auth(owned.tpm, session, entity_auth, SRK, Entity.KEY, data, NEW))


class TestChangeAuth:
    def test_a_key_gets_a_new_secret(self, both_owned: Owned) -> None:
        handle = both_owned.load(changed(both_owned, WELL_KNOWN))
        assert sign(both_owned, handle, NEW)
        with refused(Code.AUTHFAIL):
            sign(both_owned, handle, USAGE)

    def test_sealed_data_get_a_new_secret(self, both_owned: Owned) -> None:
        tpm = both_owned.tpm
        for sealing, opening in ((storage.seal, storage.unseal), (storage.sealx, storage.unsealx)):
            blob = sealing(tpm, WELL_KNOWN, DATA, SECRET)
            data = change_auth(tpm, WELL_KNOWN, SECRET, SRK, Entity.DATA, blob.enc_data, NEW)
            assert opening(tpm, WELL_KNOWN, NEW, blob.changed(data)) == DATA
            with refused(Code.AUTH2FAIL):
                opening(tpm, WELL_KNOWN, SECRET, blob.changed(data))

    def test_both_sessions_end(self, both_owned: Owned) -> None:
        tpm = both_owned.tpm
        parent, entity = tpm.osap(Entity.KEY_HANDLE, SRK), tpm.oiap(USAGE)
        changed(both_owned, parent, entity)
        assert (parent.open, entity.open) == (False, False)
        with refused(Code.INVALID_AUTHHANDLE):
            ask_owner(tpm, entity)

    def test_sessions_of_the_wrong_kind(self, both_owned: Owned) -> None:
        tpm = both_owned.tpm
        with refused(Code.BAD_MODE):
            changed(both_owned, tpm.oiap())
        with refused(Code.BAD_MODE):
            changed(both_owned, WELL_KNOWN, tpm.osap(Entity.KEY_HANDLE, SRK))

    def test_authorisations_that_fail(self, both_owned: Owned) -> None:
        with refused(Code.AUTHFAIL):
            changed(both_owned, b"x" * 20)
        with refused(Code.AUTHFAIL):
            changed(both_owned, both_owned.tpm.osap(Entity.KEY_HANDLE, both_owned.storage(), USAGE))
        with refused(Code.AUTH2FAIL):
            changed(both_owned, WELL_KNOWN, b"x" * 20)

    @pytest.mark.parametrize("entity", [Entity.OWNER, Entity.SRK, Entity.KEY_HANDLE, 0x0605])
    def test_other_entities(self, both_owned: Owned, entity: Entity) -> None:
        data = both_owned.made.signing.enc_data
        with refused(Code.WRONG_ENTITYTYPE):
            change_auth(both_owned.tpm, WELL_KNOWN, USAGE, SRK, entity, data, NEW)

    def test_another_protocol(self, both_owned: Owned) -> None:
        tpm = both_owned.tpm
        session = tpm.session_for(WELL_KNOWN, Entity.KEY_HANDLE, SRK)
        data = both_owned.made.signing.enc_data
        parameters = u16(Protocol.OWNER) + session.encrypt(NEW) + u16(Entity.KEY) + sized(data)
        with refused(Code.BAD_PARAMETER):
            tpm.call(Ord.CHANGE_AUTH, parameters, session, USAGE, handles=[SRK])

    def test_the_parent_must_be_a_storage_key(self, both_owned: Owned) -> None:
        handle, data = both_owned.signing(), both_owned.made.signing.enc_data
        with refused(Code.INVALID_KEYUSAGE):
            change_auth(both_owned.tpm, USAGE, USAGE, handle, Entity.KEY, data, NEW)

    def test_what_is_no_such_entity(self, both_owned: Owned) -> None:
        tpm, srk = both_owned.tpm, both_owned.made.srk.public
        with refused(Code.DECRYPT_ERROR):
            changed(both_owned, WELL_KNOWN, USAGE, bytes(256))
        with refused(Code.BAD_DATASIZE):
            changed(both_owned, WELL_KNOWN, USAGE, bytes(257))
        with refused(Code.INVALID_STRUCTURE):
            changed(both_owned, WELL_KNOWN, USAGE, rsacrypt.encrypt_oaep(srk, b"\2" + bytes(65)))
        sealed = storage.seal(tpm, WELL_KNOWN, DATA, SECRET)
        with refused(Code.INVALID_STRUCTURE):
            changed(both_owned, WELL_KNOWN, SECRET, sealed.enc_data)

    def test_a_key_that_is_called_data(self, ours_owned: Owned) -> None:
        data = ours_owned.made.signing.enc_data
        with refused(Code.INVALID_STRUCTURE):
            change_auth(ours_owned.tpm, WELL_KNOWN, USAGE, SRK, Entity.DATA, data, NEW)


class TestChangeAuthOwner:
    def test_the_owner_gets_a_new_secret_for_good(self, both_owned: Owned) -> None:
        tpm = both_owned.tpm
        owner.change_auth_owner(tpm, OWNER_SECRET, Entity.OWNER, NEW)
        both_owned.subject.power_cycle()
        ask_owner(tpm, NEW)
        with refused(Code.AUTHFAIL):
            ask_owner(tpm, OWNER_SECRET)

    def test_the_srk_gets_a_new_secret_for_good(self, both_owned: Owned) -> None:
        tpm = both_owned.tpm
        handle = both_owned.storage()
        owner.change_auth_owner(tpm, OWNER_SECRET, Entity.SRK, NEW)
        storage.seal(tpm, USAGE, DATA, SECRET, key=handle)
        both_owned.subject.power_cycle()
        assert both_owned.load(both_owned.made.signing, NEW)
        with refused(Code.AUTHFAIL):
            both_owned.load(both_owned.made.signing)

    @pytest.mark.parametrize("entity", [Entity.OWNER, Entity.SRK])
    def test_the_owners_osap_sessions_end_others_do_not(self, both_owned: Owned, entity: Entity) -> None:
        tpm = both_owned.tpm
        mine, other = (tpm.osap(Entity.OWNER, OWNER, OWNER_SECRET) for _ in range(2))
        oiap = tpm.oiap(OWNER_SECRET if entity == Entity.SRK else NEW)
        handle = both_owned.storage()
        keys_session = tpm.osap(Entity.KEY_HANDLE, handle, USAGE)
        owner.change_auth_owner(tpm, mine, entity, NEW)
        assert not mine.open
        for ended in (mine, other):
            with refused(Code.INVALID_AUTHHANDLE):
                ask_owner(tpm, ended)
        ask_owner(tpm, oiap)
        storage.seal(tpm, keys_session, DATA, SECRET, key=handle)

    def test_sessions_with_the_srks_old_secret_end(self, ours_owned: Owned) -> None:
        tpm = ours_owned.tpm
        session = tpm.osap(Entity.SRK, 0)
        owner.change_auth_owner(tpm, OWNER_SECRET, Entity.SRK, NEW)
        with refused(Code.INVALID_AUTHHANDLE):
            storage.seal(tpm, session, DATA, SECRET)

    def test_refusals(self, both_owned: Owned) -> None:
        tpm = both_owned.tpm
        with refused(Code.BAD_MODE):
            owner.change_auth_owner(tpm, tpm.oiap(OWNER_SECRET), Entity.OWNER, NEW)
        with refused(Code.AUTHFAIL):
            owner.change_auth_owner(tpm, b"x" * 20, Entity.OWNER, NEW)
        with refused(Code.AUTHFAIL):
            owner.change_auth_owner(tpm, tpm.osap(Entity.SRK, 0), Entity.OWNER, NEW)
        with refused(Code.WRONG_ENTITYTYPE):
            owner.change_auth_owner(tpm, OWNER_SECRET, Entity.KEY, NEW)
        session = tpm.session_for(OWNER_SECRET, Entity.OWNER, OWNER)
        parameters = u16(Protocol.OSAP) + session.encrypt(NEW) + u16(Entity.OWNER)
        with refused(Code.BAD_PARAMETER):
            tpm.call(Ord.CHANGE_AUTH_OWNER, parameters, session)
        ask_owner(tpm, OWNER_SECRET)

    def test_without_an_owner(self, both: Subject) -> None:
        session = Session(0x02000000, WELL_KNOWN, bytes(20))
        with refused(Code.NOSRK):
            owner.change_auth_owner(both.tpm, session, Entity.OWNER, NEW)


def begin(owned: Owned, replay: bytes = DIGEST) -> tuple[Ephemeral, Key]:
    """Start an asymmetric change; return the temporary key and the identity that vouches for it."""
    made = identity.make_identity(owned.tpm, WELL_KNOWN, OWNER_SECRET, USAGE, bytes(20))
    handle = owned.load(made.key)
    return change_auth_asym_start(owned.tpm, USAGE, handle, replay), made.key


class TestChangeAuthAsym:
    def test_the_identity_vouches_for_the_temporary_key(self, both_owned: Owned) -> None:
        started, vouching = begin(both_owned)
        info = started.info
        assert rsacrypt.signed(vouching.public, started.signature, sha1(info.encode()))
        assert (info.usage, info.flags, info.auth_usage, info.nonce) == (0x13, 4, 0, DIGEST)
        assert info.pubkey_digest == sha1(started.key.modulus)
        assert (info.pcr_info, info.head) == (b"", b"\1\1\0\0")
        assert info.parent_pcr_status == (both_owned.subject.name == "swtpm")
        assert (started.key.usage, started.key.enc_data) == (0x13, b"")

    def test_a_key_gets_a_new_secret_that_its_parent_does_not_see(self, both_owned: Owned) -> None:
        tpm = both_owned.tpm
        parent = both_owned.storage()
        wanted = both_owned.made.signing.changed(modulus=b"", enc_data=b"")
        child = keys.create_wrap_key(tpm, USAGE, parent, wanted, USAGE)
        started, _ = begin(both_owned)
        data = change_auth_asym_finish(tpm, USAGE, parent, started, child.enc_data, USAGE, NEW)
        handle = both_owned.load(child.changed(enc_data=data), USAGE, parent)
        assert rsacrypt.signed(child.public, signing.sign(tpm, NEW, handle, DIGEST), DIGEST)
        with refused(Code.INVALID_KEYHANDLE):
            change_auth_asym_finish(tpm, USAGE, parent, started, data, NEW, USAGE)

    def test_below_the_srk_the_owner_agrees(self, both_owned: Owned) -> None:
        tpm, data = both_owned.tpm, both_owned.made.signing.enc_data
        started, _ = begin(both_owned)
        with refused(Code.AUTHFAIL):
            change_auth_asym_finish(tpm, WELL_KNOWN, SRK, started, data, USAGE, NEW)
        with refused(Code.AUTHFAIL):
            change_auth_asym_finish(tpm, None, SRK, started, data, USAGE, NEW)
        data = change_auth_asym_finish(tpm, OWNER_SECRET, SRK, started, data, USAGE, NEW)
        assert sign(both_owned, both_owned.load(both_owned.made.signing.changed(enc_data=data)), NEW)

    def test_sealed_data_too(self, ours_owned: Owned) -> None:
        tpm = ours_owned.tpm
        blob = storage.seal(tpm, WELL_KNOWN, DATA, SECRET)
        started, _ = begin(ours_owned)
        data = change_auth_asym_finish(
            tpm, OWNER_SECRET, SRK, started, blob.enc_data, SECRET, NEW, Entity.DATA
        )
        assert storage.unseal(tpm, WELL_KNOWN, NEW, blob.changed(data)) == DATA

    def test_finish_refusals(self, both_owned: Owned) -> None:
        tpm, data = both_owned.tpm, both_owned.made.signing.enc_data
        started, _ = begin(both_owned)

        def finish(old: bytes = USAGE, enc_data: bytes = data, entity: int = Entity.KEY) -> None:
            change_auth_asym_finish(tpm, OWNER_SECRET, SRK, started, enc_data, old, NEW, entity)

        with refused(Code.AUTHFAIL):
            finish(old=b"x" * 20)
        with refused(Code.DECRYPT_ERROR):
            finish(enc_data=bytes(256))
        with refused(Code.WRONG_ENTITYTYPE):
            finish(entity=Entity.OWNER)
        finish()

    def test_finish_with_a_key_that_is_not_temporary(self, both_owned: Owned) -> None:
        tpm, made = both_owned.tpm, both_owned.made
        started, _ = begin(both_owned)
        wrong = Ephemeral(started.info, b"", both_owned.storage(), made.storage)
        with refused(Code.BAD_PARAMETER):
            change_auth_asym_finish(tpm, OWNER_SECRET, SRK, wrong, made.signing.enc_data, USAGE, NEW)

    def test_start_refusals(self, both_owned: Owned) -> None:
        tpm = both_owned.tpm
        with refused(Code.INVALID_KEYUSAGE):
            change_auth_asym_start(tpm, USAGE, both_owned.signing(), DIGEST)
        made = identity.make_identity(tpm, WELL_KNOWN, OWNER_SECRET, USAGE, bytes(20))
        handle = both_owned.load(made.key)
        with refused(Code.AUTHFAIL):
            change_auth_asym_start(tpm, b"x" * 20, handle, DIGEST)
        with refused(Code.AUTHFAIL):
            change_auth_asym_start(tpm, None, handle, DIGEST)
        with refused(Code.BAD_KEY_PROPERTY):
            change_auth_asym_start(tpm, USAGE, handle, DIGEST, KeyParms.rsa(2048, 1, 2))
        with refused(Code.BAD_KEY_PROPERTY):
            change_auth_asym_start(tpm, USAGE, handle, DIGEST, KeyParms.rsa(256, 3, 1))
