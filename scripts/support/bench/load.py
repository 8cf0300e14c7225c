"""A load generator: prepared requests over kept connections, in processes of its own.

Two ways. *Closed*: each connection sends its next request when the last is answered; shows how much goes through, but
hides waiting. *Open*: requests are sent when they are due, however slow the answers; latency counts from that instant.
"""

import asyncio
import multiprocessing
import statistics
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

_CHUNK = 65_536


@dataclass
class Result:
    """What came back: statuses, latencies in seconds, and how long the whole took."""

    statuses: Counter[int] = field(default_factory=Counter)
    latencies_s: list[float] = field(default_factory=list)
    seconds: float = 0.0

    @property
    def count(self) -> int:
        """How many were answered."""
        return sum(self.statuses.values())

    @property
    def per_s(self) -> float:
        """How many were answered in a second."""
        return self.count / self.seconds if self.seconds else 0.0

    def percentile_ms(self, percent: int) -> float:
        """Return a percentile of the latencies, in milliseconds."""
        return 1000 * statistics.quantiles(self.latencies_s, n=100, method="inclusive")[percent - 1]


async def _answer(reader: asyncio.StreamReader) -> int:
    """Read one answer; returns its status."""
    head = await reader.readuntil(b"\r\n\r\n")
    status = int(head[9:12])
    length = 0
    for line in head.lower().split(b"\r\n"):
        if line.startswith(b"content-length:"):
            length = int(line[15:])
    if length:
        await reader.readexactly(length)
    return status


async def _connection(port: int, requests: Sequence[bytes], due: Sequence[float] | None, result: Result) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=_CHUNK)
    try:
        for number, request in enumerate(requests):
            begun = time.perf_counter()
            if due is not None:
                begun = due[number]
                await asyncio.sleep(max(0.0, begun - time.perf_counter()))
            writer.write(request)
            result.statuses[await _answer(reader)] += 1
            result.latencies_s.append(time.perf_counter() - begun)
    finally:
        writer.close()


async def _all(port: int, queues: Sequence[Sequence[bytes]], per_s: float | None) -> Result:
    result = Result()
    begin = time.perf_counter() + (0.05 if per_s is not None else 0.0)
    tasks = []
    for place, queue in enumerate(queues):
        due = None
        if per_s is not None:
            due = [begin + (number * len(queues) + place) / per_s for number in range(len(queue))]
        tasks.append(_connection(port, queue, due, result))
    await asyncio.gather(*tasks)
    result.seconds = time.perf_counter() - begin
    return result


def _child(
    port: int, queues: Sequence[Sequence[bytes]], per_s: float | None, results: "multiprocessing.Queue[Result]"
) -> None:
    results.put(asyncio.run(_all(port, queues, per_s)))


def send(port: int, queues: Sequence[Sequence[bytes]], *, per_s: float | None = None, processes: int = 1) -> Result:
    """Send prepared requests, a queue per connection, and return what came of them.

    Args:
        port: of loopback.
        queues: for each connection its requests, whole as they go over the wire.
        per_s: open: so many a second over all connections; closed where None.
        processes: how many generators share the connections.
    """
    context = multiprocessing.get_context("fork")
    results: multiprocessing.Queue[Result] = context.Queue()
    shares = [queues[place::processes] for place in range(processes)]
    rate = per_s / processes if per_s is not None else None
    children = [context.Process(target=_child, args=(port, share, rate, results)) for share in shares]
    for child in children:
        child.start()
    total = Result()
    for _ in children:
        one = results.get(timeout=600)
        total.statuses += one.statuses
        total.latencies_s += one.latencies_s
        total.seconds = max(total.seconds, one.seconds)
    for child in children:
        child.join()
    return total


def request(method: str, path: str, headers: dict[str, str], body: bytes = b"") -> bytes:
    """Return a request as it goes over the wire."""
    told = dict(headers)
    if body:
        told["Content-Length"] = str(len(body))
    lines = [f"{method} {path} HTTP/1.1", *(f"{name}: {value}" for name, value in told.items())]
    return "\r\n".join([*lines, "", ""]).encode() + body
