# SPDX-License-Identifier: GPL-3.0-or-later
"""swtpm's command line, read into one frozen configuration; all faults are reported at once."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from bootproof.tpm.sockets import Endpoint

HELP: Final = """\
usage: socket --tpmstate dir=DIR [--ctrl ...] [--server ...] [options]

A TPM 1.2 behind a socket. The options are those of swtpm:

  --tpmstate dir=DIR[,mode=0600]      where the state is kept (or the environment variable TPM_PATH)
  --ctrl type=unixio,path=P[,mode=0600] | type=unixio,fd=N (listening)
         | type=unixio,clientfd=N (connected) | type=tcp,port=N[,bindaddr=A]
                                      the control channel, as QEMU's -tpmdev emulator speaks it
  --server type=tcp,port=N[,bindaddr=A][,disconnect]
         | type=unixio,path=P[,mode=0600][,disconnect] | fd=N (connected)
                                      where commands come in, unless the control channel passes a descriptor
  -p, --port N | -f, --fd N           short for --server type=tcp,port=N | --server fd=N
  --flags WORD[,WORD]                 not-need-init, startup-clear, startup-state,
                                      startup-deactivated, startup-none
  --locality WORD[,WORD]              reject-locality-4, allow-set-locality
  --pid file=F | fd=N                 write the process id there
  --log file=F|fd=N[,level=N][,prefix=P][,truncate]
                                      level 0: errors (the default), 1 or more: also warnings
  -d, --daemon                        go on in the background once the sockets are open
  -t, --terminate                     end when the data or control connection closes
  --monitor type=unixio,path=P[,mode=0600] | type=unixio,clientfd=N
                                      ours: a side channel that shows PCRs (see docs/vtpm.md)
  --print-capabilities, --version, -h, --help

Exit codes: 0 done, 2 wrong usage, 10 a socket or the state directory cannot be used.
"""

_STARTUPS: Final = {"startup-clear": 1, "startup-state": 2, "startup-deactivated": 3}
_SWITCHES: Final = {"--daemon", "--terminate"}
_WITH_VALUE: Final = {
    "--tpmstate",
    "--ctrl",
    "--server",
    "--port",
    "--fd",
    "--flags",
    "--locality",
    "--pid",
    "--log",
    "--monitor",
    "--seccomp",
}
_SHORT: Final = {"-p": "--port", "-f": "--fd", "-d": "--daemon", "-t": "--terminate"}
_NOT_HERE: Final = {
    "--tpm2": "TPM 2.0 is not there yet; leave it out for a TPM 1.2, or use swtpm",
    "--key": "encryption of the state is not there yet; protect the directory instead",
    "--migration-key": "encryption of the state is not there yet",
    "--runas": "start the program as that user instead",
    "-r": "start the program as that user instead",
    "--print-states": "look into the state directory instead",
}
_NOT_HERE_WITH_VALUE: Final = {"--key", "--migration-key", "--runas", "-r"}


@dataclass(frozen=True)
class LogTarget:
    """Where messages go: a file, a descriptor, or standard error."""

    file: Path | None = None
    descriptor: int | None = None
    level: int = 0
    prefix: str = ""
    truncate: bool = False


@dataclass(frozen=True)
class Config:
    """What was asked for."""

    directory: Path
    state_mode: int = 0o600
    control: Endpoint | None = None
    data: Endpoint | None = None
    monitor: Endpoint | None = None
    powered: bool = False
    startup: int | None = None
    reject_locality_4: bool = False
    allow_set_locality: bool = False
    pid_file: Path | None = None
    pid_descriptor: int | None = None
    log: LogTarget = field(default_factory=LogTarget)
    daemon: bool = False
    terminate: bool = False


class UsageError(Exception):
    """The command line is wrong; `faults` has one line for each reason."""

    def __init__(self, faults: list[str]) -> None:
        super().__init__("; ".join(faults))
        self.faults = faults


class _Values:
    """The key=value,... part of one option; what nobody asks for is a fault."""

    def __init__(self, option: str, text: str, faults: list[str]) -> None:
        self.option = option
        self._faults = faults
        self._values: dict[str, str] = {}
        for part in text.split(","):
            key, _, value = part.partition("=")
            if key in self._values:
                self.fault(f"{key} is given twice")
            self._values[key] = value
        self._known: list[str] = []

    def fault(self, text: str) -> None:
        self._faults.append(f"{self.option}: {text}")

    def text(self, key: str) -> str | None:
        self._known.append(key)
        value = self._values.pop(key, None)
        if value == "":
            self.fault(f"{key}= needs a value")
            return None
        return value

    def word(self) -> str:
        """Return the text of an option that has no keys."""
        return ",".join(f"{key}={value}" if value else key for key, value in self._values.items())

    def switch(self, key: str) -> bool:
        self._known.append(key)
        value = self._values.pop(key, None)
        if value:
            self.fault(f"{key} takes no value")
        return value is not None

    def number(self, key: str, highest: int, base: int = 10) -> int | None:
        value = self.text(key)
        if value is None:
            return None
        try:
            number = int(value, base)
        except ValueError:
            number = -1
        if not 0 <= number <= highest:
            what = "octal number" if base == 8 else f"number from 0 to {highest}"
            self.fault(f"{key}={value} is not a{'n' if base == 8 else ''} {what}")
            return None
        return number

    def path(self, key: str) -> Path | None:
        value = self.text(key)
        return None if value is None else Path(value)

    def end(self) -> None:
        for key in self._values:
            self.fault(f"unknown {key or 'empty part'}; known: {', '.join(self._known)}")


_HIGHEST_PORT: Final = 65535
_HIGHEST_FD: Final = 1 << 20
_HIGHEST_MODE: Final = 0o777
_HIGHEST_LEVEL: Final = 20


def parse(arguments: list[str]) -> Config:
    """Read what follows the word `socket`; UsageError names everything that is wrong with it."""
    faults: list[str] = []
    given = _split(arguments, faults)
    values = {name: _Values(name, text, faults) for name, text in given.items() if name not in _SWITCHES}
    powered, startup = _flags(values.get("--flags"))
    reject, allow = _locality(values.get("--locality"))
    directory, mode = _state(values.get("--tpmstate"), faults)
    pid_file, pid_descriptor = _pid(values.get("--pid"))
    config = Config(
        directory=directory,
        state_mode=mode,
        control=_endpoint(values.get("--ctrl"), connection_key="clientfd"),
        data=_data_endpoint(values, faults),
        monitor=_endpoint(values.get("--monitor"), connection_key="clientfd", tcp=False),
        powered=powered,
        startup=startup,
        reject_locality_4=reject,
        allow_set_locality=allow,
        pid_file=pid_file,
        pid_descriptor=pid_descriptor,
        log=_log(values.get("--log")),
        daemon="--daemon" in given,
        terminate="--terminate" in given,
    )
    _seccomp(values.get("--seccomp"))
    for part in values.values():
        part.end()
    _check_reachable(given, config, faults)
    if faults:
        raise UsageError(faults)
    return config


def _split(arguments: list[str], faults: list[str]) -> dict[str, str]:
    """Return the options that were given with their values (switches: empty)."""
    given: dict[str, str] = {}
    rest = list(arguments)
    while rest:
        word = rest.pop(0)
        name, equals, value = word.partition("=")
        name = _SHORT.get(name, name)
        if name in _NOT_HERE:
            faults.append(f"{name}: {_NOT_HERE[name]}")
            if name in _NOT_HERE_WITH_VALUE and not equals and rest:
                rest.pop(0)
        elif name in _SWITCHES and not equals:
            given[name] = ""
        elif name not in _WITH_VALUE:
            faults.append(f"unknown option {word}; --help lists them")
        elif not equals and (not rest or rest[0].startswith("-")):
            faults.append(f"{name}: needs a value")
        elif name in given:
            faults.append(f"{name}: is given twice")
            rest = rest if equals else rest[1:]
        else:
            given[name] = value if equals else rest.pop(0)
    return given


def _endpoint(values: _Values | None, connection_key: str, tcp: bool = True) -> Endpoint | None:
    """Read a socket; `connection_key` is how this option names an inherited connection."""
    if values is None:
        return None
    kind = values.text("type")
    path, port = values.path("path"), values.number("port", _HIGHEST_PORT) if tcp else None
    address = values.text("bindaddr") if tcp else None
    mode = values.number("mode", _HIGHEST_MODE, base=8)
    connection = values.number(connection_key, _HIGHEST_FD)
    listening = values.number("fd", _HIGHEST_FD) if connection_key != "fd" and tcp else None
    places = [place for place in (path, port, connection, listening) if place is not None]
    if kind not in (None, "unixio", "tcp") or (kind == "tcp" and not tcp):
        values.fault(f"type={kind} is not {'tcp or unixio' if tcp else 'unixio'}")
    elif len(places) != 1:
        values.fault(
            f"give exactly one of path=, {'port=, ' if tcp else ''}{connection_key}={', fd=' if tcp else ''}"
        )
    elif (path is not None and kind != "unixio") or (port is not None and kind != "tcp"):
        values.fault("path= goes with type=unixio" if path is not None else "port= goes with type=tcp")
    if path is None and mode is not None:
        values.fault("mode= goes with path=")
    if port is None and address is not None:
        values.fault("bindaddr= goes with port=")
    return Endpoint(
        values.option,
        path,
        port,
        address or "127.0.0.1",
        listening,
        connection,
        0o600 if mode is None else mode,
        values.option == "--server" and values.switch("disconnect"),
    )


def _data_endpoint(values: dict[str, _Values], faults: list[str]) -> Endpoint | None:
    given = [name for name in ("--server", "--port", "--fd") if name in values]
    if len(given) > 1:
        faults.append(f"{given[0]} and {given[1]} contradict each other; give one")
    short = {"--port": "type=tcp,port=", "--fd": "fd="}
    for name in given:
        if name in short:
            text = values.pop(name).word()
            values[name] = _Values(name, f"{short[name]}{text}", faults)
        return _endpoint(values[name], connection_key="fd")
    return None


def _state(values: _Values | None, faults: list[str]) -> tuple[Path, int]:
    directory = Path(os.environ["TPM_PATH"]) if os.environ.get("TPM_PATH") else None
    mode = None
    if values is not None:
        directory = values.path("dir") or directory
        mode = values.number("mode", _HIGHEST_MODE, base=8)
    if directory is None:
        faults.append("--tpmstate: give dir=DIRECTORY; the state is kept there")
    return directory or Path(), 0o600 if mode is None else mode


def _flags(values: _Values | None) -> tuple[bool, int | None]:
    if values is None:
        return False, None
    powered = values.switch("not-need-init")
    startups = [kind for word, kind in _STARTUPS.items() if values.switch(word)]
    none = values.switch("startup-none")
    if len(startups) + none > 1:
        values.fault("only one of the startup-... words can hold")
    return powered or bool(startups), startups[0] if startups else None


def _locality(values: _Values | None) -> tuple[bool, bool]:
    if values is None:
        return False, False
    return values.switch("reject-locality-4"), values.switch("allow-set-locality")


def _pid(values: _Values | None) -> tuple[Path | None, int | None]:
    if values is None:
        return None, None
    file, descriptor = values.path("file"), values.number("fd", _HIGHEST_FD)
    if (file is None) == (descriptor is None):
        values.fault("give one of file= and fd=")
    return file, descriptor


def _log(values: _Values | None) -> LogTarget:
    if values is None:
        return LogTarget()
    file, descriptor = values.path("file"), values.number("fd", _HIGHEST_FD)
    if file is not None and descriptor is not None:
        values.fault("give one of file= and fd=")
    level = values.number("level", _HIGHEST_LEVEL)
    return LogTarget(file, descriptor, level or 0, values.text("prefix") or "", values.switch("truncate"))


def _seccomp(values: _Values | None) -> None:
    if values is not None and values.text("action") != "none":
        values.fault("there is no system-call filter here; only action=none can hold")


def _check_reachable(given: dict[str, str], config: Config, faults: list[str]) -> None:
    if config.control is None and config.data is None:
        if not {"--ctrl", "--server", "--port", "--fd"} & set(given):
            faults.append("give --ctrl or --server; without them nobody can reach the TPM")
    elif config.control is None and not config.powered:
        faults.append(
            "--server without --ctrl needs --flags not-need-init; nobody else can switch the TPM on"
        )
    inherited = [e.connected_fd for e in (config.control, config.data, config.monitor) if e is not None]
    used = [descriptor for descriptor in inherited if descriptor is not None]
    if len(set(used)) != len(used):
        faults.append("one descriptor is given for two connections; each needs its own")
