# SPDX-License-Identifier: GPL-3.0-or-later
"""The emulator as a program: options in, sockets and state opened, served, everything cleared away at the
end.
"""

from __future__ import annotations

import json
import logging
import os
import struct
import sys
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Final

from bootproof.tpm import limits
from bootproof.tpm.codes import HEADER_SIZE, TAG_REQUEST, Rc
from bootproof.tpm.commands.table import COMMANDS
from bootproof.tpm.commands.vendor import SET_LOCALITY
from bootproof.tpm.machine import Tpm
from bootproof.tpm.ordinals import Ord
from bootproof.tpm.persistence.encryption import KeySource, StateKey, StateKeyError, read_key
from bootproof.tpm.persistence.store import StateDirectory, StateError, stored_states
from bootproof.tpm.service.blobs import Keys
from bootproof.tpm.service.device import Device, DeviceError, new_proxy_device, open_device
from bootproof.tpm.service.handover import ELSEWHERE, Handover
from bootproof.tpm.service.options import INTERFACES, Config, LogTarget, UsageError, parse
from bootproof.tpm.service.privileges import UserError, become, forbid_dumps, lock_memory
from bootproof.tpm.service.seccomp import SeccompError, install
from bootproof.tpm.service.server import Server
from bootproof.tpm.service.signals import ending_signals
from bootproof.tpm.service.sockets import Endpoint, Listener, SocketError, connected
from bootproof.tpm.service.usage import HELP

_USAGE: Final = 2
_HOST: Final = 10
_NAME: Final = "bootproof-vtpm"
_FEATURES: Final = (
    *("tpm-1.2", "flags-opt-startup", "cmdarg-seccomp", "cmdarg-key-fd", "cmdarg-pwd-fd"),
    *("cmdarg-print-states", "cmdarg-migration", "nvram-backend-dir", "monitor"),
)
_REFUSALS: Final = (SocketError, StateError, DeviceError, StateKeyError, UserError, SeccompError)


def main(arguments: list[str]) -> int:
    """Run the program with these arguments (without its name) and return its exit code."""
    if set(arguments) & {"--help", "-h"}:
        _say(HELP)
        return 0
    if "--version" in arguments:
        _say(f"{_NAME} {limits.VERSION}, TPM 1.2\n")
        return 0
    if "--print-capabilities" in arguments:
        features = {"type": "swtpm", "features": list(_FEATURES), "version": limits.VERSION}
        _say(json.dumps(features) + "\n")
        return 0
    if not arguments or arguments[0] not in INTERFACES:
        found = arguments[0] if arguments else "nothing"
        _complain([f"the first argument must be the word {' or '.join(INTERFACES)}, not {found}"])
        return _USAGE
    try:
        config = parse(arguments[1:], arguments[0])
    except UsageError as error:
        _complain(error.faults)
        return _USAGE
    return _print_states(config) if config.print_states else _serve(config)


def _print_states(config: Config) -> int:
    """Say which states there are, in swtpm's words."""
    try:
        states = stored_states(config.directory, _key(config.key))
    except (StateError, StateKeyError) as error:
        _complain([str(error)])
        return _HOST
    rows = [{"name": name, "size": size} for name, size in states]
    _say(json.dumps({"type": "swtpm", "states": rows}) + "\n")
    return 0


def _serve(config: Config) -> int:
    with ExitStack() as stack:
        wake_up = stack.enter_context(ending_signals())
        try:
            device = _open_device(config)
            if config.user is not None:
                become(config.user)
            forbid_dumps()
            _start_log(config.log)
            server, state = _prepare(config, device, stack)
            _give_up_system_calls(config.seccomp)
            if config.daemon:
                _go_to_background(state)
            _write_pid(config, stack)
        except _REFUSALS as error:
            _complain([str(error)])
            return _HOST
        except OSError as error:
            _complain([f"{error.filename or 'cannot start'}: {error.strerror}"])
            return _HOST
        lock_memory()
        server.run(wake_up)
    return 0


def _give_up_system_calls(action: str) -> None:
    """Install the filter: with `kill` if nothing was said, but only where it is possible."""
    if action == "none":
        return
    try:
        install(action or "kill")
    except SeccompError as error:
        if action:
            raise
        logging.getLogger("vtpm").warning("%s", error)


def _open_device(config: Config) -> Device | None:
    """Return the device that commands come from. Needs the rights that --runas gives up."""
    if config.proxy:
        made = new_proxy_device()
        _say(f"{made}\n")
        sys.stdout.flush()
        return Device(made.descriptor)
    if config.device is not None or config.device_descriptor is not None:
        return open_device(config.device, config.device_descriptor)
    return None


def _key(source: KeySource | None) -> StateKey | None:
    return None if source is None else read_key(source)


def _prepare(config: Config, device: Device | None, stack: ExitStack) -> tuple[Server, StateDirectory]:
    """Open the state and all sockets, the control channel last: who finds it there finds all of them."""
    keys = Keys(_key(config.key), _key(config.migration_key))
    state = StateDirectory(config.directory, config.state_mode, keys.state, locked=not config.incoming)
    stack.callback(state.close)
    commands = COMMANDS | {SET_LOCALITY.ordinal: SET_LOCALITY} if config.allow_set_locality else COMMANDS
    store = ELSEWHERE if config.incoming else state
    tpm = Tpm(commands, store, highest_locality=3 if config.reject_locality_4 else 4)
    tpm.presence_signal = config.physical_presence
    server = Server(tpm, config.terminate, keys, Handover(tpm, state, config.release_lock))
    _open_channels(config, device, server, stack)
    if config.powered:
        tpm.power_on()
    if config.startup is not None:
        _start_up(tpm, config.startup)
    if config.control is not None:
        if config.control.connected_fd is not None:
            server.serve_control(connected(config.control))
        else:
            server.listen_control(_listen(config.control, stack))
    return server, state


def _open_channels(config: Config, device: Device | None, server: Server, stack: ExitStack) -> None:
    """Open the data channel and the monitor."""
    if device is not None:
        server.serve_data(device)
    elif config.data is not None:
        if config.data.connected_fd is not None:
            server.serve_data(connected(config.data))
        else:
            server.listen_data(_listen(config.data, stack))
    if config.monitor is not None:
        if config.monitor.connected_fd is not None:
            server.serve_monitor(connected(config.monitor))
        else:
            server.listen_monitor(_listen(config.monitor, stack))


def _start_up(tpm: Tpm, kind: int) -> None:
    answer = tpm.execute(struct.pack(">HIIH", TAG_REQUEST, HEADER_SIZE + 2, Ord.STARTUP, kind))
    code = int.from_bytes(answer[6:HEADER_SIZE])
    if code:
        hint = "startup-state needs a TPM_SaveState before, use startup-clear without one"
        if code == Rc.IOERROR:
            hint = "the state directory cannot be written, make room there"
        raise StateError(f"--flags: TPM_Startup failed with code {code:#x}; {hint}")


def _listen(endpoint: Endpoint, stack: ExitStack) -> Listener:
    listener = Listener(endpoint)
    stack.callback(listener.close)
    return listener


def _go_to_background(state: StateDirectory) -> None:
    """Leave the caller behind; he may connect as soon as he goes on, because the sockets are open."""
    if os.fork():
        os._exit(0)
    os.setsid()
    state.write_holder()
    null = os.open(os.devnull, os.O_RDWR)
    for standard in range(3):
        os.dup2(null, standard)
    if null > 2:
        os.close(null)


def _write_pid(config: Config, stack: ExitStack) -> None:
    text = f"{os.getpid()}\n"
    if config.pid_file is not None:
        config.pid_file.write_text(text)
        stack.callback(_remove, config.pid_file)
    elif config.pid_descriptor is not None:
        os.write(config.pid_descriptor, text.encode())
        os.close(config.pid_descriptor)


def _remove(path: Path) -> None:
    with suppress(OSError):
        path.unlink()


def _start_log(target: LogTarget) -> None:
    log = logging.getLogger("vtpm")
    log.setLevel(logging.WARNING if target.level else logging.ERROR)
    log.propagate = False
    if target.file == Path("-"):
        handler: logging.Handler = logging.NullHandler()
    elif target.file is not None:
        handler = logging.FileHandler(target.file, mode="w" if target.truncate else "a")
    elif target.descriptor is not None:
        handler = logging.StreamHandler(os.fdopen(target.descriptor, "w"))
    else:
        handler = logging.StreamHandler()
    handler.setFormatter(
        logging.Formatter(target.prefix.replace("%", "%%") + "%(asctime)s %(levelname)s %(message)s")
    )
    log.handlers = [handler]


def _say(text: str) -> None:
    sys.stdout.write(text)


def _complain(faults: list[str]) -> None:
    for fault in faults:
        sys.stderr.write(f"{_NAME}: {fault}\n")
