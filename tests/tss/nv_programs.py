# SPDX-License-Identifier: GPL-3.0-or-later
"""TSS programs of our own that keep things in the TPM, NV space and keys. What they print is compared."""

from __future__ import annotations

import ctypes

from tests.tss.tspi import (
    SYSTEM,
    WELL_KNOWN,
    Argument,
    Key,
    Kind,
    Session,
    Uuid,
    call,
    number,
    refused,
    set_number,
)

_INDEX, _PERMISSIONS, _STATE, _SIZE = 1, 2, 3, 4
_STATES = {"read": 0x00100000, "write": 0x00200000, "define": 0x00300000}  # TSS_TSPATTRIB_NVSTATE_*
_SPACE = 8
_Call = tuple[str, *tuple[Argument, ...]]
OWNERWRITE, AUTHWRITE, WRITEALL, WRITEDEFINE, WRITE_STCLEAR = 0x02, 0x04, 0x1000, 0x2000, 0x4000
OWNERREAD, AUTHREAD, READ_STCLEAR = 0x20000, 0x40000, 0x80000000


def _area(tss: Session, index: int, permissions: int, secret: str | bytes = WELL_KNOWN) -> int:
    """Define an area of eight bytes and return its object; the owner's have the owner's secret."""
    area = tss.new(Kind.NV)
    for attribute, value in ((_INDEX, index), (_PERMISSIONS, permissions), (_SIZE, _SPACE)):
        set_number(area, attribute, 0, value)
    tss.give_secret(area, secret)
    call("Tspi_NV_DefineSpace", area, 0, 0)
    return area


def _write(area: int, offset: int, content: bytes) -> _Call:
    return ("Tspi_NV_WriteValue", area, offset, len(content), content)


def _read(area: int, size: int = _SPACE) -> bytes:
    count, address = ctypes.c_uint32(size), ctypes.c_void_p()
    call("Tspi_NV_ReadValue", area, 0, ctypes.byref(count), ctypes.byref(address))
    return ctypes.string_at(address.value or 0, count.value)


def _show(tss: Session, area: int) -> None:
    states = [
        f"{name} {number('Tspi_GetAttribUint32', area, _STATE, flag)}" for name, flag in _STATES.items()
    ]
    print(*states)


def areas(tss: Session) -> None:
    """NV space with what tpm-tools cannot say; its protection has to be switched on."""
    whole = _area(tss, 0x10, OWNERWRITE | OWNERREAD | WRITEALL)
    refused("write a part", *_write(whole, 0, b"part"))
    call(*_write(whole, 0, b"complete"))
    print(_read(whole))
    stclear = _area(tss, 0x11, AUTHWRITE | AUTHREAD | WRITE_STCLEAR | READ_STCLEAR, "area")
    call(*_write(stclear, 0, b"once"))
    print(_read(stclear, 4))
    call(*_write(stclear, 0, b""))
    refused("write after it was locked", *_write(stclear, 4, b"more"))
    _show(tss, stclear)
    defined = _area(tss, 0x12, OWNERWRITE | OWNERREAD | WRITEDEFINE)
    call(*_write(defined, 0, b"for ever"))
    call(*_write(defined, 0, b""))
    refused("write after that was locked", *_write(defined, 0, b"x"))
    _show(tss, defined)
    tss.give_secret(stclear, "wrong")
    refused("read with a wrong secret", *_reading(stclear))


def _reading(area: int) -> _Call:
    return (
        "Tspi_NV_ReadValue",
        area,
        0,
        ctypes.byref(ctypes.c_uint32(_SPACE)),
        ctypes.byref(ctypes.c_void_p()),
    )


def owner_evict(tss: Session) -> None:
    """A key that stays in the TPM until the owner says otherwise, under a name that tcsd gives it."""
    srk = tss.srk()
    identifier = Uuid()
    volatile = tss.key(Key.SIGNING | Key.VOLATILE, srk)
    refused("a volatile key", *_control(tss, volatile, 1, identifier))
    key = tss.key(Key.SIGNING, srk)
    call(*_control(tss, key, 1, identifier))
    print("kept as", bytes(identifier).hex())
    tss.sign(key)
    tss.sign(number("Tspi_Context_LoadKeyByUUID", tss.context, SYSTEM, identifier))
    call(*_control(tss, key, 0, identifier))
    tss.give_secret(tss.tpm, "wrong")
    refused("keep it without the owner", *_control(tss, key, 1, identifier))


def _control(tss: Session, key: int, value: int, identifier: Uuid) -> _Call:
    return ("Tspi_TPM_KeyControlOwner", tss.tpm, key, 0x780, value, ctypes.byref(identifier))


PROGRAMS = (areas, owner_evict)
