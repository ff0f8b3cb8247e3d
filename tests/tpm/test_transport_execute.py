# SPDX-License-Identifier: GPL-3.0-or-later
"""TPM_ExecuteTransport, ours and swtpm's (Part 3, 24.2)."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.tpm.client import context, integrity, keys, owner, signing, storage, transport
from tests.tpm.client.constants import (
    SRK,
    WELL_KNOWN,
    Code,
    Entity,
    Ord,
    Resource,
    Tag,
)
from tests.tpm.client.prepared import OWNER_SECRET, USAGE, Owned
from tests.tpm.client.rsacrypt import signed
from tests.tpm.client.tpm import Tpm, refused
from tests.tpm.client.transport import ENCRYPT, EXCLUSIVE, LOG, TransportPublic
from tests.tpm.client.wire import sha1, sized, u32
from tests.tpm.transports import PLAIN, REPLAY, SECRET, cipher, encrypted

pytest_plugins = ("tests.tpm.client.fixtures",)


class TestExecute:
    @cipher
    @pytest.mark.parametrize("log", [0, LOG], ids=["", "logged"])
    def test_execute_transport_of_many_commands(
        self, both_owned: Owned, algorithm: int, scheme: int, log: int
    ) -> None:
        """Every kind of frame: handles in and out, one and two authorisations, OIAP and OSAP inside."""
        session = encrypted(both_owned, ENCRYPT | log, algorithm, scheme)
        made, tpm = both_owned.made, session.tpm
        session.public_keys[SRK] = made.srk.modulus
        signer = keys.load_key2(tpm, WELL_KNOWN, made.signing)
        session.public_keys[signer] = made.signing.modulus
        assert signed(made.signing.public, signing.sign(tpm, USAGE, signer, sha1(b"x")), sha1(b"x"))
        blob = storage.seal(tpm, WELL_KNOWN, b"sealed", USAGE)
        assert storage.unseal(tpm, WELL_KNOWN, USAGE, blob) == b"sealed"
        osap = tpm.osap(Entity.KEY_HANDLE, SRK, WELL_KNOWN)
        keys.load_key2(tpm, osap, made.storage)
        assert len(integrity.get_random(tpm, 20)) == 20
        keys.flush_specific(tpm, signer)
        if log:
            key = both_owned.signing()
            signature, digest = session.release_signed(USAGE, key, REPLAY)
            assert signed(made.signing.public, signature, digest)

    def test_execute_transport_hides_parameters_both_ways(self, ours_owned: Owned) -> None:
        seen: list[bytes] = []
        session = encrypted(ours_owned)
        execute = session.outer._execute

        def listen(request: bytes) -> bytes:
            seen.extend((request, execute(request)))
            return seen[-1]

        session.outer._execute = listen
        value = integrity.extend(session.tpm, 10, sha1(b"secret"))
        assert len(seen) == 2
        assert sha1(b"secret") not in seen[0] and value not in seen[1]

    def test_execute_transport_passes_the_code_of_the_command(self, both_owned: Owned) -> None:
        session = transport.establish(both_owned.tpm, PLAIN, SECRET)
        with refused(Code.BADINDEX):
            integrity.pcr_read(session.tpm, 24)
        assert session.tpm.code(Ord.PCR_READ, b"") == Code.BAD_PARAM_SIZE
        integrity.pcr_read(session.tpm, 0)

    @pytest.mark.parametrize("ordinal", [Ord.ESTABLISH_TRANSPORT, Ord.EXECUTE_TRANSPORT])
    def test_execute_transport_does_not_nest(self, both_owned: Owned, ordinal: int) -> None:
        self.is_not_wrapped(both_owned, ordinal)

    def test_execute_transport_of_no_release(self, ours_owned: Owned) -> None:
        """swtpm takes its key handle for a parameter, and notices that before it looks at the ordinal."""
        self.is_not_wrapped(ours_owned, Ord.RELEASE_TRANSPORT_SIGNED)

    def is_not_wrapped(self, owned: Owned, ordinal: int) -> None:
        session = transport.establish(owned.tpm, PLAIN, SECRET)
        with refused(Code.NO_WRAP_TRANSPORT):
            session.tpm.code(ordinal, bytes(150))
        with refused(Code.INVALID_AUTHHANDLE):
            session.tpm.code(Ord.GET_TICKS)

    @pytest.mark.parametrize(
        "wrapped",
        [
            b"",
            b"\0\xc1",
            bytes.fromhex("00c10000000a"),
            bytes.fromhex("00c10000000b000000f1"),
            bytes.fromhex("00c20000000a000000f1"),
            bytes.fromhex("00c10000000a00000015"[:-2] + "18"),
        ],
    )
    def test_execute_transport_of_what_is_no_command(self, ours_owned: Owned, wrapped: bytes) -> None:
        session = transport.establish(ours_owned.tpm, PLAIN, SECRET)
        body = sized(wrapped) + u32(session.handle) + bytes(41)
        code = ours_owned.tpm.code(Ord.EXECUTE_TRANSPORT, body, tag=Tag.AUTH1_COMMAND)
        assert code == Code.BAD_PARAMETER
        with refused(Code.INVALID_AUTHHANDLE):
            session.tpm.code(Ord.GET_TICKS)

    def test_execute_transport_of_commands_that_the_tpm_does_not_have(self, both_owned: Owned) -> None:
        session = encrypted(both_owned)
        maintenance = (Ord.CREATE_MAINTENANCE_ARCHIVE, Ord.KILL_MAINTENANCE_FEATURE, Ord.READ_MANU_MAINT_PUB)
        for ordinal in (*maintenance, Ord.GET_ORDINAL_AUDIT_STATUS):
            assert session.tpm.code(ordinal, bytes(40)) == Code.BAD_ORDINAL, ordinal
        assert session.tpm.code(Ord.GET_TICKS) == 0

    def test_execute_transport_of_more_that_the_tpm_does_not_have(self, ours_owned: Owned) -> None:
        """They begin with a handle, which is not encrypted. swtpm has DAA, and wants the others' handles
        encrypted.
        """
        session = encrypted(ours_owned, ENCRYPT | LOG)
        for ordinal in (Ord.DAA_JOIN, Ord.DAA_SIGN, Ord.CERTIFY_SELF_TEST, Ord.GET_CAPABILITY_SIGNED):
            assert session.tpm.code(ordinal, bytes(40)) == Code.BAD_ORDINAL

    def test_execute_transport_of_an_unknown_ordinal_ends_the_session(self, both_owned: Owned) -> None:
        session = transport.establish(both_owned.tpm, PLAIN, SECRET)
        with refused(Code.BAD_ORDINAL):
            session.tpm.code(0xFF)
        with refused(Code.INVALID_AUTHHANDLE):
            session.tpm.code(Ord.GET_TICKS)

    def test_execute_transport_with_a_wrong_secret_ends_the_session(self, ours_owned: Owned) -> None:
        session = transport.establish(ours_owned.tpm, PLAIN, SECRET)
        session.secret = WELL_KNOWN
        with refused(Code.AUTHFAIL):
            session.tpm.code(Ord.GET_TICKS)
        session.secret = SECRET
        with refused(Code.INVALID_AUTHHANDLE):
            session.tpm.code(Ord.GET_TICKS)

    @pytest.mark.parametrize("at", [14, 20, 24, 30, 60, 80])
    def test_execute_transport_notices_every_change(self, ours_owned: Owned, at: int) -> None:
        """Of the wrapped frame, its parameters, and the trailer; never executed. (14 is in the tag, which no
        HMAC is about.)
        """
        session = encrypted(ours_owned)
        before = ours_owned.tpm.raw(Ord.PCR_READ, u32(10))

        def flip(request: bytes) -> bytes:
            return request[:at] + bytes([request[at] ^ 1]) + request[at + 1 :]

        ours_owned.tpm.tamper = flip
        session.outer.tamper = flip
        with pytest.raises(Exception, match=r"AUTHFAIL|BAD_PARAMETER|BAD_ORDINAL|INVALID_AUTHHANDLE|BADTAG"):
            integrity.extend(session.tpm, 10, sha1(b"x"))
        ours_owned.tpm.tamper = None
        assert ours_owned.tpm.raw(Ord.PCR_READ, u32(10)) == before

    def test_execute_transport_is_not_replayed(self, ours_owned: Owned) -> None:
        session = transport.establish(ours_owned.tpm, PLAIN, SECRET)
        sent: list[bytes] = []

        def keep(request: bytes) -> bytes:
            sent.append(request)
            return request

        ours_owned.tpm.tamper = keep
        integrity.extend(session.tpm, 10, sha1(b"x"))
        ours_owned.tpm.tamper = None
        value = integrity.pcr_read(ours_owned.tpm, 10)
        assert int.from_bytes(ours_owned.tpm.send(sent[0])[6:10]) == Code.AUTHFAIL
        assert integrity.pcr_read(ours_owned.tpm, 10) == value

    def test_execute_transport_without_continuing(self, both_owned: Owned) -> None:
        session = transport.establish(both_owned.tpm, PLAIN, SECRET)
        session.keep = False
        assert session.tpm.code(Ord.GET_TICKS) == 0
        assert not session.open
        with refused(Code.INVALID_AUTHHANDLE):
            session.tpm.code(Ord.GET_TICKS)

    def test_execute_transport_of_a_command_that_ends_it(self, both_owned: Owned) -> None:
        session = transport.establish(both_owned.tpm, PLAIN, SECRET)
        keys.flush_specific(session.tpm, session.handle, Resource.TRANS)
        assert not session.open

    def test_execute_transport_of_its_own_saving(self, ours_owned: Owned) -> None:
        """The saved session goes on with the nonce of that very response."""
        session = transport.establish(ours_owned.tpm, PLAIN, SECRET)
        blob = context.save_context(session.tpm, session.handle, Resource.TRANS)
        assert not session.open
        assert context.load_context(ours_owned.tpm, blob) == session.handle
        assert session.tpm.code(Ord.GET_TICKS) == 0

    def test_execute_transport_response_has_room(self, ours_owned: Owned) -> None:
        session = transport.establish(ours_owned.tpm, PLAIN, SECRET)
        length = 0

        def measure(request: bytes) -> bytes:
            nonlocal length
            answer = ours_owned.ours.emulator.execute(request)
            length = len(answer)
            return answer

        ours_owned.tpm._execute = measure
        integrity.get_random(session.tpm, 0xFFFF)
        assert length == ours_owned.ours.emulator.buffer_size

    def test_execute_transport_and_localities(self, both_owned: Owned) -> None:
        both_owned.subject.set_locality(2)
        session = transport.establish(both_owned.tpm, TransportPublic(LOG), SECRET)
        assert session.tpm.code(Ord.GET_TICKS) == 0
        both_owned.subject.set_locality(0)

    def test_execute_transport_counts_no_guesses(self, ours_owned: Owned) -> None:
        """The secret of a session is its caller's: guessing it harms nobody."""
        for _ in range(10):
            session = transport.establish(ours_owned.tpm, PLAIN, SECRET)
            session.secret = WELL_KNOWN
            with refused(Code.AUTHFAIL):
                session.tpm.code(Ord.GET_TICKS)

    def test_execute_transport_of_owner_clear_ends_it(self, ours_owned: Owned) -> None:
        session = transport.establish(ours_owned.tpm, PLAIN, SECRET)
        owner.owner_clear(session.tpm, OWNER_SECRET)
        assert not session.open
        with refused(Code.DISABLED):
            session.tpm.code(Ord.GET_TICKS)


class TestSha1Threads:
    def test_execute_transport_of_a_whole_sha1_thread(self, both_owned: Owned) -> None:
        session = transport.establish(both_owned.tpm, PLAIN, SECRET)
        integrity.sha1_start(session.tpm)
        integrity.sha1_update(session.tpm, bytes(64))
        assert integrity.sha1_complete(session.tpm, b"x") == sha1(bytes(64), b"x")

    @pytest.mark.parametrize("enter", [True, False], ids=["entering", "leaving"])
    def test_execute_transport_ends_a_sha1_thread_that_crosses(self, both_owned: Owned, enter: bool) -> None:
        session = transport.establish(both_owned.tpm, PLAIN, SECRET)
        first, second = (both_owned.tpm, session.tpm) if enter else (session.tpm, both_owned.tpm)
        integrity.sha1_start(first)
        with refused(Code.SHA_THREAD):
            integrity.sha1_update(second, bytes(64))
        with refused(Code.SHA_THREAD):
            integrity.sha1_update(first, bytes(64))

    def test_execute_transport_of_another_command_ends_a_sha1_thread(self, both_owned: Owned) -> None:
        session = transport.establish(both_owned.tpm, PLAIN, SECRET)
        integrity.sha1_start(session.tpm)
        assert session.tpm.code(Ord.GET_TICKS) == 0
        with refused(Code.SHA_THREAD):
            integrity.sha1_update(session.tpm, bytes(64))


Other = Callable[[Tpm], object]


class TestExclusive:
    def test_execute_transport_in_an_exclusive_session(self, both_owned: Owned) -> None:
        session = transport.establish(both_owned.tpm, TransportPublic(EXCLUSIVE), SECRET)
        for _ in range(3):
            assert session.tpm.code(Ord.GET_TICKS) == 0

    @pytest.mark.parametrize(
        "command",
        [
            lambda tpm: tpm.code(Ord.GET_TICKS),
            lambda tpm: tpm.code(Ord.PCR_READ, u32(99)),
            lambda tpm: transport.establish(tpm, PLAIN, SECRET),
            lambda tpm: transport.establish(tpm, TransportPublic(EXCLUSIVE), SECRET),
        ],
    )
    def test_execute_transport_after_another_command(self, both_owned: Owned, command: Other) -> None:
        session = transport.establish(both_owned.tpm, TransportPublic(EXCLUSIVE), SECRET)
        command(both_owned.tpm)
        with refused(Code.INVALID_AUTHHANDLE):
            session.tpm.code(Ord.GET_TICKS)

    def test_execute_transport_in_another_session_ends_the_exclusive_one(self, both_owned: Owned) -> None:
        other = transport.establish(both_owned.tpm, PLAIN, SECRET)
        session = transport.establish(both_owned.tpm, TransportPublic(EXCLUSIVE), SECRET)
        assert other.tpm.code(Ord.GET_TICKS) == 0
        with refused(Code.INVALID_AUTHHANDLE):
            session.tpm.code(Ord.GET_TICKS)

    def test_release_transport_signed_of_an_exclusive_session(self, both_owned: Owned) -> None:
        key = both_owned.signing()
        session = transport.establish(both_owned.tpm, TransportPublic(EXCLUSIVE | LOG), SECRET)
        assert session.tpm.code(Ord.GET_TICKS) == 0
        inner = session.tpm.oiap(USAGE)
        inner.keep = False
        signature, digest = session.release_signed(inner, key, REPLAY)
        assert signed(both_owned.made.signing.public, signature, digest)
