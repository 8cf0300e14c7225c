"""Teachers on the day: each opens the page of the class, starts a lesson with its form, looks at it, ends it.

All over real HTTP, each form with the name its page gave it, so that what is sent again after a lost answer, or a
server that was away, is done once.
"""

import asyncio
import html
import random
import re
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from urllib.parse import urlencode

from bench import load
from bench.municipality import SETS, BenchClass, Municipality
from school_day.clock import DayClock
from school_day.crowd import Expect
from school_day.figures import Spread
from school_day.world import MINUTE, Lesson

_TOKEN = re.compile(rb'name="csrf_token" value="([^"]+)"')
_REQUEST = re.compile(rb'name="request_id" value="([^"]+)"')
_UNTIL = re.compile(rb'name="until" [^>]*value="([^"]+)"')
_SHOWN_AT = re.compile(rb'name="shown_at" value="([^"]+)"')
_COOKIE = re.compile(rb"\r\nset-cookie: ([^;\r]+)", re.IGNORECASE)
_LESSON = re.compile(rb"\r\nlocation: [^\r]*/lessons/(\d+)", re.IGNORECASE)
_RETRY = re.compile(rb"\r\nretry-after: (\d+)", re.IGNORECASE)
_LENGTH = re.compile(rb"\r\ncontent-length: (\d+)", re.IGNORECASE)
_PATIENCE_S = 60.0  # how long a teacher tries again
_AGAIN_S = 2.0
_OPENS_BEFORE, _LOOKS_AFTER = 1.5 * MINUTE, 2 * MINUTE


@dataclass
class Taught:
    """What the teachers met."""

    done: Counter[str] = field(default_factory=Counter)
    failed: Counter[str] = field(default_factory=Counter)
    tried_again: int = 0
    pages: Spread = field(default_factory=Spread)
    forms: Spread = field(default_factory=Spread)


class _FailedError(Exception):
    """A teacher gave up."""


@dataclass
class _Browser:
    """One teacher's browser."""

    port: int
    cookie: str
    taught: Taught

    async def get(self, path: str) -> bytes:
        """Return a page."""
        headers = {"Host": f"127.0.0.1:{self.port}", "Cookie": self.cookie}
        begun = time.perf_counter()
        head, body = await self._ask(load.request("GET", path, headers))
        self.taught.pages.add(time.perf_counter() - begun)
        if not head.startswith(b"HTTP/1.1 200"):
            raise _FailedError(f"page {head[9:12].decode()}")
        if (cookie := _COOKIE.search(head)) is not None:
            self.cookie = cookie[1].decode()
        return body

    async def post(self, path: str, **fields: str | int) -> bytes:
        """Send a form; returns the answer's head, which leads elsewhere."""
        headers = {
            "Host": f"127.0.0.1:{self.port}",
            "Cookie": self.cookie,
            "Content-Type": "application/x-www-form-urlencoded",
        }
        begun = time.perf_counter()
        head, _ = await self._ask(load.request("POST", path, headers, urlencode(fields).encode()))
        self.taught.forms.add(time.perf_counter() - begun)
        if not head.startswith(b"HTTP/1.1 303"):
            raise _FailedError(f"form {head[9:12].decode()}")
        return head

    async def _ask(self, request: bytes) -> tuple[bytes, bytes]:
        """Return head and body of an answer, trying again while nobody answers, or says to come later."""
        gives_up_at = time.perf_counter() + _PATIENCE_S
        while True:
            pause_s = _AGAIN_S
            try:
                head, body = await asyncio.wait_for(self._once(request), _PATIENCE_S)
            except (OSError, asyncio.IncompleteReadError, TimeoutError):
                head, body = b"", b""
            if head and head[9:12] not in {b"429", b"502", b"503"}:
                return head, body
            if (told := _RETRY.search(head)) is not None:
                pause_s = float(told[1])
            if time.perf_counter() > gives_up_at:
                raise _FailedError("nobody answers")
            self.taught.tried_again += 1
            await asyncio.sleep(pause_s)

    async def _once(self, request: bytes) -> tuple[bytes, bytes]:
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        try:
            writer.write(request)
            head = await reader.readuntil(b"\r\n\r\n")
            length = _LENGTH.search(head)
            return head, await reader.readexactly(int(length[1]) if length else 0)
        finally:
            writer.close()


def _found(pattern: re.Pattern[bytes], page: bytes) -> str:
    found = pattern.search(page)
    if found is None:
        raise _FailedError("a page without its form")
    return html.unescape(found[1].decode())


@dataclass
class Teachers:
    """The teachers of the day.

    Args:
        port: of the server.
        town: the classes, and the sets there are.
        clock: the day's.
        until: when the day ends.
        expect: called when a form is sent that will change what tablets apply.
    """

    port: int
    town: Municipality
    clock: DayClock
    until: float
    expect: Callable[[Expect], None]
    taught: Taught = field(default_factory=Taught)

    async def teach(self, lessons: Sequence[Lesson]) -> None:
        """Hold all lessons that begin and end within the day."""
        held = [
            one for one in lessons if self.clock.begins + _OPENS_BEFORE < one.starts_at and one.ends_at < self.until
        ]
        await asyncio.gather(*(self._hold(one) for one in held))

    async def _hold(self, lesson: Lesson) -> None:
        of = self.town.classes[lesson.class_number + 1]  # the first has no tablets
        browser = _Browser(self.port, of.cookie, self.taught)
        try:
            await self._lesson(lesson, of, browser)
        except _FailedError as error:
            self.taught.failed[str(error)] += 1

    async def _lesson(self, lesson: Lesson, of: BenchClass, browser: _Browser) -> None:
        dice = random.Random(f"teacher/{lesson.number}")  # noqa: S311 (make-believe)
        await self._sleep_until(lesson.starts_at - _OPENS_BEFORE * dice.uniform(0.3, 1))
        page = await browser.get(f"/classes/{of.id}/lesson")
        form = {"csrf_token": _found(_TOKEN, page), "request_id": _found(_REQUEST, page)}
        await self._sleep_until(lesson.starts_at)
        chosen = SETS[lesson.set_number % len(SETS)]
        self.expect(Expect(lesson.class_number, "start", of.expected[chosen], time.perf_counter()))
        head = await browser.post(
            f"/classes/{of.id}/lesson", set_id=self.town.sets[chosen], until=_latest(page), **form
        )
        self.taught.done["started"] += 1
        address = f"/lessons/{_found(_LESSON, head)}"
        await self._sleep_until(min(lesson.starts_at + _LOOKS_AFTER, lesson.ends_at))
        shown = await browser.get(address)
        if lesson.message_at is not None and lesson.message_at < lesson.ends_at:
            await self._sleep_until(lesson.message_at)
            text = f"Ta fram matteboka ({lesson.number})."
            told = {"csrf_token": _found(_TOKEN, shown), "shown_at": _found(_SHOWN_AT, shown)}
            await browser.post(f"{address}/message", text=text, **told)
            self.taught.done["messages"] += 1
        await self._sleep_until(lesson.ends_at)
        self.expect(Expect(lesson.class_number, "end", of.tablets[0].desired, time.perf_counter()))
        await browser.post(f"{address}/end", csrf_token=form["csrf_token"])
        self.taught.done["ended"] += 1

    async def _sleep_until(self, instant: float) -> None:
        await asyncio.sleep(self.clock.left_s(instant))


def _latest(page: bytes) -> str:
    """Return the latest of the ends that a page offers."""
    return max(html.unescape(one.decode()) for one in _UNTIL.findall(page))
