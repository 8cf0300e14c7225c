"""Property lists, read from strangers and written for tablets.

Invariants: whatever the bytes are, reading gives a plain tree of bounded size and depth or raises :class:`PlistError`,
nothing else; no text holds a NUL, no integer has more than 64 bits, no number is infinite, every instant is aware UTC.
Writing gives the same bytes for the same value. What the keys mean is told in :mod:`fleet.channels.apple.messages`.

Source: https://developer.apple.com/library/archive/documentation/Cocoa/Conceptual/PropertyLists/ (types of values);
``plistlib`` of the standard library, which refuses XML entities.
"""

import math
import plistlib
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

from fleet.errors import InvalidError

Value = str | int | float | bool | bytes | datetime | list["Value"] | dict[str, "Value"]

MAX_BYTES = 2 * 1024 * 1024  # a list of a few hundred apps with all their keys has some hundred kilobytes
_MAX_DEPTH = 32  # a device's answers nest six deep at most
# Small binary lists can name one value many times: it counts each time it is met. Short ones are read where all others
# wait, so what is short has few.
_MAX_VALUES, _USUAL_VALUES = 200_000, 1_000
_INTEGERS = range(-(2**63), 2**64)  # Source: what a binary property list holds in eight bytes, signed or not


class PlistError(InvalidError):
    """Bytes that are no acceptable property list, or a value that cannot be written as one. Data: ``reason``.

    ``reason`` is one of: ``size``, ``syntax``, ``depth``, ``many``, ``root``, ``key``, ``text``, ``number``, ``type``.
    """

    code = "plist"


def read(body: bytes, *, max_bytes: int = MAX_BYTES) -> dict[str, Value]:
    """Return the dictionary that ``body`` holds, an XML or a binary property list.

    Args:
        body: as it came.
        max_bytes: longer bodies are refused unread.

    Raises:
        PlistError: anything at all is wrong with it.
    """
    if len(body) > max_bytes:
        raise PlistError(reason="size")
    try:
        found = plistlib.loads(body)
    except Exception as error:  # the parser meets hostile bytes with a dozen kinds of error, even AttributeError
        raise PlistError(reason="syntax") from error
    if not isinstance(found, dict):
        raise PlistError(reason="root")
    return _Tree(min(_MAX_VALUES, max(_USUAL_VALUES, len(body)))).dictionary(found, 1)


def write(value: Mapping[str, "Writable"]) -> bytes:
    """Return ``value`` as an XML property list: keys in order, so equal values have equal bytes.

    Args:
        value: instants in it are aware; they lose their fractions of a second.

    Raises:
        PlistError: it holds what a property list cannot.
    """
    tree = _Tree().dictionary(value, 1)
    try:
        return plistlib.dumps(_naive(tree), fmt=plistlib.FMT_XML, sort_keys=True)
    except (ValueError, OverflowError) as error:  # control characters and lone surrogates
        raise PlistError(reason="text") from error


Writable = (
    str | int | float | bool | bytes | datetime | Sequence["Writable"] | Mapping[str, "Writable"]
)  # read-only containers, so that callers may give more exact types than ``Value``


class _Tree:
    """Copies what was parsed into a plain tree, counting: a binary list may share values, or contain itself."""

    def __init__(self, most: int = _MAX_VALUES) -> None:
        self._left = most

    def dictionary(self, found: Mapping[object, object] | Mapping[str, object], depth: int) -> dict[str, Value]:
        copied: dict[str, Value] = {}
        for key, value in found.items():
            if not isinstance(key, str):
                raise PlistError(reason="key")
            copied[_text(key)] = self._value(value, depth + 1)
        return copied

    def _value(self, found: object, depth: int) -> Value:
        self._left -= 1
        if self._left < 0:
            raise PlistError(reason="many")
        if depth > _MAX_DEPTH:
            raise PlistError(reason="depth")
        if isinstance(found, Mapping):
            return self.dictionary(found, depth)
        if isinstance(found, list | tuple):
            return [self._value(item, depth + 1) for item in found]
        return _scalar(found)


def _scalar(found: object) -> Value:
    if isinstance(found, str):
        return _text(found)
    if isinstance(found, bytes | bool):
        return found
    if isinstance(found, int):  # plistlib.UID is none
        if found not in _INTEGERS:
            raise PlistError(reason="number")
        return found
    if isinstance(found, float):
        if not math.isfinite(found):
            raise PlistError(reason="number")
        return found
    if isinstance(found, datetime):  # property lists know no zone: what they say is UTC
        return found.replace(tzinfo=UTC) if found.tzinfo is None else found.astimezone(UTC)
    raise PlistError(reason="type")


def _text(found: str) -> str:
    if "\0" in found:  # possible in a binary list; databases keep none
        raise PlistError(reason="text")
    return found


def _naive(value: Value) -> Value:
    """Return the tree with instants as plistlib wants them: UTC without saying so."""
    if isinstance(value, dict):
        return {key: _naive(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_naive(item) for item in value]
    return value.replace(tzinfo=None) if isinstance(value, datetime) else value
