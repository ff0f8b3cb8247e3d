# SPDX-License-Identifier: GPL-3.0-or-later
"""The kernel's IMA measurement log, in its binary and its ascii form.

Sources: Linux, Documentation/security/IMA-templates.rst; the layout of a record is that of
ima_measurements_show() in security/integrity/ima/ima_fs.c. Numbers are little endian (on the machines Linux
calls little endian).
"""

from __future__ import annotations

from dataclasses import dataclass

from bootproof.measure import algorithms
from bootproof.measure.reader import LogError, Reader

__all__ = ["ImaEntry", "LogError", "parse", "parse_ascii", "template_data", "template_digest"]

_HASH_SIZE = 20
_LAST_PCR = 23
_LONGEST_NAME = 64
# The oldest template has no length fields: 20 bytes of SHA-1, then the name, hashed as if padded to this
# size.
_OLD = "ima"
_OLD_NAME_SIZE = 256
# Templates that begin with digest and name, and how many fields they have in all.
_FIELDS = {
    "ima-ng": 2,
    "ima-sig": 3,
    "ima-buf": 3,
    "ima-ngv2": 2,
    "ima-sigv2": 3,
    "ima-modsig": 5,
    "evm-sig": 9,
}


@dataclass(frozen=True, slots=True)
class ImaEntry:
    """One measurement, counted from 1. `fields` are the template's fields without their length prefixes:
    for ima-ng, ima-sig and ima-buf "algorithm:\\0digest", "path\\0", and a signature or the measured
    buffer."""

    number: int
    pcr: int
    template_hash: bytes
    template: str
    fields: tuple[bytes, ...]

    @property
    def digest_algorithm(self) -> str:
        """Hash algorithm of the file's digest; empty for templates we do not know."""
        if self.template == _OLD:
            return "sha1"
        if self.template not in _FIELDS:
            return ""
        return self.fields[0].partition(b":\0")[0].rpartition(b":")[2].decode("ascii", "replace")

    @property
    def digest(self) -> bytes:
        """Digest of the file or buffer; zeros in a violation, empty for templates we do not know."""
        if self.template == _OLD:
            return self.fields[0]
        return self.fields[0].partition(b":\0")[2] if self.template in _FIELDS else b""

    @property
    def path(self) -> str:
        """The file's path, or what was measured ("boot_aggregate", "kexec-cmdline"); odd bytes as
        surrogates.

        The kernel writes a space in a path as "_", so a path alone does not identify a file.
        """
        if self.template != _OLD and self.template not in _FIELDS:
            return ""
        return self.fields[1].rstrip(b"\0").decode("utf-8", "surrogateescape")

    @property
    def buffer(self) -> bytes:
        """What was measured, where the log holds it itself (template ima-buf), else empty."""
        return self.fields[2] if self.template == "ima-buf" else b""

    @property
    def is_violation(self) -> bool:
        """True if the file was open for writing while it was measured, or the other way round."""
        return not any(self.template_hash)

    @property
    def is_consistent(self) -> bool:
        """False if the stored template hash is not the hash of the stored fields, that is, the log was
        changed."""
        return self.is_violation or self.template_hash == algorithms.digest("sha1", template_data(self))


def parse(data: bytes) -> tuple[ImaEntry, ...]:
    """Read binary_runtime_measurements; damage is a `LogError` that names the offset.

    No bytes are no entries. Memory is proportional to the input.
    """
    reader = Reader(data)
    entries: list[ImaEntry] = []
    while reader.left:
        number = len(entries) + 1
        try:
            entries.append(_entry(reader, number))
        except LogError as error:
            raise LogError(error.offset, f"entry {number}: {error.what}") from None
    return tuple(entries)


def _entry(reader: Reader, number: int) -> ImaEntry:
    start = reader.offset
    pcr = reader.u32("PCR")
    if pcr > _LAST_PCR:
        raise LogError(start, f"PCR {pcr}, the last one is {_LAST_PCR}")
    template_hash = reader.take(_HASH_SIZE, "template hash")
    template = _template(reader)
    start = reader.offset
    if template == _OLD:
        fields: tuple[bytes, ...] = (reader.take(_HASH_SIZE, "digest"), reader.sized("path"))
    else:
        fields = _split(reader.sized("fields"), start + 4)
    entry = ImaEntry(number, pcr, template_hash, template, fields)
    fault = _fault(entry)
    if fault:
        raise LogError(start, fault)
    return entry


def _template(reader: Reader) -> str:
    start = reader.offset
    length = reader.u32("length of the template name")
    if not 0 < length <= _LONGEST_NAME:
        raise LogError(start, f"a template name of {length} bytes")
    try:
        return reader.take(length, "template name").decode("ascii")
    except UnicodeDecodeError:
        raise LogError(start + 4, "the template name is not ascii") from None


def _split(data: bytes, start: int) -> tuple[bytes, ...]:
    reader = Reader(data)
    fields: list[bytes] = []
    try:
        while reader.left:
            fields.append(reader.sized("a field"))
    except LogError as error:
        raise LogError(start + error.offset, error.what) from None
    return tuple(fields)


def _fault(entry: ImaEntry) -> str:
    """Return what is wrong with the fields of an entry, judged by its template; nothing if they fit."""
    if entry.template == _OLD:
        size = len(entry.fields[1])
        return f"a path of {size} bytes" if size >= _OLD_NAME_SIZE else ""
    wanted = _FIELDS.get(entry.template, len(entry.fields))
    if len(entry.fields) != wanted:
        return f"{len(entry.fields)} fields, {entry.template} has {wanted}"
    if entry.template in _FIELDS:
        digest = entry.digest
        if b":\0" not in entry.fields[0] or len(digest) != algorithms.SIZES.get(
            entry.digest_algorithm, len(digest)
        ):
            return f"no digest where one belongs: {entry.fields[0][:40]!r}"
    return ""


def parse_ascii(text: str) -> tuple[ImaEntry, ...]:
    """Read ascii_runtime_measurements (templates ima, ima-ng, ima-sig, ima-buf); a bad line is a `LogError`
    naming it."""
    lines = enumerate(text.split("\n"), 1)
    return tuple(_ascii_entry(line, number) for number, line in lines if line)


def _ascii_entry(line: str, number: int) -> ImaEntry:
    try:
        pcr, template_hash, template, *words = line.split(" ")
        entry = ImaEntry(
            number, int(pcr), bytes.fromhex(template_hash), template, _ascii_fields(template, words)
        )
    except (ValueError, IndexError) as error:
        raise LogError(number, f"no line of an IMA log ({error}): {line[:60]!r}", "line") from None
    if not 0 <= entry.pcr <= _LAST_PCR or len(entry.template_hash) != _HASH_SIZE:
        raise LogError(number, f"PCR or template hash out of range: {line[:60]!r}", "line")
    fault = _fault(entry)
    if fault:
        raise LogError(number, fault, "line")
    return entry


def _ascii_fields(template: str, words: list[str]) -> tuple[bytes, ...]:
    name = words[1].encode("utf-8", "surrogateescape")
    if template == _OLD:
        return bytes.fromhex(words[0]), name
    algorithm, _, value = words[0].rpartition(":")
    fields = (algorithm.encode() + b":\0" + bytes.fromhex(value), name + b"\0")
    if template in ("ima-sig", "ima-buf"):
        return *fields, bytes.fromhex(words[2] if len(words) > 2 else "")
    return fields


def template_data(entry: ImaEntry) -> bytes:
    """Return the bytes whose hash is extended."""
    if entry.template == _OLD:
        return entry.fields[0] + entry.fields[1].ljust(_OLD_NAME_SIZE, b"\0")
    return b"".join(len(field).to_bytes(4, "little") + field for field in entry.fields)


def template_digest(entry: ImaEntry, algorithm: str) -> bytes:
    """Return what the kernel extended into the bank of `algorithm`: all ones for a violation (Linux 5.8 and
    later; older kernels padded the SHA-1 digest for the other banks)."""
    if entry.is_violation:
        return b"\xff" * algorithms.size(algorithm)
    return algorithms.digest(algorithm, template_data(entry))
