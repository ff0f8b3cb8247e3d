# SPDX-License-Identifier: GPL-3.0-or-later
"""TSS programs of our own: the TPM's and its owner's affairs. What they print is compared."""

from __future__ import annotations

import ctypes

from tests.tss.tspi import (
    NO_OUTPUT,
    Key,
    Session,
    TssError,
    call,
    data,
    number,
    refused,
    set_number,
    validated,
)

CONTENT = b"signed with it"
_AUDIT_STATUS = 3


def directory(tss: Session) -> None:
    """The data integrity register of TPM 1.1."""
    print(data("Tspi_TPM_DirRead", tss.tpm, 0).hex())
    call("Tspi_TPM_DirWrite", tss.tpm, 0, 20, b"\x07" * 20)
    print(data("Tspi_TPM_DirRead", tss.tpm, 0).hex())
    refused("read DIR 1", "Tspi_TPM_DirRead", tss.tpm, 1, *NO_OUTPUT)
    tss.give_secret(tss.tpm, "wrong")
    refused("write with a wrong secret", "Tspi_TPM_DirWrite", tss.tpm, 0, 20, b"\x07" * 20)


def random(tss: Session) -> None:
    """Random numbers, up to a few kilobytes."""
    for size in (1, 32, 4000):
        address = ctypes.c_void_p()
        call("Tspi_TPM_GetRandom", tss.tpm, size, ctypes.byref(address))
        print(size, len(set(ctypes.string_at(address.value or 0, size))) >= min(size, 16))
    call("Tspi_TPM_StirRandom", tss.tpm, 100, bytes(100))
    call("Tspi_TPM_SelfTestFull", tss.tpm)


def ticks(tss: Session) -> None:
    """Ticks, and a stamp with them; libtspi checks it."""
    current = (ctypes.c_ubyte * 64)()
    call("Tspi_TPM_ReadCurrentTicks", tss.tpm, current)
    print("ticks run", any(current))
    key = tss.key(Key.SIGNING, tss.srk(), "stamp")
    digest = tss.sha1(CONTENT)
    stamp = validated("Tspi_Hash_TickStampBlob", digest, key)
    tss.verify(stamp, key)
    print("stamp", len(stamp.data), len(stamp.signature))
    try:
        print("counter", number("Tspi_TPM_ReadCounter", tss.tpm))
    except TssError as error:
        print(f"counter: {error.result:#x}")


def capabilities(tss: Session) -> None:
    """What a TSS asks the TPM about itself, and the owner's flags."""
    for area, subs in (
        (0x10, (0x0A, 0x0B, 0x11, 0x16, 0x1F, 0xD2, 0xE6)),
        (0x13, (0x10, 0x11, 0x13, 0x14, 0x15, 0x16, 0x18, 0x1A, 0x1C, 0x1E, 0x20, 0x25, 0x28, 0x2B, 0x2C)),
        (0x11, (0x01, 0x06, 0x0A)),
        (0x1C, (0x01, 0x06)),
        (0x1B, (0x01, 0x06)),
    ):
        for sub in subs:
            try:
                answer = data("Tspi_TPM_GetCapability", tss.tpm, area, 4, sub.to_bytes(4, "little")).hex()
            except TssError as error:
                answer = f"{error.result:#x}"
            print(f"{area:#x} {sub:#x}: {answer}")
    for flag in (1, 2, 3, 4, 6, 7, 8, 9, 0x0A, 0x0B, 0x0C, 0x0D, 0x0F, 0x16, 0x17, 0x18, 0x19, 0x1A, 0x1B):
        state = ctypes.c_ubyte()
        try:
            call("Tspi_TPM_GetStatus", tss.tpm, flag, ctypes.byref(state))
        except TssError as error:
            print(f"status {flag:#x}: {error.result:#x}")
        else:
            print(f"status {flag:#x}: {state.value}")


def maintenance(tss: Session) -> None:
    """What the specification lets a TPM refuse."""
    refused("archive", "Tspi_TPM_CreateMaintenanceArchive", tss.tpm, 0, *NO_OUTPUT, *NO_OUTPUT)
    refused("kill", "Tspi_TPM_KillMaintenanceFeature", tss.tpm)
    key = tss.key(Key.STORAGE, tss.srk())
    refused("load", "Tspi_TPM_LoadMaintenancePubKey", tss.tpm, key, None)
    refused("check", "Tspi_TPM_CheckMaintenancePubKey", tss.tpm, key, None)


def audit(tss: Session) -> None:
    """Audit GetRandom; read the digest, and have it signed."""
    ordinal = 0x46
    set_number(tss.tpm, _AUDIT_STATUS, 1, ordinal)
    call("Tspi_TPM_GetRandom", tss.tpm, 8, ctypes.byref(ctypes.c_void_p()))
    _audit_digest(tss, 0, 0)
    key = tss.key(Key.SIGNING, tss.srk(), "auditor")
    _audit_digest(tss, key, 0)
    try:
        _audit_digest(tss, key, 1)
    except TssError as error:
        print(f"only an identity may close: {error.result:#x}")
    set_number(tss.tpm, _AUDIT_STATUS, 0, ordinal)
    tss.give_secret(tss.tpm, "wrong")
    refused("with a wrong secret", "Tspi_SetAttribUint32", tss.tpm, _AUDIT_STATUS, 1, ordinal)


def _audit_digest(tss: Session, key: int, close: int) -> None:
    size, digest, counter = ctypes.c_uint32(), ctypes.c_void_p(), (ctypes.c_ubyte * 16)()
    count, ordinals = ctypes.c_uint32(), ctypes.c_void_p()
    call(
        "Tspi_TPM_GetAuditDigest", tss.tpm, key, close, ctypes.byref(size), ctypes.byref(digest), counter,
        None, ctypes.byref(count), ctypes.byref(ordinals),
    )  # fmt: skip
    print("digest", size.value, "ordinals", count.value)


PROGRAMS = (directory, random, ticks, capabilities, maintenance, audit)
