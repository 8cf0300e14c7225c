"""Whom the tablets' door turns away before anything is done for him: the line in front of the one thread all share.

The queues of the channels are bounded, but a request stands in none of them before the server's one thread has read and
verified it, which is most of its cost. Under more load than there is room for, that is where all would wait. Whose turn
comes late, with many in front, is told to come again, for a fraction of what an answer costs; so those who are
answered are answered soon. Late with few in front is a machine that stood still: that turns nobody away.
"""

import asyncio
import time
from collections import deque
from typing import Any

import structlog

from fleet.channels.asgi import Scope

# In the state of the server (ASGI lifespan) what to call when a request is read from its connection, and in the
# request's scope what that returned.
ARRIVED = "fleet.arrived"
MOST_LATE_S, FEW_IN_FRONT = 1.5, 512
AT_ONCE = 96  # how many begin in one round of the event loop
_TELL_EVERY_S = 1.0

_log = structlog.get_logger("gate")


class Line:
    """Counts those who had their turn, and those who were turned away."""

    def __init__(self) -> None:
        self._begun, self._turned_away, self._told_at = 0, 0, -_TELL_EVERY_S
        self._waiting: deque[asyncio.Future[None]] = deque()
        self._let_in, self._is_turning = 0, False

    def turn(self) -> asyncio.Future[None] | None:
        """Return what to wait for until it is one's turn to begin; whoever finds few others need not.

        What is under way needs the event loop several times more, and each time waits for all that begins meanwhile.
        """
        if not self._is_turning:
            self._is_turning = True
            loop = asyncio.get_running_loop()
            loop.call_soon(self._next_round, loop)
        if self._let_in < AT_ONCE and not self._waiting:
            self._let_in += 1
            return None
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append(future)
        return future

    def _next_round(self, loop: asyncio.AbstractEventLoop) -> None:
        """Let the next ones in, once in each round of the event loop."""
        self._let_in = 0
        while self._waiting and self._let_in < AT_ONCE:
            future = self._waiting.popleft()
            if not future.done():
                future.set_result(None)
                self._let_in += 1
        self._is_turning = self._let_in > 0
        if self._is_turning:
            loop.call_soon(self._next_round, loop)

    def arrive(self) -> tuple[float, int]:
        """Return when a request was read, and how many had their turn by then."""
        return time.perf_counter(), self._begun

    @staticmethod
    def came(scope: Scope, moment: float) -> float:
        """Return when a request was read; the present moment where nobody noted it."""
        told: Any = scope.get(ARRIVED)
        return moment if told is None else float(told[0])

    def is_late(self, scope: Scope, moment: float) -> bool:
        """Whether a request whose turn it is has stood in line for too long; without word of its arrival it has not."""
        told: Any = scope.get(ARRIVED)
        self._begun += 1
        return told is not None and moment - told[0] > MOST_LATE_S and self._begun - told[1] > FEW_IN_FRONT

    def note_turned_away(self, moment: float) -> None:
        """Note that somebody shall come later, and log it now and then: a line each would cost more than the rest."""
        self._turned_away += 1
        if moment - self._told_at >= _TELL_EVERY_S:
            _log.info("turned away", number=self._turned_away)
            self._turned_away, self._told_at = 0, moment
