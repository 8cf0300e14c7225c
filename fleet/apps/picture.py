"""What kind of picture some bytes are, and how large: read from their header, nothing is drawn. Pure.

Source: PNG, W3C Recommendation, sections 5.2 (signature) and 11.2.1 (IHDR); JPEG, ITU-T T.81, B.1.1 (segments), B.2.2
(frame header).
"""

import struct
from dataclasses import dataclass

from fleet.errors import InvalidError

MAX_BYTES = 4 * 2**20
MAX_SIDE = 8_192  # twice the longest side of any tablet: what is far larger fills its memory when it is drawn
PNG = b"\x89PNG\r\n\x1a\n"
_IHDR = struct.Struct(">I4sII")
_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}  # SOF0 … SOF15 without tables and what is reserved
_ALONE = frozenset({0x01, *range(0xD0, 0xD8)})  # markers without a length
_SCAN, _END = 0xDA, 0xD9


class ImageError(InvalidError):
    """Something sent is no picture that tablets can show.

    Data: ``reason`` (``name``, ``kind``, ``damaged``, ``bytes`` or ``side``) and what it needs: ``found``, ``most``.
    """

    code = "image"


@dataclass(frozen=True, slots=True)
class Picture:
    """What a picture's header says: ``image/png`` or ``image/jpeg``, and its size in pixels."""

    media_type: str
    width: int
    height: int


def read(content: bytes) -> Picture:
    """Return what picture some bytes are.

    Raises:
        ImageError: none, one whose header is damaged, or one that is too large.
    """
    if len(content) > MAX_BYTES:
        raise ImageError(reason="bytes", most=MAX_BYTES)
    if content.startswith(PNG):
        found = Picture("image/png", *_png_size(content))
    elif content.startswith(b"\xff\xd8\xff"):
        found = Picture("image/jpeg", *_jpeg_size(content))
    else:
        raise ImageError(reason="kind")
    if not (found.width and found.height):
        raise ImageError(reason="damaged")
    if max(found.width, found.height) > MAX_SIDE:
        raise ImageError(reason="side", found=max(found.width, found.height), most=MAX_SIDE)
    return found


def _png_size(content: bytes) -> tuple[int, int]:
    """Return width and height, of the header that comes first."""
    if len(content) < len(PNG) + _IHDR.size:
        raise ImageError(reason="damaged")
    length, name, width, height = _IHDR.unpack_from(content, len(PNG))
    if (length, name) != (13, b"IHDR"):
        raise ImageError(reason="damaged")
    return width, height


def _jpeg_size(content: bytes) -> tuple[int, int]:
    """Return width and height, of the first frame header; what comes before it is skipped by its own length."""
    place = 2
    while place + 4 <= len(content) and content[place] == 0xFF:
        marker = content[place + 1]
        if marker in _ALONE or marker == 0xFF:
            place += 1 if marker == 0xFF else 2
            continue
        if marker in {_SCAN, _END}:
            break
        (length,) = struct.unpack_from(">H", content, place + 2)
        if marker in _FRAMES and length >= 8 and place + 9 <= len(content):
            height, width = struct.unpack_from(">HH", content, place + 5)
            return width, height
        if length < 2:
            break
        place += 2 + length
    raise ImageError(reason="damaged")
