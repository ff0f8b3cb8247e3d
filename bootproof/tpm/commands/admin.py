# SPDX-License-Identifier: GPL-3.0-or-later
"""Start-up, saved state and self tests (Part 3, 3 and 4), and TPM_Reset of TPM 1.1 (27.5)."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

from bootproof.tpm import selftest
from bootproof.tpm.codes import Rc, TpmError
from bootproof.tpm.command import Command, In
from bootproof.tpm.ordinals import Ord
from bootproof.tpm.pcrs import PcrBank
from bootproof.tpm.state import SavedState, StClearFlags
from bootproof.tpm.structures.stclear import StClearData
from bootproof.tpm.wire import Nothing, Structure, sized32, structure, uint16

if TYPE_CHECKING:
    from bootproof.tpm.machine import Tpm

ST_CLEAR: Final = 1
ST_STATE: Final = 2
ST_DEACTIVATED: Final = 3


@structure
class StartupIn(Structure):
    """TPM_Startup: the type, ST_CLEAR, ST_STATE or ST_DEACTIVATED."""

    kind: int = uint16()


@structure
class TestResultOut(Structure):
    """TPM_GetTestResult: text for people."""

    text: bytes = sized32()


def startup(tpm: Tpm, args: StartupIn) -> None:
    """INVALID_POSTINIT after the first; FAILEDSELFTEST, until the next TPM_Init, for ST_STATE without a
    saved state.
    """
    if not tpm.post_init:
        raise TpmError(Rc.INVALID_POSTINIT)
    if args.kind not in (ST_CLEAR, ST_STATE, ST_DEACTIVATED):
        raise TpmError(Rc.BAD_PARAMETER)
    saved = tpm.permanent.saved
    tpm.commit(replace(tpm.permanent, saved=b""))
    tpm.post_init = False
    tpm.start_ticks()
    if args.kind == ST_STATE:
        _restore(tpm, saved)
        return
    off = args.kind == ST_DEACTIVATED or tpm.permanent.flags.deactivated
    tpm.stclear = StClearFlags(deactivated=off)
    tpm.stclear_data = StClearData()
    tpm.pcrs = PcrBank()


def _restore(tpm: Tpm, saved: bytes) -> None:
    try:
        state = SavedState.decode(saved)
    except TpmError as error:
        tpm.failed = True
        raise TpmError(Rc.FAILEDSELFTEST) from error
    tpm.stclear, tpm.stclear_data = state.stclear, state.stclear_data
    tpm.pcrs.load(state.pcrs)
    tpm.keys.restore(state.keys)
    tpm.sessions.restore(state.sessions)
    tpm.transports.restore_all(state.transports)
    tpm.contexts, tpm.audit_digest = state.contexts, state.audit_digest
    tpm.nv_locks, tpm.active_counter = state.nv_locks, state.active_counter


def save_state(tpm: Tpm, _args: Nothing) -> None:
    """Keep PCRs, STCLEAR flags and data, keys and sessions on disk; any later command but SaveState gives
    them up again.
    """
    saved = SavedState(
        stclear=tpm.stclear,
        pcrs=tpm.pcrs.static_values(),
        stclear_data=tpm.stclear_data,
        keys=tpm.keys.stored(),
        sessions=tuple(tpm.sessions),
        transports=tpm.transports.stored(),
        contexts=tpm.contexts,
        audit_digest=tpm.audit_digest,
        nv_locks=tpm.nv_locks,
        active_counter=tpm.active_counter,
    )
    tpm.commit(replace(tpm.permanent, saved=saved.encode()))


def self_test_full(tpm: Tpm, _args: Nothing) -> None:
    """FAILEDSELFTEST, until the next TPM_Init, if hashes, HMACs, random numbers, PCRs or the endorsement key
    do not work.
    """
    _judge(tpm, selftest.all_tests_pass(tpm))


def continue_self_test(tpm: Tpm, _args: Nothing) -> None:
    """As TPM_SelfTestFull, but for the endorsement key. No command waits for it: NEEDS_SELFTEST is never
    answered.
    """
    flags = tpm.permanent.flags
    thorough = flags.fips or flags.tpm_post
    _judge(tpm, selftest.all_tests_pass(tpm) if thorough else selftest.outstanding_tests_pass())


def _judge(tpm: Tpm, passed: bool) -> None:
    if not passed:
        tpm.failed = True
        raise TpmError(Rc.FAILEDSELFTEST)


def get_test_result(tpm: Tpm, _args: Nothing) -> TestResultOut:
    """Say in a word whether the TPM is usable."""
    return TestResultOut(b"failed" if tpm.failed else b"passed")


def reset(tpm: Tpm, _args: Nothing) -> None:
    """End all authorisation sessions that are open; those that TPM_SaveContext wrote down stay."""
    tpm.sessions.close_all()


ROWS: Final = (
    Command(Ord.STARTUP, "TPM_Startup", "3.2", startup, StartupIn, In.OFF | In.POST_INIT | In.FAILED),
    Command(Ord.SAVE_STATE, "TPM_SaveState", "3.3", save_state, Nothing, In.OFF),
    Command(Ord.SELF_TEST_FULL, "TPM_SelfTestFull", "4.1", self_test_full, Nothing, In.OFF),
    Command(Ord.CONTINUE_SELF_TEST, "TPM_ContinueSelfTest", "4.2", continue_self_test, Nothing, In.OFF),
    Command(Ord.GET_TEST_RESULT, "TPM_GetTestResult", "4.3", get_test_result, Nothing, In.OFF | In.FAILED),
    Command(Ord.RESET, "TPM_Reset", "27.5", reset, Nothing, In.OFF),
)
