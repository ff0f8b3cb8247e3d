# SPDX-License-Identifier: GPL-3.0-or-later
"""TSS programs of our own that use keys and data. Each is a function; what it prints is compared."""

from __future__ import annotations

from tests.tss.tspi import (
    NO_OUTPUT,
    Key,
    Kind,
    Policy,
    Session,
    TssError,
    call,
    data,
    number,
    refused,
    set_number,
    validated,
)

CONTENT = b"a short secret"
NO_PCRS = 0
DER, INFO = 0x12, 0x13
_KEY_BLOB, _BLOB = 0x40, 0x08
_KEY_INFO, _SIGNATURE_SCHEME, _ENCRYPTION_SCHEME = 0x80, 0x300, 0x380
PKCS15, OAEP = 0x11, 0x12


def bind(tss: Session) -> None:
    """Bind data with a key's public part, unbind it in the TPM."""
    for scheme in (OAEP, PKCS15):
        blank = tss.blank_key(Key.BIND, "binding")
        set_number(blank, _KEY_INFO, _ENCRYPTION_SCHEME, scheme)
        srk = tss.srk()
        call("Tspi_Key_CreateKey", blank, srk, NO_PCRS)
        call("Tspi_Key_LoadKey", blank, srk)
        bound = tss.new(Kind.DATA, 2)
        call("Tspi_Data_Bind", bound, blank, len(CONTENT), CONTENT)
        assert data("Tspi_Data_Unbind", bound, blank) == CONTENT
        tss.give_secret(blank, "wrong")
        refused("unbind with a wrong secret", "Tspi_Data_Unbind", bound, blank, *NO_OUTPUT)


def sign(tss: Session) -> None:
    """Sign with all schemes; libtspi checks the signatures."""
    srk = tss.srk()
    key = tss.key(Key.SIGNING, srk, "signing")
    digest = tss.sha1(CONTENT)
    signature = data("Tspi_Hash_Sign", digest, key)
    call("Tspi_Hash_VerifySignature", digest, key, len(signature), signature)
    print("SHA1", len(signature))
    other = tss.blank_key(Key.SIGNING | Key.VOLATILE)
    set_number(other, _KEY_INFO, _SIGNATURE_SCHEME, DER)
    call("Tspi_Key_CreateKey", other, srk, NO_PCRS)
    call("Tspi_Key_LoadKey", other, srk)
    wrapped = tss.new(Kind.HASH, 0xFFFFFFFF)
    value = b"\x30\x05 already DER"
    call("Tspi_Hash_SetHashValue", wrapped, len(value), value)
    signature = data("Tspi_Hash_Sign", wrapped, other)
    call("Tspi_Hash_VerifySignature", wrapped, other, len(signature), signature)
    print("DER", len(signature), len(data("Tspi_Key_GetPubKey", other)))
    storage = tss.key(Key.STORAGE, srk)
    refused("sign with a storage key", "Tspi_Hash_Sign", digest, storage, *NO_OUTPUT)
    binding = tss.key(Key.BIND, srk)
    refused("sign with a binding key", "Tspi_Hash_Sign", digest, binding, *NO_OUTPUT)
    legacy = tss.key(Key.LEGACY, srk)
    signature = data("Tspi_Hash_Sign", digest, legacy)
    call("Tspi_Hash_VerifySignature", digest, legacy, len(signature), signature)
    call("Tspi_Key_UnloadKey", legacy)


def hierarchy(tss: Session) -> None:
    """Keys below keys, bound to PCRs."""
    storage = tss.key(Key.STORAGE, tss.srk(), "storage")
    child = tss.key(Key.SIGNING | Key.VOLATILE, storage, pcrs=tss.pcrs(10))
    digest = tss.sha1(CONTENT)
    print("sign", len(data("Tspi_Hash_Sign", digest, child)))
    blob = tss.attribute(child, _KEY_BLOB, _BLOB)
    print("loaded again", number("Tspi_Context_LoadKeyByBlob", tss.context, storage, len(blob), blob) != 0)
    data("Tspi_TPM_PcrExtend", tss.tpm, 10, 20, b"\x01" * 20, None)
    refused("sign after the PCR has changed", "Tspi_Hash_Sign", digest, child, *NO_OUTPUT)
    tss.give_secret(storage, "wrong")
    load = "Tspi_Context_LoadKeyByBlob"
    refused("load below a wrong secret", load, tss.context, storage, len(blob), blob, NO_OUTPUT[0])
    damaged = blob[:-1] + bytes([blob[-1] ^ 1])
    tss.give_secret(storage, "storage")
    refused("load a damaged key", load, tss.context, storage, len(damaged), damaged, NO_OUTPUT[0])


def crowd(tss: Session) -> None:
    """More keys than the TPM has slots for: tcsd has to swap them."""
    srk = tss.srk()
    first = tss.key(Key.SIGNING | Key.VOLATILE, srk, "crowd")
    blob = tss.attribute(first, _KEY_BLOB, _BLOB)
    keys = []
    for _ in range(24):
        keys.append(number("Tspi_Context_LoadKeyByBlob", tss.context, srk, len(blob), blob))
        tss.give_secret(keys[-1], "crowd")
    digest = tss.sha1(CONTENT)
    signatures = {data("Tspi_Hash_Sign", digest, key) for key in (keys[0], keys[12], keys[23])}
    print("signatures", len(signatures))


def certify(tss: Session) -> None:
    """One key certifies another; libtspi checks the certificate."""
    srk = tss.srk()
    locked, open_ = tss.key(Key.SIGNING, srk, "signer"), tss.key(Key.SIGNING | Key.VOLATILE, srk)
    for what, key, signer in (
        ("both have secrets", tss.key(Key.BIND, srk, "secret"), locked),
        ("bound to PCRs", tss.key(Key.SIGNING, srk, "secret", pcrs=tss.pcrs(10)), locked),
        ("neither has", open_, open_),
        ("the key has one", locked, open_),
    ):
        call("Tspi_Key_CertifyKey", key, signer, None)
        certificate = validated("Tspi_Key_CertifyKey", key, signer)
        print(what, len(certificate.data), len(certificate.signature))
    refused("by a storage key", "Tspi_Key_CertifyKey", open_, tss.key(Key.STORAGE, srk), None)


def quote(tss: Session) -> None:
    """TPM_Quote and TPM_Quote2; libtspi checks them."""
    key = tss.key(Key.SIGNING, tss.srk(), "quoting")
    call("Tspi_TPM_Quote", tss.tpm, key, tss.pcrs(0, 10, 23), None)
    signed = validated("Tspi_TPM_Quote", tss.tpm, key, tss.pcrs(0, 10, 23))
    print(signed.data.hex())
    short = tss.new(Kind.PCRS, 3)
    for index in (0, 10, 23):
        call("Tspi_PcrComposite_SelectPcrIndexEx", short, index, 2)
    for version in (0, 1):
        version_info = data("Tspi_TPM_Quote2", tss.tpm, key, version, short, None)
        print("version", len(version_info))
    tss.give_secret(key, "wrong")
    refused("quote with a wrong secret", "Tspi_TPM_Quote", tss.tpm, key, tss.pcrs(0), None)


def seal(tss: Session) -> None:
    """TPM_Seal and TPM_Sealx, with secrets and PCRs."""
    srk = tss.srk()
    for protected in (0, 1):
        sealed = tss.new(Kind.DATA, 1)
        tss.give_secret(sealed, "sealed")
        set_number(sealed, 0x20, 1, protected)
        call("Tspi_Data_Seal", sealed, srk, len(CONTENT), CONTENT, tss.pcrs(16) if not protected else 0)
        assert data("Tspi_Data_Unseal", sealed, srk) == CONTENT
        print("sealed", len(tss.attribute(sealed, 0x08, 1)))
        tss.give_secret(sealed, "wrong")
        refused("unseal with a wrong secret", "Tspi_Data_Unseal", sealed, srk, *NO_OUTPUT)
        tss.give_secret(sealed, "sealed")
        if not protected:
            data("Tspi_TPM_PcrExtend", tss.tpm, 16, 20, b"\x01" * 20, None)
            refused("unseal after a PCR has changed", "Tspi_Data_Unseal", sealed, srk, *NO_OUTPUT)
            reset = tss.new(Kind.PCRS)
            call("Tspi_PcrComposite_SelectPcrIndex", reset, 16)
            call("Tspi_TPM_PcrReset", tss.tpm, reset)
            assert data("Tspi_Data_Unseal", sealed, srk) == CONTENT


def pcrs(tss: Session) -> None:
    """Extend, read, reset."""
    print(data("Tspi_TPM_PcrExtend", tss.tpm, 16, 20, b"\x02" * 20, None).hex())
    for index in (0, 16, 17, 20, 23):
        reset = tss.new(Kind.PCRS)
        call("Tspi_PcrComposite_SelectPcrIndex", reset, index)
        try:
            call("Tspi_TPM_PcrReset", tss.tpm, reset)
        except TssError as error:
            print(f"reset {index}: {error.result:#x}")
        else:
            print(f"reset {index}", data("Tspi_TPM_PcrRead", tss.tpm, index).hex())
    print("locality 2's", data("Tspi_TPM_PcrRead", tss.tpm, 20).hex())
    refused("extend 17", "Tspi_TPM_PcrExtend", tss.tpm, 17, 20, b"\x02" * 20, None, *NO_OUTPUT)


def change_auth(tss: Session) -> None:
    """New secrets for a key, sealed data, the SRK and the owner."""
    srk = tss.srk()
    key = tss.key(Key.SIGNING, srk, "old")
    policy = tss.new(Kind.POLICY, Policy.USAGE)
    tss.set_secret(policy, "new")
    call("Tspi_ChangeAuth", key, srk, policy)
    call("Tspi_Key_UnloadKey", key)
    call("Tspi_Key_LoadKey", key, srk)
    digest = tss.sha1(CONTENT)
    print("key", len(data("Tspi_Hash_Sign", digest, key)))
    tss.give_secret(key, "old")
    refused("the old secret", "Tspi_Hash_Sign", digest, key, *NO_OUTPUT)
    sealed = tss.new(Kind.DATA, 1)
    tss.give_secret(sealed, "old")
    call("Tspi_Data_Seal", sealed, srk, len(CONTENT), CONTENT, NO_PCRS)
    call("Tspi_ChangeAuth", sealed, srk, policy)
    assert data("Tspi_Data_Unseal", sealed, srk) == CONTENT
    call("Tspi_ChangeAuth", srk, tss.tpm, policy)
    assert data("Tspi_Data_Unseal", sealed, srk) == CONTENT
    call("Tspi_ChangeAuth", tss.tpm, 0, policy)
    print("owner", len(data("Tspi_TPM_OwnerGetSRKPubKey", tss.tpm)))
    tss.give_secret(tss.tpm, bytes(20))
    refused("the owner's old secret", "Tspi_TPM_OwnerGetSRKPubKey", tss.tpm, *NO_OUTPUT)


PROGRAMS = (bind, sign, hierarchy, crowd, certify, quote, seal, pcrs, change_auth)
