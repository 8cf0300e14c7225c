"""Android's binary resources: chunks that have a kind and a length, pools of strings, typed values. Pure.

Invariants: nothing is read outside of the chunk it belongs to; the work is bounded by the length of what is given and
by the limits below; whatever the bytes are, reading raises :class:`DamagedError` or returns.

Source: Android's ``ResourceTypes.h`` (frameworks/base, libs/androidfw): ``ResChunk_header``, ``ResStringPool_header``,
``Res_value``; all numbers are little-endian.
"""

import struct
from collections.abc import Iterator
from dataclasses import dataclass

MAX_CHUNKS = 65_536
MAX_STRING_BYTES = 32 * 1024
STRING_POOL = 0x0001
REFERENCE, STRING, DECIMAL, HEXADECIMAL = 0x01, 0x03, 0x10, 0x11
_UTF8 = 0x100
_HEADER = struct.Struct("<HHI")
_POOL = struct.Struct("<5I")
_VALUE = struct.Struct("<HBBI")
NOTHING = 0xFFFFFFFF


class DamagedError(Exception):
    """The bytes are not what they should be."""


@dataclass(frozen=True, slots=True)
class Chunk:
    """A part of binary resources: its kind, and where its header, its content and its end are."""

    kind: int
    start: int
    content: int
    end: int


@dataclass(frozen=True, slots=True)
class Value:
    """A typed value; what ``data`` means depends on ``kind``."""

    kind: int
    data: int


def unpack(form: struct.Struct, data: bytes, start: int, end: int) -> tuple[int, ...]:
    """Return numbers that stand somewhere, of which none lies beyond ``end``.

    Raises:
        DamagedError: they would.
    """
    if start < 0 or start + form.size > min(end, len(data)):
        raise DamagedError
    return form.unpack_from(data, start)


def chunks(data: bytes, start: int, end: int) -> Iterator[Chunk]:
    """Yield the chunks that stand one after the other.

    Raises:
        DamagedError: one is longer than its place, or there are too many.
    """
    for _count in range(MAX_CHUNKS):
        if start + _HEADER.size > end:
            return
        kind, header, size = unpack(_HEADER, data, start, end)
        if not _HEADER.size <= header <= size <= end - start:
            raise DamagedError
        yield Chunk(kind, start, start + header, start + size)
        start += size
    raise DamagedError


def whole(data: bytes, kind: int) -> Chunk:
    """Return the one chunk that some bytes are; what follows it does not count.

    Raises:
        DamagedError: they are another kind, or cut off.
    """
    found = next(chunks(data, 0, len(data)), None)
    if found is None or found.kind != kind:
        raise DamagedError
    return found


def value(data: bytes, start: int, end: int) -> Value:
    """Return the typed value that stands somewhere.

    Raises:
        DamagedError: there is no room for one.
    """
    _size, _zero, kind, found = unpack(_VALUE, data, start, end)
    return Value(kind, found)


class StringPool:
    """Strings by number, each decoded when it is asked for.

    Args:
        data: what the pool stands in.
        chunk: the pool.

    Raises:
        DamagedError: it has no room for what it says it has.
    """

    def __init__(self, data: bytes, chunk: Chunk) -> None:
        count, _styles, flags, strings, _style_data = unpack(_POOL, data, chunk.start + _HEADER.size, chunk.content)
        if chunk.content + 4 * count > chunk.end:
            raise DamagedError
        self._data, self._offsets, self._end = data, chunk.content, chunk.end
        self._count, self._strings, self._is_utf8 = count, chunk.start + strings, bool(flags & _UTF8)

    def text(self, number: int) -> str:
        """Return a string; what is wrong in it is replaced.

        Raises:
            DamagedError: there is none of this number, or it is cut off or far too long.
        """
        if not 0 <= number < self._count:
            raise DamagedError
        (offset,) = unpack(_U32, self._data, self._offsets + 4 * number, self._end)
        start = self._strings + offset
        if self._is_utf8:
            _length, start = self._short(start)  # in UTF-16, which nobody needs
            size, start = self._short(start)
        else:
            size, start = self._long(start)
        if size > MAX_STRING_BYTES or start + size > self._end:
            raise DamagedError
        return self._data[start : start + size].decode("utf-8" if self._is_utf8 else "utf-16-le", "replace")

    def _short(self, start: int) -> tuple[int, int]:
        """Return a length of one or two bytes, and what follows it."""
        (first,) = unpack(_U8, self._data, start, self._end)
        if not first & 0x80:
            return first, start + 1
        (second,) = unpack(_U8, self._data, start + 1, self._end)
        return (first & 0x7F) << 8 | second, start + 2

    def _long(self, start: int) -> tuple[int, int]:
        """Return a length in bytes, told in one or two units of UTF-16, and what follows it."""
        (first,) = unpack(_U16, self._data, start, self._end)
        if not first & 0x8000:
            return 2 * first, start + 2
        (second,) = unpack(_U16, self._data, start + 2, self._end)
        return 2 * ((first & 0x7FFF) << 16 | second), start + 4


_U8, _U16, _U32 = struct.Struct("<B"), struct.Struct("<H"), struct.Struct("<I")
