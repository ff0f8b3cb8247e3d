# SPDX-License-Identifier: GPL-3.0-or-later
"""The product tree: overlays, templates, and our own code as far as it works inside the appliance."""

from __future__ import annotations

import ast
import os
import stat
import sys
import tarfile
from pathlib import Path

import pytest

from bootproof.build import product
from bootproof.build.product import File
from bootproof.errors import BootproofError

PROJECT = Path(__file__).parents[2]
PACKAGE = PROJECT / "bootproof"
# What Debian's packages bring into the appliance besides Python's own library
APPLIANCE_LIBRARIES = {"typer", "rich"}
# minimal has no python3-cryptography: only these may want it, and only when they are used
USES_RSA = (
    "bootproof.tpm.crypto.rsa",
    "bootproof.tpm.crypto.symmetric",
    "bootproof.tpm.persistence.encryption",
)


class Overlays:
    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def write(self, path: str, text: str | bytes = "", mode: int = 0o644) -> Path:
        file = self.folder / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(text.encode() if isinstance(text, str) else text)
        file.chmod(mode)
        return file

    def collect(self, *names: str, **values: object) -> dict[str, File]:
        files = product.collect(PACKAGE, self.folder, names, values)
        return {
            path: file for path, file in files.items() if not path.startswith("usr/local/lib/bootproof/")
        }

    def fault(self, *names: str, **values: object) -> str:
        with pytest.raises(BootproofError) as caught:
            self.collect(*names, **values)
        assert "\n" not in str(caught.value)
        return str(caught.value)


@pytest.fixture
def overlays(tmp_path: Path) -> Overlays:
    return Overlays(tmp_path)


def test_later_overlays_replace_files_of_earlier_ones(overlays: Overlays) -> None:
    overlays.write("one/etc/x", "1")
    overlays.write("one/etc/y", "1")
    overlays.write("two/etc/x", "2")
    found = overlays.collect("one", "two")
    assert (found["etc/x"].data, found["etc/y"].data) == (b"2", b"1")
    assert overlays.collect("two", "one")["etc/x"].data == b"1"


def test_of_the_mode_only_the_executable_bit_is_kept(overlays: Overlays) -> None:
    overlays.write("one/etc/plain", mode=0o600)
    overlays.write("one/opt/program", mode=0o700)
    overlays.write("one/opt/template.j2", mode=0o700)
    found = overlays.collect("one")
    assert {path: file.mode for path, file in found.items()} == {
        "etc/plain": 0o644, "opt/program": 0o755, "opt/template": 0o755,
    }  # fmt: skip


def test_symlinks_stay_links_even_to_folders_and_nowhere(overlays: Overlays) -> None:
    folder = overlays.write("one/etc/x").parent
    (folder / "nowhere").symlink_to("/dev/null")
    (folder / "folder").symlink_to("../etc")
    found = overlays.collect("one")
    assert (found["etc/nowhere"].target, found["etc/folder"].target) == ("/dev/null", "../etc")


def test_templates_are_rendered(overlays: Overlays) -> None:
    overlays.write("one/etc/x.j2", "{% for m in blacklist %}\nblacklist {{ m }}\n{% endfor %}\nend\n")
    assert overlays.collect("one", blacklist=("a", "b"))["etc/x"].data == b"blacklist a\nblacklist b\nend\n"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a\n{{ x", "line 2: TemplateSyntaxError"),
        ("{{ unknown }}", "UndefinedError: 'unknown' is undefined"),
        ("{{ 1 / 0 }}", "ZeroDivisionError"),
        (b"\xff\xfe", "UnicodeDecodeError"),
        ("{% include 'other' %}", "TypeError"),
    ],
)
def test_a_template_that_fails_is_named(overlays: Overlays, text: str | bytes, said: str) -> None:
    path = overlays.write("one/etc/x.j2", text)
    assert overlays.fault("one").startswith(str(path))
    assert said in overlays.fault("one")


def test_all_files_that_an_overlay_cannot_have_are_reported_at_once(overlays: Overlays) -> None:
    overlays.write("one/usr/bin/x")
    overlays.write("one/lib/y.j2", "{{ unknown }}")
    overlays.write("two/usr/localx")
    os.mkfifo(overlays.write("two/etc/ok").parent / "fifo")
    (Path(os.fsdecode(bytes(overlays.folder) + b"/two/etc/\xff"))).touch()
    said = overlays.fault("one", "two")
    for part in (
        "usr/bin/x: the base layer would hide it",
        "lib/y.j2: the base",
        "usr/localx",
        "fifo: neither",
    ):
        assert part in said
    assert "not printable UTF-8" in said


def test_a_file_cannot_be_a_folder_too(overlays: Overlays) -> None:
    overlays.write("one/etc/x", "file")
    overlays.write("two/etc/x/y", "below")
    assert overlays.fault("one", "two").startswith("etc/x: one overlay has it as a file")


def test_a_digest_for_each_file(overlays: Overlays) -> None:
    digests = product.digest({
        "a": File(0o644, b"x"), "b": File(0o755, b"x"), "c": File(0o644, b"y"), "d": File(0o644, b"", "x"),
    })  # fmt: skip
    assert len(set(digests.values())) == 4


def test_the_tar_is_the_same_whatever_the_order_and_belongs_to_root(tmp_path: Path) -> None:
    files = {"etc/x": File(0o644, b"x"), "root/y": File(0o755, b"y"), "opt/l": File(0o644, b"", "target")}
    product.write(files, tmp_path / "1", 1000)
    product.write(dict(reversed(files.items())), tmp_path / "2", 1000)
    assert (tmp_path / "1").read_bytes() == (tmp_path / "2").read_bytes()
    with tarfile.open(tmp_path / "1") as archive:
        members = {member.name.removeprefix("./"): member for member in archive}
    assert all((each.uid, each.gid, each.mtime) == (0, 0, 1000) for each in members.values())
    assert (members["root"].mode, members["root/y"].mode, members["opt/l"].linkname) == (
        0o700,
        0o755,
        "target",
    )
    assert members["usr/local"].isdir() and members["usr"].isdir()
    names = list(members)
    assert all(names.index(path.rpartition("/")[0]) < at for at, path in enumerate(names) if "/" in path)


def test_the_real_overlays_and_code_go_in() -> None:
    values = {
        "name": "x", "description": "x", "suite": "trixie", "version": "1", "ima_policy": "exec",
        "blacklist": ("kvm",),
    }  # fmt: skip
    names = sorted(path.name for path in (PROJECT / "overlays").iterdir() if path.is_dir())
    found = product.collect(PACKAGE, PROJECT / "overlays", names, values)
    assert "usr/local/lib/bootproof/bootproof/cli/appliance.py" in found
    assert stat.S_IXUSR & found["usr/local/bin/bootproof"].mode
    assert not [path for path in found if "__pycache__" in path]


def installed() -> dict[str, Path]:
    """Return the modules that go into the appliance, by name."""
    paths = [path for part in product._code(PACKAGE) for path in [part]]
    names = {
        path: ".".join(path.relative_to(PROJECT).with_suffix("").parts).removesuffix(".__init__")
        for path in paths
    }
    return {name: path for path, name in names.items()}


def imports(path: Path, name: str) -> set[str]:
    """Return the modules that a file imports anywhere, inside functions too; not those for type checkers
    only.
    """
    found: set[str] = set()
    skipped: set[ast.AST] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            skipped |= {inner for statement in node.body for inner in ast.walk(statement)}
        if node in skipped:
            continue
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0 and node.module
            ours = node.module.startswith("bootproof")
            found |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names if ours)}
    return found


def exists(module: str) -> bool:
    path = PROJECT / module.replace(".", "/")
    return path.with_suffix(".py").is_file() or (path / "__init__.py").is_file()


def test_what_the_appliance_runs_is_installed_and_needs_no_more_than_debian_has() -> None:
    parts = installed()
    reached = ["bootproof.cli.appliance", "bootproof.tpm.__main__"]
    reached = [name for name in reached if name in parts]
    assert "bootproof.cli.appliance" in reached
    for name in reached:
        for used in imports(parts[name], name):
            if used.startswith("bootproof") and exists(used) and used not in reached:
                assert used in parts, f"{name} imports {used}, which is not in product.APPLIANCE_PARTS"
                reached.append(used)
    assert len(reached) > 10


def test_all_that_is_installed_needs_only_what_base_installs() -> None:
    parts = installed()
    for name, path in parts.items():
        for used in imports(path, name):
            top = used.partition(".")[0]
            known = top in sys.stdlib_module_names or top in APPLIANCE_LIBRARIES or name in USES_RSA
            assert known or (top == "bootproof" and (used in parts or not exists(used))), (
                f"{name} imports {used}"
            )
