"""Files on their way to the pages, written to the disk as they come, so that none ever stands in memory.

Only one address takes them (:mod:`fleet.apps.sent`), and only of whom the pages let send. The file is taken out of the
form while it is read; the staff's application gets the rest of the form, and beside it the file, or why there is none.
Invariants: what the page did not keep is gone when its answer is sent, whatever happens; a piece at most of each form
is in memory; who sends steadily has as long as the line needs, and who trickles is given up.

Source: RFC 7578 (multipart/form-data); RFC 9110 section 15.5.14 (413).
"""

import asyncio
import contextlib
import threading
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import urlencode

import structlog
from werkzeug.exceptions import RequestEntityTooLarge
from werkzeug.http import parse_options_header
from werkzeug.sansio.multipart import Data, Epilogue, Field, File, MultipartDecoder, NeedData

from fleet.apps.files import PackageFiles, Writing
from fleet.apps.sent import FIELD, FORM_BYTES, MOST_BYTES, PATH, Sent, refusal_of
from fleet.channels.asgi import AbandonedError, Receive, length

MaySend = Callable[[Mapping[str, str]], bool]  # by the request's headers; asks the database

AT_ONCE = 4
SPARE_BYTES = 512 * 2**20  # of the disk, for the database and all others
STALL_S = 30.0
# A line of 35 kbit/s is slower than any school's; who is slower yet holds one of the few places for nothing.
WINDOW_S, LEAST_BYTES = 60.0, 256 * 1024
_PIECE = 1024 * 1024
_MAX_BUFFER = 4 * _PIECE
_MAX_PARTS = 20
_MAX_BOUNDARY = 200

_log = structlog.get_logger("gate")


class _RefusedError(Exception):
    """The form is not taken. ``reason`` is as :class:`Sent` has it."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class Spooling:
    """Takes files out of forms.

    Args:
        files: where they are written.
        may_send: whether whoever sends such headers may send files; called in a thread.
    """

    def __init__(self, files: PackageFiles, may_send: MaySend) -> None:
        self._files = files
        self._may_send = may_send
        self._open = 0
        self._expected = 0  # bytes that are still to come, of all together, as far as that is said

    async def takes(self, method: str, path: str, headers: Mapping[str, str]) -> bool:
        """Whether a request is one of these, of somebody who may send it; all others are read as any form is."""
        return method == "POST" and path == PATH and await asyncio.to_thread(self._may_send, headers)

    @asynccontextmanager
    async def taken(
        self, headers: Mapping[str, str], receive: Receive, stopping: asyncio.Event
    ) -> AsyncIterator[tuple[bytes, Sent]]:
        """Read a form; gives all of it but its file, as a small form, and what was sent, or why nothing was taken.

        What was written and not kept is gone afterwards.

        Args:
            headers: of the request, by lower-case name.
            receive: the server's.
            stopping: set once the server stops, which waits for no form.

        Raises:
            AbandonedError: whoever sends it is gone, or the server stops.
        """
        size = length(headers)
        if size > MOST_BYTES or self._open >= AT_ONCE:
            yield b"", Sent(refusal="size" if size > MOST_BYTES else "busy")
            return
        form = _Form(self._files)
        self._open += 1  # before the disk is asked: others come while it answers
        self._expected += size
        try:
            reason = await asyncio.to_thread(self._hindrance)
            yield (b"", Sent(refusal=reason)) if reason else await self._read(form, headers, receive, stopping)
        finally:
            self._open -= 1
            self._expected -= max(0, size - form.size)
            await asyncio.shield(asyncio.to_thread(form.drop))

    def _hindrance(self) -> str:
        """Return why the disk takes no form that is expected; empty where it does."""
        try:
            free = self._files.free_bytes()
        except OSError:
            return "disk"
        return "full" if free - self._expected < SPARE_BYTES else ""

    def _take(self, form: "_Form", piece: bytes) -> None:
        """Write a piece, where that leaves enough to others: who need not say how long a form is may send 4 GB.

        Raises:
            _RefusedError: it does not, or this is no form.
            OSError: writing failed.
        """
        if self._files.free_bytes() - len(piece) < SPARE_BYTES:
            raise _RefusedError("full")
        form.take(piece)

    async def _read(
        self, form: "_Form", headers: Mapping[str, str], receive: Receive, stopping: asyncio.Event
    ) -> tuple[bytes, Sent]:
        stopped = asyncio.ensure_future(stopping.wait())
        try:
            form.begin(headers)
            await self._write(form, length(headers), receive, stopped)
            return await asyncio.to_thread(form.finish)
        except _RefusedError as error:
            reason = error.reason
        except OSError as error:
            _log.error("no room for a file", errno=error.errno)
            reason = refusal_of(error)
        finally:
            stopped.cancel()
        await asyncio.to_thread(form.drop)  # before the page is drawn
        return b"", Sent(refusal=reason)

    async def _write(self, form: "_Form", expected: int, receive: Receive, stopped: "asyncio.Future[Any]") -> None:
        """Write what comes, to its end.

        Raises:
            _RefusedError: it is too large, too slow, or no form.
            AbandonedError: whoever sends it is gone, or the server stops.
            OSError: writing failed.
        """
        now = asyncio.get_running_loop().time
        since, lately, more = now(), 0, True
        piece = bytearray()
        while more:
            message = await _next(receive, stopped)
            chunk, more = message.get("body", b""), message.get("more_body", False)
            self._expected -= max(0, min(len(chunk), expected - form.size))
            form.size += len(chunk)
            lately += len(chunk)
            if form.size > MOST_BYTES:
                raise _RefusedError("size")
            if more and now() - since >= WINDOW_S:
                if lately < LEAST_BYTES:
                    raise _RefusedError("slow")
                since, lately = now(), 0
            piece += chunk
            if len(piece) >= _PIECE or not more:
                await asyncio.to_thread(self._take, form, bytes(piece))
                piece.clear()


async def _next(receive: Receive, stopped: "asyncio.Future[Any]") -> dict[str, Any]:
    """Return the next piece of a request's body.

    Raises:
        _RefusedError: it does not come.
        AbandonedError: it never will.
    """
    asked = asyncio.ensure_future(receive())
    try:
        await asyncio.wait({asked, stopped}, timeout=STALL_S, return_when=asyncio.FIRST_COMPLETED)
        if not asked.done():
            raise AbandonedError if stopped.done() else _RefusedError("slow")
        message = asked.result()
    finally:
        asked.cancel()  # which does nothing to what is done
    if message["type"] != "http.request":
        raise AbandonedError
    return message


class _Form:
    """One form, taken apart as it comes. Its methods wait for the disk, so they are called in threads.

    Args:
        files: where its file is written.
    """

    def __init__(self, files: PackageFiles) -> None:
        self.size = 0  # of what has come
        self._files = files
        self._lock = threading.Lock()  # who hung up has it dropped while the last piece is still being written
        self._is_dropped = False
        self._decoder: MultipartDecoder | None = None
        self._writing: Writing | None = None
        self._file_name: str | None = None
        self._fields: list[tuple[str, bytearray]] = []
        self._part = ""  # what of the form is being read: "file", "field" or what does not count

    def begin(self, headers: Mapping[str, str]) -> None:
        """Learn what stands between the parts.

        Raises:
            _RefusedError: this is no such form.
        """
        kind, told = parse_options_header(headers.get("content-type", ""))
        boundary = told.get("boundary", "")
        if kind != "multipart/form-data" or not 0 < len(boundary) <= _MAX_BOUNDARY:
            raise _RefusedError("form")
        self._decoder = MultipartDecoder(boundary.encode("latin-1", "replace"), _MAX_BUFFER, max_parts=_MAX_PARTS)

    def take(self, piece: bytes | None) -> None:
        """Take apart what has come; None: that was all.

        Raises:
            _RefusedError: it is no form, or one with long fields.
            OSError: writing failed.
        """
        with self._lock:
            if self._is_dropped or self._decoder is None:
                return
            try:
                self._decoder.receive_data(piece)
                while not isinstance(event := self._decoder.next_event(), NeedData | Epilogue):
                    self._note(event)
            except (ValueError, RequestEntityTooLarge):
                raise _RefusedError("form") from None

    def _note(self, event: Any) -> None:
        if isinstance(event, File):
            is_ours = event.name == FIELD and self._file_name is None
            self._part = "file" if is_ours else ""
            self._file_name = event.filename if is_ours else self._file_name
        elif isinstance(event, Field):
            self._part = "field"
            self._fields.append((str(event.name or ""), bytearray()))
        elif isinstance(event, Data) and event.data:
            if self._part == "file":
                self._writing = self._writing or self._files.begin()
                self._writing.write(event.data)
            elif self._part == "field":
                self._fields[-1][1].extend(event.data)
                if sum(len(value) for _name, value in self._fields) > FORM_BYTES:
                    raise _RefusedError("form")

    def finish(self) -> tuple[bytes, Sent]:
        """Bring the file to the disk; returns the rest of the form, and what was sent.

        Raises:
            _RefusedError: the form was cut off.
            OSError: writing failed.
        """
        self.take(None)
        with self._lock:
            draft = self._writing.finish() if self._writing is not None else None
        body = urlencode([(name, bytes(value)) for name, value in self._fields]).encode()
        return body, Sent(draft, self._file_name or "")

    def drop(self) -> None:
        """Remove what was written and not kept; may be called often."""
        with self._lock:
            self._is_dropped = True
            if self._writing is not None:
                with contextlib.suppress(OSError):  # the job that sweeps the folder tries again
                    self._writing.drop()
