"""Many requests, one transaction: what waits while the previous batch commits becomes the next batch.

Invariants: an item is answered only after the function that takes the batch has returned, which is after its commit;
the queue is bounded by number and by how long it would take at the pace of the batches before, and who finds no room is
told at once; one bad item does not fail its neighbours; whatever is raised, the next batch is taken; at the end
everything that was taken in is answered, and nothing more is taken in.
"""

import asyncio
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Generic, Protocol, TypeVar

from fleet import metrics

Item = TypeVar("Item")
Outcome = TypeVar("Outcome")

# How long the items of a failed batch are tried one by one. A bad item fails at once; a database that is away makes
# each wait, and those who come meanwhile shall not wait for all of them.
_PATIENCE_S = 5.0
# What waits shall be answered within about that: a deep queue never recovers from a rush, a short one does.
MOST_WORK_S = 2.0
# After a batch its thread rests for some times as long as it worked, so that more come meanwhile: most of what a batch
# costs does not depend on how many are in it. The scarcer the processor, the larger the batches. Who comes after
# the rest does not wait.
_REST, _MOST_REST_S = 3.0, 0.025
_PACE_WEIGHT = 0.3  # of the newest batch in how long one is taken to need


class Queue(Protocol):
    """Where requests wait, as those see it who watch the server."""

    name: str
    limit: int

    @property
    def depth(self) -> int:
        """How many wait."""


class FullError(Exception):
    """There is no room in the queue, or the server is stopping."""


class TooOftenError(FullError):
    """There is room, but who asks has asked for more than a sound tablet does."""


class Batcher(Generic[Item, Outcome]):
    """Gathers items for a function that takes many at once, in one thread of its own.

    Args:
        process: takes a batch, returns an outcome for each item in order; an outcome may be an exception to raise.
        limit: how many items may wait.
        at_most: how many items go into one batch.
        name: of the thread, and of the queue.
    """

    def __init__(
        self,
        process: Callable[[Sequence[Item]], Sequence[Outcome | Exception]],
        *,
        limit: int,
        at_most: int = 256,
        name: str = "batch",
    ) -> None:
        self._process = process
        self.limit, self.name = limit, name
        self._at_most = at_most
        self._waiting: deque[tuple[Item, asyncio.Future[Outcome], float]] = deque()
        self._batch_s = 0.0  # how long a batch has needed lately
        self._rests_until = 0.0
        self._thread = ThreadPoolExecutor(1, thread_name_prefix=name)
        self._running: asyncio.Task[None] | None = None
        self._is_closed = False

    @property
    def depth(self) -> int:
        """How many items wait."""
        return len(self._waiting)

    @property
    def is_full(self) -> bool:
        """Whether as many wait as may, or the server is stopping."""
        return self._is_closed or len(self._waiting) >= self.limit

    @property
    def _is_long(self) -> bool:
        """Whether one more would wait too long. Less than one batch is no queue, however long the last one took."""
        depth = len(self._waiting)
        return depth >= self._at_most and depth / self._at_most * self._batch_s > MOST_WORK_S

    def require_room(self) -> None:
        """Turn away who would find no room in the queue, before anything is done for him.

        Raises:
            FullError: too many wait already, or the server is stopping.
        """
        if self.is_full or self._is_long:
            raise FullError

    async def submit(self, item: Item, *, was_held: bool = False) -> Outcome:
        """Have ``item`` taken in the next batch and return its outcome.

        Args:
            item: what to take.
            was_held: whether who asks was held until now. Then only the number counts: most of its cost is behind us,
                how many look at once is bounded where they are held, and turned away it would come again as a stranger.

        Raises:
            FullError: too many wait already, or the server is stopping.
            Exception: the outcome, where it is one.
        """
        if not was_held:
            self.require_room()
        elif self.is_full:
            raise FullError
        future: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()
        self._waiting.append((item, future, time.perf_counter()))
        if self._running is None:
            self._running = asyncio.create_task(self._run())
        return await future

    async def _run(self) -> None:
        loop = asyncio.get_running_loop()
        try:
            while self._waiting:
                rest_s = self._rests_until - time.perf_counter()
                if rest_s > 0 and len(self._waiting) < self._at_most and not self._is_closed:
                    await asyncio.sleep(rest_s)
                batch = [self._waiting.popleft() for _ in range(min(len(self._waiting), self._at_most))]
                begun = time.perf_counter()
                outcomes = await loop.run_in_executor(self._thread, self._take, [item for item, _, _ in batch])
                ended = time.perf_counter()
                took_s = ended - begun
                self._rests_until = ended + min(_REST * took_s, _MOST_REST_S)
                self._batch_s += _PACE_WEIGHT * (took_s - self._batch_s)
                for (_, future, _), outcome in zip(batch, outcomes, strict=True):
                    if not future.done():  # else whoever asked has gone away; what was stored stays stored
                        _settle(future, outcome)
                metrics.BATCH_ITEMS.observe(len(batch), self.name)
                metrics.BATCH_WAIT.observe(begun - batch[0][2], self.name)
                metrics.BATCH_WORK.observe(took_s, self.name)
        finally:
            self._running = None

    def _take(self, items: Sequence[Item]) -> Sequence[Outcome | Exception]:
        """Process a batch; where it fails as a whole, its items one by one."""
        begun = time.perf_counter()
        whole = self._try(items)
        if not isinstance(whole, Exception):
            return whole
        outcomes: list[Outcome | Exception] = []
        for item in items if len(items) > 1 else ():
            found = self._try([item]) if time.perf_counter() - begun < _PATIENCE_S else whole
            outcomes.append(found if isinstance(found, Exception) else found[0])
        return outcomes or [whole]

    def _try(self, items: Sequence[Item]) -> Sequence[Outcome | Exception] | Exception:
        try:
            outcomes = self._process(items)
        except Exception as error:  # noqa: BLE001 (an outcome like any other: it is raised where it is awaited)
            return error
        if len(outcomes) != len(items):
            return RuntimeError(f"{len(outcomes)} outcomes for {len(items)} items")
        return outcomes

    async def drain(self) -> None:
        """Take nothing more in, wait until everything that was taken in is answered, then end the thread."""
        self._is_closed = True
        while self._running is not None:
            await asyncio.wait([self._running])
        self._thread.shutdown()


def _settle(future: asyncio.Future[Outcome], outcome: Outcome | Exception) -> None:
    if isinstance(outcome, StopIteration):  # a future cannot carry it
        future.set_exception(RuntimeError("StopIteration"))
    elif isinstance(outcome, Exception):
        future.set_exception(outcome)
    else:
        future.set_result(outcome)
