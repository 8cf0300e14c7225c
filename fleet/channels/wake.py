"""Tablets that are held until something changes: one future each and no thread, whatever channel they speak.

A door enters a tablet *before* it looks for the first time what the tablet shall have, so that no change slips between;
a ring has it look again. Invariants: a tablet waits once, a newer wait ends the older; what is rung while it looks has
it look once more; those who were rung look a bounded number at a time, so that a ring for everybody turns nobody away.
All but :meth:`Waiting.ring` and :meth:`Waiting.held` belong to the event loop's thread.
"""

import asyncio
import contextlib
import enum
from collections.abc import Awaitable, Callable, Collection
from typing import TypeVar

from fleet import metrics

Found = TypeVar("Found")

MAX_WAITING = 20_000


class Ended(enum.Enum):
    """Why a wait ended although nothing changed."""

    OVER = enum.auto()
    REPLACED = enum.auto()  # the tablet asked anew
    GONE = enum.auto()  # it hung up
    STOPPED = enum.auto()  # the server is stopping


class Wait:
    """One tablet's wait."""

    __slots__ = ("_bell", "ended", "version")

    def __init__(self) -> None:
        self.version: int | None = None  # of the configuration it waits with, once that is known
        self.ended: Ended | None = None
        self.arm()

    def arm(self) -> None:
        """Be ready for the next ring."""
        self._bell: asyncio.Future[bool] = asyncio.get_running_loop().create_future()

    def ring(self) -> None:
        """Have the tablet look again."""
        if not self._bell.done():
            self._bell.set_result(True)

    def end(self, why: Ended) -> None:
        """End the wait; the first reason holds, but for one that lets it look a last time."""
        if self.ended in {None, Ended.OVER}:
            self.ended = why
        if not self._bell.done():
            self._bell.set_result(False)

    async def is_rung(self) -> bool:
        """Wait for a ring; False where the wait ended without one."""
        return await self._bell


class Waiting:
    """The tablets of one channel that are held.

    Args:
        at_once: how many of those who were rung may look at the same time.
        at_most: how many may wait; who comes then is answered at once.
    """

    def __init__(self, *, at_once: int, at_most: int = MAX_WAITING) -> None:
        self._at_most = at_most
        self._turns = asyncio.Semaphore(max(1, at_once))
        self._waits: dict[int, Wait] = {}
        self._loop: asyncio.AbstractEventLoop | None = None
        self._is_closed = False

    def __len__(self) -> int:
        """Return how many wait."""
        return len(self._waits)

    @property
    def is_closed(self) -> bool:
        """Whether the server is stopping: nobody waits any more."""
        return self._is_closed

    def enter(self, device_id: int) -> Wait | None:
        """Begin a tablet's wait; None where there is no room, or the server is stopping."""
        older = self._waits.get(device_id)
        if self._is_closed or (older is None and len(self._waits) >= self._at_most):
            return None
        if older is not None:
            older.end(Ended.REPLACED)
        self._loop = asyncio.get_running_loop()
        self._waits[device_id] = wait = Wait()
        return wait

    def leave(self, device_id: int, wait: Wait) -> None:
        """End a wait that was entered, whatever became of it."""
        if self._waits.get(device_id) is wait:
            del self._waits[device_id]

    async def hold(
        self,
        wait: Wait,
        look: Callable[[], Awaitable[Found | None]],
        *,
        for_s: float,
        gone: Callable[[], Awaitable[None]],
    ) -> Found | Ended:
        """Hold a tablet until a look finds something, or the wait ends.

        Args:
            wait: as entered.
            look: asks whether something changed; None where nothing did.
            for_s: for how long at most.
            gone: returns when the tablet has hung up.
        """
        loop = asyncio.get_running_loop()
        clock = loop.call_later(for_s, wait.end, Ended.OVER)
        watch = asyncio.ensure_future(gone())
        watch.add_done_callback(lambda _watch: wait.end(Ended.GONE))
        try:
            while await wait.is_rung():
                async with self._turns:
                    if wait.ended not in {None, Ended.OVER}:
                        break
                    wait.arm()  # before the look: what changes from here on rings again
                    found = await look()
                if found is not None:
                    return found
                if wait.ended is not None:
                    break
            return wait.ended or Ended.OVER
        finally:
            clock.cancel()
            watch.cancel()

    def ring(self, device_ids: Collection[int]) -> None:
        """Have those of these tablets that wait look again; from any thread."""
        if self._loop is not None and self._waits and device_ids:
            with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits any more
                self._loop.call_soon_threadsafe(self._ring, frozenset(device_ids))

    def _ring(self, device_ids: frozenset[int]) -> None:
        waiting = device_ids & self._waits.keys()
        for device_id in waiting:
            self._waits[device_id].ring()
        metrics.RUNG.add(len(waiting))

    def held(self) -> dict[int, int]:
        """Return with which version each tablet waits; from any thread."""
        waits = list(self._waits.items())  # one step for the interpreter, so no wait comes or goes meanwhile
        return {device_id: wait.version for device_id, wait in waits if wait.version is not None}

    def close(self) -> None:
        """End all waits, and take in no more; once for ever, so it may be called often."""
        if not self._is_closed:
            self._is_closed = True
            for wait in list(self._waits.values()):
                wait.end(Ended.STOPPED)
