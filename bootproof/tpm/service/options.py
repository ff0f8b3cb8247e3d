# SPDX-License-Identifier: GPL-3.0-or-later
"""swtpm's command line, read into one frozen configuration; all faults are reported at once."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from bootproof.tpm.persistence.encryption import KEY_SIZES, Kdf, KeySource
from bootproof.tpm.service.keywords import Syntax, Values
from bootproof.tpm.service.sockets import Endpoint

_STARTUPS: Final = {"startup-clear": 1, "startup-state": 2, "startup-deactivated": 3}
_SWITCHES: Final = ("--daemon", "--print-states", "--physical-presence")
_WITH_VALUE: Final = (
    *("--tpmstate", "--ctrl", "--fd", "--flags", "--locality", "--key", "--migration-key", "--pid", "--log"),
    *("--monitor", "--runas", "--seccomp", "--migration"),
)
_SHORT: Final = {"f": "--fd", "d": "--daemon", "r": "--runas"}
_REFUSED: Final = {"--tpm2": "TPM 2.0 is not there yet; leave it out for a TPM 1.2, or use swtpm"}
_SYNTAX: Final = {
    "socket": Syntax(
        switches=(*_SWITCHES, "--terminate"),
        with_value=(*_WITH_VALUE, "--server", "--port"),
        short=_SHORT | {"p": "--port", "t": "--terminate"},
        refused=_REFUSED,
    ),
    "chardev": Syntax(
        switches=(*_SWITCHES, "--vtpm-proxy"),
        with_value=(*_WITH_VALUE, "--chardev"),
        short=_SHORT | {"c": "--chardev"},
        refused=_REFUSED,
    ),
}
INTERFACES: Final = tuple(_SYNTAX)


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
    device: Path | None = None
    device_descriptor: int | None = None
    proxy: bool = False
    monitor: Endpoint | None = None
    physical_presence: bool = False
    incoming: bool = False
    release_lock: bool = False
    powered: bool = False
    startup: int | None = None
    reject_locality_4: bool = False
    allow_set_locality: bool = False
    key: KeySource | None = None
    migration_key: KeySource | None = None
    user: str | None = None
    pid_file: Path | None = None
    pid_descriptor: int | None = None
    log: LogTarget = field(default_factory=LogTarget)
    seccomp: str = ""
    daemon: bool = False
    terminate: bool = False
    print_states: bool = False


class UsageError(Exception):
    """The command line is wrong; `faults` has one line for each reason."""

    def __init__(self, faults: list[str]) -> None:
        super().__init__("; ".join(faults))
        self.faults = faults


_HIGHEST_PORT: Final = 65535
_HIGHEST_FD: Final = 1 << 20
_HIGHEST_MODE: Final = 0o777
_HIGHEST_LEVEL: Final = 20
_HIGHEST_ID: Final = (1 << 32) - 2


def parse(arguments: list[str], interface: str = "socket") -> Config:
    """Read what follows the word `socket` or `chardev`; UsageError names all that is wrong with it."""
    faults: list[str] = []
    syntax = _SYNTAX[interface]
    given = syntax.split(arguments, faults)
    values = {name: Values(name, text, faults) for name, text in given.items() if name in syntax.with_value}
    proxy = "--vtpm-proxy" in given
    powered, startup = _flags(values.get("--flags"), proxy)
    reject, allow = _locality(values.get("--locality"))
    directory, mode = _state(values.get("--tpmstate"), faults)
    incoming, release_lock = _migration(values.get("--migration"))
    pid_file, pid_descriptor = _pid(values.get("--pid"))
    data = _data_endpoint(values, faults) if interface == "socket" else None
    device, descriptor = _device(values, proxy, faults) if interface == "chardev" else (None, None)
    connected = data is not None and data.connected_fd is not None
    config = Config(
        directory=directory,
        state_mode=mode,
        control=_endpoint(values.get("--ctrl"), connection_key="clientfd"),
        data=data,
        device=device,
        device_descriptor=descriptor,
        proxy=proxy,
        monitor=_endpoint(values.get("--monitor"), connection_key="clientfd", tcp=False),
        incoming=incoming,
        release_lock=release_lock,
        physical_presence="--physical-presence" in given,
        powered=powered,
        startup=startup,
        reject_locality_4=reject,
        allow_set_locality=allow or proxy,
        key=_key(values.get("--key")),
        migration_key=_key(values.get("--migration-key")),
        user=_word(values.get("--runas")),
        pid_file=pid_file,
        pid_descriptor=pid_descriptor,
        log=_log(values.get("--log")),
        seccomp=_seccomp(values.get("--seccomp")),
        daemon="--daemon" in given,
        terminate="--terminate" in given or interface == "chardev" or connected,
        print_states="--print-states" in given,
    )
    for part in values.values():
        part.end()
    if not config.print_states:
        _check_reachable(given, interface, config, faults)
    if faults:
        raise UsageError(faults)
    return config


def _word(values: Values | None) -> str | None:
    return None if values is None else values.word()


def _endpoint(values: Values | None, connection_key: str, tcp: bool = True) -> Endpoint | None:
    """Read a socket; `connection_key` is how this option names an inherited connection."""
    if values is None:
        return None
    kind = values.text("type")
    path, port = values.path("path"), values.number("port", _HIGHEST_PORT) if tcp else None
    address, interface = (values.text("bindaddr"), values.text("ifname")) if tcp else (None, None)
    mode = values.number("mode", _HIGHEST_MODE, base=8)
    owner = values.identity("uid", _HIGHEST_ID), values.identity("gid", _HIGHEST_ID)
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
    if path is None and (mode is not None or owner != (None, None)):
        values.fault("mode=, uid= and gid= go with path=")
    if port is None and (address is not None or interface is not None):
        values.fault("bindaddr= and ifname= go with port=")
    return Endpoint(
        values.option,
        path,
        port,
        address or "127.0.0.1",
        listening,
        connection,
        0o600 if mode is None else mode,
        -1 if owner[0] is None else owner[0],
        -1 if owner[1] is None else owner[1],
        interface or "",
        values.option != "--ctrl" and tcp and values.switch("disconnect"),
    )


def _data_endpoint(values: dict[str, Values], faults: list[str]) -> Endpoint | None:
    given = [name for name in ("--server", "--port", "--fd") if name in values]
    if len(given) > 1:
        faults.append(f"{given[0]} and {given[1]} contradict each other; give one")
    if not given and os.environ.get("TPM_PORT"):
        given = ["--port"]
        values["--port"] = Values("TPM_PORT", os.environ["TPM_PORT"], faults)
    short = {"--port": "type=tcp,disconnect,port=", "--fd": "fd="}
    for name in given:
        if name in short:
            text = values.pop(name).word()
            values[name] = Values(name, f"{short[name]}{text}", faults)
        return _endpoint(values[name], connection_key="fd")
    return None


def _device(values: dict[str, Values], proxy: bool, faults: list[str]) -> tuple[Path | None, int | None]:
    name = _word(values.get("--chardev"))
    number = values.pop("--fd").word() if "--fd" in values else None
    descriptor = None
    if number is not None:
        part = values["--fd"] = Values("--fd", f"fd={number}", faults)
        descriptor = part.number("fd", _HIGHEST_FD)
    if proxy + (name is not None) + (number is not None) != 1:
        faults.append("give exactly one of --vtpm-proxy, --chardev and --fd")
    return None if name is None else Path(name), descriptor


def _state(values: Values | None, faults: list[str]) -> tuple[Path, int]:
    directory = Path(os.environ["TPM_PATH"]) if os.environ.get("TPM_PATH") else None
    mode = None
    if values is not None:
        given, uri = values.path("dir"), values.text("backend-uri")
        mode = values.number("mode", _HIGHEST_MODE, base=8)
        if uri is not None and not uri.startswith("dir://"):
            values.fault(f"backend-uri={uri} is not dir://DIRECTORY, the one kind of storage there is")
        elif uri is not None and given is not None:
            values.fault("give one of dir= and backend-uri=")
        elif uri is not None:
            given = Path(uri.removeprefix("dir://"))
        directory = given or directory
    if directory is None:
        faults.append("--tpmstate: give dir=DIRECTORY; the state is kept there")
    return directory or Path(), 0o600 if mode is None else mode


def _flags(values: Values | None, proxy: bool) -> tuple[bool, int | None]:
    """Return whether the TPM has power at once, and the type of TPM_Startup to do."""
    startups, none, powered = [], False, proxy
    if values is not None:
        powered = values.switch("not-need-init") or proxy
        startups = [kind for word, kind in _STARTUPS.items() if values.switch(word)]
        none = values.switch("startup-none")
        if len(startups) + none > 1:
            values.fault("only one of the startup-... words can hold")
    if proxy and not startups and not none:
        startups = [_STARTUPS["startup-clear"]]
    return powered or bool(startups), startups[0] if startups else None


def _locality(values: Values | None) -> tuple[bool, bool]:
    if values is None:
        return False, False
    return values.switch("reject-locality-4"), values.switch("allow-set-locality")


def _migration(values: Values | None) -> tuple[bool, bool]:
    """Return whether the state comes later, and whether its lock is given up when it leaves."""
    if values is None:
        return False, False
    return values.switch("incoming"), values.switch("release-lock-outgoing")


def _key(values: Values | None) -> KeySource | None:
    if values is None:
        return None
    file, descriptor = values.path("file"), values.number("fd", _HIGHEST_FD)
    word_file, word_descriptor = values.path("pwdfile"), values.number("pwdfd", _HIGHEST_FD)
    size = KEY_SIZES[values.choice("mode", KEY_SIZES, "aes-cbc")]
    form = values.choice("format", ("hex", "binary"), "")
    kdf = values.choice("kdf", ("pbkdf2", "sha512"), "")
    remove = values.switch("remove")
    places = (file, descriptor, word_file, word_descriptor)
    if sum(place is not None for place in places) != 1:
        values.fault("give exactly one of file=, fd=, pwdfile= and pwdfd=")
    given = file is not None or descriptor is not None
    if (given and kdf) or (not given and form):
        values.fault("kdf= goes with pwdfile= and pwdfd=, format= with file= and fd=")
    made = Kdf.SHA512 if kdf == "sha512" else Kdf.PBKDF2
    return KeySource(
        values.option,
        word_file if file is None else file,
        word_descriptor if descriptor is None else descriptor,
        Kdf.GIVEN if given else made,
        size,
        form == "binary",
        remove,
    )


def _pid(values: Values | None) -> tuple[Path | None, int | None]:
    if values is None:
        return None, None
    file, descriptor = values.path("file"), values.number("fd", _HIGHEST_FD)
    if (file is None) == (descriptor is None):
        values.fault("give one of file= and fd=")
    return file, descriptor


def _log(values: Values | None) -> LogTarget:
    if values is None:
        return LogTarget()
    file, descriptor = values.path("file"), values.number("fd", _HIGHEST_FD)
    if file is not None and descriptor is not None:
        values.fault("give one of file= and fd=")
    level = values.number("level", _HIGHEST_LEVEL)
    return LogTarget(file, descriptor, level or 0, values.text("prefix") or "", values.switch("truncate"))


def _seccomp(values: Values | None) -> str:
    """Return what to do about forbidden system calls, nothing if nothing was said."""
    if values is None:
        return ""
    action = values.choice("action", ("none", "log", "kill"), "")
    if not action:
        values.fault("give action=none, log or kill")
    return action


def _check_reachable(given: dict[str, str], interface: str, config: Config, faults: list[str]) -> None:
    served = interface == "chardev" or config.data is not None or {"--server", "--port", "--fd"} & set(given)
    if "--ctrl" not in given and not served:
        faults.append("give --ctrl or --server; without them nobody can reach the TPM")
    elif "--ctrl" not in given and not config.powered:
        faults.append("without --ctrl give --flags not-need-init; nobody else can switch the TPM on")
    if config.incoming and config.powered:
        faults.append(
            "--migration incoming: the state comes later, so leave not-need-init and startup-... out"
        )
    sockets = [e.connected_fd for e in (config.control, config.data, config.monitor) if e is not None]
    used = [descriptor for descriptor in (*sockets, config.device_descriptor) if descriptor is not None]
    if len(set(used)) != len(used):
        faults.append("one descriptor is given for two connections; each needs its own")
