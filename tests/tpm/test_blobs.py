# SPDX-License-Identifier: GPL-3.0-or-later
"""What the TPM hands out and takes back, changed in between: every byte of it is refused; and bytes of any
content as commands, by themselves and in a transport session.
"""

from __future__ import annotations

import logging
import struct
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bootproof.tpm.commands.table import COMMANDS
from bootproof.tpm.persistence.store import Kind
from tests.tpm.client import context, delegation, integrity, keys, migration, signing, storage, transport
from tests.tpm.client.constants import SRK, WELL_KNOWN, Code, Entity, KeyFlags, KeyUsage, Ord, Resource
from tests.tpm.client.delegation import KEY_RIGHTS, OWNER_RIGHTS, DelegatePublic
from tests.tpm.client.keyblobs import template
from tests.tpm.client.pcr import PcrInfo, Selection, composite_digest
from tests.tpm.client.prepared import MIGRATION, OWNER_SECRET, USAGE, Made, Owned
from tests.tpm.client.rsacrypt import encrypt_oaep
from tests.tpm.client.subjects import Ours
from tests.tpm.client.tpm import TpmCodeError
from tests.tpm.client.transport import TransportPublic
from tests.tpm.client.wire import sha1, sized

pytest_plugins = ("tests.tpm.client.fixtures",)

SECRET = b"a secret of 20 bytes"
Use = Callable[[bytes], object]


def changed(blob: bytes) -> Iterator[bytes]:
    """Yield the blob with one bit of each byte flipped, with a byte less, with a byte more."""
    for at in range(len(blob)):
        yield blob[:at] + bytes([blob[at] ^ 1 << at % 8]) + blob[at + 1 :]
    yield blob[:-1]
    yield blob + b"\0"


def codes_of_changes(blob: bytes, use: Use) -> list[int]:
    """Return the result code for each change; none may succeed, and the blob itself must in the end."""
    codes = []
    for wrong in changed(blob):
        with pytest.raises(TpmCodeError) as error:
            use(wrong)
        codes.append(error.value.rc)
    use(blob)
    return codes


class TestContexts:
    @pytest.mark.parametrize("resource", [Resource.KEY, Resource.AUTH, Resource.TRANS])
    def test_load_context_of_a_changed_context(self, ours_owned: Owned, resource: Resource) -> None:
        tpm = ours_owned.tpm
        if resource == Resource.KEY:
            handle = ours_owned.signing()
        elif resource == Resource.AUTH:
            handle = tpm.oiap().handle
        else:
            handle = transport.establish(tpm, TransportPublic(), SECRET).handle
        blob = context.save_context(tpm, handle, resource)
        codes = codes_of_changes(blob, lambda wrong: context.load_context(tpm, wrong))
        assert set(codes) == {Code.BADCONTEXT}

    def test_load_key_context_of_a_changed_context(self, ours_owned: Owned) -> None:
        tpm = ours_owned.tpm
        blob = context.save_key_context(tpm, ours_owned.signing())
        codes = codes_of_changes(blob, lambda wrong: context.load_key_context(tpm, wrong))
        assert set(codes) == {Code.BADCONTEXT}

    def test_load_auth_context_of_a_changed_context(self, ours_owned: Owned) -> None:
        tpm = ours_owned.tpm
        blob = context.save_auth_context(tpm, tpm.osap(Entity.SRK, SRK).handle)
        codes = codes_of_changes(blob, lambda wrong: context.load_auth_context(tpm, wrong))
        assert set(codes) == {Code.BADCONTEXT}


class TestKeys:
    def test_load_key2_of_a_changed_key(self, ours_owned: Owned) -> None:
        tpm, key = ours_owned.tpm, ours_owned.made.signing
        blob = key.encode()
        codes = codes_of_changes(blob, lambda wrong: self.load(ours_owned, wrong))
        end = len(blob)
        sealed, size = end - len(key.enc_data), len(key.modulus)
        public = sealed - 4 - size
        assert set(codes[sealed:end]) == {Code.DECRYPT_ERROR}
        assert set(codes[public : public + size]) == {Code.AUTHFAIL}
        shifted = Code.BAD_PARAM_SIZE, Code.BAD_PARAMETER  # chance is where continueAuthSession should be
        assert codes[end] == Code.BAD_PARAM_SIZE and codes[end + 1] in shifted
        assert len(ours_owned.ours.emulator.keys.loaded()) == 1
        assert tpm.code(Ord.GET_TICKS) == 0

    def load(self, owned: Owned, blob: bytes) -> None:
        owned.tpm.call(Ord.LOAD_KEY2, blob, WELL_KNOWN, handles=[SRK])

    def test_load_key2_of_a_key_with_anothers_private_part(self, ours_owned: Owned) -> None:
        made = ours_owned.made
        mixed = made.signing.changed(enc_data=made.migratable.enc_data)
        with pytest.raises(TpmCodeError) as error:
            self.load(ours_owned, mixed.encode())
        assert error.value.rc == Code.AUTHFAIL

    @pytest.mark.parametrize("prime", [b"", b"\0", b"\1", b"\2", b"\3", b"\xff" * 128], ids=bytes.hex)
    @pytest.mark.parametrize("modulus", [b"", bytes(256), b"\xff" * 256, b"\xfe" * 256, b"\xff" * 400])
    def test_load_key2_of_a_forged_key(self, ours_owned: Owned, modulus: bytes, prime: bytes) -> None:
        """Who knows the SRK can make keys that may migrate, of numbers that are no primes. They are refused,
        or are of no use; they do no harm.
        """
        tpm = ours_owned.tpm
        wanted = template(KeyUsage.LEGACY, KeyFlags.MIGRATABLE).changed(modulus=modulus)
        secret = b"\1" + USAGE + MIGRATION + sha1(wanted.encode()[:-4]) + sized(prime)
        forged = wanted.changed(enc_data=encrypt_oaep(ours_owned.made.srk.public, secret))
        with no_complaints():
            try:
                key = ours_owned.load(forged)
            except TpmCodeError as error:
                assert error.rc == Code.BAD_KEY_PROPERTY
                return
            with suppress(TpmCodeError):
                signing.sign(tpm, USAGE, key, sha1(b"x"))
            for data in (bytes(255) + b"\2", b"\0" + bytes(range(255))):
                with suppress(TpmCodeError):
                    storage.unbind(tpm, USAGE, key, data)

    def test_create_migration_blob_with_a_changed_ticket(self, ours_owned: Owned) -> None:
        tpm, made = ours_owned.tpm, ours_owned.made
        ticket = migration.authorize_migration_key(tpm, OWNER_SECRET, 2, made.storage.public).encoded

        def use(wrong: bytes) -> None:
            migration.create_migration_blob(
                tpm, WELL_KNOWN, MIGRATION, SRK, 2, migration.Ticket(wrong), made.migratable.enc_data
            )

        codes = codes_of_changes(ticket, use)
        assert set(codes[-22:-2]) == {Code.AUTHFAIL}


class TestData:
    def test_unseal_of_changed_data(self, ours_owned: Owned) -> None:
        tpm = ours_owned.tpm
        value = composite_digest([10], [integrity.pcr_read(tpm, 10)])
        info = PcrInfo(Selection.of(10), value, bytes(20))
        blob = storage.seal(tpm, WELL_KNOWN, b"data", SECRET, info)

        def use(wrong: bytes) -> None:
            tpm.call(Ord.UNSEAL, wrong, WELL_KNOWN, SECRET, handles=[SRK])

        codes = codes_of_changes(blob.encode(), use)
        assert set(codes[-2 - len(blob.enc_data) : -2]) == {Code.NOTSEALED_BLOB}
        bound = codes[8 : 8 + len(info.encode())]
        assert set(bound) <= {Code.NOTSEALED_BLOB, Code.INVALID_PCR_INFO, Code.BADINDEX}

    def test_unbind_of_changed_data(self, ours_owned: Owned) -> None:
        tpm = ours_owned.tpm
        wanted = keys.create_wrap_key(tpm, WELL_KNOWN, SRK, template(KeyUsage.BIND), USAGE, MIGRATION)
        key = ours_owned.load(wanted)
        data = storage.bound(wanted.public, b"data")
        codes = codes_of_changes(data, lambda wrong: storage.unbind(tpm, USAGE, key, wrong))
        assert set(codes) <= {Code.DECRYPT_ERROR, Code.BAD_DATASIZE}

    def test_establish_transport_with_a_changed_secret(self, ours_owned: Owned) -> None:
        tpm, made, key = ours_owned.tpm, ours_owned.made.storage, ours_owned.storage()
        blob = encrypt_oaep(made.public, b"\0\x1d" + SECRET)

        def use(wrong: bytes) -> None:
            body = TransportPublic().encode() + sized(wrong)
            tpm.call(Ord.ESTABLISH_TRANSPORT, body, USAGE, handles=[key])

        codes = codes_of_changes(blob, use)
        assert set(codes[:-2]) == {Code.DECRYPT_ERROR}
        assert codes[-2:] == [Code.DECRYPT_ERROR, Code.BAD_DATASIZE]


class TestDelegations:
    @pytest.mark.parametrize("kind", [OWNER_RIGHTS, KEY_RIGHTS])
    def test_delegate_verify_delegation_of_a_changed_blob(self, ours_owned: Owned, kind: int) -> None:
        tpm = ours_owned.tpm
        family = delegation.create_family(tpm, OWNER_SECRET)
        public = DelegatePublic(kind, 0, 0, family, delegation.read_table(tpm).families[0].verification)
        if kind == OWNER_RIGHTS:
            blob = delegation.create_owner_delegation(tpm, OWNER_SECRET, public, SECRET)
        else:
            key = ours_owned.signing()
            blob = delegation.create_key_delegation(tpm, USAGE, key, public, SECRET)
        codes_of_changes(blob, lambda wrong: delegation.verify_delegation(tpm, wrong))
        if kind == OWNER_RIGHTS:
            codes_of_changes(
                blob, lambda wrong: delegation.load_owner_delegation(tpm, OWNER_SECRET, 0, wrong)
            )


# commands of any content ------------------------------------------------------------------------------


class Complaints(logging.Handler):
    """What the emulator logs when a handler raises what it should not."""

    def __init__(self) -> None:
        super().__init__()
        self.records: list[logging.LogRecord] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.records.append(record)


@contextmanager
def no_complaints() -> Iterator[None]:
    handler = Complaints()
    log = logging.getLogger("vtpm")
    log.addHandler(handler)
    try:
        yield
    finally:
        log.removeHandler(handler)
    assert not handler.records, handler.records[0].getMessage()


def frame(tag: int, ordinal: int, body: bytes) -> bytes:
    return struct.pack(">HII", tag, 10 + len(body), ordinal) + body


def is_response(answer: bytes) -> bool:
    tag, size = struct.unpack_from(">HI", answer)
    return tag in (0xC4, 0xC5, 0xC6) and size == len(answer) <= 4096


# Sizes and counts that are larger than any command, and handles that name something
_WORDS = st.sampled_from(
    [
        *(number.to_bytes(4) for number in (0, 1, 20, 0xFFFF, 0x10000, 0x7FFFFFFF, 0xFFFFFFFF)),
        *(handle.to_bytes(4) for handle in (SRK, SRK + 1, SRK + 6)),
        *(tag.to_bytes(2) for tag in (0x1E, 0x1B, 0x06, 0x03)),
        *(b"\0\x28\0\0", b"\1\1\0\0"),
    ]
)
_BODIES = st.lists(st.one_of(_WORDS, st.binary(max_size=24)), max_size=24).map(b"".join)
_FRAMES = st.builds(frame, st.sampled_from([0xC1, 0xC2, 0xC3]), st.sampled_from(sorted(COMMANDS)), _BODIES)
_FUZZ = settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])


class TestAnyContent:
    @_FUZZ
    @given(requests=st.lists(_FRAMES, min_size=1, max_size=6))
    def test_any_command_is_answered(
        self, prepared_ours: tuple[dict[Kind, bytes], Made], requests: list[bytes]
    ) -> None:
        subject = Ours(prepared_ours[0])
        with no_complaints():
            for request in requests:
                assert is_response(subject.emulator.execute(request))

    @_FUZZ
    @given(requests=st.lists(_FRAMES, min_size=1, max_size=6), attributes=st.integers(0, 7))
    def test_any_command_in_a_transport_is_answered(
        self, prepared_ours: tuple[dict[Kind, bytes], Made], requests: list[bytes], attributes: int
    ) -> None:
        subject = Ours(prepared_ours[0])
        with no_complaints():
            for request in requests:
                session = transport.establish(subject.tpm, TransportPublic(attributes & ~1), SECRET)
                try:
                    assert is_response(session.execute(request))
                except TpmCodeError as error:
                    assert error.rc in tuple(Code)
                except AssertionError:
                    assert not is_whole(request)

    @_FUZZ
    @given(at=st.integers(0, 1 << 16), bit=st.integers(0, 7), which=st.integers(0, 1 << 16))
    def test_any_change_of_a_real_command_is_answered(
        self, recorded: tuple[Ours, list[bytes]], at: int, bit: int, which: int
    ) -> None:
        subject, requests = recorded
        request = bytearray(requests[which % len(requests)])
        request[at % len(request)] ^= 1 << bit
        with no_complaints():
            assert is_response(subject.emulator.execute(bytes(request)))
            assert is_response(subject.emulator.execute(bytes(request[: at % len(request)])))


def is_whole(request: bytes) -> bool:
    """Whether the wrapped frame is long enough for the handles and authorisations that it announces."""
    tag, size, ordinal = struct.unpack_from(">HII", request)
    clear = COMMANDS[ordinal].clear_sizes[0]
    return bool(10 + clear + 45 * (tag - 0xC1) <= size)


@pytest.fixture(scope="module")
def recorded(prepared_ours: tuple[dict[Kind, bytes], Made]) -> tuple[Ours, list[bytes]]:
    """A TPM, and all that was sent to it in the course of some ordinary work."""
    subject, requests = Ours(prepared_ours[0]), []
    owned = Owned(subject, prepared_ours[1])

    def keep(request: bytes) -> bytes:
        requests.append(request)
        return request

    tpm = subject.tpm
    tpm.tamper = keep
    key = owned.signing()
    blob = storage.seal(tpm, WELL_KNOWN, b"data", SECRET)
    storage.unseal(tpm, WELL_KNOWN, SECRET, blob)
    context.load_context(tpm, context.save_context(tpm, key, Resource.KEY))
    session = transport.establish(tpm, TransportPublic(transport.LOG), SECRET)
    integrity.extend(session.tpm, 10, sha1(b"x"))
    session.release_signed(USAGE, key, SECRET)
    family = delegation.create_family(tpm, OWNER_SECRET)
    public = DelegatePublic(OWNER_RIGHTS, 0, 0, family, delegation.read_table(tpm).families[0].verification)
    delegation.verify_delegation(tpm, delegation.create_owner_delegation(tpm, OWNER_SECRET, public, SECRET))
    tpm.tamper = None
    return subject, requests
