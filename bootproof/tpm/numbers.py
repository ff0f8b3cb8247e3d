# SPDX-License-Identifier: GPL-3.0-or-later
"""The remaining numbers of Part 2 of the TPM Main Specification 1.2 that more than one module needs."""

from __future__ import annotations

from enum import IntEnum, IntFlag
from typing import Final


class Resource(IntEnum):
    """TPM_RESOURCE_TYPE (4.1)."""

    KEY = 1
    AUTH = 2
    HASH = 3
    TRANS = 4
    CONTEXT = 5
    COUNTER = 6
    DELEGATE = 7
    DAA_TPM = 8
    DAA_V0 = 9
    DAA_V1 = 10


class Payload(IntEnum):
    """TPM_PAYLOAD_TYPE (4.2)."""

    ASYM = 1
    BIND = 2
    MIGRATE = 3
    MAINT = 4
    SEAL = 5
    MIGRATE_RESTRICTED = 6
    MIGRATE_EXTERNAL = 7
    CMK_MIGRATE = 8


class Entity(IntEnum):
    """TPM_ENTITY_TYPE, its low byte (4.3)."""

    KEYHANDLE = 1
    OWNER = 2
    DATA = 3
    SRK = 4
    KEY = 5
    REVOKE = 6
    DEL_OWNER_BLOB = 7
    DEL_ROW = 8
    DEL_KEY_BLOB = 9
    COUNTER = 10
    NV = 11
    OPERATOR = 12


class Adip(IntEnum):
    """How authorisation data are encrypted: the high byte of TPM_ENTITY_TYPE (4.3)."""

    XOR = 0
    AES_CTR = 6


class Handle(IntEnum):
    """Reserved key handles (4.4)."""

    SRK = 0x40000000
    OWNER = 0x40000001
    REVOKE = 0x40000002
    TRANSPORT = 0x40000003
    OPERATOR = 0x40000004
    ADMIN = 0x40000005
    EK = 0x40000006


class Protocol(IntEnum):
    """TPM_PROTOCOL_ID (4.7)."""

    OIAP = 1
    OSAP = 2
    ADIP = 3
    ADCP = 4
    OWNER = 5
    DSAP = 6
    TRANSPORT = 7


class Algorithm(IntEnum):
    """TPM_ALGORITHM_ID (4.8)."""

    RSA = 1
    DES = 2
    TRIPLE_DES = 3
    SHA = 4
    HMAC = 5
    AES128 = 6
    MGF1 = 7
    AES192 = 8
    AES256 = 9
    XOR = 10


class KeyUsage(IntEnum):
    """TPM_KEY_USAGE (5.8)."""

    SIGNING = 0x10
    STORAGE = 0x11
    IDENTITY = 0x12
    AUTHCHANGE = 0x13
    BIND = 0x14
    LEGACY = 0x15
    MIGRATE = 0x16


class SigScheme(IntEnum):
    """TPM_SIG_SCHEME (5.8.1)."""

    NONE = 1
    PKCS1_SHA1 = 2
    PKCS1_DER = 3
    PKCS1_INFO = 4


class EncScheme(IntEnum):
    """TPM_ENC_SCHEME (5.8.1)."""

    NONE = 1
    PKCS1 = 2
    OAEP_SHA1_MGF1 = 3
    SYM_CTR = 4
    SYM_OFB = 5


class AuthUsage(IntEnum):
    """TPM_AUTH_DATA_USAGE (5.9)."""

    NEVER = 0
    ALWAYS = 1
    PRIV_USE_ONLY = 3


class KeyFlag(IntFlag):
    """TPM_KEY_FLAGS (5.10)."""

    REDIRECTION = 0x01
    MIGRATABLE = 0x02
    VOLATILE = 0x04
    PCR_IGNORED_ON_READ = 0x08
    MIGRATE_AUTHORITY = 0x10


class Tag(IntEnum):
    """TPM_STRUCTURE_TAG (3.1), those that are checked or chosen at run time."""

    PCR_INFO_LONG = 0x0006
    STORED_DATA12 = 0x0016
    KEY12 = 0x0028


LOCALITY_BITS: Final = 0x1F  # TPM_LOCALITY_SELECTION (8.6): bit n stands for locality n
VERSION_1_1: Final = b"\1\1\0\0"  # TPM_STRUCT_VER of every structure that kept the layout of TPM 1.1
