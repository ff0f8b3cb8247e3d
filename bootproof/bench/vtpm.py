# SPDX-License-Identifier: GPL-3.0-or-later
"""`python -m bootproof.bench.vtpm`: the TPM emulator beside swtpm, both over a Unix socket, in one run.

Writes docs/benchmarks-vtpm.md; exit code MEASUREMENT if a goal is missed. The client is that of the tests.
"""

from __future__ import annotations

import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import jinja2

from bootproof import console, process
from bootproof.bench import usage
from bootproof.build.files import write_atomically
from bootproof.build.settings import PROJECT
from bootproof.errors import BootproofError, ExitCode, HostError
from tests.tpm.client import identity, integrity, keys, owner, signing
from tests.tpm.client.constants import SRK, WELL_KNOWN, AuthUsage, KeyUsage
from tests.tpm.client.keyblobs import template
from tests.tpm.client.pcr import Selection
from tests.tpm.client.subjects import over
from tests.tpm.client.tpm import Tpm

ROUNDS: Final = 5  # taken in turn, so that a busy moment meets both
SHORT_SECONDS: Final = 0.5  # of one round of a command that takes microseconds
LONG_COUNT: Final = 4  # keys made in one round
_PATIENCE: Final = 30.0
_LONGEST: Final = 4096  # bytes of a response
_TEMPLATE: Final = Path(__file__).with_name("vtpm.md.j2")
_OWNER: Final = bytes(range(20))
_PROGRAMS: Final = {
    "ours": [sys.executable, "-m", "bootproof.tpm", "socket"],
    "swtpm": ["swtpm", "socket"],
}


@dataclass(frozen=True)
class Goal:
    """A row of the page: rates per second (seconds for the start), and how many times swtpm's ours must be;
    for the start, how many seconds at most.
    """

    what: str
    wanted: float


GOALS: Final = (
    Goal("Extend", 0.6),
    Goal("PcrRead", 0.6),
    Goal("GetRandom(32)", 0.6),
    Goal("Quote, RSA 2048", 2.0),
    Goal("CreateWrapKey, RSA 2048", 2.0),
    Goal("MakeIdentity, RSA 2048", 2.0),
)
START_GOAL: Final = 0.5


@dataclass
class Side:
    """One emulator that runs, and what was measured."""

    name: str
    peer: socket.socket
    tpm: Tpm
    requests: dict[str, bytes] = field(default_factory=dict)
    rates: dict[str, list[float]] = field(default_factory=dict)

    def rate(self, what: str) -> float:
        return statistics.median(self.rates[what])


def command_line(name: str, at: Path) -> list[str]:
    """Return the command that starts an emulator with its state and its socket in `at`."""
    return [
        *_PROGRAMS[name],
        "--tpmstate", f"dir={at}/state", "--server", f"type=unixio,path={at}/data",
        "--ctrl", f"type=unixio,path={at}/ctrl", "--flags", "not-need-init,startup-clear",
    ]  # fmt: skip


@contextmanager
def running(name: str) -> Iterator[socket.socket]:
    """Run an emulator and give a connection to it as soon as there is one."""
    with tempfile.TemporaryDirectory(prefix="bench") as folder:
        at = Path(folder)
        (at / "state").mkdir()
        with (
            process.running(command_line(name, at), cwd=PROJECT, stderr=subprocess.DEVNULL),
            _connected(name, at / "data") as peer,
        ):
            yield peer


def _connected(name: str, path: Path) -> socket.socket:
    deadline = time.monotonic() + _PATIENCE
    while True:
        peer = socket.socket(socket.AF_UNIX)
        peer.settimeout(_PATIENCE)
        if not peer.connect_ex(str(path)):
            return peer
        peer.close()
        if time.monotonic() > deadline:
            raise HostError(f"{name} does not start", f"try: {' '.join(_PROGRAMS[name])} --version")
        time.sleep(0.0005)


def start_time(name: str) -> float:
    """Return the seconds from the program's start to its first answer."""
    started = time.monotonic()
    with running(name) as peer:
        integrity.pcr_read(over(peer), 0)
        return time.monotonic() - started


def prepare(name: str, peer: socket.socket) -> Side:
    """Make an owner and load a key that signs without authorisation; note the requests to be repeated."""
    side = Side(name, peer, over(peer))
    owner.create_ek(side.tpm)
    owner.take_ownership(side.tpm, _OWNER)
    wanted = template(KeyUsage.SIGNING, auth_usage=AuthUsage.NEVER)
    key = keys.create_wrap_key(side.tpm, WELL_KNOWN, SRK, wanted)
    handle = keys.load_key2(side.tpm, WELL_KNOWN, key)
    sent: list[bytes] = []

    def note(request: bytes) -> bytes:
        sent.append(request)
        return request

    side.tpm.tamper = note
    integrity.extend(side.tpm, 10, _OWNER)
    integrity.pcr_read(side.tpm, 10)
    integrity.get_random(side.tpm, 32)
    signing.quote(side.tpm, None, handle, _OWNER, Selection.of(0, 10))
    side.tpm.tamper = None
    side.requests = dict(zip((goal.what for goal in GOALS), sent, strict=False))
    return side


def repeated(side: Side, what: str) -> float:
    """Return how often a second a request is answered."""
    request, count = side.requests[what], 0
    send, answer = side.peer.sendall, side.peer.recv  # a response comes in one piece
    started = time.perf_counter()
    while (now := time.perf_counter()) - started < SHORT_SECONDS:
        send(request)
        answer(_LONGEST)
        count += 1
    return count / (now - started)


def make_keys(side: Side) -> float:
    """Return how many keys a second TPM_CreateWrapKey makes."""
    wanted = template(KeyUsage.SIGNING)
    return _timed(lambda: keys.create_wrap_key(side.tpm, WELL_KNOWN, SRK, wanted))


def make_identities(side: Side) -> float:
    """Return how many keys a second TPM_MakeIdentity makes."""
    return _timed(lambda: identity.make_identity(side.tpm, WELL_KNOWN, _OWNER, _OWNER, _OWNER))


def _timed(command: Callable[[], object]) -> float:
    started = time.perf_counter()
    for _ in range(LONG_COUNT):
        command()
    return LONG_COUNT / (time.perf_counter() - started)


def measure() -> tuple[dict[str, float], Side, Side]:
    """Return the start-up times by name, and both sides with their rates."""
    starts = {
        name: statistics.median(times)
        for name, times in zip(
            _PROGRAMS, zip(*[[start_time(name) for name in _PROGRAMS] for _ in range(ROUNDS)], strict=True),
            strict=True,
        )
    }  # fmt: skip
    with running("ours") as first, running("swtpm") as second:
        sides = prepare("ours", first), prepare("swtpm", second)
        for _ in range(ROUNDS):
            for goal in GOALS:
                for side in sides:
                    side.rates.setdefault(goal.what, []).append(_rate(side, goal.what))
    return starts, *sides


def _rate(side: Side, what: str) -> float:
    if what in side.requests:
        return repeated(side, what)
    return make_keys(side) if what.startswith("CreateWrapKey") else make_identities(side)


def page(starts: dict[str, float], ours: Side, theirs: Side) -> str:
    """Render docs/benchmarks-vtpm.md."""
    environment = jinja2.Environment(  # noqa: S701 - Markdown
        undefined=jinja2.StrictUndefined, trim_blocks=True, keep_trailing_newline=True
    )
    return environment.from_string(_TEMPLATE.read_text()).render(
        rounds=ROUNDS,
        machine=usage.machine(),
        goals=GOALS,
        ours=ours,
        theirs=theirs,
        starts=starts,
        start_goal=START_GOAL,
    )


def missed(starts: dict[str, float], ours: Side, theirs: Side) -> list[str]:
    """Return what does not reach its goal, in words."""
    found = [
        f"{goal.what}: {ours.rate(goal.what) / theirs.rate(goal.what):.2f} of swtpm, wanted {goal.wanted}"
        for goal in GOALS
        if ours.rate(goal.what) < goal.wanted * theirs.rate(goal.what)
    ]
    if starts["ours"] > START_GOAL:
        found.append(f"start-up to first answer: {starts['ours']:.2f} s, wanted {START_GOAL} s at most")
    return found


def main() -> int:
    with console.step("vtpm beside swtpm"):
        starts, ours, theirs = measure()
    write_atomically(PROJECT / "docs" / "benchmarks-vtpm.md", page(starts, ours, theirs))
    failures = missed(starts, ours, theirs)
    for goal in GOALS:
        console.say(f"{goal.what}: {ours.rate(goal.what) / theirs.rate(goal.what):.2f} of swtpm")
    for failure in failures:
        console.say(f"✗ {failure}")
    return ExitCode.MEASUREMENT if failures else ExitCode.PASS


if __name__ == "__main__":
    try:
        sys.exit(main())
    except BootproofError as error:
        print(f"bench: {error}", file=sys.stderr)  # noqa: T201
        sys.exit(int(error.code))
