# SPDX-License-Identifier: GPL-3.0-or-later
"""Finds out whether KVM works here, by booting a kernel with it.

That /dev/kvm can be opened says little: there are hosts (nested ones above all) where it opens and a Linux
guest then spins for ever. So a bare kernel is started under KVM for a few seconds; only its own words on the
serial line count.
"""

from __future__ import annotations

import json
import os
import platform
import re
import selectors
import socket
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

from bootproof.errors import BootproofError, ExitCode
from bootproof.launch.qemu import QEMU, kernel_command
from bootproof.process import run, running

KVM_DEVICE = Path("/dev/kvm")
FIRST_LINE_SECONDS = 6.0
PANIC_SECONDS = 30.0
# What QEMU puts before its messages: its own name and, before an assertion, a place in its source
_SPEAKER = re.compile(r"^\S+: (?:\S+\.c:\d+: )?")
_FIRST_LINE = b"Linux version"
_LAST_LINE = b"Kernel panic - not syncing: VFS"
_MOST_OUTPUT = 1 << 20


@dataclass(frozen=True)
class Finding:
    """Whether KVM works, why we think so, and whether that was known from an earlier probe."""

    works: bool
    reason: str
    remembered: bool = False


@dataclass(frozen=True)
class Accelerator:
    """The accelerator settled on (`kvm` or `tcg`) and one line that says why."""

    name: str
    line: str


def choose(wish: str, kernel: Callable[[], bytes], cache: Path | None = None) -> Accelerator:
    """Settle `--accel auto|kvm|tcg`. `kernel` is called for a Linux kernel image only if KVM has to be
    tried.

    Raises `BootproofError` with exit code 11 when KVM was asked for and does not work.
    """
    if wish == "tcg":
        return Accelerator("tcg", "accelerator: TCG (asked for)")
    finding = kvm_finding(kernel, cache or cache_file())
    if finding.works:
        return Accelerator("kvm", f"accelerator: KVM ({_told(finding, cache)})")
    if wish == "kvm":
        raise BootproofError(
            f"KVM does not work here: {_told(finding, cache)}",
            "use --accel auto or --accel tcg",
            ExitCode.QEMU,
        )
    return Accelerator("tcg", f"accelerator: TCG ({_told(finding, cache)})")


def _told(finding: Finding, cache: Path | None) -> str:
    where = cache or cache_file()
    return f"{finding.reason}; remembered in {where}" if finding.remembered else finding.reason


def kvm_finding(kernel: Callable[[], bytes], cache: Path) -> Finding:
    """Tell whether KVM works: from the device, else from `cache`, else by a probe, which is then kept."""
    if not KVM_DEVICE.exists():
        return Finding(works=False, reason=f"there is no {KVM_DEVICE}")
    if not os.access(KVM_DEVICE, os.R_OK | os.W_OK):
        return Finding(
            works=False, reason=f"{KVM_DEVICE} is there, but not for this user; the group kvm may use it"
        )
    key = host_key()
    known = recall(cache, key)
    if known is not None:
        return known
    finding = probe("kvm", kernel())
    remember(cache, key, finding)
    return finding


def host_key() -> dict[str, str]:
    """Return what a finding depends on: QEMU's version, the host kernel's release, the processor's model."""
    version = run([QEMU, "--version"]).stdout.decode(errors="replace").partition("\n")[0]
    return {"qemu": version, "kernel": platform.release(), "cpu": _cpu_model()}


def _cpu_model() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(errors="replace").splitlines()
    except OSError:
        return platform.machine()
    return next(
        (line.partition(":")[2].strip() for line in lines if line.startswith("model name")),
        platform.machine(),
    )


def probe(
    accel: str, kernel: bytes, first_line: float = FIRST_LINE_SECONDS, panic: float = PANIC_SECONDS
) -> Finding:
    """Boot `kernel` without a root; `accel` works if its first line and its panic come in time (seconds)."""
    with tempfile.TemporaryFile() as errors, tempfile.TemporaryFile() as image:
        image.write(kernel)
        image.flush()
        ours, theirs = socket.socketpair()
        argv = kernel_command(f"/proc/self/fd/{image.fileno()}", accel, theirs.fileno())
        with ours, theirs, running(argv, stderr=errors, pass_fds=[theirs.fileno(), image.fileno()]) as child:
            theirs.close()
            started = time.monotonic()
            text, ended = _read_until(ours, b"", _FIRST_LINE, started + first_line)
            if _FIRST_LINE in text:
                text, ended = _read_until(ours, text, _LAST_LINE, time.monotonic() + panic)
            seconds = time.monotonic() - started
            if ended:
                child.wait()
        errors.seek(0)
        said = errors.read().decode(errors="replace").strip().splitlines()
    name = accel.upper()
    if _LAST_LINE in text:
        return Finding(works=True, reason=f"a Linux guest booted under {name} in {seconds:.1f} s")
    if ended:
        why = _SPEAKER.sub("", said[-1]) if said else "the guest ended without a word"
        return Finding(works=False, reason=f"{name} was tried: {why}")
    if _FIRST_LINE in text:
        return Finding(
            works=False, reason=f"{name} opens, but a Linux guest did not boot within {panic:.0f} s"
        )
    silence = f"{name} opens, but a Linux guest did not print a line within {first_line:.0f} s"
    return Finding(works=False, reason=silence)


def _read_until(channel: socket.socket, text: bytes, wanted: bytes, deadline: float) -> tuple[bytes, bool]:
    """Read until `wanted` is in the text, the clock has reached `deadline`, or the other side has gone.

    Return the text and whether the other side has gone.
    """
    with selectors.DefaultSelector() as selector:
        selector.register(channel, selectors.EVENT_READ)
        while wanted not in text and len(text) < _MOST_OUTPUT:
            left = deadline - time.monotonic()
            if left <= 0 or not selector.select(left):
                return text, False
            piece = channel.recv(65536)
            if not piece:
                return text, True
            text += piece
    return text, False


def cache_file() -> Path:
    """Return where findings are remembered: `$XDG_CACHE_HOME/bootproof/accel.json`."""
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "bootproof" / "accel.json"


def recall(cache: Path, key: dict[str, str]) -> Finding | None:
    """Return the remembered finding for `key`; None if there is none, or the file is damaged."""
    try:
        known = json.loads(cache.read_text())
        works, reason = known["finding"]["works"], known["finding"]["reason"]
        same = known["key"] == key
    except (OSError, ValueError, KeyError, TypeError):
        return None
    if not same or not isinstance(works, bool) or not isinstance(reason, str):
        return None
    return Finding(works, reason, remembered=True)


def remember(cache: Path, key: dict[str, str], finding: Finding) -> None:
    """Write the finding, whole or not at all; a cache that cannot be written costs a probe."""
    text = json.dumps({"key": key, "finding": asdict(finding)}, indent=1)
    try:
        cache.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile("w", dir=cache.parent, prefix=".accel-", delete=False) as stream:
            stream.write(text)
        Path(stream.name).replace(cache)
    except OSError:
        return
