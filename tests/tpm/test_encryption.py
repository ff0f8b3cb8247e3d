# SPDX-License-Identifier: GPL-3.0-or-later
"""Encrypted state: in its files and on its way; every wrong key has a clear message and changes nothing."""

from __future__ import annotations

import hashlib
import os
import struct
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bootproof.tpm.persistence.container import Kind, StateError, pack, unpack, unwrap, wrap
from bootproof.tpm.persistence.encryption import Kdf, KeySource, StateKey, StateKeyError, read_key
from bootproof.tpm.persistence.store import StateDirectory
from bootproof.tpm.service.blobs import Keys
from bootproof.tpm.service.control import ControlChannel
from bootproof.tpm.state import Permanent, PermanentFlags
from tests.tpm.conftest import CONTROL, DATA, READY, STATE, Bench, Start, exchange, request
from tests.tpm.test_control import FakeTransport

SECRET = b"what nobody may see" * 20
KEY = StateKey(bytes(range(32)), Kdf.GIVEN, 32)
KEYS = {
    "128 bits": StateKey(bytes(range(16)), Kdf.GIVEN, 16),
    "256 bits": KEY,
    "sha512": StateKey(b"passphrase", Kdf.SHA512, 16),
    "pbkdf2": StateKey(b"passphrase", Kdf.PBKDF2, 32),
}


@pytest.mark.parametrize("name", KEYS)
def test_an_encrypted_state_needs_its_key(name: str, tmp_path: Path) -> None:
    directory = StateDirectory(tmp_path / "s", key=KEYS[name])
    directory.save(Kind.PERMANENT, SECRET)
    directory.save(Kind.PERMANENT, SECRET)
    assert directory.load(Kind.PERMANENT) == SECRET
    directory.close()
    content = (tmp_path / "s" / "tpm12.permanent").read_bytes()
    assert SECRET[:16] not in content
    assert content != (tmp_path / "s" / "tpm12.permanent.previous").read_bytes(), "a new nonce each time"
    for other, key in KEYS.items():
        if other != name:
            again = StateDirectory(tmp_path / "s", key=key)
            with pytest.raises(StateError, match=r"tpm12\.permanent is encrypted with .* give the"):
                again.load(Kind.PERMANENT)
            again.close()
    again = StateDirectory(tmp_path / "s")
    with pytest.raises(StateError, match=r"is encrypted; give --key with the key that it was written with$"):
        again.load(Kind.PERMANENT)
    again.close()


def test_a_passphrase_serves_the_next_process_too(tmp_path: Path) -> None:
    for _ in range(2):
        directory = StateDirectory(tmp_path / "s", key=StateKey(b"passphrase", Kdf.PBKDF2, 16))
        assert directory.load(Kind.PERMANENT) in (None, SECRET)
        directory.save(Kind.PERMANENT, SECRET)
        directory.close()
    other = StateDirectory(tmp_path / "s", key=StateKey(b"passphrases", Kdf.PBKDF2, 16))
    with pytest.raises(StateError, match="another key or passphrase"):
        other.load(Kind.PERMANENT)
    other.close()


def test_a_state_without_encryption_is_not_slipped_in(tmp_path: Path) -> None:
    directory = StateDirectory(tmp_path / "s")
    directory.save(Kind.PERMANENT, SECRET)
    directory.close()
    again = StateDirectory(tmp_path / "s", key=KEY)
    with pytest.raises(StateError, match="is not encrypted, but a key is given; leave the key out"):
        again.load(Kind.PERMANENT)
    again.close()


@settings(max_examples=200)
@given(st.integers(0, 400), st.integers(1, 255))
def test_any_change_is_noticed(place: int, change: int) -> None:
    """Also one whose checksum is right: the checksum is no secret."""
    sound = pack(Kind.PERMANENT, SECRET[:100], KEY)
    changed = bytearray(sound)
    changed[place % len(sound)] ^= change
    with pytest.raises(StateError):
        unpack(Kind.PERMANENT, bytes(changed), KEY)
    body = bytearray(sound[48:])
    body[place % len(body)] ^= change
    resealed = _reseal(sound[:16], bytes(body))
    with pytest.raises(StateError):
        unpack(Kind.PERMANENT, resealed, KEY)


def _reseal(head: bytes, body: bytes) -> bytes:
    return head + hashlib.sha256(head + body).digest() + body


def test_one_kind_of_state_does_not_pass_for_another() -> None:
    sound = pack(Kind.VOLATILE, SECRET, KEY)
    head = sound[:11] + bytes([Kind.PERMANENT]) + sound[12:16]
    with pytest.raises(StateError, match="another key"):
        unpack(Kind.PERMANENT, _reseal(head, sound[48:]), KEY)


@given(st.binary(max_size=120))
def test_arbitrary_bodies(body: bytes) -> None:
    sound = pack(Kind.PERMANENT, b"", KEY)
    head = sound[:12] + struct.pack(">I", len(body))
    with pytest.raises(StateError):
        unpack(Kind.PERMANENT, _reseal(head, body), KEY)


# where keys come from ---------------------------------------------------------------------------------


def source(path: Path, kdf: Kdf = Kdf.GIVEN, size: int = 16, **more: bool) -> KeySource:
    return KeySource("--key", path, None, kdf, size, **more)


@pytest.mark.parametrize(
    "text", ["00112233445566778899aabbccddeeff", "0x00112233445566778899AABBCCDDEEFF\n"]
)
def test_keys_from_files_and_descriptors(tmp_path: Path, text: str) -> None:
    (tmp_path / "hex").write_text(text)
    (tmp_path / "raw").write_bytes(bytes.fromhex("00112233445566778899aabbccddeeff"))
    first = read_key(source(tmp_path / "hex"))
    second = read_key(source(tmp_path / "raw", binary=True, remove=True))
    assert not (tmp_path / "raw").exists()
    reading, writing = os.pipe()
    os.write(writing, text.encode())
    os.close(writing)
    third = read_key(KeySource("--key", None, reading, Kdf.GIVEN, 16))
    for key in (second, third):
        assert unpack(Kind.PERMANENT, pack(Kind.PERMANENT, SECRET, first), key) == SECRET
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(reading)


@pytest.mark.parametrize(
    ("content", "size", "binary", "message"),
    [
        (b"", 16, False, "is empty; put the key there"),
        (b"x" * 5000, 16, True, "is longer than 4096 bytes"),
        (b"00" * 15, 16, False, "does not hold 32 hexadecimal digits"),
        (b"00" * 16, 32, False, "does not hold 64 hexadecimal digits"),
        (b"zz" * 16, 16, False, "does not hold 32 hexadecimal digits"),
        (b"  \n", 16, False, "does not hold 32 hexadecimal digits"),
        (b"\xff" * 32, 16, False, "does not hold 32 hexadecimal digits"),
        (b"x" * 17, 16, True, "does not hold 16 bytes"),
    ],
)
def test_keys_that_are_none(tmp_path: Path, content: bytes, size: int, binary: bool, message: str) -> None:
    (tmp_path / "key").write_bytes(content)
    with pytest.raises(StateKeyError, match=message):
        read_key(source(tmp_path / "key", size=size, binary=binary))
    with pytest.raises(StateKeyError, match="No such file or directory; give a key file that can be read"):
        read_key(source(tmp_path / "missing"))


# on its way -------------------------------------------------------------------------------------------


class Host:
    """A TPM behind a control channel with keys."""

    def __init__(self, keys: Keys) -> None:
        self.tpm = Bench().tpm
        self.channel = ControlChannel(self.tpm, FakeTransport(), keys)

    def get(self, decrypted: bool = True) -> tuple[int, bytes]:
        answer = self.channel.feed(struct.pack(">IIII", 0x0C, int(decrypted), Kind.PERMANENT, 0))
        code, flags, total, length = struct.unpack_from(">IIII", answer)
        assert (code, total) == (0, length)
        return flags, answer[16:]

    def put(self, blob: bytes) -> int:
        answer = self.channel.feed(struct.pack(">IIII", 0x0D, 0, Kind.PERMANENT, len(blob)) + blob)
        return int.from_bytes(answer)

    def config(self) -> int:
        return int.from_bytes(self.channel.feed(bytes.fromhex("0000000f"))[4:])


STATE_KEY, ROAD_KEY = KEYS["128 bits"], KEYS["sha512"]
NO_KEY, OTHER_KEY = 0x0D, 0x21


def test_what_leaves_is_encrypted_as_the_keys_say() -> None:
    for keys, flags in (
        (Keys(), 0),
        (Keys(STATE_KEY), 1),
        (Keys(None, ROAD_KEY), 2),
        (Keys(STATE_KEY, ROAD_KEY), 3),
    ):
        host = Host(keys)
        assert host.config() == flags
        payload = host.tpm.permanent.encode()
        for decrypted in (False, True):
            encrypted, blob = host.get(decrypted)
            assert encrypted == (2 if keys.state and not decrypted else 0)
            assert (payload in blob) == (keys.migration is None and (keys.state is None or decrypted))


def test_what_arrives_needs_the_key_that_it_left_with() -> None:
    changed = Permanent(flags=PermanentFlags(fips=True))
    plain = pack(Kind.PERMANENT, changed.encode())
    at_rest = pack(Kind.PERMANENT, changed.encode(), STATE_KEY)
    cases = [
        (plain, Keys(), 0),
        (plain, Keys(STATE_KEY, ROAD_KEY), 0),
        (at_rest, Keys(STATE_KEY), 0),
        (at_rest, Keys(), NO_KEY),
        (at_rest, Keys(KEY), OTHER_KEY),
        (wrap(Kind.PERMANENT, plain, ROAD_KEY), Keys(None, ROAD_KEY), 0),
        (wrap(Kind.PERMANENT, at_rest, ROAD_KEY), Keys(STATE_KEY, ROAD_KEY), 0),
        (wrap(Kind.PERMANENT, at_rest, ROAD_KEY), Keys(None, ROAD_KEY), NO_KEY),
        (wrap(Kind.PERMANENT, plain, ROAD_KEY), Keys(ROAD_KEY), NO_KEY),
        (wrap(Kind.PERMANENT, plain, ROAD_KEY), Keys(None, KEY), OTHER_KEY),
        (wrap(Kind.PERMANENT, b"rubbish", ROAD_KEY), Keys(None, ROAD_KEY), 3),
    ]
    for blob, keys, code in cases:
        host = Host(keys)
        host.tpm.power_off()
        assert host.put(blob) == code
        assert (host.tpm.permanent == changed) == (code == 0)


def test_a_blob_for_the_road_is_no_file() -> None:
    blob = wrap(Kind.PERMANENT, pack(Kind.PERMANENT, SECRET), ROAD_KEY)
    with pytest.raises(StateError, match="load it through the control channel"):
        unpack(Kind.PERMANENT, blob, ROAD_KEY)
    assert unwrap(Kind.PERMANENT, blob, ROAD_KEY) == pack(Kind.PERMANENT, SECRET)


# the program ------------------------------------------------------------------------------------------


def test_the_program_with_keys(start: Start, tmp_path: Path) -> None:
    (tmp_path / "road").write_text("road")
    reading, writing = os.pipe()
    os.write(writing, b"open sesame")
    os.close(writing)
    first = start(
        *(*STATE, *DATA, *CONTROL, *READY, "--key", f"pwdfd={reading}"),
        *("--migration-key", "pwdfile={}/road,kdf=sha512"),
        at=tmp_path,
        pass_fds=(reading,),
    )
    os.close(reading)
    with first.connect("data") as data, first.connect("ctrl") as control:
        assert exchange(data, request(0x98))[6:10] == bytes(4)
        assert exchange(control, bytes.fromhex("0000000f")).hex() == "0000000000000003"
    first.stop()
    (first.at / "key").write_text("open sesame")
    (first.at / "wrong").write_text("open barley")
    again = start(*STATE, *CONTROL, "--key", "pwdfile={}/key,remove=true", at=first.at)
    again.connect("ctrl").close()
    again.stop()
    assert not (first.at / "key").exists()
    for option, message in (
        ("pwdfile={}/wrong", "is encrypted with another key or passphrase"),
        ("file={}/nothing", "No such file"),
        ("", "is encrypted; give --key"),
    ):
        refused = start(*STATE, *CONTROL, *(("--key", option) if option else ()), at=first.at)
        assert refused.wait() == 10
        (line,) = refused.errors().splitlines()
        assert message in line
