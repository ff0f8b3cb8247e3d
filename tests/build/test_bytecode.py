# SPDX-License-Identifier: GPL-3.0-or-later
"""Modules are compiled by another Python than ours; here that of this machine stands for the image's."""

import importlib.util
import marshal
import sys
import tarfile
from pathlib import Path

import pytest

from bootproof.build.bytecode import compile_command, compile_library, compile_modules, extract_python
from bootproof.errors import HostError

HOST = Path("/usr")


def host_tree(target: Path) -> Path:
    """Pack this machine's own Debian Python the way mmdebstrap packs a tree."""
    version = next(path.name for path in sorted((HOST / "bin").glob("python3.*")) if path.name[9:].isdigit())
    libraries = HOST / "lib/x86_64-linux-gnu"
    wanted = [HOST / "bin" / version, libraries / "ld-linux-x86-64.so.2"]
    wanted += [
        path for name in ("libc", "libm", "libz", "libexpat") for path in libraries.glob(f"{name}.so*")
    ]
    with tarfile.open(target, "w") as archive:
        for path in wanted:
            archive.add(path.resolve() if path.is_symlink() else path, f".{path}")
        archive.add(HOST / "lib" / version, f"./usr/lib/{version}", filter=_small)
        archive.add("/etc/hostname", "./etc/hostname")
    return target


def _small(info: tarfile.TarInfo) -> tarfile.TarInfo | None:
    return None if any(part in info.name for part in ("/test", "__pycache__", "/config-")) else info


@pytest.fixture(scope="module")
def python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("python")
    extract_python(host_tree(folder / "tree.tar"), folder / "python.tar")
    return folder / "python.tar"


def test_only_what_python_needs_is_taken(python: Path) -> None:
    with tarfile.open(python) as archive:
        names = archive.getnames()
    assert any(name.endswith("/os.py") for name in names)
    assert "./etc/hostname" not in names


def test_modules_are_compiled_as_they_stand_in_the_image(python: Path) -> None:
    compiled = compile_modules(
        python, {"usr/local/lib/x/first.py": b"ANSWER = 42\n", "usr/local/lib/x/no.txt": b"-"}
    )
    assert len(compiled) == 1
    (path, data), *_ = compiled.items()
    assert path.startswith("usr/local/lib/x/__pycache__/first.cpython-3")
    if data[:4] == importlib.util.MAGIC_NUMBER:
        assert marshal.loads(data[16:]).co_filename == "/usr/local/lib/x/first.py"
    assert int.from_bytes(data[4:8], "little") == 1, "unchecked hash: no time stamp, no look at the source"


def test_compiling_twice_gives_the_same_bytes(python: Path) -> None:
    own = {f"bootproof/{path.name}": path.read_bytes() for path in Path("bootproof/measure").glob("*.py")}
    assert compile_modules(python, own) == compile_modules(python, dict(reversed(own.items())))


def test_module_with_a_syntax_error_is_an_error_that_names_it(python: Path) -> None:
    with pytest.raises(HostError, match=r"wrong\.py"):
        compile_modules(python, {"usr/wrong.py": b"def ("})


def test_tree_without_python_says_so(tmp_path: Path) -> None:
    (tmp_path / "ld-linux-x86-64.so.2").write_bytes(b"")
    with tarfile.open(tmp_path / "python.tar", "w") as archive:
        archive.add(tmp_path / "ld-linux-x86-64.so.2", "./usr/lib/x86_64-linux-gnu/ld-linux-x86-64.so.2")
    with pytest.raises(HostError, match="no Python"):
        compile_modules(tmp_path / "python.tar", {"a.py": b""})


@pytest.mark.qemu
def test_library_is_compiled_whole(python: Path, tmp_path: Path) -> None:
    count = compile_library(python, tmp_path / "bytecode.tar")
    with tarfile.open(tmp_path / "bytecode.tar") as archive:
        members = archive.getmembers()
        content = [file.read() for member in members if (file := archive.extractfile(member))]
    assert count > 300
    assert {int.from_bytes(data[4:8], "little") for data in content} == {1}, "unchecked hashes"
    assert not any(b"bootproof-python-" in data for data in content), "paths of this machine"
    assert len([member for member in members if member.isfile()]) == count
    assert {(member.uid, member.mtime) for member in members} == {(0, 0)}


def test_command() -> None:
    command = compile_command(
        Path("/r/ld.so"), Path("/r/lib"), Path("/r/python3.13"), Path("/w"), "/usr/lib"
    )
    assert command[:4] == ["/r/ld.so", "--library-path", "/r/lib", "/r/python3.13"]
    assert command[command.index("--invalidation-mode") + 1] == "unchecked-hash"
    assert command[-5:] == ["-s", "/w", "-p", "/usr/lib", "/w"]
    assert sys.executable not in command
