"""Teachers' browsers: each opens the page of its class and, when told, sends its form, all at the same time."""

import asyncio
import html
import re
import time
from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import urlencode

from bench import load
from bench.municipality import BenchClass

_FORM = re.compile(rb'name="csrf_token" value="([^"]+)"')
_UNTIL = re.compile(rb'name="until" [^>]*value="([^"]+)" checked')
_COOKIE = re.compile(rb"\r\nset-cookie: ([^;\r]+)", re.IGNORECASE)
_LESSON = re.compile(rb"\r\nlocation: [^\r]*/lessons/(\d+)", re.IGNORECASE)
_RETRY = re.compile(rb"\r\nretry-after: (\d+)", re.IGNORECASE)
_TRIES = 20
_AT_ONCE = 4  # pages that are opened at the same time


@dataclass
class Sent:
    """A form that was sent: when first and when it was taken (the machine's monotonic clock), the lesson's number.

    Who is turned away sends it again after Retry-After; ``refused`` counts how often that was, ``unkindly`` how often
    it was not said when to come again.
    """

    status: int
    sent_at: float
    answered_at: float
    lesson_id: int | None
    refused: int
    unkindly: int


@dataclass
class _Form:
    """What a browser has of a page: its cookie, the form's hidden token, the end that is ticked."""

    cookie: str
    token: str
    until: str


async def _ask(port: int, request: bytes) -> tuple[bytes, bytes, float]:
    """Return head and body of an answer, and when the request was sent."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        sent_at = time.perf_counter()
        writer.write(request)
        head = await reader.readuntil(b"\r\n\r\n")
        found = re.search(rb"content-length: (\d+)", head, re.IGNORECASE)
        return head, await reader.readexactly(int(found[1]) if found else 0), sent_at
    finally:
        writer.close()


async def _open(port: int, one: BenchClass) -> _Form:
    path = f"/classes/{one.id}/lesson"
    head, body, _ = await _ask(port, load.request("GET", path, {"Host": f"127.0.0.1:{port}", "Cookie": one.cookie}))
    token, until, cookie = _FORM.search(body), _UNTIL.search(body), _COOKIE.search(head)
    if not head.startswith(b"HTTP/1.1 200") or token is None or until is None:
        raise SystemExit(f"bench: the page of class {one.title} was answered {head[9:12].decode()}")
    return _Form(cookie[1].decode() if cookie else one.cookie, token[1].decode(), html.unescape(until[1].decode()))


async def _post(port: int, path: str, form: _Form, **fields: str | int) -> Sent:
    body = urlencode({"csrf_token": form.token, **fields}).encode()
    headers = {
        "Host": f"127.0.0.1:{port}", "Cookie": form.cookie, "Content-Type": "application/x-www-form-urlencoded",
    }  # fmt: skip
    request = load.request("POST", path, headers, body)
    head, _, sent_at = await _ask(port, request)
    refused = unkindly = 0
    while head[9:12] in {b"429", b"503"} and refused < _TRIES:
        told, refused = _RETRY.search(head), refused + 1
        unkindly += told is None
        await asyncio.sleep(int(told[1]) if told else 5)
        head, _, _ = await _ask(port, request)
    lesson = _LESSON.search(head)
    return Sent(int(head[9:12]), sent_at, time.perf_counter(), int(lesson[1]) if lesson else None, refused, unkindly)


class Teachers:
    """The teachers of some classes.

    Args:
        port: of the server.
        classes: theirs.
    """

    def __init__(self, port: int, classes: Sequence[BenchClass]) -> None:
        self._port, self._classes = port, classes
        self._forms: list[_Form] = []

    def open_pages(self) -> None:
        """Have each open the page of the class, which has the form."""

        async def some(place: int) -> list[tuple[int, _Form]]:
            numbers = range(place, len(self._classes), _AT_ONCE)
            return [(number, await _open(self._port, self._classes[number])) for number in numbers]

        async def every() -> list[tuple[int, _Form]]:
            return [one for ones in await asyncio.gather(*map(some, range(_AT_ONCE))) for one in ones]

        self._forms = [form for _, form in sorted(asyncio.run(every()), key=lambda pair: pair[0])]

    def start(self, set_id: int) -> list[Sent]:
        """Have all start a lesson with this set at the same time; returns what came of each, in the classes' order."""

        async def every() -> list[Sent]:
            pairs = zip(self._classes, self._forms, strict=True)
            posts = (
                _post(self._port, f"/classes/{one.id}/lesson", form, set_id=set_id, until=form.until)
                for one, form in pairs
            )
            return await asyncio.gather(*posts)

        return asyncio.run(every())

    def end(self, lesson_id: int) -> Sent:
        """Have the first teacher end a lesson."""
        return asyncio.run(_post(self._port, f"/lessons/{lesson_id}/end", self._forms[0]))
