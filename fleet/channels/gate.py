"""The tablets' door: one asynchronous callable (ASGI) that hands each request to the channel that owns its path.

Everything that no channel owns goes to the staff's application. Invariants: a body is never read beyond its limit; a
fault of ours is answered 500 and logged with the request's id, never with what the tablet sent.
"""

import time
import uuid
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Protocol

import structlog

from fleet.channels.http import Request, Response

Scope = dict[str, Any]
Receive = Callable[[], Awaitable[dict[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]

_log = structlog.get_logger("gate")


class TooLargeError(Exception):
    """The body is larger than the channel takes."""


class Channel(Protocol):
    """One way a tablet speaks."""

    prefix: str
    max_body_bytes: int

    async def handle(self, request: Request) -> Response:
        """Answer a request under the channel's prefix."""

    def too_large(self) -> Response:
        """Return the channel's own answer to a body beyond its limit."""

    def failed(self) -> Response:
        """Return the channel's own answer to a fault of ours."""

    async def drain(self) -> None:
        """Answer everything that was taken in."""


class Gate:
    """The callable that the server runs.

    Args:
        channels: the ways tablets speak.
        staff: the application for everything else (ASGI).
        on_start: called once when serving begins; what it returns is called when it ends.
    """

    def __init__(self, channels: Sequence[Channel], staff: Any, *, on_start: Callable[[], Callable[[], None]]) -> None:
        self._channels = channels
        self._staff = staff
        self._on_start = on_start

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request, or the life of the process."""
        if scope["type"] == "lifespan":
            await self._live(receive, send)
            return
        if scope["type"] == "http":
            path: str = scope["path"]
            for channel in self._channels:
                if path.startswith(channel.prefix):
                    await self._serve(channel, scope, receive, send)
                    return
            await self._staff(scope, receive, send)

    async def _live(self, receive: Receive, send: Send) -> None:
        await receive()
        stop = self._on_start()
        await send({"type": "lifespan.startup.complete"})
        await receive()
        for channel in self._channels:
            await channel.drain()
        stop()
        await send({"type": "lifespan.shutdown.complete"})

    async def _serve(self, channel: Channel, scope: Scope, receive: Receive, send: Send) -> None:
        begun = time.perf_counter()
        try:
            response = await channel.handle(await _read(scope, receive, channel.max_body_bytes))
        except TooLargeError:
            response = channel.too_large()
        except Exception:  # noqa: BLE001 (the last resort: logged, answered, and the process lives on)
            request_id = uuid.uuid4().hex
            _log.exception("failed", request_id=request_id, method=scope["method"], path=scope["path"][:200])
            await _send(send, channel.failed(), request_id)
            return
        if response.status >= 400:
            took_ms = round(1000 * (time.perf_counter() - begun), 1)
            _log.info("refused", status=response.status, path=scope["path"][:200], took_ms=took_ms)
        await _send(send, response, None)


async def _read(scope: Scope, receive: Receive, max_body_bytes: int) -> Request:
    """Read a request whole.

    Raises:
        TooLargeError: the body is larger than that.
        ConnectionError: the tablet went away.
    """
    headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
    length = headers.get("content-length", "0")
    if not length.isdecimal() or int(length) > max_body_bytes:
        raise TooLargeError
    body = b""
    if length != "0" or "transfer-encoding" in headers:
        chunks, size, more = [], 0, True
        while more:
            message = await receive()
            if message["type"] != "http.request":
                raise ConnectionError
            chunk = message.get("body", b"")
            size += len(chunk)
            if size > max_body_bytes:
                raise TooLargeError
            chunks.append(chunk)
            more = message.get("more_body", False)
        body = b"".join(chunks)
    raw = scope.get("raw_path") or scope["path"].encode()
    path = raw.partition(b"?")[0].decode("latin-1")
    return Request(scope["method"], path, scope["query_string"].decode("latin-1"), headers, body)


async def _send(send: Send, response: Response, request_id: str | None) -> None:
    headers = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in response.headers.items()]
    if response.status not in {204, 304}:
        headers.append((b"content-length", str(len(response.body)).encode()))
    if request_id is not None:
        headers.append((b"x-request-id", request_id.encode()))
    await send({"type": "http.response.start", "status": response.status, "headers": headers})
    await send({"type": "http.response.body", "body": response.body})
