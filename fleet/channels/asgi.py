"""What the server tells of a request, and how a body is told on: the small words of ASGI."""

from collections.abc import Awaitable, Callable, Iterable, Mapping
from functools import lru_cache
from typing import Any

Scope = dict[str, Any]
Receive = Callable[[], Awaitable[dict[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]

# In what is told of a request (ASGI scope), where the server is ours. What says a whole answer in one write, given its
# status, headers and body; it returns whether it did: what is out of the ordinary goes by messages.
ANSWER = "fleet.answer"
# And what gives the body where all of it is here already, so that nobody need wait for it; None where it is not.
BODY = "fleet.body"
# And there where there is no room for another connection like this, or another request: who asks shall come later, over
# another.
CROWDED = "fleet.crowded"
Answer = Callable[[int, list[tuple[bytes, bytes]], Any], bool]
AtHand = Callable[[], bytes | None]


class AbandonedError(Exception):
    """Whoever asked went away, or sends too slowly."""


async def gone(receive: Receive) -> None:
    """Return when the caller has hung up. The server reads on meanwhile, so there may be more than that to hear."""
    while (await receive())["type"] != "http.disconnect":
        pass


def length(headers: Mapping[str, str]) -> int:
    """Return how long the body is said to be, 0 where that is not said."""
    told_length = headers.get("content-length", "")
    return int(told_length[:19]) if told_length.isdecimal() else 0


def told(body: bytes) -> Receive:
    """Return a receiver that tells a body that was read before."""
    messages = [{"type": "http.request", "body": body, "more_body": False}]

    async def receive() -> dict[str, Any]:
        return messages.pop() if messages else {"type": "http.disconnect"}

    return receive


@lru_cache(maxsize=256)
def _called(name: bytes) -> str:
    """Return a header's name as ours; thousands of requests share a few dozen."""
    return name.decode("latin-1").lower()


def headers(given: Iterable[tuple[bytes, bytes]]) -> dict[str, str]:
    """Return headers by lower-case name; one that came several times is one list. Source: RFC 9110 section 5.3."""
    found: dict[str, str] = {}
    for name, value in given:
        called, text = _called(name), value.decode("latin-1")
        found[called] = f"{found[called]}, {text}" if called in found else text
    return found


def as_form(given: Iterable[tuple[bytes, bytes]], body: bytes) -> list[tuple[bytes, bytes]]:
    """Return a request's headers with those of another body: a form in the usual way."""
    of_body = {b"content-type", b"content-length", b"transfer-encoding", b"content-encoding"}
    kept = [(name, value) for name, value in given if name.lower() not in of_body]
    form = (b"content-type", b"application/x-www-form-urlencoded")
    return [*kept, form, (b"content-length", str(len(body)).encode())]
