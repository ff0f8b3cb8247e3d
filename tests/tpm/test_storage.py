# SPDX-License-Identifier: GPL-3.0-or-later
"""TPM_Seal, TPM_Sealx, TPM_Unseal and TPM_UnBind, ours and swtpm's (Part 3, 10.1 to 10.3, 10.7)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from tests.tpm.client import integrity, keys
from tests.tpm.client.constants import SRK, WELL_KNOWN, Adip, AuthUsage, Code, EncScheme, Entity, KeyUsage
from tests.tpm.client.keyblobs import template
from tests.tpm.client.pcr import PcrInfo, PcrInfoLong, Selection, composite_digest
from tests.tpm.client.prepared import MIGRATION, USAGE, Owned
from tests.tpm.client.rsacrypt import encrypt_oaep, encrypt_pkcs1
from tests.tpm.client.storage import StoredData, bound, seal, sealx, unbind, unseal, unsealx
from tests.tpm.client.subjects import Ours
from tests.tpm.client.tpm import refused
from tests.tpm.client.wire import u32

pytest_plugins = ("tests.tpm.client.fixtures",)

SECRET, DATA = b"the blob's own key..", b"what only this TPM may see"
MOST = 256 - 42 - 65  # bytes that fit under a key of 2048 bits with OAEP and TPM_SEALED_DATA's other fields
Seal = Callable[..., StoredData]
SEALS = pytest.mark.parametrize("sealing", [seal, sealx])


def long_info(owned: Owned, *indices: int, localities: int = 0x1F) -> PcrInfoLong:
    """Return a binding to the PCRs as they are."""
    digest = composite_digest(indices, [integrity.pcr_read(owned.tpm, index) for index in indices])
    return PcrInfoLong(
        Selection.of(*indices), digest, Selection.of(*indices), locality_at_release=localities
    )


class TestSeal:
    def test_what_was_sealed_comes_out(self, both_owned: Owned) -> None:
        blob = seal(both_owned.tpm, WELL_KNOWN, DATA, SECRET)
        assert (blob.head.hex(), blob.seal_info) == ("01010000", b"")
        assert unseal(both_owned.tpm, WELL_KNOWN, SECRET, blob) == DATA

    def test_a_loaded_key_seals_like_the_srk(self, both_owned: Owned) -> None:
        handle = both_owned.storage()
        blob = seal(both_owned.tpm, USAGE, DATA, SECRET, key=handle)
        assert unseal(both_owned.tpm, USAGE, SECRET, blob, handle) == DATA
        with refused(Code.NOTSEALED_BLOB):
            unseal(both_owned.tpm, WELL_KNOWN, SECRET, blob)

    @pytest.mark.parametrize("adip", [Adip.XOR, Adip.AES_CTR])
    @SEALS
    def test_secrets_travel_encrypted_and_the_session_ends(
        self, both_owned: Owned, sealing: Seal, adip: Adip
    ) -> None:
        tpm = both_owned.tpm
        session = tpm.osap(Entity.KEY_HANDLE, SRK, adip=adip)
        blob = sealing(tpm, session, DATA, SECRET)
        assert not session.open
        opener = tpm.osap(Entity.KEY_HANDLE, SRK, adip=adip)
        opening = unseal if sealing is seal else unsealx
        assert opening(tpm, opener, SECRET, blob) == DATA

    @SEALS
    def test_the_most_that_fits(self, both_owned: Owned, sealing: Seal) -> None:
        blob = sealing(both_owned.tpm, WELL_KNOWN, bytes(MOST), SECRET)
        opening = unseal if sealing is seal else unsealx
        assert opening(both_owned.tpm, WELL_KNOWN, SECRET, blob) == bytes(MOST)
        with refused(Code.BAD_DATASIZE if both_owned.subject.name == "ours" else Code.ENCRYPT_ERROR):
            sealing(both_owned.tpm, WELL_KNOWN, bytes(MOST + 1), SECRET)

    @SEALS
    def test_no_data(self, both_owned: Owned, sealing: Seal) -> None:
        with refused(Code.BAD_PARAMETER):
            sealing(both_owned.tpm, WELL_KNOWN, b"", SECRET)

    @SEALS
    def test_the_key_must_be_a_storage_key_that_stays(self, both_owned: Owned, sealing: Seal) -> None:
        tpm = both_owned.tpm
        with refused(Code.INVALID_KEYUSAGE):
            sealing(tpm, USAGE, DATA, SECRET, key=both_owned.signing())
        wanted = template(KeyUsage.STORAGE, flags=2)
        migratable = keys.create_wrap_key(tpm, WELL_KNOWN, SRK, wanted, USAGE, MIGRATION)
        with refused(Code.INVALID_KEYUSAGE):
            sealing(tpm, USAGE, DATA, SECRET, key=both_owned.load(migratable))

    @SEALS
    def test_authorisations_that_fail(self, both_owned: Owned, sealing: Seal) -> None:
        tpm = both_owned.tpm
        with refused(Code.AUTHFAIL):
            sealing(tpm, b"x" * 20, DATA, SECRET)
        with refused(Code.AUTHFAIL):
            sealing(tpm, tpm.osap(Entity.KEY_HANDLE, both_owned.storage(), USAGE), DATA, SECRET)
        with refused(Code.BAD_MODE):
            sealing(tpm, tpm.oiap(), DATA, SECRET)

    @pytest.mark.parametrize(
        "info",
        [b"\0", bytes(3), b"\0\4" + bytes(44), b"\0\x06" + bytes(10), b"\0\x06\1\0" + bytes(50)],
    )
    @SEALS
    def test_malformed_bindings(self, both_owned: Owned, sealing: Seal, info: bytes) -> None:
        with refused(Code.BADINDEX):
            sealing(both_owned.tpm, WELL_KNOWN, DATA, SECRET, info)

    def test_a_binding_with_bytes_left_over(self, ours_owned: Owned) -> None:
        with refused(Code.BADINDEX):
            seal(ours_owned.tpm, WELL_KNOWN, DATA, SECRET, bytes(43))

    def test_sealx_wants_the_long_binding(self, both_owned: Owned) -> None:
        with refused(Code.BADINDEX):
            sealx(both_owned.tpm, WELL_KNOWN, DATA, SECRET, PcrInfo(Selection.of(1), bytes(20)))


class TestBinding:
    def test_pcr_info_notes_the_creation_and_guards_the_release(self, both_owned: Owned) -> None:
        tpm = both_owned.tpm
        integrity.extend(tpm, 10, b"\1" * 20)
        now = composite_digest([9, 10], [integrity.pcr_read(tpm, 9), integrity.pcr_read(tpm, 10)])
        blob = seal(tpm, WELL_KNOWN, DATA, SECRET, PcrInfo(Selection.of(9, 10), now))
        assert blob.head.hex() == "01010000"
        assert PcrInfo.decode(blob.seal_info) == PcrInfo(Selection.of(9, 10), now, now)
        assert unseal(tpm, WELL_KNOWN, SECRET, blob) == DATA
        integrity.extend(tpm, 10, b"\2" * 20)
        with refused(Code.WRONGPCRVAL):
            unseal(tpm, WELL_KNOWN, SECRET, blob)

    @SEALS
    def test_pcr_info_long_notes_the_creation_and_guards_the_release(
        self, both_owned: Owned, sealing: Seal
    ) -> None:
        tpm, opening = both_owned.tpm, unseal if sealing is seal else unsealx
        both_owned.subject.set_locality(2)
        blob = sealing(tpm, WELL_KNOWN, DATA, SECRET, long_info(both_owned, 5, 16))
        noted = PcrInfoLong.decode(blob.seal_info)
        assert (noted.locality_at_creation, noted.at_creation) == (4, noted.at_release)
        assert blob.head[:2] == b"\0\x16"
        assert opening(tpm, WELL_KNOWN, SECRET, blob) == DATA
        integrity.extend(tpm, 16, b"\1" * 20)
        with refused(Code.WRONGPCRVAL):
            opening(tpm, WELL_KNOWN, SECRET, blob)
        integrity.pcr_reset(tpm, Selection.of(16))
        assert opening(tpm, WELL_KNOWN, SECRET, blob) == DATA

    def test_no_pcr_selected_binds_to_nothing(self, both_owned: Owned) -> None:
        info = PcrInfo(Selection(), b"\7" * 20)
        blob = seal(both_owned.tpm, WELL_KNOWN, DATA, SECRET, info)
        assert PcrInfo.decode(blob.seal_info) == PcrInfo(Selection(), b"\7" * 20, bytes(20))
        assert unseal(both_owned.tpm, WELL_KNOWN, SECRET, blob) == DATA

    def test_another_locality_may_not_unseal(self, both_owned: Owned) -> None:
        info = long_info(both_owned, 3, localities=0b01100)
        blob = seal(both_owned.tpm, WELL_KNOWN, DATA, SECRET, info)
        for locality in range(5):
            both_owned.subject.set_locality(locality)
            if locality in (2, 3):
                assert unseal(both_owned.tpm, WELL_KNOWN, SECRET, blob) == DATA
            else:
                with refused(Code.BAD_LOCALITY):
                    unseal(both_owned.tpm, WELL_KNOWN, SECRET, blob)

    def test_the_locality_comes_before_the_pcrs(self, ours_owned: Owned) -> None:
        info = PcrInfoLong(Selection.of(3), b"\7" * 20, locality_at_release=2)
        blob = seal(ours_owned.tpm, WELL_KNOWN, DATA, SECRET, info)
        with refused(Code.BAD_LOCALITY):
            unseal(ours_owned.tpm, WELL_KNOWN, SECRET, blob)


class TestUnseal:
    def test_authorisations_that_fail(self, both_owned: Owned) -> None:
        blob = seal(both_owned.tpm, WELL_KNOWN, DATA, SECRET)
        with refused(Code.AUTHFAIL):
            unseal(both_owned.tpm, b"x" * 20, SECRET, blob)
        with refused(Code.AUTH2FAIL):
            unseal(both_owned.tpm, WELL_KNOWN, b"x" * 20, blob)
        with refused(Code.AUTHFAIL):
            unseal(both_owned.tpm, None, SECRET, blob)

    def test_the_datas_session_is_an_oiap(self, both_owned: Owned) -> None:
        blob = seal(both_owned.tpm, WELL_KNOWN, DATA, SECRET)
        with refused(Code.BAD_MODE):
            unseal(both_owned.tpm, WELL_KNOWN, both_owned.tpm.osap(Entity.KEY_HANDLE, SRK), blob)

    def test_sessions_live_on_if_wanted(self, both_owned: Owned) -> None:
        tpm = both_owned.tpm
        blob = seal(tpm, WELL_KNOWN, DATA, SECRET)
        sessions = tpm.osap(Entity.KEY_HANDLE, SRK), tpm.oiap(SECRET)
        for _ in range(3):
            assert unseal(tpm, *sessions, blob) == DATA

    def test_a_parent_without_authorisation(self, both_owned: Owned) -> None:
        tpm = both_owned.tpm
        wanted = template(KeyUsage.STORAGE, auth_usage=AuthUsage.NEVER)
        handle = both_owned.load(keys.create_wrap_key(tpm, WELL_KNOWN, SRK, wanted, USAGE))
        blob = seal(tpm, USAGE, DATA, SECRET, key=handle)
        assert unseal(tpm, None, SECRET, blob, handle) == DATA
        hidden = sealx(tpm, USAGE, DATA, SECRET, key=handle)
        with refused(Code.AUTHFAIL):
            unseal(tpm, None, SECRET, hidden, handle)
        assert unsealx(tpm, USAGE, SECRET, hidden, handle) == DATA

    def test_data_from_sealx_need_an_osap_of_the_key(self, both_owned: Owned) -> None:
        blob = sealx(both_owned.tpm, WELL_KNOWN, DATA, SECRET)
        with refused(Code.BAD_MODE):
            unseal(both_owned.tpm, both_owned.tpm.oiap(), SECRET, blob)

    def test_data_from_sealx_come_encrypted_and_end_the_keys_session(self, both_owned: Owned) -> None:
        tpm = both_owned.tpm
        blob = sealx(tpm, WELL_KNOWN, DATA, SECRET)
        keys_session, datas_session = tpm.osap(Entity.KEY_HANDLE, SRK), tpm.oiap(SECRET)
        assert unseal(tpm, keys_session, datas_session, blob) != DATA
        assert (keys_session.open, datas_session.open) == (False, True)

    def test_blobs_that_were_changed(self, both_owned: Owned) -> None:
        tpm = both_owned.tpm
        blob = seal(tpm, WELL_KNOWN, DATA, SECRET, long_info(both_owned, 3))
        info = PcrInfoLong(Selection.of(), bytes(20)).encode()
        changed = [
            StoredData(blob.head, info, blob.enc_data),
            StoredData(b"\0\x16\0\1", blob.seal_info, blob.enc_data),
            StoredData(blob.head, blob.seal_info, bytes(256)),
            StoredData(blob.head, blob.seal_info, blob.enc_data[:-1]),
            StoredData(blob.head, blob.seal_info, b""),
            StoredData(blob.head, blob.seal_info, encrypt_oaep(both_owned.made.srk.public, bytes(80))),
            StoredData(blob.head, blob.seal_info, both_owned.made.signing.enc_data),
        ]
        for wrong in changed:
            with refused(Code.NOTSEALED_BLOB):
                unseal(tpm, WELL_KNOWN, SECRET, wrong)

    def test_a_head_that_is_none(self, both_owned: Owned) -> None:
        with refused(Code.BAD_VERSION):
            unseal(both_owned.tpm, WELL_KNOWN, SECRET, StoredData(b"\2\1\0\0", b"", bytes(256)))

    def test_the_key_must_be_a_storage_key(self, both_owned: Owned) -> None:
        blob = seal(both_owned.tpm, WELL_KNOWN, DATA, SECRET)
        with refused(Code.INVALID_KEYUSAGE):
            unseal(both_owned.tpm, USAGE, SECRET, blob, both_owned.signing())
        with refused(Code.INVALID_KEYHANDLE):
            unseal(both_owned.tpm, WELL_KNOWN, SECRET, blob, 0x05000000)

    def test_another_tpms_proof(self, ours_owned: Owned) -> None:
        blob = seal(ours_owned.tpm, WELL_KNOWN, DATA, SECRET)
        subject = ours_owned.subject
        assert isinstance(subject, Ours)
        permanent = subject.emulator.permanent
        subject.emulator.permanent = replace(permanent, tpm_proof=b"\1" * 20)
        with refused(Code.NOTSEALED_BLOB):
            unseal(ours_owned.tpm, WELL_KNOWN, SECRET, blob)


class TestUnBind:
    @pytest.mark.parametrize("usage", [KeyUsage.BIND, KeyUsage.LEGACY])
    @pytest.mark.parametrize("scheme", [EncScheme.OAEP, EncScheme.PKCS1])
    def test_schemes(self, both_owned: Owned, usage: KeyUsage, scheme: EncScheme) -> None:
        tpm = both_owned.tpm
        wanted = template(usage, enc_scheme=scheme, bits=1024)
        key = keys.create_wrap_key(tpm, WELL_KNOWN, SRK, wanted, USAGE, MIGRATION)
        handle = both_owned.load(key)
        encrypt = encrypt_oaep if scheme == EncScheme.OAEP else encrypt_pkcs1
        is_bare = usage == KeyUsage.LEGACY and scheme == EncScheme.PKCS1
        head = b"" if is_bare else b"\1\1\0\0\2"
        assert unbind(tpm, USAGE, handle, encrypt(key.public, head + DATA)) == DATA
        if not is_bare:
            with refused(Code.INVALID_STRUCTURE):
                unbind(tpm, USAGE, handle, encrypt(key.public, b"\1\1\0\0\5" + DATA))
            with refused(Code.BAD_VERSION):
                unbind(tpm, USAGE, handle, encrypt(key.public, b"\1\2\0\0\2" + DATA))
        for wrong in (bytes(128), b"\xff" * 128, bytes(127), b"\1"):
            with refused(Code.DECRYPT_ERROR):
                unbind(tpm, USAGE, handle, wrong)
        with refused(Code.BAD_DATASIZE):
            unbind(tpm, USAGE, handle, bytes(129))

    def test_who_may(self, both_owned: Owned) -> None:
        tpm = both_owned.tpm
        key = keys.create_wrap_key(tpm, WELL_KNOWN, SRK, template(KeyUsage.BIND, bits=1024), USAGE)
        handle = both_owned.load(key)
        data = bound(key.public, DATA)
        assert unbind(tpm, tpm.osap(Entity.KEY_HANDLE, handle, USAGE), handle, data) == DATA
        with refused(Code.AUTHFAIL):
            unbind(tpm, b"x" * 20, handle, data)
        with refused(Code.AUTHFAIL):
            unbind(tpm, None, handle, data)
        with refused(Code.INVALID_KEYHANDLE):
            unbind(tpm, USAGE, 0x05000000, data)

    def test_a_key_without_authorisation(self, both_owned: Owned) -> None:
        tpm = both_owned.tpm
        wanted = template(KeyUsage.BIND, auth_usage=AuthUsage.NEVER, bits=1024)
        key = keys.create_wrap_key(tpm, WELL_KNOWN, SRK, wanted, USAGE)
        assert unbind(tpm, None, both_owned.load(key), bound(key.public, DATA)) == DATA

    def test_other_keys_and_no_data(self, both_owned: Owned) -> None:
        tpm = both_owned.tpm
        with refused(Code.INVALID_KEYUSAGE):
            unbind(tpm, USAGE, both_owned.storage(), bytes(256))
        with refused(Code.BAD_PARAMETER):
            unbind(tpm, USAGE, both_owned.signing(), b"")


def test_unseal_and_unbind_of_any_length(ours_owned: Owned) -> None:
    """What a caller sends is never longer than a command, whatever it says about itself."""
    for ordinal in (0x18, 0x1E):
        body = u32(SRK) + b"\1\1\0\0" + u32(0xFFFFFFFF) + bytes(45)
        assert ours_owned.tpm.code(ordinal, body, 0xC2) in (Code.SIZE, Code.BAD_PARAM_SIZE)
