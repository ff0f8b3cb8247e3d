# SPDX-License-Identifier: GPL-3.0-or-later
"""opencryptoki's slot daemon with directories of its own, mounted over those that it has built in."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bootproof import process

_PATIENCE = 20.0
_CONFIGURATION = """version opencryptoki-3.1
slot 0
{
stdll = libpkcs11_tpm.so
}
"""
# By itself the token tries an empty password for the SRK; here it is the well-known secret.
_SRK = {"MODE": "TSS_SECRET_MODE_SHA1", "SECRET": "0" * 40}
_START = """set -e
chgrp pkcs11 "$1"/tokens "$1"/tokens/tpm
chmod 770 "$1"/tokens "$1"/tokens/tpm
mount --bind "$1"/tokens /var/lib/opencryptoki
mount --bind "$1"/etc /etc/opencryptoki
mount -t tmpfs tmpfs /dev/shm
mount -t tmpfs tmpfs /run
mkdir -p /run/lock/opencryptoki/tpm
chgrp -R pkcs11 /run/lock/opencryptoki
chmod -R 770 /run/lock/opencryptoki
exec pkcsslotd -f
"""


@contextmanager
def slot_daemon(place: Path) -> Iterator[tuple[str, ...]]:
    """Run the daemon with one slot, a TPM token kept in `place/tokens`; yield what to put before a command.

    Objects go to TOK_OBJ, which the daemon does not make. Daemon and commands share mounts and shared memory
    with each other and with nobody else.
    """
    (place / "tokens" / "tpm" / "TOK_OBJ").mkdir(parents=True, exist_ok=True)
    (place / "etc").mkdir(exist_ok=True)
    (place / "etc" / "opencryptoki.conf").write_text(_CONFIGURATION)
    private = ["unshare", "--mount", "--ipc", "--propagation", "private"]
    with (place / "slots.log").open("ab") as log:
        argv = [*private, "sh", "-c", _START, "slots", os.fspath(place)]
        with process.running(argv, stdout=log, stderr=log) as child:
            deadline = time.monotonic() + _PATIENCE
            while not Path(f"/proc/{child.pid}/root/run/pkcsslotd.socket").exists():
                assert child.poll() is None, (place / "slots.log").read_text()
                assert time.monotonic() < deadline, "pkcsslotd does not listen"
                time.sleep(0.01)
            secret = [f"OCK_SRK_{name}={value}" for name, value in _SRK.items()]
            yield (
                *("nsenter", "--target", str(child.pid), "--mount", "--ipc"),
                *("sh", "-c", 'cd "$0" && exec "$@"', os.fspath(place / "work"), "env", *secret),
            )
