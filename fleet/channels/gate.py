"""The tablets' door: one asynchronous callable (ASGI) that hands each request to the channel that owns its path.

Everything that no channel owns goes to the staff's application, with its body read whole, so that who sends slowly
holds none of its threads. Invariants: a body is never read beyond its limit, nor all bodies together beyond theirs; a
fault of ours is answered 500 and logged with the request's id, never with what the tablet sent, nor with what opens
something by being known; every answer carries the request's id, which the staff's application gets as
``X-Request-ID``.
"""

import asyncio
import os
import random
import re
import time
import traceback
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import UTC, datetime
from email.utils import format_datetime
from functools import lru_cache, partial
from typing import Any, Protocol

import structlog
from msgspec.structs import replace

from fleet.apps.sent import KEY
from fleet.channels import asgi, bodies, measuring
from fleet.channels.asgi import AbandonedError, Receive, Scope, Send
from fleet.channels.bodies import FORM_BYTES, Bodies, CrowdedError, TooLargeError
from fleet.channels.crowding import ARRIVED, Line
from fleet.channels.http import FileSlice, Request, Response
from fleet.channels.spooling import Spooling
from fleet.channels.streaming import opened, send_file
from fleet.db import is_unavailable

Probe = Callable[[Request], Awaitable[Response]]
MostBytes = Callable[[str, str, Mapping[str, str]], int]  # by method, path and headers

_log = structlog.get_logger("gate")

_RETRY_S = "5"
_STAFF, _FILES = "pages", "/static/"  # the door, as it is counted, and what of it has nothing to do with the database
_UNAVAILABLE = 503  # what the staff's application says where there is no room; 429 is for who asks too often
# 256 bits or more in base64, hex, or longer: invitations, files and profiles are had by whoever knows their names. And
# where Android tablets speak: under a ticket's code, or a word of their own.
_SECRET = re.compile(r"[A-Za-z0-9_=-]{40,}|(?<=/)hw-[et][A-Za-z0-9]+")
# In the state that the server keeps for the application (ASGI lifespan): what to call when it stops, before it waits
# for the requests that are open.
STOPPING = "fleet.stopping"
# In the same place: what to call when the server shall go on serving for a while, but be sent nothing new; it returns
# for how many seconds.
DRAINING = "fleet.draining"
# In what is told of a request (ASGI scope): the address at the other end of the connection. ``client`` is what a proxy
# says, where the server believes it.
PEER = "fleet.peer"


class Channel(Protocol):
    """One way a tablet speaks."""

    name: str
    prefix: str
    max_body_bytes: int

    async def handle(self, request: Request) -> Response:
        """Answer a request under the channel's prefix."""

    def too_large(self) -> Response:
        """Return the channel's own answer to a body beyond its limit."""

    def busy(self) -> Response:
        """Return the channel's own answer where too much is held already."""

    def failed(self) -> Response:
        """Return the channel's own answer to a fault of ours."""

    def release(self) -> None:
        """Answer those who are held, soon, and hold nobody any more; may be called often."""

    async def drain(self) -> None:
        """Answer everything that was taken in."""


class Gate:
    """The callable that the server runs.

    Args:
        channels: the ways tablets speak.
        staff: the application for everything else (ASGI).
        probes: questions about the server itself, by exact path.
        on_start: called once when serving begins; what it returns is called when it ends.
        now: the clock, for the answers' Date.
        most_staff_bytes: how large a body the staff's application takes of whom, where that is more than of others.
        spooling: what takes files out of forms for the staff's application; None: nothing does.
        drain_s: for how long to serve on once it is known that the server stops.
    """

    def __init__(
        self,
        channels: Sequence[Channel],
        staff: Any,
        *,
        probes: Mapping[str, Probe],
        on_start: Callable[[], Callable[[], None]],
        now: Callable[[], datetime],
        most_staff_bytes: MostBytes = lambda _method, _path, _headers: FORM_BYTES,
        spooling: Spooling | None = None,
        drain_s: float = 0,
    ) -> None:
        self._channels = channels
        self._most_staff_bytes = most_staff_bytes
        self._spooling = spooling
        self._staff = staff
        self._probes = probes
        self._on_start = on_start
        self._now = now
        self._bodies = Bodies(bodies.MAX_HELD_BYTES)
        self._line = Line()
        # Names need not be secret, and asking the system for each would let go of the interpreter before it has begun.
        self._dice = random.Random(os.urandom(16))  # noqa: S311
        self._stopping = asyncio.Event()
        self._drain_s = drain_s
        self.is_draining = False

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request, or the life of the process."""
        if scope["type"] == "lifespan":
            scope.get("state", {}).update(
                {STOPPING: self.release, DRAINING: self.begin_draining, ARRIVED: self._line.arrive}
            )
            await self._live(receive, send)
            return
        if scope["type"] == "http":
            path: str = scope["path"]
            request_id = f"{self._dice.getrandbits(128):032x}"
            for channel in self._channels:
                if path.startswith(channel.prefix):
                    await self._serve(channel, scope, receive, send, request_id=request_id)
                    return
            if path in self._probes and scope["method"] in {"GET", "HEAD"}:
                request = _request(scope, receive, asgi.headers(scope["headers"]), b"")
                response = await self._probes[path](request)
                response = _over_another(response) if asgi.CROWDED in scope else response
                await self._send(scope, send, response, request_id)
                return
            await self._serve_staff(scope, receive, send, request_id)

    def begin_draining(self) -> float:
        """Answer those who are held, and hold nobody; returns for how many seconds to serve on before stopping.

        Each answer from now on asks the caller to come over another connection, so that none is open, with a request
        perhaps just on its way, when the server hangs up. Whoever shares requests out among servers sees by
        ``/readyz`` meanwhile that this one wants no more.
        """
        self.is_draining = True
        for channel in self._channels:
            channel.release()
        return self._drain_s

    def release(self) -> None:
        """Answer those who are held, and wait for no body any more: the server is stopping.

        It waits for open requests before it says so itself.
        """
        self._bodies.hurry()
        self._stopping.set()
        for channel in self._channels:
            channel.release()

    async def _live(self, receive: Receive, send: Send) -> None:
        await receive()
        stop = self._on_start()
        await send({"type": "lifespan.startup.complete"})
        await receive()
        self.release()
        for channel in self._channels:
            await channel.drain()
        stop()
        await send({"type": "lifespan.shutdown.complete"})

    async def _serve(self, channel: Channel, scope: Scope, receive: Receive, send: Send, *, request_id: str) -> None:
        is_crowded = asgi.CROWDED in scope
        if not is_crowded and (turn := self._line.turn()) is not None:
            await turn
        moment = time.perf_counter()
        begun = self._line.came(scope, moment)
        if is_crowded or self._line.is_late(scope, moment):
            self._line.note_turned_away(moment)
            response = _over_another(channel.busy()) if is_crowded else channel.busy()
            _count(channel, response, begun)
            await self._send(scope, send, response, request_id)
            return
        try:
            response = await self._answer(channel, scope, receive)
        except TooLargeError:
            response = channel.too_large()
        except CrowdedError:
            response = channel.busy()
        except AbandonedError:  # whoever asked is gone or too slow: nobody to answer
            _log.info("abandoned", request_id=request_id, path=_shown(scope["path"]))
            response = Response(408, {"connection": "close"})
        except Exception as error:  # noqa: BLE001 (the last resort: logged, answered, and the process lives on)
            _log.error(
                "failed", request_id=request_id, method=scope["method"], path=_shown(scope["path"]), **_fault(error)
            )
            # A database that is away comes back, or another takes its place: tablets are told when to come again.
            response = channel.busy() if is_unavailable(error) else channel.failed()
            _count(channel, response, begun)
            await self._send(scope, send, response, request_id)
            return
        _count(channel, response, begun)
        if response.is_shed:
            self._line.note_turned_away(time.perf_counter())
        elif response.status >= 400:
            took_ms = round(1000 * (time.perf_counter() - begun), 1)
            _log.info(
                "refused",
                request_id=request_id,
                status=response.status,
                path=_shown(scope["path"]),
                took_ms=took_ms,
            )
        if isinstance(response.body, FileSlice):
            await self._send_part(channel, response, response.body, scope, receive, send, request_id=request_id)
        else:
            await self._send(scope, send, response, request_id)

    async def _answer(self, channel: Channel, scope: Scope, receive: Receive) -> Response:
        """Read a request whole and have it answered.

        Raises:
            TooLargeError: the body is larger than the channel takes.
            AbandonedError: the tablet went away, or is too slow.
            CrowdedError: there is no room for the body.
        """
        headers = asgi.headers(scope["headers"])
        if scope["method"] == "GET" and "content-length" not in headers and "transfer-encoding" not in headers:
            return await channel.handle(_request(scope, receive, headers, b""))  # there is no body to wait for
        if asgi.length(headers) > channel.max_body_bytes:
            raise TooLargeError
        with self._bodies.share() as share:
            body = await share.read(scope, receive, channel.max_body_bytes)
            return await channel.handle(_request(scope, receive, headers, body))

    async def _send_part(
        self, channel: Channel, response: Response, part: FileSlice, *call: Any, request_id: str
    ) -> None:
        """Send an answer whose body is in a file."""
        scope, receive, send = call
        try:
            descriptor = await asyncio.to_thread(opened, part)
        except OSError as error:
            _log.error("no file", request_id=request_id, path=_shown(scope["path"]), **_fault(error))
            await self._send(scope, send, channel.failed(), request_id)
            return
        is_sent = False
        try:
            await self._begin(send, response, request_id)
            is_sent = scope["method"] != "HEAD"
        finally:
            if not is_sent:
                os.close(descriptor)
        if not is_sent:
            await send({"type": "http.response.body", "body": b""})
            return
        await send_file(part, descriptor, send=send, gone=partial(asgi.gone, receive), stopping=self._stopping)

    async def _serve_staff(self, scope: Scope, receive: Receive, send: Send, request_id: str) -> None:
        """Hand a request to the staff's application once all of it is here."""
        headers, begun = asgi.headers(scope["headers"]), time.perf_counter()
        is_crowded = asgi.CROWDED in scope
        if not is_crowded and self._spooling and await self._spooling.takes(scope["method"], scope["path"], headers):
            await self._serve_file(self._spooling, headers, scope, receive, send, request_id=request_id)
            return
        with self._bodies.share() as share:
            try:
                if is_crowded:
                    raise CrowdedError  # noqa: TRY301 (the same answer)
                most = self._most_staff_bytes(scope["method"], scope["path"], headers)
                # One that is said to be too large is refused there, unread and in the reader's language.
                body = b"" if asgi.length(headers) > most else await share.read(scope, receive, most)
            except TooLargeError:
                refusal = Response(413, {"connection": "close"})
            except AbandonedError:
                refusal = Response(408, {"connection": "close"})
            except CrowdedError:
                refusal = Response(_UNAVAILABLE, {"connection": "close", "retry-after": _RETRY_S}, is_shed=True)
            else:
                await self._staff(*self._named(scope, asgi.told(body), send, request_id))
                return
        measuring.answered(_STAFF, refusal.status, begun, is_shed=refusal.is_shed)
        if refusal.is_shed:
            self._line.note_turned_away(time.perf_counter())
        await self._send(scope, send, refusal, request_id)

    async def _serve_file(self, spooling: Spooling, headers: Mapping[str, str], *call: Any, request_id: str) -> None:
        """Hand a form to the staff's application whose file is on the disk by then."""
        scope, receive, send = call
        try:
            async with spooling.taken(headers, receive, self._stopping) as (body, sent):
                told = {**scope, KEY: sent, "headers": asgi.as_form(scope["headers"], body)}
                await self._staff(*self._named(told, asgi.told(body), send, request_id))
        except AbandonedError:
            await self._send(scope, send, Response(408, {"connection": "close"}), request_id)

    def _named(self, scope: Scope, receive: Receive, send: Send, request_id: str) -> tuple[Scope, Receive, Send]:
        """Give a request for the staff's application its id, and its answer the same."""
        name = (b"x-request-id", request_id.encode())
        # WSGI knows no difference between - and _: a name with the latter could pass for one that we set.
        headers = [pair for pair in scope["headers"] if pair[0] != name[0] and b"_" not in pair[0]]

        door, begun = "files" if scope["path"].startswith(_FILES) else _STAFF, time.perf_counter()

        async def send_named(message: dict[str, Any]) -> None:
            if message["type"] == "http.response.start":
                measuring.answered(door, message["status"], begun, is_shed=message["status"] == _UNAVAILABLE)
                message = {**message, "headers": [*message.get("headers", ()), name, *self._of_all()]}
            await send(message)

        return {**scope, "headers": [*headers, name]}, receive, send_named

    async def _send(self, scope: Scope, send: Send, response: Response, request_id: str) -> None:
        """Send an answer: at once where the server can, else by messages."""
        at_once: asgi.Answer = scope.get(asgi.ANSWER, _never)
        if not at_once(response.status, self._headers(response, request_id), response.body):
            await self._begin(send, response, request_id)
            await send({"type": "http.response.body", "body": response.body})

    async def _begin(self, send: Send, response: Response, request_id: str) -> None:
        headers = self._headers(response, request_id)
        await send({"type": "http.response.start", "status": response.status, "headers": headers})

    def _headers(self, response: Response, request_id: str) -> list[tuple[bytes, bytes]]:
        headers = [(_name(name), value.encode("latin-1")) for name, value in response.headers.items()]
        if response.status not in {204, 304}:
            headers.append((b"content-length", b"%d" % response.length))
        headers.append((b"x-request-id", request_id.encode()))
        headers += self._of_all()
        return headers

    def _of_all(self) -> list[tuple[bytes, bytes]]:
        """Return the headers that every answer has."""
        date = (b"date", _date(int(self._now().timestamp())))
        return [date, (b"connection", b"close")] if self.is_draining else [date]


def _over_another(response: Response) -> Response:
    """Return an answer after which the connection ends."""
    return replace(response, headers={**response.headers, "connection": "close"})


def _never(_status: int, _headers: object, _body: object) -> bool:
    """Say nothing at once: the server is another's."""
    return False


def _count(channel: Channel, response: Response, begun: float) -> None:
    measuring.answered(channel.name, response.status, begun, held_s=response.held_s, is_shed=response.is_shed)


@lru_cache(maxsize=256)
def _name(name: str) -> bytes:
    """Return the name of a header of ours as HTTP writes it; there are a few dozen."""
    return name.encode("latin-1")


@lru_cache(maxsize=4)
def _date(second: int) -> bytes:
    """Return a second since 1970 as HTTP writes it; thousands of answers share one."""
    return format_datetime(datetime.fromtimestamp(second, UTC), usegmt=True).encode()


def _request(scope: Scope, receive: Receive, headers: Mapping[str, str], body: bytes) -> Request:
    raw = scope.get("raw_path") or scope["path"].encode()
    path = raw.partition(b"?")[0].decode("latin-1")
    query = scope["query_string"].decode("latin-1")
    client = scope["client"][0] if scope.get("client") else None
    gone = partial(asgi.gone, receive)
    return Request(scope["method"], path, query, headers, body, client=client, peer=scope.get(PEER), gone=gone)


def _shown(path: str) -> str:
    """Return a path as the log may tell it: tokens and names that open something by being known are left out."""
    return _SECRET.sub("…", path)[:200]


def _fault(error: BaseException) -> dict[str, Any]:
    """Return what the log may tell of a fault: kinds and places. Messages may quote what the tablet sent."""
    kinds: list[str] = []
    cause: BaseException | None = error
    frames = [one for one in traceback.extract_tb(error.__traceback__) if "site-packages" not in one.filename]
    while cause is not None:
        kinds.append(type(cause).__name__)
        cause = cause.__cause__ or cause.__context__
    return {"kinds": kinds, "places": [f"{frame.filename}:{frame.lineno} {frame.name}" for frame in frames[-12:]]}
