# SPDX-License-Identifier: GPL-3.0-or-later
"""Takes the Linux kernel out of an ISO image, to try an accelerator with it."""

from __future__ import annotations

import io
import struct
from pathlib import Path

from bootproof.errors import BootproofError

_NAMES = ("vmlinuz", "bzimage", "linux")
_LARGEST = 64 << 20


def is_linux(image: bytes) -> bool:
    """Tell whether `image` starts as an x86 Linux kernel does (Linux boot protocol: 'HdrS' at 0x202)."""
    return image[0x202:0x206] == b"HdrS" and image[0x1FE:0x200] == b"\x55\xaa"


def read_kernel(iso: Path) -> bytes:
    """Return the first Linux kernel found in `iso`; `BootproofError` if it is no ISO image or holds none."""
    import pycdlib
    from pycdlib.pycdlibexception import PyCdlibException

    image = pycdlib.PyCdlib()
    try:
        image.open(str(iso))
    except (PyCdlibException, OSError, struct.error) as error:
        raise BootproofError(
            f"{iso} cannot be read as an ISO image: {error}", "name an ISO file or a recipe"
        ) from None
    try:
        facade = image.get_rock_ridge_facade() if image.has_rock_ridge() else image.get_iso9660_facade()
        for folder, _, files in facade.walk("/"):
            for name in sorted(files):
                if not name.lower().startswith(_NAMES):
                    continue
                content = io.BytesIO()
                record = facade.get_record(f"{folder.rstrip('/')}/{name}")
                if record.is_symlink() or record.get_data_length() > _LARGEST:
                    continue
                facade.get_file_from_iso_fp(content, f"{folder.rstrip('/')}/{name}")
                if is_linux(content.getvalue()):
                    return content.getvalue()
    except (PyCdlibException, OSError, struct.error) as error:
        raise BootproofError(f"{iso} is damaged: {error}", "build it again") from None
    finally:
        image.close()
    raise BootproofError(f"{iso} holds no Linux kernel", "name the ISO of a live system")
