"""An Android package's table of resources: what a reference stands for, in which language, for which screen. Pure.

Only what names and icons need is read: strings, and references to them.

Source: Android's ``ResourceTypes.h``: ``ResTable_header``, ``ResTable_package``, ``ResTable_type`` (also sparse, and
with offsets of 16 bits), ``ResTable_entry`` (also compact), ``ResTable_config``.
"""

import struct
from collections.abc import Iterator

from fleet.apps.chunks import (
    NOTHING,
    REFERENCE,
    STRING,
    STRING_POOL,
    Chunk,
    DamagedError,
    StringPool,
    Value,
    chunks,
    unpack,
    value,
    whole,
)

_TABLE, _PACKAGE, _TYPE = 0x0002, 0x0200, 0x0201
_PACKAGE_ID = struct.Struct("<I")
_TYPE_HEAD = struct.Struct("<BBHII")  # which type, flags, nothing, how many entries, where they begin
_TYPE_HEAD_AT, _CONFIG_AT = 8, 20
_LANGUAGE_AT = 8  # in the configuration: two letters, or two zeros
_SPARSE, _SHORT_OFFSETS = 0x01, 0x02
_ENTRY = struct.Struct("<HHI")  # its length (or, where compact, its key), flags, key (or, where compact, the value)
_COMPLEX, _COMPACT = 0x0001, 0x0008
_U16, _U32, _PAIR = struct.Struct("<H"), struct.Struct("<I"), struct.Struct("<HH")
_MAX_PACKAGES = 16
_MAX_CONFIGURATIONS = 2_000  # of one type
_MAX_LOOKED_UP = 4_096  # of one reference, with what it leads to
_MAX_TEXT = 1_024  # of thousands that are returned together
_MAX_DEPTH = 8
_LANGUAGES = {"nb": 0, "no": 1, "": 2}
_OTHER_LANGUAGE = 3


class Table:
    """The table.

    Args:
        data: the member ``resources.arsc``.

    Raises:
        DamagedError: it is none.
    """

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._pool: StringPool | None = None
        self._types: dict[int, list[Chunk]] = {}  # by package and type
        table = whole(data, _TABLE)
        packages = 0
        for chunk in chunks(data, table.content, table.end):
            if chunk.kind == STRING_POOL and self._pool is None:
                self._pool = StringPool(data, chunk)
            elif chunk.kind == _PACKAGE:
                packages += 1
                if packages > _MAX_PACKAGES:
                    raise DamagedError
                self._note_types(chunk)

    def _note_types(self, package: Chunk) -> None:
        (number,) = unpack(_PACKAGE_ID, self._data, package.start + 8, package.content)
        for chunk in chunks(self._data, package.content, package.end):
            if chunk.kind == _TYPE:
                which, *_rest = unpack(_TYPE_HEAD, self._data, chunk.start + _TYPE_HEAD_AT, chunk.content)
                same = self._types.setdefault((number & 0xFF) << 8 | which, [])
                if len(same) < _MAX_CONFIGURATIONS:
                    same.append(chunk)

    def text(self, reference: int) -> str | None:
        """Return the text that a reference stands for: in Bokmål where there is one, else in the app's own language.

        Raises:
            DamagedError: the table is not sound there.
        """
        for _depth in range(_MAX_DEPTH):
            found = min(self._values(reference), key=lambda one: _LANGUAGES.get(one[0], _OTHER_LANGUAGE), default=None)
            if found is None:
                return None
            _language, told = found
            if told.kind != REFERENCE:
                return self._string(told)
            reference = told.data
        return None

    def texts(self, reference: int) -> set[str]:
        """Return the short texts that a reference may stand for, such as the files of a picture for each screen.

        Raises:
            DamagedError: the table is not sound there.
        """
        open_, seen, found = [reference], {reference}, set[str]()
        left = _MAX_LOOKED_UP
        while open_ and left > 0:
            looked_up = open_.pop()
            left -= 1 + len(self._types.get(looked_up >> 16, ()))  # also where nothing is found: looking takes as long
            for _language, told in self._values(looked_up):
                if told.kind == REFERENCE and told.data not in seen:
                    seen.add(told.data)
                    open_.append(told.data)
                text = self._string(told)
                if text is not None and len(text) <= _MAX_TEXT:
                    found.add(text)
        return found

    def _string(self, told: Value) -> str | None:
        return self._pool.text(told.data) if told.kind == STRING and self._pool is not None else None

    def _values(self, reference: int) -> Iterator[tuple[str, Value]]:
        """Yield what an entry is, with the language that is meant for, in the order of the table."""
        for chunk in self._types.get(reference >> 16, ()):
            start = self._entry(chunk, reference & 0xFFFF)
            if start is None:
                continue
            size, flags, data = unpack(_ENTRY, self._data, start, chunk.end)
            language = self._language(chunk)
            if flags & _COMPACT:
                yield language, Value(flags >> 8, data)
            elif not flags & _COMPLEX:
                yield language, value(self._data, start + size, chunk.end)

    def _language(self, chunk: Chunk) -> str:
        start = chunk.start + _CONFIG_AT
        (size,) = unpack(_U32, self._data, start, chunk.content)
        if size < _LANGUAGE_AT + 2:
            return ""
        unpack(_U16, self._data, start + _LANGUAGE_AT, chunk.content)
        letters = self._data[start + _LANGUAGE_AT : start + _LANGUAGE_AT + 2]
        return "" if letters == b"\0\0" else letters.decode("latin-1")

    def _entry(self, chunk: Chunk, number: int) -> int | None:
        """Return where an entry of a type is, None where it has none for this configuration."""
        _which, flags, _zero, count, entries = unpack(
            _TYPE_HEAD, self._data, chunk.start + _TYPE_HEAD_AT, chunk.content
        )
        if flags & _SPARSE:
            return self._sparse(chunk, number, count, entries)
        if number >= count:
            return None
        if flags & _SHORT_OFFSETS:
            (offset,) = unpack(_U16, self._data, chunk.content + 2 * number, chunk.end)
            return None if offset == 0xFFFF else chunk.start + entries + 4 * offset
        (offset,) = unpack(_U32, self._data, chunk.content + 4 * number, chunk.end)
        return None if offset == NOTHING else chunk.start + entries + offset

    def _sparse(self, chunk: Chunk, number: int, count: int, entries: int) -> int | None:
        first, end = 0, count  # they stand in order
        while first < end:
            middle = (first + end) // 2
            found, offset = unpack(_PAIR, self._data, chunk.content + _PAIR.size * middle, chunk.end)
            if found == number:
                return chunk.start + entries + 4 * offset
            first, end = (middle + 1, end) if found < number else (first, middle)
        return None
