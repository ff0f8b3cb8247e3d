# SPDX-License-Identifier: GPL-3.0-or-later
from pathlib import Path
from typing import Any

import pytest

from bootproof.errors import BootproofError, ExitCode
from bootproof.launch import machine
from bootproof.launch.machine import check_wishes

GOOD: dict[str, Any] = {
    "vtpm": "python", "tpm": "1.2", "firmware": "bios", "media": "cd", "accel": "auto", "memory": 1024,
    "display": "auto",
}  # fmt: skip


def refusal(**changes: Any) -> BootproofError:
    with pytest.raises(BootproofError) as caught:
        check_wishes(**GOOD | changes)
    return caught.value


@pytest.mark.parametrize(
    "changes", [{}, {"vtpm": "swtpm", "tpm": "2.0"}, {"vtpm": "none"}, {"media": "usb"}, {"media": "disk"}]
)
def test_what_there_is(changes: dict[str, Any]) -> None:
    check_wishes(**GOOD | changes)


@pytest.mark.parametrize(
    ("changes", "instead"),
    [
        ({"tpm": "2.0"}, "swtpm"),
        ({"firmware": "uefi"}, "bios"),
        ({"firmware": "secureboot"}, "bios"),
        ({"media": "net"}, "cd"),
    ],
)
def test_what_is_not_there_yet_is_refused_with_what_to_use_instead(
    changes: dict[str, str], instead: str
) -> None:
    error = refusal(**changes)
    assert "not available yet" in error.message
    assert instead in error.hint
    assert error.code is ExitCode.USAGE


@pytest.mark.parametrize("option", ["vtpm", "tpm", "firmware", "media", "accel", "display"])
def test_unknown_words_are_refused_with_the_known_ones(option: str) -> None:
    error = refusal(**{option: "nonsense"})
    assert f"--{option} nonsense" in error.message
    assert error.hint.startswith("one of: ")


@pytest.mark.parametrize("memory", [0, -1, 127, 1 << 30])
def test_memory_has_bounds(memory: int) -> None:
    assert f"--memory {memory}" in refusal(memory=memory).message


def test_passthrough_needs_a_tpm_on_the_host(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(machine, "HOST_TPM", tmp_path / "tpm0")
    assert refusal(vtpm="passthrough").code is ExitCode.HOST
