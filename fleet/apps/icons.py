"""An app's sign, as its package has it: a small PNG or WebP, of which only the header is read. Pure.

Source: PNG, see :mod:`fleet.apps.picture`; WebP, https://developers.google.com/speed/webp/docs/riff_container.
"""

import struct

from fleet.apps import picture
from fleet.apps.picture import ImageError

MAX_BYTES = 256 * 1024
MAX_SIDE = 1_024
ENDINGS = (".png", ".webp")
_RIFF = struct.Struct("<4sI4s4sI")
_LOSSY = struct.Struct("<3x3sHH")


def media_type(icon: bytes) -> str:
    """Return what a browser is told of an icon that :func:`side` took for one."""
    return "image/png" if icon.startswith(picture.PNG) else "image/webp"


def side(content: bytes) -> int:
    """Return the longer side of an icon in pixels; 0 where the bytes are none that is shown."""
    if len(content) > MAX_BYTES:
        return 0
    longest = _webp_side(content) if content[:4] == b"RIFF" else _png_side(content)
    return longest if longest <= MAX_SIDE else 0


def _png_side(content: bytes) -> int:
    if not content.startswith(picture.PNG):
        return 0
    try:
        found = picture.read(content)
    except ImageError:
        return 0
    return max(found.width, found.height)


def _webp_side(content: bytes) -> int:
    if len(content) < _RIFF.size + 10:
        return 0
    _riff, size, form, kind, _length = _RIFF.unpack_from(content)
    if form != b"WEBP" or size + 8 > len(content):
        return 0
    start = _RIFF.size
    if kind == b"VP8X":
        return 1 + max(int.from_bytes(content[place : place + 3], "little") for place in (start + 4, start + 7))
    if kind == b"VP8L" and content[start] == 0x2F:
        bits = int.from_bytes(content[start + 1 : start + 5], "little")
        return 1 + max(bits & 0x3FFF, bits >> 14 & 0x3FFF)
    if kind == b"VP8 ":
        begin, width, height = _LOSSY.unpack_from(content, start)
        return max(width & 0x3FFF, height & 0x3FFF) if begin == b"\x9d\x01\x2a" else 0
    return 0
