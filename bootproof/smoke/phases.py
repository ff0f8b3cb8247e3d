# SPDX-License-Identifier: GPL-3.0-or-later
"""The phases of a boot, and what ends each of them on the consoles. Pure: text in, phases out."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field

from bootproof.errors import ExitCode

FIRMWARE_LOG = "firmware log"
SERIAL = "serial line"
REPORT = "report port"


@dataclass(frozen=True)
class Phase:
    """A stretch of the boot. It is over when `pattern` is found on the console `source`.

    `seconds` is what it takes under TCG on an idle reference machine; `code` is the exit code when it fails.
    """

    name: str
    source: str
    pattern: str
    seconds: float
    code: ExitCode


PHASES = (
    Phase("firmware", FIRMWARE_LOG, r"Booting from ", 3, ExitCode.FIRMWARE),
    Phase("boot loader", SERIAL, r"boot menu", 5, ExitCode.FIRMWARE),
    Phase("kernel", SERIAL, r"bootproof: (?!FATAL)", 14, ExitCode.GUEST_TIMEOUT),
    Phase("initrd", SERIAL, r"bootproof: starting ", 10, ExitCode.GUEST_TIMEOUT),
    Phase("login", SERIAL, r"Bootproof \S+ is up", 30, ExitCode.GUEST_TIMEOUT),
    Phase("checks", REPORT, r"complete", 40, ExitCode.GUEST_CHECK),
)

_KERNEL_TO_LOGIN = ("kernel", "initrd")

# what ends a boot at once, whatever the phase
_FATAL = re.compile(r"(bootproof: FATAL:[^\n]*|Kernel panic - not syncing[^\n]*)\n")
_CONTROL = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]|[\x00-\x08\x0b-\x1f\x7f]")
_LONGEST_LINE = 4096

# A phase may take this many times as long as on the idle reference machine before we give it up.
PATIENCE = 6.0
# KVM runs the same guest faster, but the host may be as loaded
KVM_FACTOR = 0.5
_MOST_SLOWDOWN = 4.0
_SHORTEST_LIMIT = 15.0


class Limits:
    """Time limits in seconds, for the accelerator and for how slow this machine has proved to be.

    The phases that are over tell how this host compares with the reference machine: if it took them longer
    than it should, the later ones get as much more time, up to four times.
    """

    def __init__(self, accel: str, login_seconds: float | None = None) -> None:
        """`login_seconds` is the recipe's limit from the kernel's start to the login under TCG."""
        self._factor = PATIENCE * (KVM_FACTOR if accel == "kvm" else 1.0)
        self._login = login_seconds
        self._taken = 0.0
        self._expected = 0.0
        self._since_loader = 0.0

    def observe(self, phase: Phase, seconds: float) -> None:
        """Learn from a phase that is over."""
        if phase.name in _KERNEL_TO_LOGIN:
            self._since_loader += seconds
        self._taken += seconds
        self._expected += phase.seconds * self._factor / PATIENCE

    @property
    def slowdown(self) -> float:
        """How many times slower than the reference machine this host is; from 1 to 4."""
        if not self._expected:
            return 1.0
        return min(max(self._taken / self._expected, 1.0), _MOST_SLOWDOWN)

    def seconds(self, phase: Phase) -> float:
        """Return how long `phase` may take from now."""
        base = phase.seconds * self._factor
        if phase.name == "login" and self._login is not None:
            from_kernel = self._login * self._factor / PATIENCE * self.slowdown
            return max(from_kernel - self._since_loader, _SHORTEST_LIMIT)
        return max(base * self.slowdown, _SHORTEST_LIMIT)


@dataclass(frozen=True)
class Done:
    """A phase that is over, with the seconds it took and those since the start."""

    phase: Phase
    seconds: float
    since_start: float


@dataclass
class Follower:
    """Reads the consoles piece by piece and knows the phase the machine is in."""

    phases: Sequence[Phase] = PHASES
    done: list[Done] = field(default_factory=list)
    fatal: str | None = None
    _unfinished: dict[str, str] = field(default_factory=dict)
    _seen: set[str] = field(default_factory=set)

    @property
    def current(self) -> Phase | None:
        """The phase the machine is in; None when all are over."""
        return self.phases[len(self.done)] if len(self.done) < len(self.phases) else None

    def feed(self, source: str, piece: bytes, now: float) -> list[Done]:
        """Read `piece` of the console `source` at `now` (seconds since the start); return the phases now
        over.

        A later phase's mark closes the earlier ones as well, but for the report: what the guest reports is
        no proof that somebody could log in.
        """
        text = self._unfinished.get(source, "") + _CONTROL.sub("", piece.decode("utf-8", "replace"))
        for phase in self.phases:
            if phase.source == source and re.search(phase.pattern, text):
                self._seen.add(phase.name)
        if source == SERIAL and self.fatal is None and (found := _FATAL.search(text)):
            self.fatal = found.group(1).strip()
        # marks and fatal lines do not span lines; keep the last line, it may go on in the next piece
        self._unfinished[source] = text.rpartition("\n")[2][-_LONGEST_LINE:]
        return self._advance(now)

    def _advance(self, now: float) -> list[Done]:
        new: list[Done] = []
        while (phase := self.current) is not None and self._is_over(phase):
            before = self.done[-1].since_start if self.done else 0.0
            item = Done(phase, now - before, now)
            self.done.append(item)
            new.append(item)
        return new

    def _is_over(self, phase: Phase) -> bool:
        later = self.phases[len(self.done) + 1 :]
        same_line = (other for other in later if other.source == SERIAL)
        return phase.name in self._seen or any(other.name in self._seen for other in same_line)
