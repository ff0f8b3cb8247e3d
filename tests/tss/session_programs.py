# SPDX-License-Identifier: GPL-3.0-or-later
"""TSS programs of our own: delegation and transport sessions. What they print is compared."""

from __future__ import annotations

import ctypes

from tests.tss.tspi import Key, Kind, Policy, Session, call, data, number, refused, set_number, validated

ENCRYPTED, LOGGED = 1, 2
_TRANSPORT = 4


def delegation(tss: Session, kind: int, permissions: int) -> int:
    """Return a policy that lets its holder do what `permissions` says, as owner (2) or with a key (3)."""
    policy = tss.new(Kind.POLICY, Policy.USAGE)
    tss.set_secret(policy, "delegated")
    for attribute, value in ((1, kind), (3, permissions), (4, 0)):
        set_number(policy, 1, attribute, value)
    return policy


def delegate_owner(tss: Session) -> None:
    """The owner lets others define NV space, in a blob and in the TPM's table.

    It cannot be used: tcsd looks for the loaded key that a DSAP session is for, even if it is the owner's.
    """
    family = number("Tspi_TPM_Delegate_AddFamily", tss.tpm, ord("F"))
    define_space = 0x4000
    policy, kept = delegation(tss, 2, define_space), delegation(tss, 2, define_space)
    for one in (policy, kept):
        call("Tspi_TPM_Delegate_CreateDelegation", tss.tpm, ord("D"), 0, 0, family, one)
        print("blob", len(tss.attribute(one, 1, 8)))
    refused("before the family is enabled", "Tspi_TPM_Delegate_VerifyDelegation", policy)
    set_number(family, 1, 2, 1)
    call("Tspi_TPM_Delegate_VerifyDelegation", policy)
    call("Tspi_TPM_Delegate_UpdateVerificationCount", tss.tpm, policy)
    call("Tspi_TPM_Delegate_VerifyDelegation", policy)
    call("Tspi_TPM_Delegate_CacheOwnerDelegation", tss.tpm, policy, 0, 0)
    _tables(tss)
    call("Tspi_TPM_Delegate_VerifyDelegation", kept)
    call("Tspi_TPM_Delegate_InvalidateFamily", tss.tpm, family)
    _tables(tss)
    refused("after the family's end", "Tspi_TPM_Delegate_VerifyDelegation", kept)


def _tables(tss: Session) -> None:
    families, delegations = ctypes.c_uint32(), ctypes.c_uint32()
    first, second = ctypes.c_void_p(), ctypes.c_void_p()
    call(
        "Tspi_TPM_Delegate_ReadTables", tss.context, ctypes.byref(families), ctypes.byref(first),
        ctypes.byref(delegations), ctypes.byref(second),
    )  # fmt: skip
    print("families", families.value, "delegations", delegations.value)


def delegate_key(tss: Session) -> None:
    """A storage key's user lets others seal with it."""
    family = number("Tspi_TPM_Delegate_AddFamily", tss.tpm, ord("K"))
    set_number(family, 1, 2, 1)
    key = tss.key(Key.STORAGE, tss.srk(), "owned")
    seal, create_wrap_key = 0x02, 0x0800
    for what, permission in (("seal", seal), ("create keys", create_wrap_key)):
        policy = delegation(tss, 3, permission)
        tss.give_secret(key, "owned")
        call("Tspi_TPM_Delegate_CreateDelegation", key, ord("D"), 0, 0, family, policy)
        call("Tspi_Policy_AssignToObject", policy, key)
        sealed = tss.new(Kind.DATA, 1)
        tss.give_secret(sealed, "sealed")
        arguments = ("Tspi_Data_Seal", sealed, key, 4, b"data", 0)
        if permission == seal:
            call(*arguments)
            print("sealed", len(tss.attribute(sealed, 0x08, 1)))
        else:
            refused(f"seal with the right to {what}", *arguments)
    set_number(family, 1, 2, 0)
    refused("family disabled", *arguments)


def transport(tss: Session) -> None:
    """A session inside which commands are encrypted and logged, and the log gets signed."""
    srk = tss.srk()
    wrapper = tss.key(Key.STORAGE, srk, "wrapper")
    signer = tss.key(Key.SIGNING | Key.VOLATILE, srk)
    used = tss.key(Key.SIGNING, srk, "used")
    set_number(tss.context, _TRANSPORT, 0x08, 0x32)
    for mode in (ENCRYPTED, LOGGED):
        set_number(tss.context, _TRANSPORT, 0x10, mode)
    call("Tspi_Context_SetTransEncryptionKey", tss.context, wrapper)
    print(data("Tspi_TPM_PcrRead", tss.tpm, 1).hex())
    print(len(data("Tspi_TPM_OwnerGetSRKPubKey", tss.tpm)))
    tss.sign(used)
    refused("what the TPM does not have", "Tspi_TPM_KillMaintenanceFeature", tss.tpm)
    signed = validated("Tspi_Context_CloseSignTransport", tss.context, signer)
    print("log", len(signed.data), len(signed.signature))


PROGRAMS = (delegate_owner, delegate_key, transport)
