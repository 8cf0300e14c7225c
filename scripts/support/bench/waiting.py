"""Thousands of tablets that hold a request at the server, in a process of their own: what they send is signed ahead.

Each has a connection of its own. It asks what it shall have, reports once, and then waits. When news comes it notes the
time, sends its report, and a second later waits again, as a real one does; what the news said is looked at afterwards,
so that looking is not what is measured. Whoever is turned away comes again after Retry-After.
"""

import asyncio
import base64
import contextlib
import gc
import json
import multiprocessing
import os
import resource
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from typing import Any

import uvloop
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec

from agent_protocol import signing
from agent_protocol.messages import CONFIG_TYPE
from bench import load
from bench.school import Tablet

OTHER_FILES = 256
_AGAIN_S = 1.0  # from news to the next wait, as the answer says
_WAIT = b"Prefer: wait=50\r\n\r\n"
_AT_ONCE = 64  # connections that are opened at the same time
_CHECKED = 200  # whose signatures are verified


@dataclass
class Arrival:
    """What became of one tablet; instants are of the machine's monotonic clock, None: never."""

    arrived_at: float | None = None
    reported_at: float | None = None
    is_right: bool = False
    was_fetched: bool = False


@dataclass
class Found:
    """What all tablets have to say."""

    arrivals: list[Arrival] = field(default_factory=list)
    refused: int = 0
    refused_without_retry_after: int = 0
    cut: int = 0  # connections that ended
    others: Counter[int] = field(default_factory=Counter)  # answers that nobody expected
    checked: int = 0  # signatures that were verified
    cpu_s: float = 0.0
    lag_s: float = 0.0  # the longest time for which this process came too late to its own clock


def allow_files(wanted: int) -> int:
    """Let this process have that many files open; returns how many it may have."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    room = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
    if soft != resource.RLIM_INFINITY and soft < room:
        resource.setrlimit(resource.RLIMIT_NOFILE, (room, hard))
    return resource.getrlimit(resource.RLIMIT_NOFILE)[0]


class _Count:
    """Counts up, and says when it has come to a number."""

    def __init__(self) -> None:
        self._reached = self._wanted = 0
        self._is_there = asyncio.Event()

    def add(self) -> None:
        self._reached += 1
        if self._reached == self._wanted:
            self._is_there.set()

    async def until(self, wanted: int) -> None:
        self._wanted = wanted
        if self._reached < wanted:
            self._is_there.clear()
            await self._is_there.wait()


@dataclass
class _Counts:
    """How many tablets have waited for the first time, and how many have sent their last report."""

    waited: _Count = field(default_factory=_Count)
    reported: _Count = field(default_factory=_Count)


class _Line(asyncio.Protocol):
    """One tablet on its connection."""

    def __init__(self, tablet: Tablet, expected: str, found: Found, counts: _Counts) -> None:
        self.tablet, self.expected, self._found, self._counts = tablet, expected, found, counts
        self.arrival = Arrival()
        self.news = b""
        self._poll = tablet.poll("%").replace(b"\r\n\r\n", b"\r\n")
        self._reports = [tablet.report()]
        tablet.desired = expected
        self._reports.append(tablet.report())
        path = f"/agent/v1/profiles/{expected}"
        self._fetch = load.request("GET", path, tablet.signed("GET", path, None, signing.SAFE_NONCE))
        self._etag = b'"none"'
        self._buffer = b""
        self._is_away = False  # until the time that Retry-After said
        self._sent = b""
        self._then: Callable[[int, bytes, bytes], None] = self._first
        self.transport: asyncio.WriteTransport | None = None

    def connection_made(self, transport: Any) -> None:
        """Ask, or ask again what was not answered."""
        self.transport = transport
        self._send(self._sent or self._poll.replace(b"%", self._etag) + b"\r\n", self._then)

    def connection_lost(self, _error: Exception | None) -> None:
        """Come again."""
        self.transport, self._buffer = None, b""
        if not (self._is_away or self._found.arrivals):  # it comes back by itself, or all is over
            self._found.cut += 1
            asyncio.get_running_loop().call_later(1.0, lambda: asyncio.ensure_future(connect(self)))

    def _send(self, request: bytes, then: Callable[[int, bytes, bytes], None]) -> None:
        self._sent, self._then = request, then
        if self.transport is not None:
            self.transport.write(request)

    def data_received(self, data: bytes) -> None:
        """Take an answer once all of it is here."""
        self._buffer += data
        head, end, rest = self._buffer.partition(b"\r\n\r\n")
        if not end:
            return
        length = int(_header(head, b"content-length") or 0)
        if len(rest) >= length:
            self._buffer = b""
            self._answered(int(head[9:12]), head, rest)

    def _answered(self, status: int, head: bytes, body: bytes) -> None:
        if status in {200, 304}:
            self._then(status, head, body)
            return
        if status in {429, 503}:
            self._found.refused += 1
        else:
            self._found.others[status] += 1
        told = _header(head, b"retry-after")
        self._found.refused_without_retry_after += status in {429, 503} and told is None
        self._is_away = True
        asyncio.get_running_loop().call_later(float(told or 5), self._come_back)

    def _come_back(self) -> None:
        """Ask again what was turned away; the server may have ended the connection meanwhile."""
        self._is_away = False
        if self.transport is None:
            self._connecting = asyncio.ensure_future(connect(self))  # kept, as a task that nobody holds may vanish
        else:
            self._send(self._sent, self._then)

    def _first(self, _status: int, head: bytes, _body: bytes) -> None:
        self._etag = _header(head, b"etag") or self._etag
        self._send(self._reports[0], lambda *_: self._begin())

    def _begin(self) -> None:
        self._wait()
        self._counts.waited.add()

    def _wait(self) -> None:
        self._send(self._poll.replace(b"%", self._etag) + _WAIT, self._heard)

    def _heard(self, status: int, head: bytes, body: bytes) -> None:
        self._etag = _header(head, b"etag") or self._etag
        if status == 304 or self.news:
            asyncio.get_running_loop().call_later(_AGAIN_S, self._wait)
            return
        # The schedule is in base64, so what stands in clear is the name of a body that came along.
        if (comes_along := self.expected.encode() in body) or self.expected in _profiles(body):
            self.news = body
        else:  # news of another kind: once a week a configuration is renewed
            asyncio.get_running_loop().call_later(_AGAIN_S, self._wait)
            return
        if comes_along:
            self._has_all()
        else:
            self.arrival.was_fetched = True
            self._send(self._fetch, lambda *_: self._has_all())

    def _has_all(self) -> None:
        self.arrival.arrived_at = time.perf_counter()
        self._send(self._reports[1], lambda *_: self._reported())

    def _reported(self) -> None:
        self.arrival.reported_at = time.perf_counter()
        self._counts.reported.add()
        asyncio.get_running_loop().call_later(_AGAIN_S, self._wait)


def _header(head: bytes, name: bytes) -> bytes | None:
    _, is_there, rest = head.partition(b"\r\n" + name + b": ")
    return rest.partition(b"\r\n")[0] if is_there else None


async def connect(line: _Line) -> None:
    """Connect a tablet, again and again until it is."""
    port = int(line.tablet.authority.rpartition(":")[2])
    try:
        await asyncio.get_running_loop().create_connection(lambda: line, "127.0.0.1", port)
    except OSError:
        asyncio.get_running_loop().call_later(1.0, lambda: asyncio.ensure_future(connect(line)))


def _profiles(news: bytes) -> set[str]:
    """Return the profiles of a configuration's schedule."""
    payload = json.loads(base64.b64decode(json.loads(news)["payload"]))
    return {entry["profile"] for entry in payload["schedule"]}


def _check(line: _Line, key: ec.EllipticCurvePublicKey | None) -> bool:
    """Whether what a tablet got has the lesson's profile now, signed by the server's key where it is given."""
    if not line.news:
        return False
    if key is not None:
        told, kind = json.loads(line.news), CONFIG_TYPE.encode()
        payload = base64.b64decode(told["payload"])
        try:
            key.verify(
                base64.b64decode(told["signatures"][0]["sig"]),
                b"DSSEv1 %d %b %d %b" % (len(kind), kind, len(payload), payload),
                ec.ECDSA(hashes.SHA256()),
            )
        except InvalidSignature:
            return False
    return line.expected in _profiles(line.news)


class _Crowd:
    """All tablets of this process."""

    def __init__(self, tablets: Sequence[tuple[Tablet, str]], key: ec.EllipticCurvePublicKey) -> None:
        self._key = key
        self._found, self._counts = Found(), _Counts()
        self._lines = [_Line(tablet, expected, self._found, self._counts) for tablet, expected in tablets]
        self._opened = 0

    async def obey(self, pipe: Connection) -> None:
        """Do what the parent says until it says no more."""
        loop = asyncio.get_running_loop()
        lag = asyncio.ensure_future(self._watch())
        while (told := await loop.run_in_executor(None, pipe.recv)) is not None:
            what, number = told
            pipe.send(await (self._open(number) if what == "open" else self._collect(number)))
        lag.cancel()

    async def _open(self, count: int) -> int:
        """Have the first ``count`` tablets wait; returns how many do."""
        while self._opened < count:
            part = self._lines[self._opened : min(count, self._opened + _AT_ONCE)]
            await asyncio.gather(*(connect(line) for line in part))
            self._opened += len(part)
            await self._counts.waited.until(self._opened)
        gc.collect()
        gc.freeze()  # else the collector walks over all of this while tablets arrive
        self._found.lag_s = 0.0
        return self._opened

    async def _collect(self, within_s: float) -> Found:
        """Wait until all have arrived and reported, and say what came of it."""
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._counts.reported.until(len(self._lines)), within_s)
        found = self._found
        found.cpu_s = sum(os.times()[:2])
        step = max(1, len(self._lines) // _CHECKED)
        for place, line in enumerate(self._lines):
            is_sample = place % step == 0
            line.arrival.is_right = _check(line, self._key if is_sample else None)
            found.checked += is_sample
        found.arrivals = [line.arrival for line in self._lines]
        return found

    async def _watch(self) -> None:
        while True:
            before = time.perf_counter()
            await asyncio.sleep(0.02)
            self._found.lag_s = max(self._found.lag_s, time.perf_counter() - before - 0.02)


def _child(pipe: Connection, tablets: Sequence[tuple[Tablet, str]], key: ec.EllipticCurvePublicKey) -> None:
    allow_files(len(tablets) + OTHER_FILES)

    async def live() -> None:
        crowd = _Crowd(tablets, key)
        pipe.send(True)
        await crowd.obey(pipe)

    uvloop.run(live())


class Generator:
    """The process with the tablets.

    Args:
        tablets: each with the digest of what the lesson will give it.
        key: the one that configurations are signed with.
    """

    def __init__(self, tablets: Sequence[tuple[Tablet, str]], key: ec.EllipticCurvePublicKey) -> None:
        context = multiprocessing.get_context("fork")
        self._pipe, theirs = context.Pipe()
        self._process = context.Process(target=_child, args=(theirs, tablets, key), daemon=True)
        self._process.start()
        self._pipe.recv()  # all requests are signed

    def open(self, count: int) -> int:
        """Have the first ``count`` tablets wait at the server; returns how many do."""
        self._pipe.send(("open", count))
        return int(self._pipe.recv())

    def collect(self, within_s: float) -> Found:
        """Return what came of it once all have arrived and reported, or the time is over."""
        self._pipe.send(("collect", within_s))
        found = self._pipe.recv()
        if not isinstance(found, Found):
            raise TypeError(type(found))
        return found

    @property
    def pid(self) -> int:
        """The process's id."""
        return self._process.pid or 0

    def stop(self) -> None:
        """End it."""
        self._pipe.send(None)
        self._process.join(10)
        self._process.kill()
