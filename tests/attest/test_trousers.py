# SPDX-License-Identifier: GPL-3.0-or-later
"""PCRs through the real TrouSerS, on a real TPM 1.2 in software."""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Iterator

import pytest

from bootproof.attest import trousers
from bootproof.attest.trousers import TrousersError
from tests.attest import tss
from tests.ports import free_port

DIGESTS = [hashlib.sha1(word).digest() for word in (b"one", b"two")]


def _extend(port: int, index: int, digest: bytes) -> None:
    response = tss.command(port, struct.pack(">HIII20s", 0xC1, 34, 0x14, index, digest))
    assert response[:10] == struct.pack(">HII", 0xC4, 30, 0)


@pytest.fixture(scope="module")
def tcsd_port() -> Iterator[int]:
    """A stack for all tests here, whose PCR 8 was extended twice, around TrouSerS."""
    with tss.folder() as folder, tss.swtpm(folder) as port:
        for digest in DIGESTS:
            _extend(port, 8, digest)
        with tss.tcsd(folder, port) as listening:
            yield listening


@pytest.fixture(autouse=True)
def _use_it(tcsd_port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TSS_TCSD_PORT", str(tcsd_port))


@pytest.mark.parametrize("host", [None, "localhost"])
def test_pcrs(host: str | None) -> None:
    values = trousers.read_pcrs(range(24), host)
    assert list(values) == list(range(24))
    expected = bytes(20)
    for digest in DIGESTS:
        expected = hashlib.sha1(expected + digest).digest()
    assert values[8] == expected
    assert values[0] == bytes(20)
    assert values[17] == b"\xff" * 20


def test_a_pcr_the_tpm_does_not_have() -> None:
    with pytest.raises(TrousersError, match=r"TrouSerS: reading PCR 24: .+ \(0x[0-9a-f]+\)") as caught:
        trousers.read_pcrs([0, 24])
    assert caught.value.result != 0


def test_no_tcsd(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TSS_TCSD_PORT", str(free_port()))
    with pytest.raises(
        TrousersError,
        match=r"connecting to tcsd on this machine: Communication failure .*systemctl start tcsd",
    ):
        trousers.read_pcrs([0])


def test_no_library(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trousers, "LIBRARY", "libtspi-that-is-not-there.so.1")
    with pytest.raises(TrousersError, match=r"is missing \(apt install libtspi1 trousers\)"):
        trousers.read_pcrs([0])


def test_reading_often_leaks_no_contexts() -> None:
    for _ in range(50):
        assert len(trousers.read_pcrs([8])[8]) == 20
