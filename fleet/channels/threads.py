"""Threads for rarer units of work of a channel's door, with a bounded queue.

Invariants: the queue is bounded by number and by how long it would take at the pace of what was done before; who finds
no room is told at once; once closed nothing more is taken in, and what was is answered.
"""

import asyncio
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from fleet.channels.batching import MOST_WORK_S, FullError

_FEW = 8  # a thread: so few are no queue, however long the last one took
_PACE_WEIGHT = 0.1  # of the newest unit of work in how long one is taken to need


class Threads:
    """A few threads.

    Args:
        count: how many.
        limit: how many units of work may wait or be done at the same time.
        name: of the threads, and of the queue.
    """

    def __init__(self, count: int, *, limit: int, name: str) -> None:
        self._pool = ThreadPoolExecutor(count, thread_name_prefix=name)
        self.limit, self.name, self._count, self._waiting = limit, name, count, 0
        self._unit_s = 0.0  # how long a unit of work has needed lately
        self._is_closed = False

    @property
    def depth(self) -> int:
        """How many wait or are being done."""
        return self._waiting

    @property
    def is_full(self) -> bool:
        """Whether as many wait or are being done as may."""
        return self._waiting >= self.limit

    @property
    def _is_long(self) -> bool:
        """Whether one more would wait too long."""
        each = self._waiting / self._count
        return each > _FEW and each * self._unit_s > MOST_WORK_S

    async def run(self, function: Callable[..., Any], *given: object) -> Any:
        """Run a unit of work in a thread and return what it returns.

        Raises:
            FullError: too many wait already, or the server is stopping.
            Exception: what it raises.
        """
        if self._is_closed or self.is_full or self._is_long:
            raise FullError
        self._waiting += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._pool, self._do, function, *given)
        finally:
            self._waiting -= 1

    def _do(self, function: Callable[..., Any], *given: object) -> Any:
        begun = time.perf_counter()
        try:
            return function(*given)
        finally:
            self._unit_s += _PACE_WEIGHT * (time.perf_counter() - begun - self._unit_s)

    def close(self) -> None:
        """Take nothing more in."""
        self._is_closed = True

    async def drain(self) -> None:
        """Answer everything that was taken in, then end the threads."""
        self.close()
        await asyncio.to_thread(self._pool.shutdown)
