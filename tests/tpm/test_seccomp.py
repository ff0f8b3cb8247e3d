# SPDX-License-Identifier: GPL-3.0-or-later
"""The program gives system calls up: the filter as the kernel reads it, and what becomes of the process."""

from __future__ import annotations

import os
import re
import signal
import struct
import subprocess
import sys
from pathlib import Path

import pytest

from bootproof.tpm.service.seccomp import FORBIDDEN, SeccompError, program
from tests.tpm.conftest import DATA, READY, ROOT, STATE, Start, exchange, request

KILL, LOG, ALLOW = 0x80000000, 0x7FFC0000, 0x7FFF0000
X86_64, AARCH64, I386 = 0xC000003E, 0xC00000B7, 0x40000003
HEADERS = ("/usr/include/x86_64-linux-gnu/asm/unistd_64.h", "/usr/include/asm-generic/unistd.h")
MACHINE = os.uname().machine


def verdict(filter_: bytes, architecture: int, number: int) -> int:
    """Run the filter on a call, as the kernel would."""
    lines = list(struct.iter_unpack("=HBBI", filter_))
    data, place, value = {0: number, 4: architecture}, 0, 0
    while True:
        code, if_true, if_false, operand = lines[place]
        place += 1
        if code == 0x20:
            value = data[operand]
        elif code == 0x06:
            return int(operand)
        else:
            holds = value == operand if code == 0x15 else value >= operand
            place += if_true if holds else if_false


@pytest.mark.parametrize(
    ("machine", "architecture", "column"), [("x86_64", X86_64, 0), ("aarch64", AARCH64, 1)]
)
@pytest.mark.parametrize(("action", "code"), [("kill", KILL), ("log", LOG)])
def test_what_the_filter_forbids(
    machine: str, architecture: int, column: int, action: str, code: int
) -> None:
    filter_ = program(machine, action)
    forbidden = {row[column] for row in FORBIDDEN.values()}
    for number in range(500):
        assert verdict(filter_, architecture, number) == (code if number in forbidden else ALLOW)
    assert verdict(filter_, I386, 0) == KILL
    assert verdict(filter_, X86_64 ^ AARCH64 ^ architecture, 0) == KILL
    assert verdict(filter_, architecture, 0x40000000) == (code if machine == "x86_64" else ALLOW)


@pytest.mark.parametrize("column", [0, 1], ids=["x86-64", "aarch64"])
def test_the_numbers_are_those_of_linux(column: int) -> None:
    path = Path(HEADERS[column])
    if not path.exists():
        pytest.skip("the kernel's headers are not installed")
    text = path.read_text()
    for name, row in FORBIDDEN.items():
        found = re.search(rf"^#define __NR_{name}\s+(\d+)$", text, re.MULTILINE)
        assert row[column] == (None if found is None else int(found[1])), name


def test_a_machine_without_a_filter() -> None:
    with pytest.raises(SeccompError, match=r"no filter for riscv64; give action=none"):
        program("riscv64", "kill")


ATTEMPTS = {
    "execve": "os.execv('/bin/true', ['true'])",
    "ptrace": "libc.ptrace(0, 0, 0, 0)",
    "mount": "libc.mount(b'none', b'/nowhere', b'tmpfs', 0, None)",
    "socket": "socket.socket()",
    "setuid": "os.setuid(os.getuid())",
    "kill": "os.kill(os.getpid(), 0)",
}
PREPARED = """
import ctypes, os, socket, sys, threading
from bootproof.tpm.service.seccomp import install
libc = ctypes.CDLL(None)
"""


def attempt(code: str) -> int:
    """Return how a process ends that does that."""
    done = subprocess.run(
        [sys.executable, "-c", PREPARED + code], cwd=ROOT, capture_output=True, text=True, check=False
    )
    return done.returncode


@pytest.mark.parametrize("what", ATTEMPTS)
def test_a_forbidden_call_ends_the_process(what: str) -> None:
    act = f"try: {ATTEMPTS[what]}\nexcept OSError: pass"
    assert attempt(act) == 0
    assert attempt(f"install('log')\n{act}") == 0
    assert attempt(f"install('kill')\n{act}") == -signal.SIGSYS


def test_a_thread_is_no_way_out() -> None:
    act = "t = threading.Thread(target=lambda: os.execv('/bin/true', ['true']))\nt.start(); t.join()"
    assert attempt(f"install('kill')\n{act}\nsys.exit(7)") == -signal.SIGSYS


@pytest.mark.parametrize(
    ("option", "mode"),
    [((), 2), (("action=kill",), 2), (("action=log",), 2), (("action=none",), 0)],
    ids=["", "kill", "log", "none"],
)
def test_the_program_works_with_the_filter(start: Start, option: tuple[str, ...], mode: int) -> None:
    words = [word for part in option for word in ("--seccomp", part)]
    emulator = start(*STATE, *DATA, *READY, *words)
    create_ek = request(0x78, "00" * 20 + "00000001 0003 0001 0000000c 00000800 00000002 00000000")
    with emulator.connect("data") as data:
        assert exchange(data, create_ek)[6:10] == bytes(4), "in a thread, with a library loaded late"
        status = Path(f"/proc/{emulator.process.pid}/status").read_text()
        assert re.search(r"^Seccomp:\t(\d)$", status, re.MULTILINE) is not None
        assert f"\nSeccomp:\t{mode}\n" in status
        assert f"\nNoNewPrivs:\t{int(mode > 0)}\n" in status
    emulator.stop()
    assert emulator.process.returncode == 0
    assert not (emulator.at / "data").exists()
