# SPDX-License-Identifier: GPL-3.0-or-later
"""Scenarios with Debian's tpm-quote-tools."""

from __future__ import annotations

from typing import Final

from tests.tss.scenario import Extend, MinimalDer, PowerCycle, Scenario, Tool, Write
from tests.tss.tpm_tools import AUTHFAIL

FAILED: Final = 1
PCRS: Final = "0 1 2 3 10"

# Every use of the key tries without authorisation first, which the SRK does not allow.
_QUOTES = Scenario(
    "quotes",
    "identity",
    (
        Write("nonce", "a nonce of twenty by"),
        Write("other-nonce", "another nonce, sorry"),
        Tool("tpm_verifyquote aik.pub hash nonce quote", FAILED),
        MinimalDer("aik.pub"),
        Tool("tpm_loadkey aik.blob uuid"),
        Tool("tpm_loadkey aik.blob uuid", FAILED),
        Tool(f"tpm_getpcrhash uuid hash values {PCRS}", 0, (AUTHFAIL,)),
        Tool("cat values"),
        Tool(f"tpm_getquote uuid nonce quote {PCRS}", 0, (AUTHFAIL,)),
        Tool("tpm_verifyquote aik.pub hash nonce quote"),
        Tool("tpm_verifyquote aik.pub hash other-nonce quote", FAILED),
        PowerCycle(),
        Extend(10),
        Tool(f"tpm_getquote -p new-values uuid nonce new-quote {PCRS}", 0, (AUTHFAIL,)),
        Tool("cat new-values"),
        Tool("tpm_verifyquote aik.pub hash nonce new-quote", FAILED),
        Tool("tpm_updatepcrhash hash new-values new-hash"),
        Tool("tpm_verifyquote aik.pub new-hash nonce new-quote"),
        Tool("tpm_unloadkey uuid"),
        Tool(f"tpm_getquote uuid nonce quote {PCRS}", FAILED),
    ),
)
_IDENTITIES = Scenario(
    "identity keys",
    "owned",
    (
        Tool("tpm_mkuuid uuid"),
        Tool("tpm_mkaik aik.blob aik.pub", FAILED, (AUTHFAIL,), ("wrong", "wrong")),
        Tool("tpm_mkaik -z aik.blob aik.pub"),
        Tool("tpm_loadkey aik.blob uuid"),
    ),
)
SCENARIOS: Final = (_QUOTES, _IDENTITIES)
