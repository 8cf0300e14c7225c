"""Packages of our own as tablets fetch them: whole, or the part that a fetch which broke off still lacks.

The word in the address is all that one needs to know: what installs apps on a tablet says nothing of who it is.
Source: RFC 9110 section 14 (ranges).
"""

from pathlib import Path

from fleet.channels.http import FileSlice, Request, Response, UnsatisfiableError, wanted_part

_LASTING = "private, max-age=86400, immutable"  # what a word names never changes


def content(request: Request, path: Path, *, digest: str, size_bytes: int, media_type: str) -> Response:
    """Return a package, or the part of it that is asked for.

    Args:
        request: what asks.
        path: of the file.
        digest: its SHA-256, lower-case hex.
        size_bytes: how long it is.
        media_type: what it is.
    """
    etag = f'"{digest}"'
    headers = {"accept-ranges": "bytes", "etag": etag, "cache-control": _LASTING, "x-content-type-options": "nosniff"}
    try:
        part = wanted_part(request.headers, size_bytes, etag) if request.method == "GET" else None
    except UnsatisfiableError:
        return Response(416, {**headers, "content-range": f"bytes */{size_bytes}"})
    headers["content-type"] = media_type
    if part is None:
        return Response(200, headers, FileSlice(path, 0, size_bytes))
    offset, length = part
    headers["content-range"] = f"bytes {offset}-{offset + length - 1}/{size_bytes}"
    return Response(206, headers, FileSlice(path, offset, length))
