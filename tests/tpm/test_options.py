# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bootproof.tpm.options import UsageError, parse
from bootproof.tpm.program import main

STATE = ["--tpmstate", "dir=/s"]
CONTROL = ["--ctrl", "type=unixio,path=/c"]


def faults(*arguments: str) -> list[str]:
    with pytest.raises(UsageError) as caught:
        parse(list(arguments))
    return caught.value.faults


def test_everything_at_once() -> None:
    config = parse(
        [
            *("--tpmstate", "dir=/s,mode=0640", "--ctrl", "type=unixio,path=/c,mode=0660"),
            *(
                "--server",
                "type=tcp,port=2321,bindaddr=::1,disconnect",
                "--flags",
                "not-need-init,startup-state",
            ),
            *("--locality", "reject-locality-4,allow-set-locality", "--pid", "file=/p", "-d", "-t"),
            *("--log=file=/l,level=5,prefix=x,truncate", "--monitor", "type=unixio,clientfd=7"),
        ]
    )
    assert (config.directory, config.state_mode) == (Path("/s"), 0o640)
    assert config.control is not None
    assert (config.control.path, config.control.mode) == (Path("/c"), 0o660)
    assert config.data is not None
    assert (config.data.port, config.data.address, config.data.disconnect) == (2321, "::1", True)
    assert (config.powered, config.startup) == (True, 2)
    assert config.reject_locality_4
    assert config.allow_set_locality
    assert config.pid_file == Path("/p")
    assert config.daemon
    assert config.terminate
    assert (config.log.file, config.log.level, config.log.prefix, config.log.truncate) == (
        Path("/l"),
        5,
        "x",
        True,
    )
    assert config.monitor is not None
    assert config.monitor.connected_fd == 7


@pytest.mark.parametrize(
    ("control", "listening", "connected"),
    [("type=unixio,fd=5", 5, None), ("type=unixio,clientfd=5", None, 5)],
)
def test_inherited_control_sockets(control: str, listening: int | None, connected: int | None) -> None:
    endpoint = parse([*STATE, "--ctrl", control]).control
    assert endpoint is not None
    assert (endpoint.listening_fd, endpoint.connected_fd) == (listening, connected)


def test_short_forms(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TPM_PATH", "/from/environment")
    config = parse(["-p", "1234", "--flags", "startup-clear"])
    assert config.directory == Path("/from/environment")
    assert config.data is not None
    assert config.data.port == 1234
    assert config.powered
    other = parse([*CONTROL, "-f", "9"]).data
    assert other is not None
    assert other.connected_fd == 9


def test_all_faults_are_reported_at_once() -> None:
    found = faults(
        "--ctrl", "type=unixio,path=/c,fd=3", "--flags", "often", "--wrong", "--tpm2", "--log", "level=x"
    )
    assert len(found) == 6
    text = "\n".join(found)
    for part in (
        "--tpmstate: give dir=",
        "--ctrl: give exactly one of path=",
        "--flags: unknown often; known: not-need-init, startup-clear",
        "unknown option --wrong",
        "--tpm2: TPM 2.0 is not there yet",
        "--log: level=x is not a number from 0 to 20",
    ):
        assert part in text


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "give --ctrl or --server"),
        (["--server", "type=tcp,port=1"], "needs --flags not-need-init"),
        (["--ctrl", "type=tcp,path=/c"], "path= goes with type=unixio"),
        (["--ctrl", "type=unixio,port=1"], "port= goes with type=tcp"),
        (["--ctrl", "type=tcp,port=70000"], "port=70000 is not a number from 0 to 65535"),
        (["--ctrl", "type=unixio,path=/c,mode=999"], "mode=999 is not an octal number"),
        (["--ctrl", "type=unixio,path=/c,bindaddr=::1"], "bindaddr= goes with port="),
        (["--ctrl", "type=pipe,path=/c"], "type=pipe is not tcp or unixio"),
        (["--ctrl", "type=unixio,path="], "path= needs a value"),
        (["--ctrl"], "--ctrl: needs a value"),
        ([*CONTROL, *CONTROL], "--ctrl: is given twice"),
        ([*CONTROL, "--ctrl", "type=unixio,fd=1,fd=2"], "--ctrl: is given twice"),
        (["--ctrl", "type=unixio,fd=1,fd=2"], "fd is given twice"),
        ([*CONTROL, "-p", "1", "-f", "2"], "--port and --fd contradict each other"),
        ([*CONTROL, "--flags", "startup-clear,startup-none"], "only one of the startup-... words"),
        ([*CONTROL, "--pid", "file=/a,fd=2"], "--pid: give one of file= and fd="),
        ([*CONTROL, "--seccomp", "action=kill"], "only action=none"),
        ([*CONTROL, "--key", "file=/k"], "--key: encryption of the state is not there yet"),
        ([*CONTROL, "--monitor", "type=tcp,port=1"], "--monitor: type=tcp is not unixio"),
        (["--ctrl", "type=unixio,clientfd=5", "--server", "fd=5"], "one descriptor is given for two"),
    ],
)
def test_faults(arguments: list[str], message: str) -> None:
    found = faults(*STATE, *arguments)
    assert any(message in fault for fault in found), found


@given(
    st.lists(
        st.text(max_size=30)
        | st.sampled_from(["--ctrl", "--server", "--flags", "-d", "type=unixio,path=/c"])
    )
)
def test_arbitrary_arguments_are_read_or_refused(arguments: list[str]) -> None:
    try:
        parse(arguments)
    except UsageError as error:
        assert error.faults


@pytest.mark.parametrize(
    ("arguments", "code", "stream", "text"),
    [
        (["--help"], 0, "out", "--tpmstate dir=DIR"),
        (["socket", "--help"], 0, "out", "--tpmstate dir=DIR"),
        (["--version"], 0, "out", "TPM 1.2"),
        (["socket", "--print-capabilities"], 0, "out", '"tpm-1.2"'),
        ([], 2, "err", "must be the word socket"),
        (["chardev"], 2, "err", "must be the word socket"),
        (["socket", "--tpm2", *STATE, *CONTROL], 2, "err", "TPM 2.0 is not there yet"),
    ],
)
def test_the_program_ends_with_a_code(
    capsys: pytest.CaptureFixture[str], arguments: list[str], code: int, stream: str, text: str
) -> None:
    assert main(arguments) == code
    assert text in getattr(capsys.readouterr(), stream)
