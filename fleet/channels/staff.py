"""The staff's application (WSGI) behind the gate (ASGI): each page in a thread of its own, handed over whole.

A thread that waits for the event loop waits for all that the loop has before it, and in a rush that is hundreds of
tablets. So it waits for it only where an answer is too long to be kept: a request's body is at hand when its page
begins, and what the page says is taken by the loop once it has ended. Invariant: of the threads only a few say long
answers at the same time, so that those who read slowly cannot hold them all. Not here: reading the body, which the gate
does.

Source: PEP 3333.
"""

import asyncio
import contextvars
import io
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from a2wsgi.wsgi import build_environ

from fleet.channels.asgi import Receive, Scope, Send

WHOLE_BYTES = 512 * 1024  # an answer that is longer is sent as it comes, a piece at a time
_PIECE_S = 60.0  # for which a piece may wait for its reader: longer than the connection itself does
_TURN_S, _RETRY_S = 2.0, b"5"
_NO_ROOM: list[dict[str, Any]] = [
    {"type": "http.response.start", "status": 503, "headers": [(b"retry-after", _RETRY_S), (b"content-length", b"0")]},
    {"type": "http.response.body", "body": b""},
]
_Headers = Sequence[tuple[str, str]]
Application = Callable[[dict[str, Any], Callable[..., Any]], Any]


class Staff:
    """The callable that the gate hands to what no channel owns.

    Args:
        app: the application.
        threads: how many pages are made at the same time; a third of them may say long answers.
    """

    def __init__(self, app: Application, *, threads: int) -> None:
        self._app = app
        self._threads = ThreadPoolExecutor(threads, thread_name_prefix="pages")
        self._long_turns = threading.BoundedSemaphore(max(1, threads // 3))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request, whose body comes in one piece."""
        body = (await receive()).get("body", b"")
        environ: Any = build_environ(scope, io.BytesIO(body))  # type: ignore[arg-type]
        loop = asyncio.get_running_loop()

        async def sent(message: dict[str, Any]) -> None:
            await send(message)

        def deliver(message: dict[str, Any]) -> None:
            delivered = asyncio.run_coroutine_threadsafe(sent(message), loop)
            try:
                delivered.result(_PIECE_S)
            except TimeoutError:
                delivered.cancel()
                raise

        answer = _Answer(self._app, environ, deliver, self._long_turns)
        for message in await loop.run_in_executor(self._threads, contextvars.copy_context().run, answer.make):
            await send(message)


class _NoRoomError(Exception):
    """As many long answers are being said as may."""


class _Answer:
    """One answer, made in a thread."""

    def __init__(
        self,
        app: Application,
        environ: dict[str, Any],
        deliver: Callable[[dict[str, Any]], None],
        long_turns: threading.BoundedSemaphore,
    ) -> None:
        self._app, self._environ, self._deliver, self._long_turns = app, environ, deliver, long_turns
        self._head: dict[str, Any] | None = None
        self._kept: list[bytes] = []
        self._size, self._is_long = 0, False

    def make(self) -> list[dict[str, Any]]:
        """Return what is to be said; where that is long, what is left to be said after most of it was delivered."""
        try:
            said = self._app(self._environ, self._begin)
            try:
                for piece in said:
                    self._say(piece)
            finally:
                getattr(said, "close", lambda: None)()
        except _NoRoomError:
            return _NO_ROOM
        except StopIteration as error:  # a future cannot carry it
            raise RuntimeError("StopIteration") from error
        finally:
            if self._is_long:
                self._long_turns.release()
        if self._head is None:
            raise RuntimeError("no answer was begun")
        end = {"type": "http.response.body", "body": b"".join(self._kept)}
        return [end] if self._is_long else [self._head, end]

    def _begin(self, status: str, headers: _Headers, error: Any = None) -> Callable[[bytes], None]:
        if error is not None and self._is_long:  # too late for another answer: this one must not look whole
            raise error[1].with_traceback(error[2])
        told = [(_bytes(name).lower(), _bytes(value)) for name, value in headers]
        self._head = {"type": "http.response.start", "status": int(status.split(" ", 1)[0]), "headers": told}
        return self._say

    def _say(self, piece: bytes) -> None:
        self._kept.append(piece)
        self._size += len(piece)
        if not self._is_long:
            if self._size <= WHOLE_BYTES:
                return
            if not self._long_turns.acquire(timeout=_TURN_S):
                raise _NoRoomError
            self._is_long = True
            assert self._head is not None  # noqa: S101 (it is what begins an answer)
            self._deliver(self._head)
        self._deliver({"type": "http.response.body", "body": b"".join(self._kept), "more_body": True})
        self._kept.clear()


def _bytes(text: str) -> bytes:
    return text.strip().encode("latin-1")
