# SPDX-License-Identifier: GPL-3.0-or-later
"""Content-addressed steps: same inputs, no work; nothing half-made is ever believed."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from bootproof import process
from bootproof.build.steps import Step, Store, changed_keys, checked
from bootproof.errors import HostError

PROJECT = Path(__file__).parents[2]
HOUR = 3600


def writes(text: str) -> Any:
    def work(folder: Path, results: Mapping[str, Path]) -> list[str]:
        (folder / "result").write_text(
            text + "".join((path / "result").read_text() for path in results.values())
        )
        return []

    return work


def step(name: str = "one", text: str = "x", **inputs: Any) -> Step:
    return Step(name, name, {"text": text, **inputs}, writes(text))


def test_equal_inputs_have_one_id_whatever_their_order() -> None:
    assert (
        Step("n", "t", {"a": 1, "b": 2}, writes("")).id
        == Step("n", "other", {"b": 2, "a": 1}, writes("x")).id
    )
    ids = {
        Step("n", "t", {"a": 1}, writes("")).id,
        Step("n", "t", {"a": "1"}, writes("")).id,
        Step("m", "t", {"a": 1}, writes("")).id,
        Step("n", "t", {"a": 1}, writes(""), code=("steps",)).id,
        Step("n", "t", {"a": 1}, writes(""), needs={"one": step()}).id,
        Step("n", "t", {"a": 1}, writes(""), needs={"one": step(text="y")}).id,
    }
    assert len(ids) == 6


def test_work_is_done_once_and_its_needs_first(tmp_path: Path) -> None:
    below = step()
    above = Step("two", "two", {}, writes("y"), needs={"one": below})
    store = Store(tmp_path)
    assert checked(store.get(above), "result").read_text() == "yx"
    assert store.ran == ["one", "two"]
    again = Store(tmp_path)
    again.get(above)
    assert again.ran == []
    assert again.used == store.used == {"one": below.id, "two": above.id}


def test_a_miss_names_what_changed(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    first = Store(tmp_path)
    first.get(step(epoch=1, files={"a": "1", "b": "2"}))
    Store(tmp_path, previous=first.used).get(step(epoch=1, files={"a": "1", "b": "3", "c": "4"}))
    assert "(changed: files.b, files.c)" in capfd.readouterr().err
    Store(tmp_path, previous={"one": "0" * 64}).get(step(epoch=2))
    assert "changed" not in capfd.readouterr().err


def test_changed_keys() -> None:
    assert changed_keys({"a": {"x": 1, "y": [1]}, "b": 1}, {"a": {"x": 1, "y": [2]}, "c": None}) == [
        "a.y",
        "b",
    ]
    assert changed_keys({}, {}) == []


def test_work_that_fails_leaves_nothing(tmp_path: Path) -> None:
    def work(folder: Path, _: Mapping[str, Path]) -> list[str]:
        (folder / "result").write_text("half")
        raise KeyboardInterrupt

    broken = Step("one", "one", {}, work)
    with pytest.raises(KeyboardInterrupt):
        Store(tmp_path).get(broken)
    assert not Store(tmp_path).has(broken)
    assert list((tmp_path / "one").iterdir()) == []


CHILD = """
import sys, time
from pathlib import Path
from bootproof import process
from bootproof.build.steps import Step, Store
def work(folder, results):
    (folder / "result").write_text("half")
    Path(sys.argv[2]).open("a").write("started\\n")
    time.sleep(float(sys.argv[3]))
    (folder / "result").write_text("whole")
    return []
store = Store(Path(sys.argv[1]))
store.get(Step("one", "one", {}, work))
print(store.ran)
"""


def child(store: Path, log: Path, seconds: float) -> subprocess.Popen[str]:
    argv = [sys.executable, "-c", CHILD, str(store), str(log), str(seconds)]
    return subprocess.Popen(argv, cwd=PROJECT, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)


def wait_for(path: Path) -> None:
    limit = time.monotonic() + 20
    while not path.exists():
        assert time.monotonic() < limit
        time.sleep(0.01)


def test_killed_in_the_middle(tmp_path: Path) -> None:
    store, log = tmp_path / "store", tmp_path / "log"
    with child(store, log, 60) as killed:
        wait_for(log)
        killed.send_signal(signal.SIGKILL)
    same = Step("one", "one", {}, writes("whole"))
    left = sorted(path.name for path in (store / "one").iterdir())
    assert [name.rpartition(".")[2] for name in left] == ["lock", "partial"]
    other = Store(store)
    other.get(step("one", "another"))
    other.prune([])
    assert [path.name for path in (store / "one").iterdir()] == [step("one", "another").id]
    assert checked(Store(store).get(same), "result").read_text() == "whole"


def test_two_builds_at_once_do_the_work_once(tmp_path: Path) -> None:
    store, log = tmp_path / "store", tmp_path / "log"
    with child(store, log, 1.0) as first:
        wait_for(log)
        Store(store).prune([])  # neither sweeps away what somebody is at work on, nor waits for it
        assert list((store / "one").glob("[!.]*")) == []
        with child(store, log, 0) as second:
            outputs = [first.communicate(timeout=30)[0], second.communicate(timeout=30)[0]]
    assert sorted(outputs) == ["['one']\n", "[]\n"]
    assert log.read_text() == "started\n"
    (result,) = (store / "one").glob("*/result")
    assert result.read_text() == "whole"


@pytest.mark.parametrize("damage", ["changed", "removed", "record", "record is a list", "record gone"])
def test_a_damaged_result_is_removed_and_made_anew(tmp_path: Path, damage: str) -> None:
    folder = Store(tmp_path).get(step())
    if damage == "changed":
        (folder / "result").write_text("y")
    elif damage == "removed":
        (folder / "result").unlink()
    elif damage == "record gone":
        (folder / "step.json").unlink()
    else:
        (folder / "step.json").write_text("{" if damage == "record" else "[]")
    with pytest.raises(HostError, match="damaged and has been removed"):
        checked(folder, "result")
    again = Store(tmp_path)
    assert checked(again.get(step()), "result").read_text() == "x"
    assert again.ran == ["one"]


def test_a_folder_without_its_record_is_no_result(tmp_path: Path) -> None:
    folder = tmp_path / "one" / step().id
    folder.mkdir(parents=True)
    (folder / "left").write_text("over")
    assert sorted(path.name for path in Store(tmp_path).get(step()).iterdir()) == ["result", "step.json"]


def test_prune_keeps_what_is_referenced_young_or_recent(tmp_path: Path) -> None:
    made = {number: Store(tmp_path).get(step(text=str(number))) for number in range(6)}
    for number, folder in made.items():
        age = (10 - number) * HOUR
        os.utime(folder, (time.time() - age,) * 2)
    os.utime(
        made[1], (time.time() - HOUR / 2,) * 2
    )  # younger than an hour, and so one of the two most recent
    used = Store(tmp_path)
    used.get(step(text="2"))
    used.prune([made[0].name])
    kept = {number for number, folder in made.items() if folder.exists()}
    assert kept == {0, 1, 2, 5}


def test_young_results_survive_whatever_their_number(tmp_path: Path) -> None:
    made = [Store(tmp_path).get(step(text=str(number))) for number in range(5)]
    Store(tmp_path).prune([])
    assert all(folder.exists() for folder in made)


def test_a_use_makes_all_it_is_made_of_young(tmp_path: Path) -> None:
    below = step()
    above = Step("two", "two", {}, writes("y"), needs={"one": below})
    folders = [Store(tmp_path).get(each) for each in (below, above)]
    for folder in folders:
        os.utime(folder, (0, 0))
    Store(tmp_path).get(above)
    assert all(folder.stat().st_mtime > time.time() - HOUR for folder in folders)


def test_the_record_tells_inputs_and_results(tmp_path: Path) -> None:
    record = json.loads((Store(tmp_path).get(step(epoch=5)) / "step.json").read_text())
    assert record["inputs"]["inputs"] == {"text": "x", "epoch": 5}
    assert list(record["results"]) == ["result"]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can mount a small disk")
def test_a_disk_that_gets_full_in_the_middle(tmp_path: Path) -> None:
    def work(folder: Path, _: Mapping[str, Path]) -> list[str]:
        (folder / "result").write_bytes(bytes(1 << 20))
        return []

    process.run(["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", tmp_path])
    try:
        with pytest.raises(HostError, match="no space left on the disk of"):
            Store(tmp_path).get(Step("one", "one", {}, work))
        assert list((tmp_path / "one").iterdir()) == []
        assert checked(Store(tmp_path).get(step()), "result").read_text() == "x"
    finally:
        process.run(["umount", tmp_path])
