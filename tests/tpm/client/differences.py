# SPDX-License-Identifier: GPL-3.0-or-later
"""Where our TPM answers otherwise than swtpm on purpose: one table for all tests that compare the two.

`UNAVAILABLE` stands for all codes that say that the TPM does not answer this command now. Sections are those
of Part 3 of the TPM Main Specification 1.2, revision 116; swtpm is 0.7.1.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from bootproof.tpm.call import AUTH_IN_SIZE
from bootproof.tpm.codes import TpmError
from bootproof.tpm.commands.table import COMMANDS
from bootproof.tpm.wire import Reader
from tests.tpm.client.constants import HANDLES, Code, Ord, Tag

UNAVAILABLE = frozenset(
    {Code.DISABLED, Code.DEACTIVATED, Code.FAILEDSELFTEST, Code.INVALID_POSTINIT, Code.NOSRK}
)
_HEADER = 10
_RESERVED_HANDLES = range(0x40000001, 0x40000007)
_DIR = bytes.fromhex("10000001")


@dataclass(frozen=True)
class Difference:
    """`ordinals` (all if empty): ours answers one of `ours` where swtpm answers one of `theirs`; only to
    malformed commands if `spoiled`, only to those that `about` picks if it is given.
    """

    ours: frozenset[Code]
    theirs: frozenset[Code]
    why: str
    ordinals: frozenset[Ord] = frozenset()
    spoiled: bool = False
    about: Callable[[bytes], bool] | None = None

    def covers(self, request: bytes, ours: int, theirs: int, spoiled: bool) -> bool:
        if (self.ordinals and _ordinal(request) not in self.ordinals) or (self.spoiled and not spoiled):
            return False
        if self.about is not None and not self.about(request):
            return False
        return ours in self.ours and theirs in self.theirs


def _ordinal(request: bytes) -> int:
    return int.from_bytes(request[6:_HEADER])


def _authorisations_are_elsewhere(request: bytes) -> bool:
    """Whether a command's parameters are so malformed that parts of its authorisations, or of random keys,
    stand where other fields should be.
    """
    command, reader = COMMANDS.get(_ordinal(request)), Reader(request[_HEADER:])
    count = int.from_bytes(request[:2]) - Tag.COMMAND
    if command is None or count not in (1, 2):
        return False
    try:
        command.parameters.read(reader)
    except TpmError:
        return True
    return len(request) != _HEADER + reader.at + count * AUTH_IN_SIZE


def _has_reserved_handle(request: bytes) -> bool:
    """Whether one of its handles is that of something else than a key."""
    if _ordinal(request) == Ord.OSAP:
        return int.from_bytes(request[_HEADER + 2 : _HEADER + 6]) in _RESERVED_HANDLES
    count = HANDLES.get(_ordinal(request), (0, 0))[0]
    starts = range(_HEADER, _HEADER + 4 * count, 4)
    return any(int.from_bytes(request[at : at + 4]) in _RESERVED_HANDLES for at in starts)


def _binds_to_no_locality(request: bytes) -> bool:
    """Whether pcrInfoWrite of an area to define, with three bytes of PCRs in both bindings, names none."""
    return request[_HEADER + 37] == 0


def _is_about_dir(request: bytes) -> bool:
    return request[_HEADER : _HEADER + 4] == _DIR


def _differ(
    ordinals: set[Ord],
    ours: set[Code],
    theirs: set[Code],
    why: str,
    *,
    spoiled: bool = False,
    about: Callable[[bytes], bool] | None = None,
) -> Difference:
    return Difference(frozenset(ours), frozenset(theirs), why, frozenset(ordinals), spoiled, about)


_LOADED_BLOBS = {Ord.LOAD_CONTEXT, Ord.LOAD_KEY_CONTEXT, Ord.LOAD_AUTH_CONTEXT}
_LOADS = {Ord.LOAD_KEY, Ord.LOAD_KEY2}
_UNREADABLE = frozenset(
    {
        Code.BAD_PARAM_SIZE,
        Code.SIZE,
        Code.BAD_PARAMETER,
        Code.BAD_VERSION,
        Code.BAD_KEY_PROPERTY,
        Code.INVALID_PCR_INFO,
        Code.INVALID_STRUCTURE,
    }
)

TABLE = (
    Difference(
        UNAVAILABLE,
        frozenset({Code.BAD_PARAM_SIZE}),
        "the parameters of a command are looked at when the TPM may answer it, not before",
        spoiled=True,
    ),
    Difference(
        UNAVAILABLE,
        frozenset({Code.SIZE, Code.INVALID_STRUCTURE}),
        "the blob inside is opened when the TPM may answer the command, not before",
        frozenset({*_LOADED_BLOBS, Ord.DELEGATE_LOAD_OWNER_DELEGATION}),
    ),
    _differ(
        _LOADED_BLOBS,
        {Code.BADCONTEXT, Code.BADTAG, Code.BAD_PARAM_SIZE},
        {Code.SIZE},
        "what was not saved here is no context; swtpm takes the blob apart before it looks at the tag",
    ),
    _differ(
        {Ord.DELEGATE_LOAD_OWNER_DELEGATION},
        {Code.BADTAG, Code.BAD_PARAM_SIZE},
        {Code.INVALID_STRUCTURE},
        "the blob inside is opened after tag, size and authorisation are right (19.4, 3)",
        spoiled=True,
    ),
    _differ(
        {Ord.STARTUP},
        {Code.SUCCESS, Code.BAD_PARAMETER},
        {Code.INVALID_POSTINIT},
        "a start-up of an unknown type changes nothing, so that a right one may follow",
    ),
    _differ(
        {Ord.SET_ORDINAL_AUDIT_STATUS},
        {Code.BADINDEX},
        {Code.BAD_PARAMETER},
        "8.5, 2, names this code for an ordinal that does not exist",
    ),
    _differ(
        {Ord.NV_DEFINE_SPACE},
        {Code.SUCCESS, Code.BAD_PARAM_SIZE},
        {Code.PER_NOWRITE},
        "localities that may write are those of pcrInfoWrite (20.1, 8), where swtpm looks into pcrInfoRead",
    ),
    _differ(
        {Ord.NV_DEFINE_SPACE},
        {Code.SUCCESS, Code.AUTH_CONFLICT, Code.PER_NOWRITE, Code.BAD_PARAM_SIZE},
        {Code.FAIL},
        "an area that is defined anew and does not fit is refused; swtpm fails until the next power-on",
    ),
    _differ(
        {Ord.NV_DEFINE_SPACE},
        {Code.SUCCESS, Code.AUTHFAIL},
        {Code.INVALID_STRUCTURE},
        "bindings are looked at after the authorisation, and not at all to remove an area (20.1, 4 to 8)",
        about=_binds_to_no_locality,
    ),
    _differ(
        {Ord.NV_READ_VALUE},
        {Code.AUTH_CONFLICT},
        {Code.SUCCESS, Code.NOSPACE},
        "DIR is for everyone to read, and an owner's authorisation conflicts as for any index (20.4, 4)",
        about=_is_about_dir,
    ),
    _differ(
        {Ord.NV_WRITE_VALUE},
        {Code.NOSPACE},
        {Code.NOT_FULLWRITE},
        "writing past the end of DIR is told before writing less than all of it (20.2, 15)",
        about=_is_about_dir,
    ),
    _differ(
        {Ord.CHANGE_AUTH},
        {Code.INVALID_STRUCTURE},
        {Code.SUCCESS, Code.AUTH2FAIL},
        "a key said to be sealed data has the wrong payload (17.1, 10); swtpm changes its secret",
    ),
    _differ(
        {Ord.UNSEAL},
        {Code.BAD_LOCALITY},
        {Code.WRONGPCRVAL},
        "the locality is checked before the PCRs (10.2, 7)",
    ),
    _differ(
        {Ord.UNSEAL},
        {Code.NOTSEALED_BLOB},
        {Code.INVALID_PCR_INFO, Code.INVALID_STRUCTURE, Code.BAD_PARAM_SIZE},
        "a changed binding is found by its digest before it is taken apart (10.2, 6 and 7)",
        spoiled=True,
    ),
    _differ(
        {Ord.GET_PUB_KEY},
        {Code.AUTHFAIL, Code.INVALID_AUTHHANDLE},
        {Code.WRONGPCRVAL},
        "the authorisation is checked before the PCRs (10.6, 1 to 4)",
    ),
    _differ(
        {Ord.CERTIFY_KEY, Ord.CERTIFY_KEY2},
        {Code.AUTHFAIL, Code.AUTH2FAIL, Code.BAD_KEY_PROPERTY, Code.MIGRATEFAIL, Code.INVALID_KEYUSAGE},
        {Code.WRONGPCRVAL},
        "the PCRs of the key to be certified come after authorisations and uses (13.8, 9; 13.9, 13)",
    ),
    _differ(
        {Ord.CERTIFY_KEY, Ord.CERTIFY_KEY2},
        {Code.SUCCESS},
        {Code.WRONGPCRVAL},
        "a key with pcrIgnoredOnRead is certified whatever the PCRs are (13.8, 9.a; 13.9, 13)",
    ),
    Difference(
        frozenset({Code.INVALID_KEYHANDLE}),
        frozenset({Code.INVALID_RESOURCE, Code.KEYNOTFOUND}),
        "there is one code for a handle that is no key's; swtpm has others for reserved handles",
        spoiled=True,
        about=_has_reserved_handle,
    ),
    _differ(
        _LOADS,
        {Code.BAD_KEY_PROPERTY},
        {Code.AUTHFAIL},
        "an authDataUsage that there is not is named as such before the digest shows that it is forged",
        spoiled=True,
    ),
    _differ(
        {*_LOADS, Ord.AUTHORIZE_MIGRATION_KEY},
        {Code.BADTAG, Code.AUTHFAIL},
        {Code.BAD_KEY_PROPERTY},
        "whether there is such an algorithm is asked when the key is looked at (10.5, 3; 11.3, 1)",
        spoiled=True,
    ),
    _differ(
        _LOADS,
        {Code.AUTHFAIL},
        {Code.BAD_PARAMETER},
        "a changed modulus is found by its digest (10.5, 7); swtpm divides it by the prime before",
        spoiled=True,
    ),
    Difference(
        _UNREADABLE,
        _UNREADABLE,
        "chance decides what stands where a field should be",
        spoiled=True,
        about=_authorisations_are_elsewhere,
    ),
)


def reason(request: bytes, ours: int, theirs: int, spoiled: bool = False) -> str:
    """Return why these answers to a command, malformed or not, may differ, or nothing."""
    return next((row.why for row in TABLE if row.covers(request, ours, theirs, spoiled)), "")
