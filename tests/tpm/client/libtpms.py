# SPDX-License-Identifier: GPL-3.0-or-later
"""libtpms, the library that is swtpm's TPM, served on a socket: a TPM 1.2 that can be copied as it stands.

At each TPM_Init it makes an RSA key, to test itself: some tenths of a second every time. So a TPM that has
been started, and owned if need be, is copied with fork(2), with all that is in its memory.

    python -m tests.tpm.client.libtpms

serves on its standard input, a sequenced-packet socket. A packet is a letter and data, and gets one packet:

| letter | data | answer |
|---|---|---|
| `COMMAND` | a command | the response |
| `INIT` | - | TPM_Init's result code, 4 bytes |
| `LOCALITY` | one byte | the byte; the following commands come from there |
| `COPY` | a socket beside the data | the same letter; a copy of this TPM serves on that socket |

Callbacks and functions are those of libtpms/tpm_library.h. As under swtpm, no hardware says that somebody is
present.
"""

from __future__ import annotations

import ctypes
import os
import signal
import socket
from ctypes import POINTER, byref, c_char_p, c_int, c_ubyte, c_uint32
from typing import Any, Final

COMMAND, INIT, LOCALITY, COPY = b"C", b"I", b"L", b"F"
PACKET: Final = 65536
_RETRY: Final = 0x800  # TPM_RETRY: there is no data of that name
_BYTES: Final = POINTER(c_ubyte)


class _Callbacks(ctypes.Structure):
    """struct libtpms_callbacks."""

    _fields_ = (
        ("size", c_int),
        ("nvram_init", ctypes.CFUNCTYPE(c_uint32)),
        ("nvram_load", ctypes.CFUNCTYPE(c_uint32, POINTER(_BYTES), POINTER(c_uint32), c_uint32, c_char_p)),
        ("nvram_store", ctypes.CFUNCTYPE(c_uint32, _BYTES, c_uint32, c_uint32, c_char_p)),
        ("nvram_delete", ctypes.CFUNCTYPE(c_uint32, c_uint32, c_char_p, c_ubyte)),
        ("io_init", ctypes.CFUNCTYPE(c_uint32)),
        ("locality", ctypes.CFUNCTYPE(c_uint32, POINTER(c_uint32), c_uint32)),
        ("presence", ctypes.c_void_p),
    )


class Library:
    """The one TPM of this process; its permanent state is kept in memory."""

    def __init__(self) -> None:
        self.stored: dict[bytes, bytes] = {}
        self.locality = 0
        self._library = ctypes.CDLL("libtpms.so.0")
        self._free = ctypes.CDLL(None).free
        self._free.argtypes = (ctypes.c_void_p,)
        self._malloc = self._library.TPM_Malloc
        self._malloc.argtypes = (POINTER(_BYTES), c_uint32)
        fields: dict[str, Any] = dict(_Callbacks._fields_)
        functions = {
            "nvram_init": lambda: 0,
            "nvram_load": self._load,
            "nvram_store": self._store,
            "nvram_delete": self._delete,
            "io_init": lambda: 0,
            "locality": self._tell_locality,
        }
        self._callbacks = _Callbacks(
            ctypes.sizeof(_Callbacks), *(fields[name](function) for name, function in functions.items())
        )
        assert self._library.TPMLIB_ChooseTPMVersion(0) == 0  # TPM 1.2
        assert self._library.TPMLIB_RegisterCallbacks(byref(self._callbacks)) == 0
        self._started = False

    def init(self) -> int:
        """Do TPM_Init, as after a reset; return its result code."""
        if self._started:
            self._library.TPMLIB_Terminate()
        self._started = True
        return int(self._library.TPMLIB_MainInit())

    def execute(self, request: bytes) -> bytes:
        """Return the response to a command."""
        answer, size, room = _BYTES(), c_uint32(), c_uint32()
        code = self._library.TPMLIB_Process(byref(answer), byref(size), byref(room), request, len(request))
        assert code == 0, f"TPMLIB_Process: {code:#x}"
        response = ctypes.string_at(answer, size.value)
        self._free(answer)
        return response

    def _load(self, data: Any, length: Any, _tpm: int, name: bytes) -> int:
        content = self.stored.get(name)
        if content is None:
            return _RETRY
        code = int(self._malloc(data, len(content)))
        if code == 0:
            ctypes.memmove(data[0], content, len(content))
            length[0] = len(content)
        return code

    def _store(self, data: Any, length: int, _tpm: int, name: bytes) -> int:
        self.stored[name] = ctypes.string_at(data, length)
        return 0

    def _delete(self, _tpm: int, name: bytes, must_exist: int) -> int:
        return 0 if self.stored.pop(name, None) is not None or not must_exist else _RETRY

    def _tell_locality(self, locality: Any, _tpm: int) -> int:
        locality[0] = self.locality
        return 0


def serve(library: Library, peer: socket.socket) -> None:
    """Answer until the other end is closed; a copy goes on here, too, with a socket of its own."""
    while True:
        packet, descriptors, _, _ = socket.recv_fds(peer, PACKET, 1)
        if not packet:
            return
        letter, data = packet[:1], packet[1:]
        if letter == COPY:
            if os.fork() == 0:
                peer.close()
                peer = socket.socket(fileno=descriptors[0])
                continue
            os.close(descriptors[0])
        peer.send(_answer(library, letter, data))


def _answer(library: Library, letter: bytes, data: bytes) -> bytes:
    if letter == COMMAND:
        return library.execute(data)
    if letter == INIT:
        return library.init().to_bytes(4)
    if letter == LOCALITY:
        library.locality = data[0]
        return data
    return letter


if __name__ == "__main__":
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # copies are waited for by nobody
    serve(Library(), socket.socket(fileno=0))
    os._exit(0)  # a copy has nothing to put away; Python's own way out takes longer than most tests
