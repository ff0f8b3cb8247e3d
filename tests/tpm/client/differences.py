# SPDX-License-Identifier: GPL-3.0-or-later
"""Where our TPM answers otherwise than swtpm on purpose: one table for all tests that compare the two.

`UNAVAILABLE` stands for all codes that say that the TPM does not answer this command now.
"""

from __future__ import annotations

from dataclasses import dataclass

from tests.tpm.client.constants import Code, Ord

UNAVAILABLE = frozenset(
    {Code.DISABLED, Code.DEACTIVATED, Code.FAILEDSELFTEST, Code.INVALID_POSTINIT, Code.NOSRK}
)
_MALFORMED = frozenset({Code.BAD_PARAM_SIZE, Code.SIZE, Code.INVALID_STRUCTURE})
_NESTED = frozenset(
    {Ord.LOAD_CONTEXT, Ord.LOAD_KEY_CONTEXT, Ord.LOAD_AUTH_CONTEXT, Ord.DELEGATE_LOAD_OWNER_DELEGATION}
)


@dataclass(frozen=True)
class Difference:
    """`ordinals` (all if empty): ours answers one of `ours` where swtpm answers one of `theirs`."""

    ours: frozenset[Code]
    theirs: frozenset[Code]
    why: str
    ordinals: frozenset[Ord] = frozenset()

    def covers(self, ordinal: int, ours: int, theirs: int) -> bool:
        return (
            (not self.ordinals or ordinal in self.ordinals) and ours in self.ours and theirs in self.theirs
        )


def _row(ordinal: Ord, ours: Code, theirs: Code, why: str) -> Difference:
    return Difference(frozenset({ours}), frozenset({theirs}), why, frozenset({ordinal}))


TABLE = (
    Difference(
        UNAVAILABLE,
        _MALFORMED,
        "the parameters of a command are looked at when the TPM may answer it, not before",
    ),
    Difference(
        frozenset(
            {Code.BADTAG, Code.BAD_PARAM_SIZE, Code.BADCONTEXT, Code.INVALID_AUTHHANDLE, Code.AUTHFAIL}
        ),
        _MALFORMED,
        "a blob inside the parameters is opened after tag, size and authorisation are right",
        _NESTED,
    ),
    Difference(
        frozenset({Code.BADTAG, Code.BAD_PARAM_SIZE, Code.INVALID_KEYHANDLE}),
        frozenset({Code.NOSRK}),
        "a malformed command is malformed without an owner, too; only the SRK itself is missing then",
        frozenset({Ord.OSAP}),
    ),
    _row(
        Ord.STARTUP,
        Code.SUCCESS,
        Code.INVALID_POSTINIT,
        "a start-up of an unknown type changes nothing, so that a right one may follow",
    ),
    _row(
        Ord.SET_ORDINAL_AUDIT_STATUS,
        Code.BADINDEX,
        Code.BAD_PARAMETER,
        "Part 3, 8.3, names this code for an ordinal that does not exist",
    ),
    _row(
        Ord.CHANGE_AUTH,
        Code.INVALID_STRUCTURE,
        Code.SUCCESS,
        "a key said to be sealed data is refused; swtpm changes its secret all the same",
    ),
)


def reason(ordinal: int, ours: int, theirs: int) -> str:
    """Return why these answers to a command may differ, or nothing."""
    return next((row.why for row in TABLE if row.covers(ordinal, ours, theirs)), "")
