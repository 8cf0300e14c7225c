"""An Android package's manifest: XML in binary form, of which only the wanted elements are read. Pure.

Source: Android's ``ResourceTypes.h``: ``ResXMLTree_header``, ``ResXMLTree_node``, ``ResXMLTree_attrExt``,
``ResXMLTree_attribute``. An attribute of Android's own is known by its number in the resource map, whatever its name
says.
"""

import struct
from collections.abc import Iterator, Mapping

from fleet.apps.chunks import (
    NOTHING,
    STRING,
    STRING_POOL,
    Chunk,
    DamagedError,
    StringPool,
    Value,
    chunks,
    unpack,
    whole,
)
from fleet.apps.chunks import value as typed_value

_XML, _RESOURCE_MAP, _START, _END = 0x0003, 0x0180, 0x0102, 0x0103
_NODE_BYTES = 16  # the header of each element
_ELEMENT = struct.Struct("<IIHHH")  # namespace, name; where attributes begin, how long each is, how many
_ATTRIBUTE = struct.Struct("<III")  # namespace, name, the value as it was written; then a typed value
_ATTRIBUTE_BYTES = 20
_MAX_ATTRIBUTES = 256


Attributes = Mapping[int | str, Value | str]  # by the number that Android has given them, else by name


def read(data: bytes, wanted: Mapping[str, int]) -> Mapping[str, Attributes]:
    """Return the attributes of the first element of each name.

    Args:
        data: the XML.
        wanted: how deep the element stands, by its name; 1 is the outermost.

    Raises:
        DamagedError: this is no XML in binary form.
    """
    document = whole(data, _XML)
    pool: StringPool | None = None
    numbers: tuple[int, ...] = ()
    found: dict[str, Attributes] = {}
    depth = 0
    for chunk in chunks(data, document.content, document.end):
        if chunk.kind == STRING_POOL and pool is None:
            pool = StringPool(data, chunk)
        elif chunk.kind == _RESOURCE_MAP:
            numbers = struct.unpack_from(f"<{(chunk.end - chunk.content) // 4}I", data, chunk.content)
        elif chunk.kind == _END:
            depth -= 1
        elif chunk.kind == _START:
            depth += 1
            if pool is None:
                raise DamagedError
            _space, number, *placed = unpack(_ELEMENT, data, chunk.start + _NODE_BYTES, chunk.end)
            name = pool.text(number) if depth in wanted.values() else ""
            if wanted.get(name) == depth and name not in found:
                found[name] = dict(_attributes(data, chunk, placed, pool, numbers))
    return found


def _attributes(
    data: bytes, chunk: Chunk, placed: list[int], pool: StringPool, numbers: tuple[int, ...]
) -> Iterator[tuple[int | str, Value | str]]:
    offset, size, count = placed
    if count > _MAX_ATTRIBUTES or (count and size < _ATTRIBUTE_BYTES):
        raise DamagedError
    start = chunk.start + _NODE_BYTES + offset
    for _one in range(count):
        _space, name, written = unpack(_ATTRIBUTE, data, start, chunk.end)
        found = typed_value(data, start + _ATTRIBUTE.size, chunk.end)
        key = numbers[name] if name < len(numbers) and numbers[name] else pool.text(name)
        if found.kind == STRING:
            yield key, pool.text(found.data if written == NOTHING else written)
        else:
            yield key, found
        start += size
