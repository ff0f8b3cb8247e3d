# SPDX-License-Identifier: GPL-3.0-or-later
"""TPM_CreateMaintenanceArchive, TPM_LoadMaintenanceArchive, TPM_KillMaintenanceFeature, TPM_LoadManuMaintPub
and TPM_ReadManuMaintPub are optional (Part 3, 12), and neither swtpm nor we have them.
"""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.tpm.client import migration
from tests.tpm.client.constants import Code, Ord
from tests.tpm.client.prepared import OWNER_SECRET, Owned
from tests.tpm.client.tpm import refused
from tests.tpm.client.wire import u32

pytest_plugins = ("tests.tpm.client.fixtures",)

_CAP_ORD, _CAP_FLAG, _FLAG_PERMANENT = 1, 4, 0x108
_ALLOW_MAINTENANCE = 2 + 5  # where the flag is in TPM_PERMANENT_FLAGS
REPLAY = bytes(20)
COMMANDS: dict[Ord, Callable[[Owned], object]] = {
    Ord.CREATE_MAINTENANCE_ARCHIVE: lambda owned: migration.create_maintenance_archive(
        owned.tpm, OWNER_SECRET
    ),
    Ord.LOAD_MAINTENANCE_ARCHIVE: lambda owned: migration.load_maintenance_archive(
        owned.tpm, OWNER_SECRET, bytes(8)
    ),
    Ord.KILL_MAINTENANCE_FEATURE: lambda owned: migration.kill_maintenance_feature(owned.tpm, OWNER_SECRET),
    Ord.LOAD_MANU_MAINT_PUB: lambda owned: migration.load_manu_maint_pub(
        owned.tpm, REPLAY, owned.made.storage.public
    ),
    Ord.READ_MANU_MAINT_PUB: lambda owned: migration.read_manu_maint_pub(owned.tpm, REPLAY),
}


@pytest.mark.parametrize("ordinal", sorted(COMMANDS))
def test_the_maintenance_feature_is_not_there(both_owned: Owned, ordinal: Ord) -> None:
    assert both_owned.tpm.code(ordinal) == Code.BAD_ORDINAL
    code, answer = both_owned.tpm.raw(Ord.GET_CAPABILITY, u32(_CAP_ORD) + u32(4) + u32(ordinal))
    assert (code, answer) == (0, u32(1) + b"\0")


@pytest.mark.parametrize("ordinal", sorted(COMMANDS))
def test_not_even_for_the_owner(ours_owned: Owned, ordinal: Ord) -> None:
    with refused(Code.BAD_ORDINAL):
        COMMANDS[ordinal](ours_owned)


def test_the_flag_says_what_it_says_in_a_new_tpm(both_owned: Owned) -> None:
    body = u32(_CAP_FLAG) + u32(4) + u32(_FLAG_PERMANENT)
    code, answer = both_owned.tpm.raw(Ord.GET_CAPABILITY, body)
    assert code == 0
    assert answer[4 + _ALLOW_MAINTENANCE] == 1
