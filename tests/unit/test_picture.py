"""What kind of picture some bytes are: read from the header, and nothing that only calls itself one."""

import struct
import zlib

import pytest

from fleet.apps import picture
from fleet.apps.picture import ImageError, Picture
from tests.pictures import jpeg, png


def test_a_png_says_its_size_in_its_first_chunk() -> None:
    assert picture.read(png(640, 480)) == Picture("image/png", 640, 480)


@pytest.mark.parametrize("frame", [0xC0, 0xC1, 0xC2, 0xCF])
def test_a_jpeg_says_its_size_in_its_first_frame_whatever_comes_before(frame: int) -> None:
    assert picture.read(jpeg(640, 480, frame=frame)) == Picture("image/jpeg", 640, 480)
    assert picture.read(jpeg(640, 480, frame=frame, before=b"\xff\xff\xff\xd0")) == Picture("image/jpeg", 640, 480)


def reason(content: bytes) -> str:
    with pytest.raises(ImageError) as caught:
        picture.read(content)
    return str(caught.value.data["reason"])


@pytest.mark.parametrize(
    "content", [b"", b"GIF89a", b"<svg xmlns='http://www.w3.org/2000/svg'/>", b"<html>", b"\x89PNG", b"\xff\xd8"]
)
def test_what_is_neither_is_refused(content: bytes) -> None:
    assert reason(content) == "kind"


@pytest.mark.parametrize(
    "content",
    [
        png(640, 480)[:20],
        png(0, 480),
        png(640, 480).replace(b"IHDR", b"tEXt"),
        jpeg(640, 480)[:12],
        jpeg(0, 480),
        b"\xff\xd8\xff\xe0\x00\x00" + b"\x00" * 40,
        b"\xff\xd8\xff\xd9\x00\x00",
        b"\xff\xd8\xff\xda\x00\x08" + jpeg(640, 480)[2:],
        b"\xff\xd8\xff" * 20,
        b"\xff\xd8" + b"\xff" * 1_000,
        b"\xff\xd8" + b"\xff\xe1\xff\xff" + b"\x00" * 100,
    ],
)
def test_damaged_headers_are_refused(content: bytes) -> None:
    assert reason(content) == "damaged"


def test_what_is_too_large_is_refused_unread() -> None:
    assert reason(png(8_193, 1)) == "side"
    assert reason(jpeg(1, 8_193)) == "side"
    assert reason(png(1, 1) + b"\x00" * picture.MAX_BYTES) == "bytes"
    assert picture.read(png(8_192, 8_192)).width == 8_192


def test_the_pictures_of_tests_are_pictures() -> None:
    content = png(2, 1)
    (length,) = struct.unpack_from(">I", content, 33)
    assert zlib.decompress(content[41 : 41 + length]) == b"\x00" + b"\x7f" * 6
