# SPDX-License-Identifier: GPL-3.0-or-later
"""Declared structures: fields with a codec each, from which reading and writing derive. All numbers are big
endian.

    @structure
    class PcrReadIn(Structure):
        pcr: int = uint32()

A value that does not fit raises TpmError: BAD_PARAM_SIZE when bytes lack or are left over, SIZE for a
length that no command can have, INVALID_STRUCTURE for a wrong structure tag, BAD_PARAMETER for a BOOL that
is neither 0 nor 1.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import MISSING, dataclass, field, fields
from operator import attrgetter
from typing import Any, ClassVar, Final, Literal, Self, TypeVar, dataclass_transform

from bootproof.tpm.codes import DIGEST_SIZE, Rc, TpmError

_LONGEST: Final = 0x10000  # no sized field of the specification comes near it


class Reader:
    """A cursor over the parameters of one command."""

    __slots__ = ("_at", "_data")

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    def take(self, size: int) -> bytes:
        """Return the next `size` bytes; BAD_PARAM_SIZE if there are fewer."""
        end = self._at + size
        if end > len(self._data):
            raise TpmError(Rc.BAD_PARAM_SIZE)
        part = self._data[self._at : end]
        self._at = end
        return part

    @property
    def at(self) -> int:
        """How many bytes were read."""
        return self._at

    def end(self) -> None:
        """Raise BAD_PARAM_SIZE unless everything was read."""
        if self._at != len(self._data):
            raise TpmError(Rc.BAD_PARAM_SIZE)


@dataclass(frozen=True)
class Codec:
    """How a field is read and written; `fixed` is its `struct` format where its width never varies."""

    read: Callable[[Reader], Any]
    write: Callable[[Any], bytes]
    fixed: str = ""


def _fixed_codec(layout: str) -> Codec:
    packer = struct.Struct(">" + layout)
    return Codec(lambda reader: packer.unpack(reader.take(packer.size))[0], packer.pack, layout)


def _sized_codec(length_layout: str, longest: int = _LONGEST, too_long: Rc = Rc.SIZE) -> Codec:
    length = struct.Struct(">" + length_layout)

    def read(reader: Reader) -> bytes:
        size: int = length.unpack(reader.take(length.size))[0]
        if size > longest:
            raise TpmError(too_long)
        return reader.take(size)

    return Codec(read, lambda value: length.pack(len(value)) + value)


def _read_bool(reader: Reader) -> bool:
    value = reader.take(1)[0]
    if value > 1:
        raise TpmError(Rc.BAD_PARAMETER)
    return value == 1


_UINT8, _UINT16, _UINT32, _UINT64 = (_fixed_codec(layout) for layout in "BHIQ")
_BOOL: Final = Codec(_read_bool, lambda value: b"\1" if value else b"\0", "?")
_SIZED32: Final = _sized_codec("I")
_COUNT: Final = struct.Struct(">I")
_CODEC: Final = "codec"


def _declare(codec: Codec, default: Any = MISSING) -> Any:
    return field(default=default, metadata={_CODEC: codec})


def uint8(*, default: Any = MISSING) -> Any:
    """Declare a BYTE."""
    return _declare(_UINT8, default)


def uint16(*, default: Any = MISSING) -> Any:
    """Declare a UINT16."""
    return _declare(_UINT16, default)


def uint32(*, default: Any = MISSING) -> Any:
    """Declare a UINT32."""
    return _declare(_UINT32, default)


def uint64(*, default: Any = MISSING) -> Any:
    """Declare a UINT64."""
    return _declare(_UINT64, default)


def boolean(*, default: Any = MISSING) -> Any:
    """Declare a BOOL: one byte, 0 or 1."""
    return _declare(_BOOL, default)


def raw(size: int, *, default: Any = MISSING, check: Callable[[bytes], None] | None = None) -> Any:
    """Declare exactly `size` bytes; `check` raises for some that are read."""
    if check is None:
        return _declare(_fixed_codec(f"{size}s"), default)

    def read(reader: Reader) -> bytes:
        found = reader.take(size)
        check(found)
        return found

    return _declare(Codec(read, bytes), default)


def digest(*, default: Any = MISSING) -> Any:
    """Declare a TPM_DIGEST or TPM_NONCE: 20 bytes."""
    return raw(DIGEST_SIZE, default=default)


def sized16(*, default: Any = MISSING, longest: int = _LONGEST, too_long: Rc = Rc.SIZE) -> Any:
    """Declare bytes that follow a UINT16 with their number; `too_long` for more than `longest`."""
    return _declare(_sized_codec("H", longest, too_long), default)


def sized32(*, default: Any = MISSING) -> Any:
    """Declare bytes that follow a UINT32 with their number."""
    return _declare(_SIZED32, default)


def structure_tag(*, default: int, init: Literal[False] = False) -> Any:
    """Declare a TPM_STRUCTURE_TAG, which must have this value and is not given when one is made."""

    def read(reader: Reader) -> int:
        if reader.take(2) != default.to_bytes(2):
            raise TpmError(Rc.INVALID_STRUCTURE)
        return default

    codec = Codec(read, lambda tag: int(tag).to_bytes(2))
    return field(default=default, init=init, metadata={_CODEC: codec})


def nested(kind: type[Structure], *, default_factory: Any = MISSING, refusal: Rc = Rc.SUCCESS) -> Any:
    """Declare a structure inside a structure; `refusal` (unless SUCCESS) replaces the codes that it has
    besides those for its length.
    """

    def read(reader: Reader) -> Structure:
        try:
            return kind.read(reader)
        except TpmError as error:
            if error.rc in (Rc.BAD_PARAM_SIZE, Rc.SIZE):
                raise
            raise TpmError(refusal) from error

    codec = Codec(read if refusal else kind.read, lambda value: value.encode())
    return field(default_factory=default_factory, metadata={_CODEC: codec})


def optional(kind: type[Structure], *, default: Any = MISSING) -> Any:
    """Declare a structure that follows a UINT32 with its size; None where the size is 0."""

    def read(reader: Reader) -> Structure | None:
        data = _SIZED32.read(reader)
        return kind.decode(data) if data else None

    def write(value: Structure | None) -> bytes:
        return _SIZED32.write(b"" if value is None else value.encode())

    return _declare(Codec(read, write), default)


def listed(kind: type[Structure], *, default: Any = MISSING) -> Any:
    """Declare a UINT32 and that many structures, as a tuple."""

    def read(reader: Reader) -> tuple[Structure, ...]:
        (count,) = _COUNT.unpack(reader.take(_COUNT.size))
        if count > _LONGEST:
            raise TpmError(Rc.SIZE)
        return tuple(kind.read(reader) for _ in range(count))

    def write(values: tuple[Structure, ...]) -> bytes:
        return _COUNT.pack(len(values)) + b"".join([value.encode() for value in values])

    return _declare(Codec(read, write), default)


class Structure:
    """Base of everything that @structure declares."""

    __slots__ = ()
    CODECS: ClassVar[tuple[tuple[str, Codec], ...]] = ()
    TAGS: ClassVar[int] = 0  # how many of the first fields are not given when one is made
    PACKER: ClassVar[struct.Struct | None] = None
    BOOLS: ClassVar[tuple[int, ...]] = ()  # where they are, with a PACKER

    @classmethod
    def read(cls, reader: Reader) -> Self:
        """Read one structure and leave the cursor behind it."""
        if cls.PACKER is not None:
            data = reader.take(cls.PACKER.size)
            if cls.BOOLS and any(data[at] > 1 for at in cls.BOOLS):
                raise TpmError(Rc.BAD_PARAMETER)
            return cls(*cls.PACKER.unpack(data))
        values = [codec.read(reader) for _, codec in cls.CODECS]
        value = cls(*values[cls.TAGS :])
        value.validate()
        return value

    def validate(self) -> None:
        """Raise TpmError where what was read is no such structure for all that its fields say."""

    @classmethod
    def decode(cls, data: bytes) -> Self:
        """Read one structure that fills `data` exactly."""
        reader = Reader(data)
        value = cls.read(reader)
        reader.end()
        return value

    def encode(self) -> bytes:
        """Return the bytes of this structure."""
        return b"".join([codec.write(getattr(self, name)) for name, codec in self.CODECS])


S = TypeVar("S", bound=Structure)


@dataclass_transform(
    frozen_default=True,
    field_specifiers=(
        uint8,
        uint16,
        uint32,
        uint64,
        boolean,
        raw,
        digest,
        sized16,
        sized32,
        structure_tag,
        nested,
        optional,
        listed,
    ),
)
def structure(cls: type[S]) -> type[S]:
    """Make a dataclass of a Structure whose fields are declared with the functions above.

    It is frozen for the type checker only: building one that is frozen at run time takes as long as all the
    rest of a short command.
    """
    made = dataclass(slots=True)(cls)
    made.TAGS = sum(not part.init for part in fields(made))  # type: ignore[arg-type]
    made.CODECS = tuple((part.name, part.metadata[_CODEC]) for part in fields(made))  # type: ignore[arg-type]
    if made.CODECS and all(codec.fixed for _, codec in made.CODECS):
        layouts = [codec.fixed for _, codec in made.CODECS]
        made.PACKER = struct.Struct(">" + "".join(layouts))
        made.encode = _fixed_encoder(made, made.PACKER)  # type: ignore[method-assign, assignment]
        starts = [struct.calcsize(">" + "".join(layouts[:index])) for index in range(len(layouts))]
        made.BOOLS = tuple(at for at, layout in zip(starts, layouts, strict=True) if layout == "?")
    return made


def _fixed_encoder(kind: type[Structure], packer: struct.Struct) -> Callable[[Structure], bytes]:
    """Return `encode` for fields that all have a fixed width: faster, and in the way of every command."""
    pack, values = packer.pack, attrgetter(*(name for name, _ in kind.CODECS))
    if len(kind.CODECS) == 1:
        return lambda self: pack(values(self))
    return lambda self: pack(*values(self))


def fixed_size(kind: type[Structure]) -> int:
    """Return the length of a structure whose fields all have a fixed width, in bytes."""
    return sum(struct.calcsize(">" + codec.fixed) for _, codec in kind.CODECS)


@structure
class Nothing(Structure):
    """No parameters."""
