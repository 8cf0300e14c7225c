"""Tags, lengths and values: as little ASN.1 as tablets' signed messages need, read leniently and written strictly.

Reading takes BER, because tablets send lengths that are only known at the end and strings in pieces; writing gives DER.
Nothing is decoded that nobody asks for: a reader walks over bytes and hands out positions. Invariants: reading raises
``BerError`` and nothing else whatever the bytes are, and its work is bounded by the length given and ``MAX_NESTING``.
Deliberately not here: what the values mean, and tag numbers above 30, which no message of ours has.

Source: ITU-T X.690 sections 8 (BER) and 10, 11 (DER).
"""

from collections.abc import Iterator
from dataclasses import dataclass

# Deep enough for a signed message within a signed message, shallow enough that no message can exhaust the stack.
MAX_NESTING = 24

INTEGER, BIT_STRING, OCTET_STRING, NULL, OID = 0x02, 0x03, 0x04, 0x05, 0x06
UTF8, PRINTABLE, TELETEX, IA5, BMP = 0x0C, 0x13, 0x14, 0x16, 0x1E
SEQUENCE, SET = 0x30, 0x31
CONSTRUCTED = 0x20


class BerError(ValueError):
    """The bytes are not what was expected. It says nothing about them: they are a stranger's."""


def context(number: int, *, constructed: bool = True) -> int:
    """Return the tag of ``[number]``."""
    return 0x80 | (CONSTRUCTED if constructed else 0) | number


@dataclass(slots=True)
class Element:
    """One tag, length and value within ``data``.

    Args:
        data: the whole message.
        tag: its one tag byte.
        head: where the tag stands.
        start: where the value begins.
        stop: where the value ends.
        after: where the next element begins; two more than ``stop`` where the length was only known at the end.
    """

    data: bytes
    tag: int
    head: int
    start: int
    stop: int
    after: int

    @property
    def value(self) -> bytes:
        """The bytes without tag and length."""
        return self.data[self.start : self.stop]

    @property
    def encoding(self) -> bytes:
        """The bytes as they were sent, tag and length included."""
        return self.data[self.head : self.after]

    def inside(self) -> "Reader":
        """Return a reader over the elements of a constructed value."""
        return Reader(self.data, self.start, self.stop)

    def octets(self) -> bytes:
        """Return the value of a string, put together where it came in pieces (X.690 section 8.7).

        Raises:
            BerError: a piece is no string.
        """
        return self.value if not self.tag & CONSTRUCTED else b"".join(_pieces(self, MAX_NESTING))


def _pieces(element: Element, levels: int) -> Iterator[bytes]:
    if not levels:
        raise BerError
    for piece in element.inside():
        if piece.tag == OCTET_STRING:
            yield piece.value
        elif piece.tag == OCTET_STRING | CONSTRUCTED:
            yield from _pieces(piece, levels - 1)
        else:
            raise BerError


def _element(data: bytes, at: int, end: int, levels: int = MAX_NESTING) -> Element:
    start = at + 2
    if start > end:
        raise BerError
    tag, length = data[at], data[at + 1]
    if tag & 0x1F == 0x1F or tag == 0:  # long tag numbers; an end where none is due
        raise BerError
    if length == 0x80:
        stop = _end_of_contents(data, start, end, levels)
        if stop + 2 > end or not tag & CONSTRUCTED:
            raise BerError
        return Element(data, tag, at, start, stop, stop + 2)
    if length > 0x80:
        count = length & 0x7F
        start += count
        if count > 4 or start > end:
            raise BerError
        length = int.from_bytes(data[start - count : start])
    stop = start + length
    if stop > end:
        raise BerError
    return Element(data, tag, at, start, stop, stop)


def _end_of_contents(data: bytes, at: int, end: int, levels: int) -> int:
    """Return where the two zero bytes stand that end a value of unsaid length (X.690 section 8.1.5)."""
    if not levels:
        raise BerError
    while data[at : at + 2] != b"\0\0":
        at = _element(data, at, end, levels - 1).after
    return at


class Reader:
    """Takes one element after the other from ``data[at:end]``."""

    __slots__ = ("_at", "_data", "_end")

    def __init__(self, data: bytes, at: int = 0, end: int | None = None) -> None:
        self._data, self._at, self._end = data, at, len(data) if end is None else end

    def take(self, *tags: int) -> Element:
        """Return the next element, which has one of ``tags``.

        Raises:
            BerError: it has another tag, or there is none.
        """
        element = _element(self._data, self._at, self._end)
        if element.tag not in tags:
            raise BerError
        self._at = element.after
        return element

    def any(self) -> Element:
        """Return the next element, whatever its tag.

        Raises:
            BerError: there is none.
        """
        element = _element(self._data, self._at, self._end)
        self._at = element.after
        return element

    def maybe(self, *tags: int) -> Element | None:
        """Return the next element if it has one of ``tags``, else None and stay.

        Raises:
            BerError: the next bytes are no element.
        """
        return self.take(*tags) if self._at < self._end and self._data[self._at] in tags else None

    def __iter__(self) -> Iterator[Element]:
        while self._at < self._end:
            yield self.any()

    def end(self) -> None:
        """Make sure that nothing is left.

        Raises:
            BerError: something is.
        """
        if self._at != self._end:
            raise BerError


def read(data: bytes, tag: int) -> Reader:
    """Return a reader over the inside of the one element ``data`` is made of.

    Raises:
        BerError: it has another tag, or more follows it.
    """
    outer = Reader(data)
    element = outer.take(tag)
    outer.end()
    return element.inside()


def der(tag: int, *parts: bytes) -> bytes:
    """Return an element: ``tag``, the length of ``parts`` and ``parts``."""
    value = b"".join(parts)
    if len(value) < 0x80:
        return bytes((tag, len(value))) + value
    length = len(value).to_bytes((len(value).bit_length() + 7) // 8)
    return bytes((tag, 0x80 | len(length))) + length + value


def sequence(*parts: bytes) -> bytes:
    """Return a SEQUENCE of elements."""
    return der(SEQUENCE, *parts)


def set_of(*parts: bytes) -> bytes:
    """Return a SET OF elements, in the order DER asks for (X.690 section 11.6)."""
    return der(SET, *sorted(parts))


def integer(number: int) -> bytes:
    """Return a non-negative INTEGER."""
    return der(INTEGER, number.to_bytes(number.bit_length() // 8 + 1))


def oid(dotted: str) -> bytes:
    """Return the value (without tag and length) of an OBJECT IDENTIFIER (X.690 section 8.19)."""
    first, second, *rest = (int(part) for part in dotted.split("."))
    encoded = bytearray()
    for arc in (40 * first + second, *rest):
        groups = [arc & 0x7F]
        while arc := arc >> 7:
            groups.append(arc & 0x7F | 0x80)
        encoded += bytes(reversed(groups))
    return bytes(encoded)


def algorithm(identifier: bytes, parameters: bytes = b"\x05\x00") -> bytes:
    """Return an AlgorithmIdentifier; its parameters are NULL unless given (RFC 5280 section 4.1.1.2)."""
    return sequence(der(OID, identifier), parameters)
