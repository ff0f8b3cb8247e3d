# SPDX-License-Identifier: GPL-3.0-or-later
"""Our hash trees against veritysetup(8)."""

from __future__ import annotations

import random
import re
import shutil
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bootproof import process
from bootproof.build import verity
from bootproof.build.files import sha256_of
from bootproof.build.verity import BLOCK, Verity

needs_veritysetup = pytest.mark.skipif(
    shutil.which("veritysetup", path=process.environment()["PATH"]) is None,
    reason="cryptsetup-bin is not installed",
)
OPTIONS: list[str] = [
    "--no-superblock",
    "--salt=-",
    "--hash=sha256",
    f"--data-block-size={BLOCK}",
    f"--hash-block-size={BLOCK}",
]


def image(path: Path, size: int) -> Path:
    block = random.Random(size).randbytes(BLOCK - 8)
    path.write_bytes(b"".join(number.to_bytes(8) + block for number in range(-(-size // BLOCK)))[:size])
    return path


@needs_veritysetup
@pytest.mark.parametrize("blocks", [1, 2, 127, 128, 129, 128 * 128, 128 * 128 + 1])
def test_the_tree_is_the_one_that_veritysetup_makes(tmp_path: Path, blocks: int) -> None:
    ours = image(tmp_path / "ours", blocks * BLOCK)
    theirs = tmp_path / "theirs"
    shutil.copyfile(ours, theirs)
    made = verity.append(ours)
    said = process.run(
        [
            "veritysetup",
            "format",
            theirs,
            theirs,
            *OPTIONS,
            f"--data-blocks={blocks}",
            f"--hash-offset={blocks * BLOCK}",
        ]
    ).stdout.decode()
    root = re.search(r"Root hash:\s*([0-9a-f]{64})", said)
    assert root and made == Verity(blocks, root[1])
    assert sha256_of(ours) == sha256_of(theirs)


@needs_veritysetup
def test_a_changed_byte_is_found(tmp_path: Path) -> None:
    ours = image(tmp_path / "ours", 300 * BLOCK)
    made = verity.append(ours)
    verify: list[str | Path] = [
        "veritysetup",
        "verify",
        ours,
        ours,
        made.root_hash,
        *OPTIONS,
        "--data-blocks=300",
        f"--hash-offset={300 * BLOCK}",
    ]
    assert process.run(verify, check=False).returncode == 0
    with ours.open("r+b") as stream:
        stream.seek(200 * BLOCK)
        stream.write(b"changed")
    assert process.run(verify, check=False).returncode != 0


@given(st.integers(1, 5 * BLOCK))
def test_images_are_padded_to_blocks(tmp_path_factory: pytest.TempPathFactory, size: int) -> None:
    folder = tmp_path_factory.mktemp("verity")
    path = image(folder / "image", size)
    before = path.read_bytes()
    made = verity.append(path)
    after = path.read_bytes()
    assert made.blocks == -(-size // BLOCK)
    assert after.startswith(before) and not any(after[size : made.blocks * BLOCK])
    assert len(after) == (made.blocks + (1 if made.blocks > 1 else 0)) * BLOCK


def test_save_and_load(tmp_path: Path) -> None:
    made = Verity(7, "ab" * 32)
    made.save(tmp_path / "x")
    assert verity.load(tmp_path / "x") == made
