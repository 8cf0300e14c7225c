"""gunicorn's asynchronous worker: uvicorn's, with limits on what a caller may send before it has asked for anything.

Why not gunicorn's own: decision 0006. uvicorn's parser has no bound on the size of a request's head and no clock on
it, nor on a caller who does not read what was asked for, so one could hold memory or a connection for ever; a proxy in
front has all that, but the embedded server must stand alone.
"""

import asyncio
import os
import resource
import signal
import sys
import weakref
from functools import partial
from types import FrameType
from typing import Any, ClassVar

from gunicorn.arbiter import Arbiter
from uvicorn.protocols.http.httptools_impl import HEADER_VALUE_RE, STATUS_LINE, HttpToolsProtocol, RequestResponseCycle
from uvicorn.server import Server
from uvicorn_worker import UvicornWorker

from fleet.channels.asgi import ANSWER, BODY, CROWDED
from fleet.channels.crowding import ARRIVED
from fleet.channels.gate import DRAINING, PEER, STOPPING

MAX_HEAD_BYTES = 32_768
HEAD_TIMEOUT_S = 20.0
_CROWDED_HEAD_S = 2.0  # the same on one of the last connections there is room for: others are to be told, too
READ_TIMEOUT_S = 30.0
MAX_CONNECTIONS = 10_000
MAX_PIPELINED = 16  # requests sent before the answer to the first; ours send none, and 30 bytes each cost much work
_TOLD = 64  # of these, the last are told to come later; who comes beyond all is hung up on
_OTHER_FILES = 256  # of the database, its connections, the jobs

_TOO_LARGE = b"HTTP/1.1 431 Request Header Fields Too Large\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"
_TOO_SLOW = b"HTTP/1.1 408 Request Timeout\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"


class LimitedHttp(HttpToolsProtocol):
    """HTTP/1.1 that hangs up on who takes too much.

    That is a head without an end (larger than that, or not whole within that many seconds), answers that are not read,
    too many requests at once on one connection, and connections beyond what the process has room for. The head is
    looked at after each read, so a whole one may be as large as one read (a quarter of a mebibyte).

    Source: RFC 6585 section 5 (431), RFC 9110 section 15.5.9 (408).
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._head_bytes = 0  # arrived since the last complete head
        self._in_head = True
        self._head_clock: asyncio.TimerHandle | None = None
        self._read_clock: asyncio.TimerHandle | None = None
        self._room, self.limit_concurrency = self.limit_concurrency, None  # uvicorn's own refusal says not until when
        self._is_crowded = False

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin to wait for the first request."""
        super().connection_made(transport)
        if self._room is not None:  # a file each: the database needs some
            left = self._room - len(self.connections)
            self._is_crowded = left < min(_TOLD, self._room // 8)
            if left < 0:
                transport.abort()
        self._start_clock()

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop waiting."""
        self._stop_clock()
        self._stop_read_clock()
        super().connection_lost(exc)

    def shutdown(self) -> None:
        """Let go of the connection once its request is answered, and have those who are held answered now.

        The server tells its connections that it stops, waits for their answers, and only then tells the application.
        """
        super().shutdown()
        stopping = self.app_state.get(STOPPING)
        if stopping is not None:
            stopping()

    def pause_writing(self) -> None:
        """Begin to wait for a caller who does not read."""
        super().pause_writing()
        self._read_clock = self.loop.call_later(READ_TIMEOUT_S, self.transport.abort)

    def resume_writing(self) -> None:
        """Stop waiting: the caller has read most of it."""
        self._stop_read_clock()
        super().resume_writing()

    def _stop_read_clock(self) -> None:
        if self._read_clock is not None:
            self._read_clock.cancel()
            self._read_clock = None

    def data_received(self, data: bytes) -> None:
        """Take what arrived, until a head without an end has grown too large."""
        self._head_bytes = self._head_bytes + len(data) if self._in_head else len(data)
        super().data_received(data)
        if self._in_head and self._head_bytes > MAX_HEAD_BYTES:
            self._end(_TOO_LARGE)
        elif self._head_clock is None and (self._in_head or not self._is_answering):
            # Most heads come whole, and need no clock. What comes between requests (line ends, the rest of a body that
            # was refused) has stopped uvicorn's own, which it starts only after an answer.
            self._start_clock()

    @property
    def _is_answering(self) -> bool:
        return self.cycle is not None and not self.cycle.response_complete

    def on_message_begin(self) -> None:
        """Begin a head; its clock starts once what has come of it is read."""
        self._in_head = True
        super().on_message_begin()
        self.scope[PEER] = self.client[0] if self.client else None  # type: ignore[literal-required]
        if (arrive := self.app_state.get(ARRIVED)) is not None:
            self.scope[ARRIVED] = arrive()  # type: ignore[literal-required]

    def on_headers_complete(self) -> None:
        """End a head.

        Raises:
            ValueError: one request too many waits; the parser stops there, and the caller is hung up on.
        """
        self._in_head = False
        self._stop_clock()
        if len(self.pipeline) >= MAX_PIPELINED:
            raise ValueError("too many requests at once")
        super().on_headers_complete()
        # Requests of callers who hung up go on, and are no connections any more.
        if self._is_crowded or (self._room is not None and len(self.tasks) > self._room):
            self.scope[CROWDED] = True  # type: ignore[literal-required]
        # The cycle holds the scope: held back by it, each request would wait for the collector, with all its body.
        cycle = weakref.proxy(self.cycle)
        self.scope[ANSWER] = partial(_answer, cycle)  # type: ignore[literal-required]
        self.scope[BODY] = partial(_body, cycle)  # type: ignore[literal-required]

    def _start_clock(self) -> None:
        wait_s = _CROWDED_HEAD_S if self._is_crowded else HEAD_TIMEOUT_S
        self._head_clock = self.loop.call_later(wait_s, self._end, _TOO_SLOW)

    def _stop_clock(self) -> None:
        if self._head_clock is not None:
            self._head_clock.cancel()
            self._head_clock = None

    def _end(self, answer: bytes) -> None:
        self._stop_clock()
        if not self.transport.is_closing():
            if not self._is_answering:  # else it would pass for the answer to the request before
                self.transport.write(answer)
            self.transport.close()


def _answer(cycle: RequestResponseCycle, status: int, headers: list[tuple[bytes, bytes]], body: bytes) -> bool:
    """Say a whole answer in one write; returns whether it was said: what is out of the ordinary uvicorn says.

    That takes two writes for head and body, and two patterns for each header.
    """
    is_ordinary = not cycle.response_started and not cycle.disconnected and cycle.keep_alive
    if not is_ordinary or cycle.flow.write_paused or cycle.default_headers or cycle.scope["method"] == "HEAD":
        return False
    if (body and status in {204, 304}) or HEADER_VALUE_RE.search(b"".join([value for _, value in headers])):
        return False
    lines = [STATUS_LINE[status]]
    for name, value in headers:
        if name == b"connection":
            return False
        lines += (name, b": ", value, b"\r\n")
    lines += (b"\r\n", body)
    cycle.transport.write(b"".join(lines))
    cycle.response_started = cycle.response_complete = True
    cycle.waiting_for_100_continue = False
    cycle.message_event.set()
    cycle.on_response()
    return True


def _body(cycle: RequestResponseCycle) -> bytes | None:
    """Return a request's body where all of it is here, None where it is not."""
    if cycle.more_body or cycle.disconnected:
        return None
    body, cycle.body = bytes(cycle.body), bytearray()
    cycle.flow.resume_reading()
    cycle.message_event.clear()
    return body


def room_for_connections() -> int:
    """Raise the process's limit of open files as far as is needed, and return how many may be connections.

    The usual limit of 1,024 is less than a large school opens at 08:15, and one caller could use it up.
    """
    wanted = MAX_CONNECTIONS + _OTHER_FILES
    soft, hard = (
        wanted if limit == resource.RLIM_INFINITY else limit for limit in resource.getrlimit(resource.RLIMIT_NOFILE)
    )
    if soft < min(wanted, hard):
        soft = min(wanted, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))
    return max(_OTHER_FILES, min(MAX_CONNECTIONS, soft - _OTHER_FILES))


class DrainingServer(Server):
    """uvicorn's server, which SIGTERM lets serve on for as long as the application says before it stops.

    It may come twice: from gunicorn, and from what stops all processes of a service at once. SIGINT and SIGQUIT stop it
    without waiting.
    """

    _draining: asyncio.Handle | None = None

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Begin to end; called between any two steps of the program."""
        if sig != signal.SIGTERM or not self.started:
            super().handle_exit(sig, frame)
        elif self._draining is None:
            self._draining = asyncio.get_running_loop().call_soon_threadsafe(self._drain)

    def _drain(self) -> None:
        wait_s = self.lifespan.state[DRAINING]()
        asyncio.get_running_loop().call_later(wait_s, super().handle_exit, signal.SIGTERM, None)


class Worker(UvicornWorker):  # type: ignore[misc]
    """The worker that gunicorn starts."""

    CONFIG_KWARGS: ClassVar[dict[str, Any]] = {
        "loop": "asyncio",
        "http": LimitedHttp,
        "ws": "none",
        "lifespan": "on",
        "access_log": False,
        "server_header": False,
        "date_header": False,  # the gate's
        "proxy_headers": True,  # of the proxies that the configuration names, see server.py; none otherwise
        "timeout_graceful_shutdown": 20,
        "timeout_notify": 2,  # seconds between two looks at whether gunicorn lives
    }

    async def callback_notify(self) -> None:
        """Tell gunicorn that this worker lives; end where gunicorn itself was killed, instead of serving on alone."""
        if os.getppid() != self.ppid:
            signal.raise_signal(signal.SIGQUIT)
        await super().callback_notify()

    async def _serve(self) -> None:
        """Serve until told to stop: as the parent class does, but with our server, which SIGQUIT stops, too."""
        self.config.app = self.wsgi
        server = DrainingServer(config=self.config)
        asyncio.get_running_loop().add_signal_handler(signal.SIGQUIT, server.handle_exit, signal.SIGQUIT, None)
        await server.serve(sockets=self.sockets)
        if not server.started:
            sys.exit(Arbiter.WORKER_BOOT_ERROR)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.config.limit_concurrency = room_for_connections()
        self.config.proxy_headers = bool(self.cfg.forwarded_allow_ips)  # else each request would be looked through
