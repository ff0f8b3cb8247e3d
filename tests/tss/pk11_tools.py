# SPDX-License-Identifier: GPL-3.0-or-later
"""Scenarios with PKCS#11 on the TPM: opencryptoki with tpm-tools-pkcs11, and simple-tpm-pk11."""

from __future__ import annotations

from typing import Final

from tests.tss.scenario import PowerCycle, Scenario, Tool, Write
from tests.tss.tpm_tools import AUTHFAIL

FAILED: Final = 1
BAD_PARAMETER, INVALID_KEYHANDLE, AUTH2FAIL, ENCRYPT_ERROR = 0x03, 0x0C, 0x1D, 0x20
USER, NEW_USER, OFFICER, NEW_OFFICER = "user4321", "user5432", "so654321", "so765432"

# When it ends, opencryptoki frees keys twice: the second time their handles are unknown.
ONCE_TOO_OFTEN: Final = (BAD_PARAMETER,)
TWICE_TOO_OFTEN: Final = (BAD_PARAMETER, BAD_PARAMETER)

READABLE_SRK: Final = Tool("tpm_restrictsrk -a -z")
INIT: Final = Tool("tpmtoken_init -y", 0, TWICE_TOO_OFTEN, (OFFICER, OFFICER, USER, USER))
IMPORTABLE: Final = (
    Tool("openssl req -x509 -newkey rsa:2048 -nodes -keyout key -out cert -subj /CN=test", quiet=True),
    Tool("openssl rsa -in key -traditional -out rsa", quiet=True),
    Tool("sh -c 'cat rsa cert > both'"),
)


def pkcs11(arguments: str) -> Tool:
    """Run pkcs11-tool on the token."""
    module = "--module libopencryptoki.so.0"
    return Tool(f"pkcs11-tool {module} --login --pin {USER} {arguments}", 0, ONCE_TOO_OFTEN)


_HIDDEN_SRK = Scenario(
    "a PKCS#11 token needs to read the SRK",
    "owned",
    (Tool("tpmtoken_init -y", FAILED, (INVALID_KEYHANDLE,), (OFFICER, OFFICER)),),
    slots=True,
)
_TOKEN = Scenario(
    "a PKCS#11 token",
    "owned",
    (
        READABLE_SRK,
        Tool("tpmtoken_objects", FAILED),
        INIT,
        Tool("tpmtoken_objects", 0, ONCE_TOO_OFTEN, (USER,)),
        Tool("tpmtoken_objects", FAILED, (AUTHFAIL, BAD_PARAMETER), ("wrong321",)),
        Tool("tpmtoken_setpasswd", 0, TWICE_TOO_OFTEN, (USER, NEW_USER, NEW_USER)),
        Tool("tpmtoken_setpasswd -s", 0, TWICE_TOO_OFTEN, (OFFICER, NEW_OFFICER, NEW_OFFICER)),
        *IMPORTABLE,
        Tool("tpmtoken_import -y -n imported both", 0, ONCE_TOO_OFTEN, (NEW_USER,)),
        Write("secret", "to be protected\n" * 100),
        Tool("tpmtoken_protect -e -i secret -o protected", 0, ONCE_TOO_OFTEN, (NEW_USER,)),
        PowerCycle(),
        Tool("tpmtoken_protect -d -i protected -o plain", 0, ONCE_TOO_OFTEN, (NEW_USER,)),
        Tool("cmp secret plain"),
        Tool("tpmtoken_objects", 0, ONCE_TOO_OFTEN, (NEW_USER,)),
    ),
    slots=True,
)
_KEYS = Scenario(
    "PKCS#11 keys in the TPM",
    "owned",
    (
        READABLE_SRK,
        INIT,
        pkcs11("--keypairgen --key-type rsa:2048 --label generated --id 01"),
        PowerCycle(),
        pkcs11("--list-objects"),
        pkcs11("--read-object --type pubkey --id 01 --output-file public"),
        Write("text", "to be signed\n"),
        pkcs11("--sign --mechanism SHA1-RSA-PKCS --id 01 -i text -o signature"),
        Tool("openssl dgst -sha1 -verify public -keyform DER -signature signature text"),
        Tool("openssl pkeyutl -encrypt -pubin -keyform DER -inkey public -in text -out secret"),
        pkcs11("--decrypt --mechanism RSA-PKCS --id 01 -i secret -o plain"),
        Tool("cmp text plain"),
    ),
    slots=True,
)
_SIMPLE = Scenario(
    "simple-tpm-pk11",
    "owned",
    (
        Write("text", "thirty-five bytes are what SSH signs"),
        Tool("stpm-keygen -o key"),
        Tool("sh -c 'stpm-sign -k key -f text -r > signature'"),
        Tool("stpm-verify -f text -k key -s signature"),
        Tool("stpm-keygen -p -o locked", answers=("pin",)),
        PowerCycle(),
        Tool("sh -c 'stpm-sign -k locked -f text -r > other'", answers=("pin",)),
        Tool("stpm-verify -f text -k locked -s other"),
        Tool("stpm-verify -f text -k key -s other", FAILED, quiet=True),
        Tool("stpm-sign -k locked -f text", FAILED, (AUTHFAIL,), ("wrong",)),
        Tool("stpm-keygen -s -o never", FAILED, (AUTHFAIL,), ("wrong",)),
        Tool("sh -c 'mkdir ~/.simple-tpm-pk11 && cp key ~/.simple-tpm-pk11'"),
        Tool("sh -c 'echo key key > ~/.simple-tpm-pk11/config'"),
        Tool("sh -c 'ssh-keygen -D /usr/lib/*/libsimple-tpm-pk11.so.0 > key.pub'"),
        Tool("pkcs11-tool --module libsimple-tpm-pk11.so.0 --sign -m RSA-PKCS -i text -o signature"),
        Tool("stpm-verify -f text -k key -s signature"),
    ),
)
_SOFTWARE_KEY = Scenario(
    "simple-tpm-pk11 with a key made outside",
    "owned",
    (
        Write("text", "to be signed"),
        Tool("stpm-keygen -S -o key", FAILED, (INVALID_KEYHANDLE,)),
        READABLE_SRK,
        Tool("stpm-keygen -S -o key"),
        Tool("sh -c 'stpm-sign -k key -f text -r > signature'"),
        Tool("stpm-verify -f text -k key -s signature"),
        Tool("stpm-exfiltrate -k key", FAILED, (AUTHFAIL,), ("wrong",)),
        Tool("tpm_changeownerauth -z -o", answers=("owner", "owner")),
        Tool("stpm-exfiltrate -k key", FAILED, (ENCRYPT_ERROR,), ("owner",)),
        Tool("stpm-keygen -o kept"),
        Tool("stpm-exfiltrate -k kept", FAILED, (AUTH2FAIL,), ("owner",)),
    ),
)
SCENARIOS: Final = (_HIDDEN_SRK, _TOKEN, _KEYS, _SIMPLE, _SOFTWARE_KEY)
