"""Small pictures for tests: a whole PNG, and a JPEG as far as its first frame header."""

import struct
import zlib


def _chunk(name: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def png(width: int = 2, height: int = 1, *, grey: int = 0x7F) -> bytes:
    """Make a PNG of one colour; one that is large says so in its header only."""
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    lines = (b"\x00" + bytes([grey]) * 3 * width) * height if width * height <= 4096 else b""
    chunks = _chunk(b"IHDR", header) + _chunk(b"IDAT", zlib.compress(lines)) + _chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + chunks


def jpeg(width: int = 2, height: int = 1, *, frame: int = 0xC0, before: bytes = b"") -> bytes:
    """Make what a JPEG begins with: a table, ``before``, and a frame header."""
    table = b"\xff\xdb" + struct.pack(">H", 67) + b"\x00" * 65
    told = b"\xff" + bytes([frame]) + struct.pack(">HBHHB", 17, 8, height, width, 3) + b"\x00" * 9
    return b"\xff\xd8" + table + before + told + b"\xff\xd9"
