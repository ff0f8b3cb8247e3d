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
_CONTENTS = frozenset(
    {
        Code.BAD_PARAMETER,
        Code.INVALID_PCR_INFO,
        Code.BAD_KEY_PROPERTY,
        Code.BAD_MODE,
        Code.BAD_VERSION,
        Code.BAD_SCHEME,
    }
)
_NESTED = frozenset(
    {Ord.LOAD_CONTEXT, Ord.LOAD_KEY_CONTEXT, Ord.LOAD_AUTH_CONTEXT, Ord.DELEGATE_LOAD_OWNER_DELEGATION}
)


@dataclass(frozen=True)
class Difference:
    """`ordinals` (all if empty): ours answers one of `ours` where swtpm answers one of `theirs`; only to
    malformed commands if `spoiled`.
    """

    ours: frozenset[Code]
    theirs: frozenset[Code]
    why: str
    ordinals: frozenset[Ord] = frozenset()
    spoiled: bool = False

    def covers(self, ordinal: int, ours: int, theirs: int, spoiled: bool) -> bool:
        if (self.ordinals and ordinal not in self.ordinals) or (self.spoiled and not spoiled):
            return False
        return ours in self.ours and theirs in self.theirs


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
    Difference(
        frozenset({Code.SUCCESS, Code.BAD_PARAMETER}),
        frozenset({Code.INVALID_POSTINIT}),
        "a start-up of an unknown type changes nothing, so that a right one may follow",
        frozenset({Ord.STARTUP}),
    ),
    Difference(
        frozenset({Code.AUTHFAIL, Code.NOSRK}),
        frozenset({Code.INVALID_AUTHHANDLE}),
        "without an owner no session can be the owner's, which is found before the session is looked up",
        frozenset({Ord.NV_DEFINE_SPACE, Ord.SET_CAPABILITY, Ord.DIR_WRITE_AUTH, Ord.DELEGATE_MANAGE}),
    ),
    _row(
        Ord.SET_ORDINAL_AUDIT_STATUS,
        Code.BADINDEX,
        Code.BAD_PARAMETER,
        "Part 3, 8.3, names this code for an ordinal that does not exist",
    ),
    Difference(
        frozenset({Code.SUCCESS, Code.BAD_PARAM_SIZE}),
        frozenset({Code.PER_NOWRITE}),
        "localities that may write are those of pcrInfoWrite, where swtpm looks into pcrInfoRead",
        frozenset({Ord.NV_DEFINE_SPACE}),
    ),
    Difference(
        frozenset({Code.SUCCESS, Code.AUTH_CONFLICT, Code.PER_NOWRITE, Code.BAD_PARAM_SIZE}),
        frozenset({Code.FAIL}),
        "an area that is defined anew and does not fit is refused; swtpm fails until the next power-on",
        frozenset({Ord.NV_DEFINE_SPACE}),
    ),
    Difference(
        frozenset({Code.AUTH_CONFLICT}),
        frozenset({Code.SUCCESS, Code.NOSPACE}),
        "the register DIR is for everyone to read, and an owner's authorisation conflicts as for any index",
        frozenset({Ord.NV_READ_VALUE}),
    ),
    Difference(
        _MALFORMED | _CONTENTS | {Code.BADTAG},
        _MALFORMED | _CONTENTS,
        "of several faults in a command one is named: tag, lengths and contents are looked at in turn",
        spoiled=True,
    ),
    Difference(
        frozenset({Code.AUTHFAIL, Code.AUTH2FAIL, Code.INVALID_AUTHHANDLE}),
        _MALFORMED | _CONTENTS,
        "structures inside the parameters are judged after the authorisation",
        spoiled=True,
    ),
    Difference(
        frozenset({Code.INVALID_KEYHANDLE}),
        frozenset({Code.INVALID_RESOURCE, Code.KEYNOTFOUND}),
        "Part 3 has one code for a handle that is no key's; swtpm has others for reserved handles",
        spoiled=True,
    ),
    Difference(
        frozenset({Code.BAD_KEY_PROPERTY}),
        frozenset({Code.AUTHFAIL}),
        "flags that no key can have are named as such before the digest shows that they are forged",
        frozenset({Ord.LOAD_KEY, Ord.LOAD_KEY2}),
        spoiled=True,
    ),
    _row(
        Ord.NV_WRITE_VALUE,
        Code.NOSPACE,
        Code.NOT_FULLWRITE,
        "writing past the end of DIR is told before writing less than all of it, as with any index",
    ),
    _row(
        Ord.CHANGE_AUTH,
        Code.INVALID_STRUCTURE,
        Code.SUCCESS,
        "a key said to be sealed data is refused; swtpm changes its secret all the same",
    ),
)


def reason(ordinal: int, ours: int, theirs: int, spoiled: bool = False) -> str:
    """Return why these answers to a command, malformed or not, may differ, or nothing."""
    return next((row.why for row in TABLE if row.covers(ordinal, ours, theirs, spoiled)), "")
