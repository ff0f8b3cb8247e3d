# SPDX-License-Identifier: GPL-3.0-or-later
"""System calls that the program gives up once everything is open: it starts no other program, opens no new
socket, sends no signal, and changes nothing of the system or of its own rights. Threads and files stay
possible.

The filter is a program for the kernel's classic BPF machine (linux/filter.h, linux/seccomp.h): look at the
architecture, then compare the number of the call with those below. A call of another architecture, which
would have other numbers, ends the process in any case.
"""

from __future__ import annotations

import os
import struct
from typing import Final

# name: its number on x86-64 and on aarch64 (asm/unistd_64.h, asm-generic/unistd.h)
FORBIDDEN: Final[dict[str, tuple[int, int | None]]] = {
    "execve": (59, 221),
    "execveat": (322, 281),
    "ptrace": (101, 117),
    "process_vm_readv": (310, 270),
    "process_vm_writev": (311, 271),
    "kcmp": (312, 272),
    "pidfd_open": (434, 434),
    "pidfd_getfd": (438, 438),
    "process_madvise": (440, 440),
    "perf_event_open": (298, 241),
    "userfaultfd": (323, 282),
    "kill": (62, 129),
    "tkill": (200, 130),
    "tgkill": (234, 131),
    "rt_sigqueueinfo": (129, 138),
    "rt_tgsigqueueinfo": (297, 240),
    "pidfd_send_signal": (424, 424),
    "socket": (41, 198),
    "connect": (42, 203),
    "bind": (49, 200),
    "listen": (50, 201),
    "mount": (165, 40),
    "umount2": (166, 39),
    "pivot_root": (155, 41),
    "chroot": (161, 51),
    "move_mount": (429, 429),
    "open_tree": (428, 428),
    "fsopen": (430, 430),
    "fsconfig": (431, 431),
    "fsmount": (432, 432),
    "fspick": (433, 433),
    "mount_setattr": (442, 442),
    "unshare": (272, 97),
    "setns": (308, 268),
    "open_by_handle_at": (304, 265),
    "init_module": (175, 105),
    "finit_module": (313, 273),
    "delete_module": (176, 106),
    "kexec_load": (246, 104),
    "kexec_file_load": (320, 294),
    "reboot": (169, 142),
    "swapon": (167, 224),
    "swapoff": (168, 225),
    "bpf": (321, 280),
    "seccomp": (317, 277),
    "iopl": (172, None),
    "ioperm": (173, None),
    "settimeofday": (164, 170),
    "clock_settime": (227, 112),
    "clock_adjtime": (305, 266),
    "adjtimex": (159, 171),
    "sethostname": (170, 161),
    "setdomainname": (171, 162),
    "acct": (163, 89),
    "quotactl": (179, 60),
    "syslog": (103, 116),
    "vhangup": (153, 58),
    "personality": (135, 92),
    "add_key": (248, 217),
    "request_key": (249, 218),
    "keyctl": (250, 219),
    "setuid": (105, 146),
    "setgid": (106, 144),
    "setreuid": (113, 145),
    "setregid": (114, 143),
    "setgroups": (116, 159),
    "setresuid": (117, 147),
    "setresgid": (119, 149),
    "setfsuid": (122, 151),
    "setfsgid": (123, 152),
    "capset": (126, 91),
    "mknod": (133, None),
    "mknodat": (259, 33),
    "fanotify_init": (300, 262),
    "io_uring_setup": (425, 425),
    "io_uring_enter": (426, 426),
    "io_uring_register": (427, 427),
}
_ARCHITECTURES: Final = {"x86_64": (0, 0xC000003E), "aarch64": (1, 0xC00000B7)}  # column, AUDIT_ARCH_...
_X32: Final = 0x40000000  # on x86-64, the bit of the other way to call the same
_OF_NUMBER, _OF_ARCHITECTURE = 0, 4  # offsets in struct seccomp_data
_LOAD, _IF_EQUAL, _IF_NOT_BELOW, _RETURN = 0x20, 0x15, 0x35, 0x06
_ALLOW: Final = 0x7FFF0000  # SECCOMP_RET_...
_ACTIONS: Final = {"kill": 0x80000000, "log": 0x7FFC0000}
_INSTRUCTION: Final = struct.Struct("=HBBI")  # struct sock_filter: code, jumps if true and if false, operand
_PROGRAM: Final = struct.Struct("@HP")  # struct sock_fprog
_NO_NEW_PRIVILEGES, _SET_SECCOMP, _FILTER = 38, 22, 2  # prctl(2)


class SeccompError(Exception):
    """There is no filter for this machine; the message is one line that says what to do."""


def program(machine: str, action: str) -> bytes:
    """Return the filter for that machine (`uname -m`): an array of struct sock_filter."""
    if machine not in _ARCHITECTURES:
        raise SeccompError(f"--seccomp: there is no filter for {machine}; give action=none")
    column, architecture = _ARCHITECTURES[machine]
    numbers = [row[column] for row in FORBIDDEN.values()]
    tests = [(_IF_EQUAL, number) for number in numbers if number is not None]
    if machine == "x86_64":
        tests.append((_IF_NOT_BELOW, _X32))
    lines = [
        (_LOAD, 0, 0, _OF_ARCHITECTURE),
        (_IF_EQUAL, 1, 0, architecture),
        (_RETURN, 0, 0, _ACTIONS["kill"]),
        (_LOAD, 0, 0, _OF_NUMBER),
        *((code, len(tests) - place, 0, number) for place, (code, number) in enumerate(tests)),
        (_RETURN, 0, 0, _ALLOW),
        (_RETURN, 0, 0, _ACTIONS[action]),
    ]
    return b"".join(_INSTRUCTION.pack(*line) for line in lines)


def install(action: str) -> None:
    """Give the system calls up, for this process and its threads, for good: "kill" ends the process at one,
    "log" has the kernel note it. SeccompError.
    """
    import ctypes

    filter_ = program(os.uname().machine, action)
    held = ctypes.create_string_buffer(filter_, len(filter_))
    description = _PROGRAM.pack(len(filter_) // _INSTRUCTION.size, ctypes.addressof(held))
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(_NO_NEW_PRIVILEGES, 1, 0, 0, 0) or libc.prctl(_SET_SECCOMP, _FILTER, description, 0, 0):
        reason = os.strerror(ctypes.get_errno())
        raise SeccompError(f"--seccomp: this kernel takes no filter ({reason}); give action=none")
