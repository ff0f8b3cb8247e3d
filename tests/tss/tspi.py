# SPDX-License-Identifier: GPL-3.0-or-later
"""TrouSerS' library by ctypes, as much of it as the programs in programs.py need.

Numbers are those of tss_defines.h. A call that fails is a `TssError` with the library's result code: the
layer in bits 12 to 15 (0: the TPM), the error below.
"""

from __future__ import annotations

import ctypes
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from enum import IntEnum

_LIB = ctypes.CDLL("libtspi.so.1")
WELL_KNOWN = bytes(20)
_SRK_UUID = uuid.UUID(int=1)
SYSTEM = 2
_PLAIN, _SHA1 = 0x1800, 0x1000


class Kind(IntEnum):
    """Types of objects (TSS_OBJECT_TYPE_*)."""

    POLICY = 1
    KEY = 2
    DATA = 3
    PCRS = 4
    HASH = 5
    FAMILY = 6
    NV = 7
    MIGRATION = 8


class Key(IntEnum):
    """Flags a key is made with (TSS_KEY_*)."""

    SIGNING = 0x10
    STORAGE = 0x20
    IDENTITY = 0x30
    BIND = 0x50
    LEGACY = 0x60
    MIGRATE = 0x70
    SECRET = 0x01
    VOLATILE = 0x04
    MIGRATABLE = 0x08
    BITS_1024 = 0x200
    BITS_2048 = 0x300
    CERTIFIED_MIGRATABLE = 0x1000
    KEY12 = 0x8000


class Policy(IntEnum):
    USAGE = 1
    MIGRATION = 2


class TssError(Exception):
    """A call failed."""

    def __init__(self, name: str, result: int) -> None:
        super().__init__(f"{name}: {result:#x}")
        self.result = result


class Uuid(ctypes.Structure):
    """TSS_UUID."""

    _fields_ = (("data", ctypes.c_ubyte * 16),)


class _Validation(ctypes.Structure):
    _fields_ = (
        ("version", ctypes.c_ubyte * 4),
        ("external_size", ctypes.c_uint32),
        ("external", ctypes.c_void_p),
        ("data_size", ctypes.c_uint32),
        ("data", ctypes.c_void_p),
        ("signature_size", ctypes.c_uint32),
        ("signature", ctypes.c_void_p),
    )


@dataclass(frozen=True)
class Validation:
    """What was signed, and the signature."""

    data: bytes
    signature: bytes


Argument = int | bytes | None | ctypes.Array[ctypes.c_ubyte] | ctypes.Structure | object


def call(name: str, *arguments: Argument) -> None:
    """Call a function of the library; numbers are UINT32, bytes a pointer to a copy of them, None NULL."""
    function: Callable[..., int] = getattr(_LIB, name)
    converted = [_converted(argument) for argument in arguments]
    result = function(*converted) & 0xFFFFFFFF
    if result:
        raise TssError(name, result)


def _converted(argument: Argument) -> object:
    if isinstance(argument, bytes):
        return ctypes.create_string_buffer(argument, max(len(argument), 1))
    return ctypes.c_uint32(argument) if isinstance(argument, int) else argument


NO_OUTPUT = (bytes(4), bytes(8))
"""For `refused`: where the length and the address of a result would go."""


def refused(what: str, name: str, *arguments: Argument) -> None:
    """Call what must fail, and print how."""
    try:
        call(name, *arguments)
    except TssError as error:
        print(f"{what}: {error.result:#x}")
    else:
        raise AssertionError(f"{what}: {name} succeeded")


def number(name: str, *arguments: Argument) -> int:
    """Call a function whose last parameter is the address of a UINT32 (or handle) that it sets."""
    value = ctypes.c_uint32()
    call(name, *arguments, ctypes.byref(value))
    return value.value


def data(name: str, *arguments: Argument) -> bytes:
    """Call a function whose last two parameters are where it puts a length and the address of bytes."""
    size, address = ctypes.c_uint32(), ctypes.c_void_p()
    call(name, *arguments, ctypes.byref(size), ctypes.byref(address))
    return ctypes.string_at(address.value, size.value) if address.value else b""


def two_data(name: str, *arguments: Argument) -> tuple[bytes, bytes]:
    """Like `data`, for functions that return two of them."""
    size, address = ctypes.c_uint32(), ctypes.c_void_p()
    second = data(name, *arguments, ctypes.byref(size), ctypes.byref(address))
    return ctypes.string_at(address.value or 0, size.value) if address.value else b"", second


def validated(name: str, *arguments: Argument, external: bytes = b"\x05" * 20) -> Validation:
    """Call a function whose last parameter is a TSS_VALIDATION; `external` is the nonce that gets signed."""
    nonce = ctypes.create_string_buffer(external, len(external))
    validation = _Validation(external_size=len(external), external=ctypes.addressof(nonce))
    call(name, *arguments, ctypes.byref(validation))
    return Validation(
        ctypes.string_at(validation.data or 0, validation.data_size),
        ctypes.string_at(validation.signature or 0, validation.signature_size),
    )


class Session:
    """A connection to tcsd, whose port the environment names, and the objects made in it."""

    def __init__(self, context: int) -> None:
        self.context = context
        self.tpm = number("Tspi_Context_GetTpmObject", context)
        self.set_secret(self.policy(self.tpm), WELL_KNOWN)

    def new(self, kind: Kind, flags: int = 0) -> int:
        """Make an object."""
        return number("Tspi_Context_CreateObject", self.context, kind, flags)

    def policy(self, of: int, usage: Policy = Policy.USAGE) -> int:
        return number("Tspi_GetPolicyObject", of, usage)

    @staticmethod
    def set_secret(policy: int, secret: bytes | str) -> None:
        """Give a policy a secret: bytes are the 20 bytes themselves, text a password."""
        mode, value = (_PLAIN, secret.encode()) if isinstance(secret, str) else (_SHA1, secret)
        call("Tspi_Policy_SetSecret", policy, mode, len(value), value)

    def give_secret(self, to: int, secret: bytes | str, usage: Policy = Policy.USAGE) -> int:
        """Give an object a policy of its own with that secret; return the policy."""
        policy = self.new(Kind.POLICY, usage)
        self.set_secret(policy, secret)
        call("Tspi_Policy_AssignToObject", policy, to)
        return policy

    def srk(self, secret: bytes | str = WELL_KNOWN) -> int:
        """Return the storage root key."""
        identifier = Uuid.from_buffer_copy(_SRK_UUID.bytes)
        key = number("Tspi_Context_LoadKeyByUUID", self.context, SYSTEM, identifier)
        self.set_secret(self.policy(key), secret)
        return key

    def key(
        self, flags: int, parent: int, secret: str | None = None, migration: str | None = None, pcrs: int = 0
    ) -> int:
        """Let the TPM make a key of 2048 bits and load it."""
        made = self.blank_key(flags, secret, migration)
        call("Tspi_Key_CreateKey", made, parent, pcrs)
        call("Tspi_Key_LoadKey", made, parent)
        return made

    def blank_key(self, flags: int, secret: str | None = None, migration: str | None = None) -> int:
        """Make a key object that has no key yet."""
        made = self.new(Kind.KEY, flags | Key.BITS_2048 | (Key.SECRET if secret is not None else 0))
        if secret is not None:
            self.give_secret(made, secret)
        if migration is not None:
            self.give_secret(made, migration, Policy.MIGRATION)
        return made

    def sha1(self, content: bytes) -> int:
        """Return a hash object with the SHA-1 of `content`."""
        made = self.new(Kind.HASH, 1)
        call("Tspi_Hash_UpdateHashValue", made, len(content), content)
        return made

    def pcrs(self, *indices: int) -> int:
        """Return a composite of PCRs with their present values."""
        made = self.new(Kind.PCRS)
        for index in indices:
            value = data("Tspi_TPM_PcrRead", self.tpm, index)
            call("Tspi_PcrComposite_SetPcrValue", made, index, len(value), value)
        return made

    def sign(self, key: int) -> None:
        """Sign something, and have libtspi check it."""
        digest = self.sha1(b"signed with it")
        signature = data("Tspi_Hash_Sign", digest, key)
        call("Tspi_Hash_VerifySignature", digest, key, len(signature), signature)
        print("signed", len(signature))

    def verify(self, signed: Validation, key: int) -> None:
        """Have libtspi check a signature that it passed on unchecked."""
        signature = signed.signature
        call("Tspi_Hash_VerifySignature", self.sha1(signed.data), key, len(signature), signature)

    def attribute(self, of: int, flag: int, sub_flag: int) -> bytes:
        return data("Tspi_GetAttribData", of, flag, sub_flag)


def set_number(of: int, flag: int, sub_flag: int, value: int) -> None:
    """Tspi_SetAttribUint32."""
    call("Tspi_SetAttribUint32", of, flag, sub_flag, value)


def set_data(of: int, flag: int, sub_flag: int, value: bytes) -> None:
    """Tspi_SetAttribData."""
    call("Tspi_SetAttribData", of, flag, sub_flag, len(value), value)


@contextmanager
def session() -> Iterator[Session]:
    """Connect to tcsd for the length of a `with` block; TPM, SRK and owner have the well-known secret."""
    context = number("Tspi_Context_Create")
    try:
        call("Tspi_Context_Connect", context, None)
        yield Session(context)
    finally:
        call("Tspi_Context_Close", context)
