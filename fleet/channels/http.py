"""Requests and answers of the tablets' door as plain values.

One of each is made for every poll: msgspec makes them for a fraction of what a frozen dataclass takes.
"""

import asyncio
import re
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path

from msgspec import Struct, field


async def _never() -> None:
    await asyncio.Event().wait()


class Request(Struct, frozen=True):
    """A request, read whole: raw path and query as they came, headers by lower-case name, repeated ones as one list.

    ``client`` is the address it came from, as the last proxy that counts says; ``peer`` is who is at the other end of
    the connection, the proxy where there is one, None where that is not known; ``gone`` returns when the caller has
    hung up, for those who hold a request.
    """

    method: str
    path: str
    query: str
    headers: Mapping[str, str]
    body: bytes
    client: str | None = None
    peer: str | None = None
    gone: Callable[[], Awaitable[None]] = _never

    def __repr__(self) -> str:
        """Tell neither who asked nor what was told."""
        return f"Request({self.method})"


class FileSlice(Struct, frozen=True):
    """A part of a file, sent as it is read: ``length`` bytes from ``offset`` on. It never stands in memory whole."""

    path: Path
    offset: int
    length: int

    def __repr__(self) -> str:
        """Tell no name: some open something by being known."""
        return f"FileSlice({self.offset}, {self.length})"


class Response(Struct, frozen=True):
    """An answer.

    ``held_s`` is for how long the caller was held on purpose before it; ``is_shed`` whether it says that there is no
    room for the caller just now, whoever that is.
    """

    status: int
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes | FileSlice = b""
    held_s: float = 0.0
    is_shed: bool = False

    @property
    def length(self) -> int:
        """How many bytes the body has."""
        return self.body.length if isinstance(self.body, FileSlice) else len(self.body)


def preferred_wait_s(headers: Mapping[str, str]) -> int:
    """Return for how many seconds the caller would rather wait than hear that nothing changed; 0 where it does not.

    The first ``wait`` counts; one that is no number of seconds is as good as none. Source: RFC 7240 sections 2 and 4.3.
    """
    for told in headers.get("prefer", "").split(","):
        name, _, value = told.partition(";")[0].partition("=")
        if name.strip().lower() == "wait":
            seconds = value.strip().removeprefix('"').removesuffix('"')
            return int(seconds) if seconds.isascii() and seconds.isdecimal() and len(seconds) < 10 else 0
    return 0


_RANGE = re.compile(r"bytes=(?:([0-9]{1,18})-([0-9]{1,18})?|-([0-9]{1,18}))", re.IGNORECASE)


class UnsatisfiableError(Exception):
    """The caller wants a part that lies beyond the end."""


def wanted_part(headers: Mapping[str, str], size: int, etag: str) -> tuple[int, int] | None:
    """Return offset and length of the part that the caller wants, None where it wants all.

    Several parts at once, and what cannot be read, are as good as not said; so is a part of what has changed since.
    Source: RFC 9110 sections 13.1.5 (If-Range) and 14.2 (Range).

    Raises:
        UnsatisfiableError: nothing of it lies in there.
    """
    found = _RANGE.fullmatch(headers.get("range", "").strip())
    if found is None or headers.get("if-range", etag).strip() != etag:
        return None
    first, last, suffix = found.groups()
    if suffix is not None:
        offset, end = max(0, size - int(suffix)), size
    else:
        offset, end = int(first), min(size, int(last) + 1 if last is not None else size)
        if last is not None and int(last) < offset:
            return None
    if offset >= end:
        raise UnsatisfiableError
    return offset, end - offset
