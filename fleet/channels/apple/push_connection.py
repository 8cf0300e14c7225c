"""One HTTP/2 connection that carries many small POST requests, and knows what became of each one.

The question that matters is whether a request that got no answer may be sent again: :class:`NotTakenError` says it was
certainly not processed, :class:`AnswerLostError` that it may have been. General HTTP clients do not keep the two apart:
when the server says it will close (GOAWAY), they give up requests that are still being answered, and so double them.

Invariants: never more streams than the server allows; after a GOAWAY no new stream, and those it covers are waited for;
nothing of a request stands in an error or a log. What is sent, and what an answer means, is told elsewhere.

Source: RFC 9113: 5.1.2 (concurrency), 6.8 (GOAWAY), 8.7 (what may be repeated).
"""

import asyncio
import contextlib
import logging
import ssl
from collections.abc import Sequence
from dataclasses import dataclass, field

import h2.config
import h2.connection
import h2.events
import h2.exceptions
import h2.settings
from h2.errors import ErrorCodes

# The library that packs headers logs each of them at DEBUG, and paths hold addresses of tablets.
logging.getLogger("hpack").setLevel(logging.INFO)

Headers = Sequence[tuple[str, str]]
_HTTPS = 443
_READ_BYTES = 64 * 1024
_CLOSE_S = 1.0
_MAX_ANSWER_BYTES = 16 * 1024  # answers have a few dozen bytes; what is longer is cut
# Source: RFC 9113: 4.1 (nine bytes before each frame), 4.2 (frames are no longer unless we allow it), 6.8.
_FRAME_HEAD, _MAX_FRAME, _GOAWAY = 9, 16_384, 7


class NotReachedError(Exception):
    """No connection came about. ``kind`` names the failure; ``is_trust``: one side does not trust the other."""

    def __init__(self, kind: str, *, is_trust: bool) -> None:
        super().__init__(kind)
        self.kind = kind
        self.is_trust = is_trust


class NotTakenError(Exception):
    """The request was certainly not processed: it may go over another connection."""


class AnswerLostError(Exception):
    """The request left, and no answer came: it may have been processed, or not."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back: status, headers in lower case, body."""

    status: int
    headers: dict[str, str]
    body: bytes = field(repr=False)


@dataclass(slots=True)
class _Stream:
    answered: asyncio.Future[Answer]
    headers: dict[str, str] = field(default_factory=dict)
    body: bytearray = field(default_factory=bytearray)


class Connection:
    """A connection that is open; :meth:`open` makes one. Use it in one event loop only.

    Attributes:
        answers: how many requests were answered over it so far.
    """

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, authority: str) -> None:
        self.answers = 0
        self._reader, self._writer, self._authority = reader, writer, authority
        self._h2 = h2.connection.H2Connection(h2.config.H2Configuration(client_side=True, header_encoding=False))
        self._streams: dict[int, _Stream] = {}
        self._frames = _Frames()
        self._loop = asyncio.get_running_loop()
        self._ready: asyncio.Future[None] = self._loop.create_future()
        self._pong: asyncio.Future[None] | None = None
        self._changed = asyncio.Event()
        self._usable = True
        self._is_flushing = False
        self._used_at_s = self._loop.time()
        self._reading: asyncio.Task[None] | None = None

    @classmethod
    async def open(cls, host: str, port: int, context: ssl.SSLContext, *, timeout_s: float) -> "Connection":
        """Return a connection over which the server has said what it allows.

        Waiting for that tells a client certificate that is refused: with TLS 1.3 the refusal comes after the handshake.

        Raises:
            NotReachedError: nobody answers in time, or not as a server for HTTP/2 does.
        """
        connection = None
        try:
            async with asyncio.timeout(timeout_s):
                reader, writer = await asyncio.open_connection(host, port, ssl=context)
                connection = cls(reader, writer, host if port == _HTTPS else f"{host}:{port}")
                connection._start()
                await connection._ready
        except (OSError, TimeoutError) as error:
            if connection is not None:
                await connection.close()
            raise NotReachedError(_kind(error), is_trust=_is_trust(error)) from None
        except BaseException:
            if connection is not None:
                await connection.close()
            raise
        return connection

    @property
    def usable(self) -> bool:
        """Whether new requests may be sent over it."""
        return self._usable

    @property
    def ended(self) -> bool:
        """Whether it carries nothing any more, and never will."""
        return not self._usable and not self._streams

    def idle_s(self) -> float:
        """Return the seconds since it was last seen to work or last given a request."""
        return self._loop.time() - self._used_at_s

    async def is_alive(self, *, timeout_s: float) -> bool:
        """Return whether the server answers a ping; where not, it is used no more.

        Networks forget idle connections without a word.
        """
        if not self._usable:
            return False
        if self._pong is None:
            self._pong = self._loop.create_future()
            self._h2.ping(b"fleet-up")
            self._flush()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(timeout_s):
                await asyncio.shield(self._pong)
                return self._usable
        self._retire()
        return False

    async def post(self, path: str, headers: Headers, body: bytes, *, timeout_s: float) -> Answer:
        """Send one request as soon as the server allows one more, and return its answer.

        Args:
            path: with a leading slash.
            headers: beside those that each request has.
            body: small; it is sent in one piece.
            timeout_s: for waiting and answer together.

        Raises:
            NotTakenError: certainly not processed.
            AnswerLostError: perhaps processed.
            TimeoutError: not sent: the server allowed no further request in time.
        """
        deadline_s = self._loop.time() + timeout_s
        async with asyncio.timeout_at(deadline_s):
            while self._usable and not self._has_room(len(body)):
                self._changed.clear()
                await self._changed.wait()
        stream_id, answered = self._send(path, headers, body)
        try:
            await asyncio.wait({answered}, timeout=deadline_s - self._loop.time())
        finally:
            self._give_up(stream_id)
        if not answered.done():
            self._retire()  # whoever comes next tries another connection
            raise AnswerLostError("time-out")
        return answered.result()

    async def close(self) -> None:
        """Close it; requests under way get :class:`AnswerLostError`."""
        self._end("closed")
        if self._reading is not None:
            self._reading.cancel()
            await asyncio.gather(self._reading, return_exceptions=True)
        try:
            async with asyncio.timeout(_CLOSE_S):
                await self._writer.wait_closed()
        except (OSError, TimeoutError):  # a server that is gone does not say goodbye
            self._writer.transport.abort()

    def _start(self) -> None:
        if (chosen := self._writer.get_extra_info("ssl_object").selected_alpn_protocol()) != "h2":
            raise ConnectionError(f"speaks {chosen}")
        no_push = {h2.settings.SettingCodes.ENABLE_PUSH: 0}
        self._h2.local_settings = h2.settings.Settings(client=True, initial_values=no_push)
        self._h2.initiate_connection()
        self._flush()
        self._reading = asyncio.create_task(self._read())

    def _has_room(self, length: int) -> bool:
        window = min(self._h2.outbound_flow_control_window, self._h2.remote_settings.initial_window_size)
        return len(self._streams) < self._h2.remote_settings.max_concurrent_streams and window >= length

    def _send(self, path: str, headers: Headers, body: bytes) -> tuple[int, asyncio.Future[Answer]]:
        if not self._usable:
            raise NotTakenError
        try:
            stream_id = self._h2.get_next_available_stream_id()
        except h2.exceptions.NoAvailableStreamIDError:
            self._retire()
            raise NotTakenError from None
        told = [(":method", "POST"), (":scheme", "https"), (":authority", self._authority), (":path", path), *headers]
        self._h2.send_headers(stream_id, [*told, ("content-length", str(len(body)))])
        self._h2.send_data(stream_id, body, end_stream=True)
        stream = self._streams[stream_id] = _Stream(self._loop.create_future())
        self._used_at_s = self._loop.time()
        self._flush()
        return stream_id, stream.answered

    def _give_up(self, stream_id: int) -> None:
        """Tell the server that nobody waits for this answer any more."""
        if self._streams.pop(stream_id, None) is not None:
            with contextlib.suppress(h2.exceptions.ProtocolError):
                self._h2.reset_stream(stream_id, ErrorCodes.CANCEL)
                self._flush()
            self._after_change()

    def _flush(self) -> None:
        """Have what the library wants to say written in a moment, together with what others add until then."""
        if not self._is_flushing:
            self._is_flushing = True
            self._loop.call_soon(self._write)

    def _write(self) -> None:
        self._is_flushing = False
        data = self._h2.data_to_send()
        if data and not self._writer.is_closing():
            self._writer.write(data)

    async def _read(self) -> None:
        kind = "ended"
        try:
            while data := await self._reader.read(_READ_BYTES):
                self._used_at_s = self._loop.time()
                frames, last_stream_id = self._frames.take(data)
                for event in self._h2.receive_data(frames):
                    self._take(event)
                if last_stream_id is not None:
                    self._go_away(last_stream_id)
                self._flush()
                self._after_change()
        except OSError as error:
            kind = _kind(error)
            if not self._ready.done():
                self._ready.set_exception(error)
        except h2.exceptions.ProtocolError as error:
            kind = type(error).__name__
        finally:
            self._end(kind)

    def _take(self, event: h2.events.Event) -> None:
        if isinstance(event, h2.events.RemoteSettingsChanged) and not self._ready.done():
            self._ready.set_result(None)
        elif isinstance(event, h2.events.PingAckReceived) and self._pong is not None:
            self._pong.set_result(None)
            self._pong = None
        elif isinstance(event, h2.events.DataReceived):
            self._h2.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
        stream = self._streams.get(getattr(event, "stream_id", None) or 0)
        if stream is None:
            return
        if isinstance(event, h2.events.ResponseReceived):
            stream.headers = {
                bytes(name).decode("latin-1"): bytes(value).decode("latin-1") for name, value in event.headers
            }
        elif isinstance(event, h2.events.DataReceived):
            stream.body += event.data[: _MAX_ANSWER_BYTES - len(stream.body)]
        elif isinstance(event, h2.events.StreamEnded):
            self._finish(event.stream_id, _answer(stream))
        elif isinstance(event, h2.events.StreamReset):  # Source: RFC 9113, 8.7
            refused = event.error_code == ErrorCodes.REFUSED_STREAM
            self._finish(event.stream_id, NotTakenError() if refused else AnswerLostError("reset"))

    def _finish(self, stream_id: int, outcome: Answer | Exception) -> None:
        answered = self._streams.pop(stream_id).answered
        if isinstance(outcome, Answer):
            self.answers += 1
            answered.set_result(outcome)
        else:
            answered.set_exception(outcome)

    def _go_away(self, last_stream_id: int) -> None:
        """Let the requests go that the server will not process; the others are still being answered."""
        self._usable = False
        for stream_id in [one for one in self._streams if one > last_stream_id]:
            self._finish(stream_id, NotTakenError())

    def _retire(self) -> None:
        self._usable = False
        self._after_change()

    def _after_change(self) -> None:
        self._changed.set()
        if not self._usable and not self._streams:
            self._writer.close()

    def _end(self, kind: str) -> None:
        self._usable = False
        for stream_id in list(self._streams):
            self._finish(stream_id, AnswerLostError(kind))
        if not self._ready.done():
            self._ready.set_exception(ConnectionError(kind))
        if self._pong is not None:
            self._pong.set_result(None)  # wakes who waits, to find that it is no longer usable
            self._pong = None
        self._after_change()


class _Frames:
    """Takes GOAWAY frames out of what arrives: the library closes at the first one, and drops answers under way."""

    def __init__(self) -> None:
        self._waiting = bytearray()

    def take(self, data: bytes) -> tuple[bytes, int | None]:
        """Return the frames that are complete, and the lowest last stream a GOAWAY among them named.

        Raises:
            FrameTooLargeError: a frame is longer than we allow.
        """
        self._waiting += data
        passed, last_stream_id, start = bytearray(), None, 0
        while len(self._waiting) - start >= _FRAME_HEAD:
            length = int.from_bytes(self._waiting[start : start + 3], "big")
            if length > _MAX_FRAME:
                raise h2.exceptions.FrameTooLargeError
            end = start + _FRAME_HEAD + length
            if len(self._waiting) < end:
                break
            if self._waiting[start + 3] == _GOAWAY:
                told = int.from_bytes(self._waiting[start + _FRAME_HEAD : start + _FRAME_HEAD + 4], "big") & 0x7FFFFFFF
                last_stream_id = told if last_stream_id is None else min(told, last_stream_id)
            else:
                passed += self._waiting[start:end]
            start = end
        del self._waiting[:start]
        return bytes(passed), last_stream_id


def _answer(stream: _Stream) -> Answer:
    status = stream.headers.get(":status", "")
    code = int(status) if status.isdecimal() else 0
    return Answer(code, stream.headers, bytes(stream.body))


def _kind(error: BaseException) -> str:
    """Return a name for a failure that quotes nothing: the class, with TLS the alert's name."""
    reason = getattr(error, "reason", None)
    return f"{type(error).__name__}:{reason}" if isinstance(reason, str) else type(error).__name__


def _is_trust(error: BaseException) -> bool:
    """Return whether a certificate is the reason: ours that they refuse, or theirs that we do.

    Source: RFC 8446, 6.2 (alerts), by OpenSSL's names for them.
    """
    if isinstance(error, ssl.SSLCertVerificationError):
        return True
    reason = getattr(error, "reason", None) or ""
    about = ("CERTIFICATE", "UNKNOWN_CA", "ACCESS_DENIED", "DECRYPT_ERROR")
    return isinstance(error, ssl.SSLError) and "ALERT" in reason and any(word in reason for word in about)
