"""The staff's application (WSGI) behind the gate (ASGI): each page in a thread of its own, handed over whole.

A thread that waits for the event loop waits for all that the loop has before it, and in a rush that is hundreds of
tablets. So it waits for it only where an answer is too long to be kept: its body is at hand when it begins, and what it
says is taken by the loop once it has ended. Not here: reading the body, which the gate does.
"""

import asyncio
import contextvars
import io
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from a2wsgi.wsgi import build_environ

from fleet.channels.asgi import Receive, Scope, Send

WHOLE_BYTES = 512 * 1024  # an answer that is longer is sent as it comes, a piece at a time
_Headers = Sequence[tuple[str, str]]
Application = Callable[[dict[str, Any], Callable[..., Any]], Any]


class Staff:
    """The callable that the gate hands to what no channel owns.

    Args:
        app: the application.
        threads: how many pages are made at the same time.
    """

    def __init__(self, app: Application, *, threads: int) -> None:
        self._app = app
        self._threads = ThreadPoolExecutor(threads, thread_name_prefix="pages")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request, whose body comes in one piece."""
        body = (await receive()).get("body", b"")
        environ: Any = build_environ(scope, io.BytesIO(body))  # type: ignore[arg-type]
        loop = asyncio.get_running_loop()

        async def sent(message: dict[str, Any]) -> None:
            await send(message)

        def deliver(message: dict[str, Any]) -> None:
            asyncio.run_coroutine_threadsafe(sent(message), loop).result()

        answer = _Answer(self._app, environ, deliver)
        for message in await loop.run_in_executor(self._threads, contextvars.copy_context().run, answer.make):
            await send(message)


class _Answer:
    """One answer, made in a thread."""

    def __init__(self, app: Application, environ: dict[str, Any], deliver: Callable[[dict[str, Any]], None]) -> None:
        self._app, self._environ, self._deliver = app, environ, deliver
        self._status, self._headers = 500, list[tuple[bytes, bytes]]()
        self._written: list[bytes] = []

    def make(self) -> list[dict[str, Any]]:
        """Return what is to be said; where that is long, what is left to be said after most of it was delivered."""
        said = self._app(self._environ, self._begin)
        try:
            return self._gathered(iter(said))
        finally:
            getattr(said, "close", lambda: None)()

    def _begin(self, status: str, headers: _Headers, _error: object = None) -> Callable[[bytes], None]:
        self._status = int(status.split(" ", 1)[0])
        self._headers = [
            (name.strip().lower().encode("latin-1"), value.strip().encode("latin-1")) for name, value in headers
        ]
        return self._written.append

    def _gathered(self, pieces: Iterator[bytes]) -> list[dict[str, Any]]:
        kept, size = list[bytes](), 0
        for piece in pieces:
            kept.append(piece)
            size += len(piece)
            if size > WHOLE_BYTES:
                self._deliver(self._head())
                for one in (*self._written, *kept):
                    self._deliver({"type": "http.response.body", "body": one, "more_body": True})
                for one in pieces:
                    self._deliver({"type": "http.response.body", "body": one, "more_body": True})
                return [{"type": "http.response.body", "body": b""}]
        return [self._head(), {"type": "http.response.body", "body": b"".join([*self._written, *kept])}]

    def _head(self) -> dict[str, Any]:
        return {"type": "http.response.start", "status": self._status, "headers": self._headers}
