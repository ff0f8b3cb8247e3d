# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bootproof.tpm.persistence.encryption import Kdf, KeySource
from bootproof.tpm.service.options import INTERFACES, UsageError, parse
from bootproof.tpm.service.program import main

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
        (["--server", "type=tcp,port=1"], "give --flags not-need-init"),
        (["--ctrl", "type=tcp,path=/c"], "path= goes with type=unixio"),
        (["--ctrl", "type=unixio,port=1"], "port= goes with type=tcp"),
        (["--ctrl", "type=tcp,port=70000"], "port=70000 is not a number from 0 to 65535"),
        (["--ctrl", "type=unixio,path=/c,mode=999"], "mode=999 is not an octal number"),
        (["--ctrl", "type=unixio,path=/c,bindaddr=::1"], "bindaddr= and ifname= go with port="),
        (["--ctrl", "type=pipe,path=/c"], "type=pipe is not tcp or unixio"),
        (["--ctrl", "type=unixio,path="], "path= needs a value"),
        (["--ctrl"], "--ctrl: needs a value"),
        ([*CONTROL, *CONTROL], "--ctrl: is given twice"),
        ([*CONTROL, "--ctrl", "type=unixio,fd=1,fd=2"], "--ctrl: is given twice"),
        (["--ctrl", "type=unixio,fd=1,fd=2"], "fd is given twice"),
        ([*CONTROL, "-p", "1", "-f", "2"], "--port and --fd contradict each other"),
        ([*CONTROL, "--flags", "startup-clear,startup-none"], "only one of the startup-... words"),
        ([*CONTROL, "--pid", "file=/a,fd=2"], "--pid: give one of file= and fd="),
        ([*CONTROL, "--seccomp", "action=maybe"], "give action=none, log or kill"),
        ([*CONTROL, "--key", "mode=aes-cbc"], "--key: give exactly one of file=, fd=, pwdfile= and pwdfd="),
        ([*CONTROL, "--key", "file=/k,pwdfd=3"], "--key: give exactly one of file="),
        ([*CONTROL, "--key", "file=/k,kdf=pbkdf2"], "--key: kdf= goes with pwdfile="),
        (
            [*CONTROL, "--key", "file=/k,mode=rot13"],
            "mode=rot13 is not one of aes-cbc, aes-128-cbc, aes-256",
        ),
        ([*CONTROL, "--migration-key", "fd=x"], "--migration-key: fd=x is not a number"),
        ([*CONTROL, "--migration-key", "fd=3,remove=maybe"], "remove=maybe is not remove, remove=true or"),
        (["--ctrl", "type=unixio,path=/c,uid=nobody-here"], "uid=nobody-here is nobody that this machine"),
        (["--ctrl", "type=tcp,port=1,gid=5"], "mode=, uid= and gid= go with path="),
        ([*CONTROL, "--tpmstate", "backend-uri=file:///x"], "--tpmstate: is given twice"),
        ([*CONTROL, "--monitor", "type=tcp,port=1"], "--monitor: type=tcp is not unixio"),
        (["--ctrl", "type=unixio,clientfd=5", "--server", "fd=5"], "one descriptor is given for two"),
    ],
)
def test_faults(arguments: list[str], message: str) -> None:
    found = faults(*STATE, *arguments)
    assert any(message in fault for fault in found), found


@given(
    st.sampled_from(INTERFACES),
    st.lists(
        st.text(max_size=30)
        | st.sampled_from(["--ctrl", "--server", "--flags", "-d", "type=unixio,path=/c", "-f", "--key"])
        | st.from_regex(r"(path|fd|mode|uid|gid|port|kdf|pwdfd)=[0-9a-z]{0,6}", fullmatch=True)
    ),
)
def test_arbitrary_arguments_are_read_or_refused(interface: str, arguments: list[str]) -> None:
    try:
        parse(arguments, interface)
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
        (["cuse"], 2, "err", "must be the word socket or chardev, not cuse"),
        (["chardev", *STATE], 2, "err", "give exactly one of --vtpm-proxy, --chardev and --fd"),
        (["socket", "--tpm2", *STATE, *CONTROL], 2, "err", "TPM 2.0 is not there yet"),
    ],
)
def test_the_program_ends_with_a_code(
    capsys: pytest.CaptureFixture[str], arguments: list[str], code: int, stream: str, text: str
) -> None:
    assert main(arguments) == code
    assert text in getattr(capsys.readouterr(), stream)


def test_the_way_swtpm_setup_starts_it() -> None:
    config = parse(
        [
            *(
                "--flags",
                "not-need-init,startup-clear",
                "--tpmstate",
                "backend-uri=dir:///s",
                "--pid",
                "file=/p",
            ),
            *("--key", "pwdfile=/k,mode=aes-256-cbc,remove", "--log", "file=/l"),
            *("--server", "type=tcp,fd=7", "--ctrl", "type=unixio,clientfd=5"),
        ]
    )
    assert config.directory == Path("/s")
    assert config.key == KeySource("--key", Path("/k"), None, Kdf.PBKDF2, 32, remove=True)
    assert config.data is not None
    assert config.data.connected_fd == 7
    assert config.terminate, "as with swtpm, a connection that is given is the only one"


def test_keys() -> None:
    config = parse(
        [*STATE, *CONTROL, "--key", "fd=3,format=binary", "--migration-key", "pwdfd=4,kdf=sha512"]
    )
    assert config.key == KeySource("--key", None, 3, Kdf.GIVEN, 16, binary=True)
    assert config.migration_key == KeySource("--migration-key", None, 4, Kdf.SHA512, 16)


def test_storage_that_is_not_there() -> None:
    for storage in ("backend-uri=file:///x", "backend-uri=/x"):
        assert "is not dir://DIRECTORY" in faults(*CONTROL, "--tpmstate", storage)[0]
    assert "one of dir= and backend-uri=" in faults(*CONTROL, "--tpmstate", "dir=/x,backend-uri=dir:///x")[0]


def test_words_as_getopt_takes_them() -> None:
    config = parse(["-dtp2321", "--tpms=dir=/s", "--flag", "startup-clear", "--run", "nobody", *CONTROL])
    assert (config.daemon, config.terminate, config.user) == (True, True, "nobody")
    assert config.data is not None
    assert (config.data.port, config.data.disconnect) == (2321, True)
    assert "unknown option --t;" in faults(*STATE, *CONTROL, "--t")[0]
    assert "unknown option -x;" in faults(*STATE, *CONTROL, "-dx")[0]
    assert "--daemon: takes no value" in faults(*STATE, *CONTROL, "--daemon=1")[0]


def test_the_port_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TPM_PORT", "2321")
    data = parse([*STATE, "--flags", "not-need-init"]).data
    assert data is not None
    assert (data.port, data.disconnect) == (2321, True)
    data = parse([*STATE, *CONTROL, "--server", "type=tcp,port=7"]).data
    assert data is not None
    assert data.port == 7


def test_character_devices() -> None:
    config = parse([*STATE, "--vtpm-proxy"], "chardev")
    assert config.proxy
    assert config.powered
    assert config.startup == 1
    assert config.allow_set_locality
    assert config.terminate
    assert parse([*STATE, "--vtpm-proxy", "--flags", "startup-none"], "chardev").startup is None
    config = parse([*STATE, "-c", "/dev/x", "--flags", "not-need-init"], "chardev")
    assert (config.device, config.device_descriptor, config.allow_set_locality) == (
        Path("/dev/x"),
        None,
        False,
    )
    config = parse([*STATE, "-f", "0", *CONTROL], "chardev")
    assert (config.device, config.device_descriptor) == (None, 0)
    for wrong in (["-p", "1"], ["-t"], ["--server", "fd=3"]):
        with pytest.raises(UsageError):
            parse([*STATE, "--vtpm-proxy", *wrong], "chardev")
    with pytest.raises(UsageError, match="one descriptor is given for two"):
        parse([*STATE, "-f", "5", "--ctrl", "type=unixio,clientfd=5"], "chardev")


def test_sockets_with_an_owner() -> None:
    endpoint = parse([*STATE, "--ctrl", "type=unixio,path=/c,mode=0660,uid=root,gid=12"]).control
    assert endpoint is not None
    assert (endpoint.uid, endpoint.gid, endpoint.mode) == (0, 12, 0o660)
    endpoint = parse([*STATE, "--ctrl", "type=tcp,port=1,bindaddr=fe80::1,ifname=eth0"]).control
    assert endpoint is not None
    assert (endpoint.address, endpoint.interface, endpoint.uid) == ("fe80::1", "eth0", -1)
