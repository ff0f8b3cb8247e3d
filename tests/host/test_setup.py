# SPDX-License-Identifier: GPL-3.0-or-later
"""setup/install in a checkout of its own, with an apt-get that only writes down what it is told."""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
import time
from pathlib import Path

import pytest

SETUP = Path(__file__).parents[2] / "setup"
TOOLS = """
tools = [
    { name = "bash", package = "bash", verbs = ["build"], purpose = "" },
    { name = "no-such-tool", package = "one-package", verbs = ["build", "run"], purpose = "" },
    { name = "file", package = "two-package", path = "/no/such*/file", verbs = ["test"], purpose = "" },
    { name = "etc", package = "three-package", path = "/etc/pass*", verbs = ["test"], purpose = "" },
]
"""
FAKE_APT = """#!/bin/sh
echo "$DEBIAN_FRONTEND $@" >>"$(dirname "$0")/apt.log"
[ -e "$(dirname "$0")/broken" ] && echo "E: no such package" && exit 100
exit 0
"""

FAKE_SUDO = """#!/bin/sh
while [ "${1#-}" != "$1" ]; do shift; done
exec "$@"
"""


def _has_user_ids() -> bool:
    file, user = Path("/etc/subuid"), pwd.getpwuid(os.geteuid()).pw_name
    return file.exists() and any(line.startswith(f"{user}:") for line in file.read_text().splitlines())


pytestmark = pytest.mark.skipif(
    os.geteuid() != 0 and not _has_user_ids(), reason="setup/install would give this user ids for real"
)


class Checkout:
    def __init__(self, folder: Path) -> None:
        self.root, self.bin = folder / "check out", folder / "bin"
        (self.root / "setup").mkdir(parents=True)
        self.bin.mkdir()
        shutil.copy(SETUP / "install", self.root / "setup")
        self.lock = self.root / "setup" / "requirements.lock"
        self.lock.write_text("# nothing\n")
        self.tools("tools = []\n")
        for name, script in (("apt-get", FAKE_APT), ("sudo", FAKE_SUDO)):
            (self.bin / name).write_text(script)
            (self.bin / name).chmod(0o755)
        self.stamp = self.root / ".venv" / "setup-done"

    def tools(self, text: str) -> None:
        (self.root / "setup" / "host-packages.toml").write_text(text)

    def start(self, *verbs: str, path: str = "") -> subprocess.Popen[str]:
        environment = {
            "PATH": path or f"{self.bin}:/usr/bin:/bin",
            "HOME": str(self.root),
            "PIP_NO_INDEX": "1",
        }
        return subprocess.Popen(
            ["/bin/bash", self.root / "setup" / "install", *verbs], env=environment, cwd="/", text=True,
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )  # fmt: skip

    def install(self, *verbs: str, path: str = "") -> tuple[int, str]:
        child = self.start(*verbs, path=path)
        output, _ = child.communicate()
        return child.returncode, output

    def apt(self) -> list[str]:
        log = self.bin / "apt.log"
        return log.read_text().splitlines() if log.exists() else []

    def pretend_venv(self) -> None:
        """Put a current stamp there, for tests that are not about .venv."""
        (self.root / ".venv" / "bin").mkdir(parents=True)
        (self.root / ".venv" / "bin" / "python").symlink_to("/bin/true")
        script, part = (self.root / "setup" / "install").read_text(), self.root / "setup" / "functions"
        part.write_text(script.partition("\nfor verb")[0] + '\nwanted_stamp >"$stamp"\n')
        subprocess.run(["/bin/bash", part], check=True)


@pytest.fixture
def checkout(tmp_path: Path) -> Checkout:
    return Checkout(tmp_path)


def test_venv_is_made_once_and_again_when_the_lock_changes(checkout: Checkout) -> None:
    assert checkout.install() == (0, "setup: making .venv from setup/requirements.lock\n")
    assert (checkout.root / ".venv" / "bin" / "pip").exists()
    started = time.monotonic()
    assert checkout.install() == (0, "")
    assert time.monotonic() - started < 2
    stray = checkout.root / ".venv" / "stray"
    stray.touch()
    checkout.lock.write_text("# changed\n")
    first, second = checkout.start(), checkout.start()
    outputs = [child.communicate()[0] for child in (first, second)]
    assert sorted(output.count("making .venv") for output in outputs) == [0, 1]
    assert any("waiting for another" in output for output in outputs)
    assert not stray.exists()
    assert checkout.install() == (0, "")


def test_a_killed_run_is_not_believed(checkout: Checkout) -> None:
    child = checkout.start()
    while not (checkout.root / ".venv").exists():
        time.sleep(0.01)
    child.kill()
    child.communicate()
    assert not checkout.stamp.exists()
    checkout.lock.write_text("no-such-package==1 --hash=sha256:" + "0" * 64 + "\n")
    status, output = checkout.install()
    assert status == 10
    assert "pip could not install setup/requirements.lock; is there a network?" in output
    assert not checkout.stamp.exists()


def test_only_what_is_missing_for_the_verbs_is_installed(checkout: Checkout) -> None:
    checkout.pretend_venv()
    checkout.tools(TOOLS)
    status, output = checkout.install("run")
    assert (status, output) == (0, "setup: installing Debian packages: one-package\n")
    update, install = checkout.apt()
    assert update.startswith("noninteractive ")
    assert update.endswith(" update")
    assert install.endswith(" install --no-install-recommends one-package")
    assert " -y " in install
    assert checkout.install() == (0, "setup: installing Debian packages: one-package two-package\n")


def test_nothing_missing_asks_nothing_of_apt(checkout: Checkout) -> None:
    checkout.pretend_venv()
    checkout.tools(
        TOOLS.replace("no-such-tool", "sh").replace("/no/such*", "/etc/../etc*").replace("/file", "/passwd")
    )
    assert checkout.install() == (0, "")
    assert checkout.apt() == []


def test_apt_that_fails_shows_why_and_what_to_try(checkout: Checkout) -> None:
    checkout.pretend_venv()
    checkout.tools(TOOLS)
    (checkout.bin / "broken").touch()
    status, output = checkout.install("build")
    assert status == 10
    assert "    E: no such package\n" in output
    assert output.endswith("try: apt-get install --no-install-recommends one-package\n")


def test_another_system_gets_one_clear_line(checkout: Checkout, tmp_path: Path) -> None:
    checkout.pretend_venv()
    checkout.tools(TOOLS)
    few = tmp_path / "few"
    few.mkdir()
    for name in ("readlink", "dirname", "sort", "sha256sum", "flock", "grep", "id", "bash"):
        (few / name).symlink_to(f"/usr/bin/{name}")
    status, output = checkout.install("build", path=str(few))
    expected = (
        "setup: this is not Debian; install what these Debian packages hold by other means: one-package\n"
    )
    assert (status, output) == (10, expected)


def test_an_unknown_verb_is_refused(checkout: Checkout) -> None:
    known = "build, run, smoke, verify-reproducible, test, bench"
    assert checkout.install("bild") == (2, f"setup: bild is not one of {known}\n")


def test_the_real_list_is_read_line_by_line(checkout: Checkout) -> None:
    checkout.pretend_venv()
    text = (SETUP / "host-packages.toml").read_text()
    lines = [line for line in text.splitlines() if line.startswith("    {") and '["bench"]' not in line]
    packages = sorted({line.split('"')[3] for line in lines})
    absent = text.replace('name = "', 'name = "no-').replace('path = "', 'path = "/no')
    checkout.tools(absent)
    assert checkout.install()[1] == f"setup: installing Debian packages: {' '.join(packages)}\n"
