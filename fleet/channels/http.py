"""Requests and answers of the tablets' door as plain values."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field


async def _never() -> None:
    await asyncio.Event().wait()


@dataclass(frozen=True, slots=True)
class Request:
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
    client: str | None = field(default=None, repr=False)
    peer: str | None = field(default=None, repr=False)
    gone: Callable[[], Awaitable[None]] = field(default=_never, repr=False)


@dataclass(frozen=True, slots=True)
class Response:
    """An answer."""

    status: int
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""


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
