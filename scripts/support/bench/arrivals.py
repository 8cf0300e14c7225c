"""An open load: requests arrive by a clock, whatever becomes of those before them, as tablets do.

Each takes a connection that is free, or opens one, of fewer than a server's process takes; who finds none waits.
Latency counts from the instant it was meant to be sent, so no waiting is hidden, neither for the server nor for the
generator.
"""

import asyncio
import contextlib
import multiprocessing
import statistics
import time
from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from typing import Any

import uvloop

from bench import waiting

GIVE_UP_S = 15.0
_TURNED_AWAY = {429, 503}
_CHUNK = 65_536
_OPEN_AT_ONCE = 256  # connections that are being opened; a server's line for them is short
_Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]


@dataclass
class Arrivals:
    """What became of them.

    Args:
        latencies_s: of those who were answered as they should be.
        late_s: how late the generator was with each: much of that, and it was the generator that was measured.
        shed: who was told to come later, by the seconds he was told.
        untold: who was turned away without a word of when to come.
        timed_out: who had no answer in time.
        failed: answers of another kind by status; 0: the connection broke.
        seconds: from the first to the last that was due.
        until_answered_s: from the first that was due to the last answer of those that were answered as they should be.
    """

    latencies_s: list[float] = field(default_factory=list)
    late_s: list[float] = field(default_factory=list)
    shed: Counter[int] = field(default_factory=Counter)
    untold: int = 0
    timed_out: int = 0
    failed: Counter[int] = field(default_factory=Counter)
    seconds: float = 0.0
    until_answered_s: float = 0.0

    def add(self, other: "Arrivals") -> None:
        """Add what another generator saw."""
        self.latencies_s += other.latencies_s
        self.late_s += other.late_s
        self.shed += other.shed
        self.untold += other.untold
        self.timed_out += other.timed_out
        self.failed += other.failed
        self.seconds = max(self.seconds, other.seconds)
        self.until_answered_s = max(self.until_answered_s, other.until_answered_s)

    def told(self) -> dict[str, Any]:
        """Return the numbers by the names that benches print."""
        count = len(self.latencies_s) + sum(self.shed.values()) + self.untold + self.timed_out
        return {
            "offered_per_s": round((count + sum(self.failed.values())) / self.seconds, 1),
            "done_per_s": round(len(self.latencies_s) / max(self.until_answered_s, self.seconds), 1),
            "p50_ms": _percentile_ms(self.latencies_s, 50),
            "p99_ms": _percentile_ms(self.latencies_s, 99),
            "generator_late_p99_ms": _percentile_ms(self.late_s, 99),
            "shed": sum(self.shed.values()),
            "shed_without_retry_after": self.untold,
            "retry_after_s": [min(self.shed), max(self.shed)] if self.shed else None,
            "timed_out": self.timed_out,
            "failed": dict(self.failed),
        }


def _percentile_ms(found_s: Sequence[float], percent: int) -> float | None:
    if len(found_s) < 2:
        return None
    return round(1000 * statistics.quantiles(found_s, n=100, method="inclusive")[percent - 1], 1)


class _Generator:
    def __init__(self, task: "_Task") -> None:
        self._port, self._wanted, self._give_up_s = task.port, task.wanted, task.give_up_s
        self._room = asyncio.Semaphore(task.most_open)
        self._begin = 0.0
        self._free: list[_Streams] = []
        self._opening = asyncio.Semaphore(_OPEN_AT_ONCE)
        self.seen = Arrivals()

    async def send(self, requests: Sequence[bytes], per_s: float) -> None:
        """Send requests when they are due, and wait for what becomes of the last."""
        self._begin = begin = time.perf_counter() + 0.05
        tasks = []
        for number, request in enumerate(requests):
            due = begin + number / per_s
            if (ahead := due - time.perf_counter()) > 0:
                await asyncio.sleep(ahead)
            tasks.append(asyncio.create_task(self._one(request, due)))
        self.seen.seconds = max(time.perf_counter() - begin, len(requests) / per_s)
        await asyncio.gather(*tasks)
        for _, writer in self._free:
            writer.close()

    async def _one(self, request: bytes, due: float) -> None:
        streams: _Streams | None = None
        self.seen.late_s.append(time.perf_counter() - due)
        try:
            async with asyncio.timeout(self._give_up_s - (time.perf_counter() - due)), self._room:
                streams = self._kept() or await self._opened()
                streams[1].write(request)
                status, retry_s, ends = await _answer(streams[0])
        except TimeoutError:
            self.seen.timed_out += 1
            _hang_up(streams)
        except (OSError, EOFError):
            self.seen.failed[0] += 1
            _hang_up(streams)
        else:
            if ends:
                _hang_up(streams)
            else:
                self._free.append(streams)
            self._note(status, retry_s, time.perf_counter() - due)

    def _kept(self) -> _Streams | None:
        """Return a connection that is free and still open, None where there is none."""
        while self._free:
            streams = self._free.pop()
            if not streams[0].at_eof():
                return streams
            _hang_up(streams)
        return None

    async def _opened(self) -> _Streams:
        async with self._opening:
            return await asyncio.open_connection("127.0.0.1", self._port, limit=_CHUNK)

    def _note(self, status: int, retry_s: int | None, latency_s: float) -> None:
        if status in self._wanted:
            self.seen.latencies_s.append(latency_s)
            self.seen.until_answered_s = time.perf_counter() - self._begin
        elif status in _TURNED_AWAY and retry_s is not None:
            self.seen.shed[retry_s] += 1
        elif status in _TURNED_AWAY:
            self.seen.untold += 1
        else:
            self.seen.failed[status] += 1


def _hang_up(streams: _Streams | None) -> None:
    if streams is not None:
        with contextlib.suppress(OSError):
            streams[1].close()


async def _answer(reader: asyncio.StreamReader) -> tuple[int, int | None, bool]:
    """Read one answer; returns its status, when to come again, and whether the connection ends with it."""
    head = (await reader.readuntil(b"\r\n\r\n")).lower()
    length, retry_s = 0, None
    for line in head.split(b"\r\n"):
        if line.startswith(b"content-length:"):
            length = int(line[15:])
        elif line.startswith(b"retry-after:"):
            retry_s = int(line[12:])
    if length:
        await reader.readexactly(length)
    return int(head[9:12]), retry_s, b"\r\nconnection: close\r\n" in head


@dataclass(frozen=True, slots=True)
class _Task:
    port: int
    per_s: float
    wanted: Collection[int]
    give_up_s: float
    most_open: int


def _child(task: _Task, requests: Sequence[bytes], results: "multiprocessing.Queue[Arrivals]") -> None:
    waiting.allow_files(len(requests) + waiting.OTHER_FILES)

    async def work() -> Arrivals:
        generator = _Generator(task)
        await generator.send(requests, task.per_s)
        return generator.seen

    results.put(uvloop.run(work()))


def offer(
    port: int,
    requests: Sequence[bytes],
    *,
    per_s: float,
    wanted: Collection[int],
    most_open: int,
    give_up_s: float = GIVE_UP_S,
    processes: int = 2,
) -> Arrivals:
    """Send each request once, so many a second, and return what became of them.

    Args:
        port: of loopback.
        requests: whole as they go over the wire.
        per_s: how many are due in a second.
        wanted: the statuses that a request is answered with where it is not turned away.
        most_open: how many connections at most.
        give_up_s: for how long one waits for an answer, from when it was due.
        processes: how many generators share them.
    """
    context = multiprocessing.get_context("fork")
    results: multiprocessing.Queue[Arrivals] = context.Queue()
    task = _Task(port, per_s / processes, wanted, give_up_s, most_open // processes)
    children = [
        context.Process(target=_child, args=(task, requests[place::processes], results)) for place in range(processes)
    ]
    for child in children:
        child.start()
    total = Arrivals()
    for _ in children:
        total.add(results.get(timeout=600))
    for child in children:
        child.join()
    return total
