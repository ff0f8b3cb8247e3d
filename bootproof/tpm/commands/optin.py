# SPDX-License-Identifier: GPL-3.0-or-later
"""Opting in and out: who may switch the TPM on and off, and let an owner in (Part 3, 5)."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

from bootproof.tpm import numbers
from bootproof.tpm.codes import Rc, TpmError
from bootproof.tpm.command import Auditing, Command, In
from bootproof.tpm.commands.presence import need_presence
from bootproof.tpm.entities import Entity
from bootproof.tpm.numbers import Protocol
from bootproof.tpm.ordinals import Ord
from bootproof.tpm.structures.keys import sha1
from bootproof.tpm.wire import Nothing, Structure, boolean, digest, structure

if TYPE_CHECKING:
    from bootproof.tpm.call import Call
    from bootproof.tpm.machine import Tpm


@structure
class StateIn(Structure):
    """The state that is wanted of a flag."""

    state: bool = boolean()


@structure
class OperatorAuthIn(Structure):
    """TPM_SetOperatorAuth: the operator's secret, in the clear."""

    auth: bytes = digest()


def set_owner_install(tpm: Tpm, args: StateIn) -> None:
    """BAD_PRESENCE. A TPM with an owner says SUCCESS and does nothing."""
    if tpm.permanent.owner is not None:
        return
    need_presence(tpm)
    tpm.commit_flags(ownership=args.state)


def owner_set_disable(call: Call, args: StateIn) -> None:
    """AUTHFAIL."""
    call.owner()
    call.tpm.commit_flags(disable=args.state)


def physical_enable(tpm: Tpm, _args: Nothing) -> None:
    """BAD_PRESENCE."""
    need_presence(tpm)
    tpm.commit_flags(disable=False)


def physical_disable(tpm: Tpm, _args: Nothing) -> None:
    """BAD_PRESENCE."""
    need_presence(tpm)
    tpm.commit_flags(disable=True)


def physical_set_deactivated(tpm: Tpm, args: StateIn) -> None:
    """BAD_PRESENCE. It has its effect at the next TPM_Startup(ST_CLEAR)."""
    need_presence(tpm)
    tpm.commit_flags(deactivated=args.state)


def set_temp_deactivated(call: Call, _args: Nothing) -> None:
    """NOOPERATOR if nobody has set the operator's secret, BAD_MODE unless the session is OIAP, AUTHFAIL;
    without authorisation BAD_PRESENCE. Until the next TPM_Startup(ST_CLEAR).
    """
    tpm = call.tpm
    if not call.count:
        need_presence(tpm)
    elif not tpm.permanent.flags.operator:
        raise TpmError(Rc.NOOPERATOR)
    else:
        operator = Entity(numbers.Entity.OPERATOR, sha1(b"operator"), tpm.permanent.operator_auth)
        call.authorize(operator, protocol=Protocol.OIAP)
    tpm.stclear = replace(tpm.stclear, deactivated=True)


def set_operator_auth(tpm: Tpm, args: OperatorAuthIn) -> None:
    """BAD_PRESENCE."""
    need_presence(tpm)
    flags = replace(tpm.permanent.flags, operator=True)
    tpm.commit(replace(tpm.permanent, operator_auth=args.auth, flags=flags))


ROWS: Final = (
    Command(
        Ord.SET_OWNER_INSTALL, "TPM_SetOwnerInstall", "5.1", set_owner_install, StateIn, audit=Auditing.ON
    ),
    Command(
        Ord.OWNER_SET_DISABLE,
        "TPM_OwnerSetDisable",
        "5.2",
        owner_set_disable,
        StateIn,
        In.OFF,
        auths=(1,),
        needs_owner=True,
        audit=Auditing.ON,
        owner_right=13,
    ),
    Command(
        Ord.PHYSICAL_ENABLE, "TPM_PhysicalEnable", "5.3", physical_enable, Nothing, In.OFF, audit=Auditing.ON
    ),
    Command(
        Ord.PHYSICAL_DISABLE,
        "TPM_PhysicalDisable",
        "5.4",
        physical_disable,
        Nothing,
        In.DEACTIVATED,
        audit=Auditing.ON,
    ),
    Command(
        Ord.PHYSICAL_SET_DEACTIVATED,
        "TPM_PhysicalSetDeactivated",
        "5.5",
        physical_set_deactivated,
        StateIn,
        In.DEACTIVATED,
        audit=Auditing.ON,
    ),
    Command(
        Ord.SET_TEMP_DEACTIVATED,
        "TPM_SetTempDeactivated",
        "5.6",
        set_temp_deactivated,
        Nothing,
        In.DISABLED,
        auths=(0, 1),
        audit=Auditing.ON,
    ),
    Command(Ord.SET_OPERATOR_AUTH, "TPM_SetOperatorAuth", "5.7", set_operator_auth, OperatorAuthIn),
)
