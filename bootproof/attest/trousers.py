# SPDX-License-Identifier: GPL-3.0-or-later
"""PCRs through TrouSerS: libtspi asks the daemon tcsd, which alone may open the TPM.

Source: TCG Software Stack (TSS) Specification 1.2, chapter 4.3 (Tspi_Context_*, Tspi_TPM_PcrRead). Every
function returns a 32-bit result, 0 for success; handles are 32-bit numbers. libtspi finds tcsd's port by
itself (environment variable TSS_TCSD_PORT).
"""

from __future__ import annotations

import ctypes
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from ctypes import POINTER, byref, c_char_p, c_ubyte, c_uint32, c_void_p

from bootproof.errors import HostError

LIBRARY = "libtspi.so.1"
_COMMUNICATION_FAILURE = 0x11  # TSS_E_COMM_FAILURE without its layer bits
_CODE_BITS = 0xFFF


class TrousersError(HostError):
    """TrouSerS is missing, or refused; `result` is its TSS_RESULT (0: it could not even be asked)."""

    def __init__(self, message: str, hint: str, result: int = 0) -> None:
        super().__init__(message, hint)
        self.result = result


def read_pcrs(indices: Iterable[int], host: str | None = None) -> dict[int, bytes]:
    """Return the sha1 values (20 bytes) of the PCRs `indices`, read through tcsd on this machine or on
    `host`.

    Raises `TrousersError` when libtspi or tcsd is missing and when the TPM refuses, with TrouSerS' own
    words.
    """
    library = _load()
    with _context(library, host) as context:
        tpm = c_uint32()
        _check(library, library.Tspi_Context_GetTpmObject(context, byref(tpm)), "finding the TPM")
        return {index: _read(library, context, tpm, index) for index in indices}


def _load() -> ctypes.CDLL:
    try:
        library = ctypes.CDLL(LIBRARY)
    except OSError:
        raise TrousersError(f"{LIBRARY} is missing", "apt install libtspi1 trousers") from None
    library.Trspi_Error_String.restype = c_char_p
    library.Trspi_Error_String.argtypes = [c_uint32]
    handle, out = c_uint32, POINTER(c_uint32)
    for name, arguments in {
        "Tspi_Context_Create": [out],
        "Tspi_Context_Connect": [handle, c_void_p],
        "Tspi_Context_GetTpmObject": [handle, out],
        "Tspi_TPM_PcrRead": [handle, c_uint32, out, POINTER(POINTER(c_ubyte))],
        "Tspi_Context_FreeMemory": [handle, POINTER(c_ubyte)],
        "Tspi_Context_Close": [handle],
    }.items():
        function = getattr(library, name)
        function.restype, function.argtypes = c_uint32, arguments
    return library


@contextmanager
def _context(library: ctypes.CDLL, host: str | None) -> Iterator[c_uint32]:
    context = c_uint32()
    _check(library, library.Tspi_Context_Create(byref(context)), "starting TrouSerS")
    try:
        # TSS_UNICODE is UTF-16 in the machine's byte order, ended by a zero; NULL is this machine.
        name = None if host is None else host.encode("utf-16-le") + b"\0\0"
        _check(
            library,
            library.Tspi_Context_Connect(context, name),
            f"connecting to tcsd on {host or 'this machine'}",
        )
        yield context
    finally:
        library.Tspi_Context_Close(context)


def _read(library: ctypes.CDLL, context: c_uint32, tpm: c_uint32, index: int) -> bytes:
    size, value = c_uint32(), POINTER(c_ubyte)()
    _check(library, library.Tspi_TPM_PcrRead(tpm, index, byref(size), byref(value)), f"reading PCR {index}")
    try:
        return ctypes.string_at(value, size.value)
    finally:
        library.Tspi_Context_FreeMemory(context, value)


def _check(library: ctypes.CDLL, result: int, what: str) -> None:
    if result == 0:
        return
    text = library.Trspi_Error_String(result).decode(errors="replace")
    unreachable = result & _CODE_BITS == _COMMUNICATION_FAILURE
    hint = (
        "is tcsd running? systemctl start tcsd" if unreachable else "see tcsd's messages in the system log"
    )
    raise TrousersError(f"TrouSerS: {what}: {text} (0x{result:x})", hint, result)
